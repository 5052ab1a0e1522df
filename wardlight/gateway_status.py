"""`wardlight gateway status`: how the running gateway is, from the file that it writes each second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.app import STATUS_FILE
from gateway.health import Report
from vitals.errors import ConfigurationError
from wardlight.gateway_settings import DEFAULT_FILE, load

STALE_S: Final = 5.0  # it writes each second: older is a gateway that stands still
_WARN_SILENT_S: Final = 15.0


def status_command(
    config: Annotated[Path, typer.Option("--config", "-c", help="The gateway's settings.")] = DEFAULT_FILE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Live, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The file as it is.")] = False,
) -> None:
    """Show how the gateway is: server, clock, wearables, radio, what waits, and what is wrong.

    Exit code 0: all is well; 1: it does not run, stands still, or reports a problem.

    [bold]Examples[/]

    wardlight gateway status

    wardlight gateway status --watch
    """
    path = Path(load(config).runtime_folder) / STATUS_FILE
    if as_json:
        typer.echo(_read(path).decode())
        return
    console = Console(highlight=False)
    if watch:
        _watch(path, console)
        return
    report, age_s = report_in(path)
    console.print(screen(report, age_s))
    if age_s > STALE_S or report.health.problems or not report.connected:
        raise typer.Exit(1)


def report_in(path: Path) -> tuple[Report, float]:
    """What the gateway says of itself, and how long ago; raises `ConfigurationError` when it says nothing."""
    payload = _read(path)
    try:
        report = msgspec.json.decode(payload, type=Report)
        return report, max(0.0, time.time() - path.stat().st_mtime)
    except (msgspec.DecodeError, OSError) as error:
        raise ConfigurationError(f"{path} is not the status of a gateway of this release: {error}") from error


def screen(report: Report, age_s: float) -> RenderableType:
    """The whole status for people; what is wrong comes first."""
    return Group(*_parts(report, age_s))


def _parts(report: Report, age_s: float) -> Iterator[RenderableType]:
    if age_s > STALE_S:
        yield Text(
            f"STANDS STILL: nothing was written for {age_s:,.0f} s. See: systemctl status wardlight-gateway", "bold red"
        )
    yield Text(f"Gateway {report.gateway} of {report.site}, version {report.version}", "bold")
    yield _server(report)
    yield Text(f"Clock: {report.clock_source}, within {_span(report.clock_uncertainty_ms / 1e3)}")
    if report.health.config_version:
        yield Text(f"Settings: version {report.health.config_version}, pushed by the server")
    if report.health.held:
        yield Text(f"{report.health.held:,} batches wait for the time to be known", "yellow")
    yield from (Text(f"! {problem}", "yellow") for problem in report.health.problems)
    yield Text()
    yield _wearables(report)
    for radio in report.health.radios:
        steps = ", ".join(f"{name.replace('_', ' ')} {count}×" for name, count in radio.recoveries)
        recovered = f"; recovered by: {steps}" if steps else ""
        yield Text(f"Radio {radio.adapter}: {radio.state}, {radio.connections} connections{recovered}")
    dropped = ", ".join(f"{what} {count:,}" for what, count in report.health.drops)
    if dropped:
        yield Text(f"Given up since the start: {dropped}", "yellow")


def _server(report: Report) -> Text:
    if report.connected:
        waiting = (
            f", {report.waiting:,} messages wait for their receipt" if report.waiting else ", everything receipted"
        )
        return Text(f"Server {report.server}: connected{waiting}", "green")
    why = f" ({report.last_error})" if report.last_error else ""
    kept = f"{report.waiting:,} messages are kept here"
    return Text(f"Server {report.server}: NOT CONNECTED{why}; {kept}", "bold yellow")


def _wearables(report: Report) -> RenderableType:
    if not report.health.wearables:
        return Text("No wearables are allowed: see `wardlight gateway scan` and `allow`.", "yellow")
    table = Table(box=None, pad_edge=False)
    for heading in ("Wearable", "Connection", "Heard", "Signal", "Battery", "Reconnected"):
        table.add_column(heading)
    for device in report.health.wearables:
        silent = device.silent_s is None or device.silent_s > _WARN_SILENT_S
        heard = "never" if device.silent_s is None else f"{_span(device.silent_s)} ago"
        table.add_row(
            device.device,
            device.phase.replace("_", " "),
            Text(heard, "yellow" if silent else "green"),
            "" if device.rssi_dbm is None else f"{device.rssi_dbm} dBm",
            "" if device.battery_pct is None else f"{device.battery_pct} %",
            f"{device.reconnects}×" if device.reconnects else "",
        )
    return table


def _span(seconds: float) -> str:
    if seconds >= 86_400 * 365:
        return "years"
    if seconds >= 7_200:
        return f"{seconds / 3_600:.0f} h"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def _watch(path: Path, console: Console) -> None:
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            live.update(screen(*report_in(path)), refresh=True)
            time.sleep(1.0)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} does not exist: the gateway does not run. Start it with: sudo systemctl start wardlight-gateway"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): try it with sudo") from error
