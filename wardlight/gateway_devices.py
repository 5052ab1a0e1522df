"""`wardlight gateway scan`, `allow` and `test-device`: what is in the air, who may connect, and whether it works."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from vitals.errors import ConfigurationError
from vitals.model import VITALS
from wardlight.gateway_settings import DEFAULT_FILE, allow, load

if TYPE_CHECKING:
    from gateway.ble_tools import Found
    from gateway.devices.driver import Driver, Heard

T = TypeVar("T")

_STEP_S: Final = 0.2  # of the progress bar

AdapterOption = Annotated[str, typer.Option(help="The Bluetooth adapter.")]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The gateway's settings.")]


def scan_command(
    seconds: Annotated[float, typer.Option(min=1, max=300, help="How long to listen.")] = 10.0,
    adapter: AdapterOption = "hci0",
    config: ConfigOption = DEFAULT_FILE,
    everything: Annotated[bool, typer.Option("--all", help="Also devices that are no known wearables.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List the wearables that are near: what they are, how strong their signal is, whether they are allowed.

    Stop the gateway before: two programs on one adapter disturb each other. Hold a wearable next to the gateway to
    recognise it by the strongest signal.

    [bold]Examples[/]

    sudo systemctl stop wardlight-gateway && wardlight gateway scan

    wardlight gateway scan --seconds 30 --all
    """
    from gateway.ble_tools import scan

    found = asyncio.run(_with_progress(scan(seconds, adapter), seconds, "listening"))
    shown = [device for device in found if everything or device.label]
    allowed = _allowed(config)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode([_as_json(device, allowed) for device in shown])).decode())
        return
    console = Console(highlight=False)
    if shown:
        console.print(_table(shown, allowed))
    hidden = len(found) - len(shown)
    if hidden:
        console.print(f"{hidden} other devices are near that no driver knows; --all lists them.", style="dim")
    if not found:
        console.print("Nothing was heard: wear or switch on the wearable, and hold it near.")


def allow_command(
    address: Annotated[str, typer.Argument(help="As `scan` lists it.")],
    name: Annotated[str, typer.Argument(help="As in the server's ward file, such as ox-17; never a person's name.")],
    driver: Annotated[str, typer.Option(help="auto goes by what the device advertises.")] = "auto",
    adapter: Annotated[str | None, typer.Option(help="Connect through this adapter only.")] = None,
    config: ConfigOption = DEFAULT_FILE,
) -> None:
    """Let a wearable connect: write it into the gateway's settings. The rest of the file stays as it is.

    [bold]Examples[/]

    sudo wardlight gateway allow C4:5A:10:22:33:44 ox-17
    """
    from gateway.config import DeviceConfig
    from gateway.devices.registry import DRIVERS

    known = {each.name for each in DRIVERS} | {"auto"}
    if driver not in known:
        raise ConfigurationError(f"--driver: {driver!r} is none of {', '.join(sorted(known))}")
    allow(config, DeviceConfig(name=name, address=address, driver=driver, adapter=adapter))
    console = Console(highlight=False)
    console.print(f"{name} at {address.upper()} is allowed. Now: sudo systemctl restart wardlight-gateway")


def try_device_command(
    address: Annotated[str, typer.Argument(help="As `scan` lists it.")],
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long to listen to it.")] = 20.0,
    adapter: AdapterOption = "hci0",
    driver: Annotated[str, typer.Option(help="auto goes by what the device advertises.")] = "auto",
) -> None:
    """Connect to a wearable and show what it tells, decoded. Nothing is stored or sent.

    Stop the gateway before. Exit code 1: it could not be reached, or told nothing.

    [bold]Examples[/]

    wardlight gateway test-device C4:5A:10:22:33:44

    wardlight gateway test-device C4:5A:10:22:33:44 --driver polar --seconds 60
    """
    from gateway.ble_tools import probe

    console = Console(highlight=False)
    console.print(f"Looking for {address.upper()} …")
    shown = asyncio.run(
        probe(
            address,
            seconds,
            adapter=adapter,
            driver=_driver(driver),
            on_heard=lambda heard: _print_lines(console, heard),
        )
    )
    if shown.driver is not None:
        rssi = "" if shown.seen is None or shown.seen.rssi_dbm is None else f", {shown.seen.rssi_dbm} dBm"
        console.print(f"Understood as {shown.driver.label}{rssi}.")
    if shown.error:
        console.print(Text(f"It ended early: {shown.error}", "red"))
    elif not any(heard.samples or heard.waves for heard in shown.heard):
        console.print(Text("It is connected and tells nothing: is it worn?", "yellow"))
    if shown.error or not shown.heard:
        raise typer.Exit(1)


def lines_of(heard: Heard) -> Iterable[str]:
    """What a wearable told, a line for each thing, for people."""
    for sample in heard.samples:
        info = VITALS[sample.vital]
        if sample.value is None:
            told = f"none: {sample.reason.name.lower().replace('_', ' ')}"
        else:
            told = f"{sample.value:.{info.decimals}f} {info.unit}"
        quality = "" if sample.quality.name in {"UNKNOWN", "USABLE"} else f"  ({sample.quality.name.lower()})"
        yield f"{info.label:18} {told}{quality}{'  from its memory' if sample.stored else ''}"
    for wave in heard.waves:
        count = len(wave.samples) // wave.width_bytes
        yield f"{wave.waveform.name.lower().replace('_', ' '):18} {count} samples at {wave.sample_rate_hz:g} Hz"
    yield from (f"{key:18} {value}" for key, value in heard.notes.items())
    yield from (f"{'unusable frame':18} {what}" for what in heard.malformed)


def _print_lines(console: Console, heard: Heard) -> None:
    for line in lines_of(heard):
        console.print(Text(line))


def _driver(name: str) -> Driver | None:
    from gateway.devices.registry import DRIVERS, driver_named

    found = None if name == "auto" else driver_named(name)
    if found is None and name != "auto":
        raise ConfigurationError(f"--driver: {name!r} is none of auto, {', '.join(each.name for each in DRIVERS)}")
    return found


def _allowed(config: Path) -> dict[str, str]:
    """Names of the allowed wearables by address; none without settings, for a scan comes before them."""
    if not config.exists():
        return {}
    return {device.address.upper(): device.name for device in load(config).device}


def _table(found: Iterable[Found], allowed: dict[str, str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("Address", "Signal", "Advertised name", "What it is", "Allowed as"):
        table.add_column(heading, overflow="fold")
    for device in found:
        seen = device.seen
        strength = "" if seen.rssi_dbm is None else f"{seen.rssi_dbm} dBm {_bars(seen.rssi_dbm)}"
        cells = (seen.name or "–", device.label or "unknown", allowed.get(seen.address.upper(), "–"))
        table.add_row(seen.address, strength, *map(Text, cells))
    return table


def _bars(rssi_dbm: int) -> str:
    """Five steps from barely there to next to it."""
    strong = sum(rssi_dbm >= least for least in (-95, -85, -75, -65, -50))
    return "▮" * strong + "▯" * (5 - strong)


def _as_json(device: Found, allowed: dict[str, str]) -> dict[str, object]:
    seen = device.seen
    return {
        "address": seen.address,
        "name": seen.name,
        "rssi_dbm": seen.rssi_dbm,
        "what": device.label,
        "allowed_as": allowed.get(seen.address.upper(), ""),
    }


async def _with_progress(work: Coroutine[Any, Any, T], seconds: float, what: str) -> T:
    """Await `work`, which takes `seconds`, and show how far it is."""
    task = asyncio.ensure_future(work)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f} of {task.total:.0f} s"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(what, total=seconds)
        while not task.done():
            await asyncio.wait([task], timeout=_STEP_S)
            progress.advance(bar, _STEP_S)
    return task.result()
