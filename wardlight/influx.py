"""`wardlight influx`: set up databases, fill them from the embedded store, verify them, see how they keep up.

All of it works beside the running server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from vitals.errors import ConfigurationError
from wardlight.databases import library, read_targets
from wardlight.export import moment_ns
from wardlight.layout import DEFAULT_DATA, DataFolder, now_ns, read_ward

if TYPE_CHECKING:
    from ingest.influx.comparison import Difference
    from ingest.influx.config import Target
    from vitals.ward import Ward

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="InfluxDB 1, 2, 3 and VictoriaMetrics: set up, fill, verify. docs/influxdb.md shows the influx.toml.",
)
MOST_SHOWN: Final = 50  # differences listed; the rest is counted

Config = Annotated[Path, typer.Option(help="The influx.toml.")]
WardFile = Annotated[Path, typer.Option(help="The ward file: its site and time zone.")]
Data = Annotated[Path, typer.Option(help="The server's data folder.")]
Only = Annotated[str | None, typer.Option("--target", help="Only the database of this name.")]
From = Annotated[str | None, typer.Option("--from", help="Ward time, like 2026-11-22T14:00.")]
To = Annotated[str | None, typer.Option("--to", help="Ward time, not included.")]


@app.command("setup")
def setup_command(
    config: Config,
    ward: WardFile,
    only: Only = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    shorten: Annotated[
        bool, typer.Option("--shorten", help="Let existing places keep less, which deletes what is older.")
    ] = False,
) -> None:
    """Create buckets or databases, set how long they keep, and check that they can be written. Repeatable.

    [bold]Example[/]: wardlight influx setup --config influx.toml --ward ward.toml --dry-run
    """
    library()
    from ingest.influx.client import Client
    from ingest.influx.setup import setup

    table = Table(box=None, pad_edge=False)
    for column in ("Database", "What", "", ""):
        table.add_column(column, overflow="fold")
    for target in _targets(config, only):
        with Client(target, config.parent) as client:
            for step in setup(client, read_ward(ward).site, now_ns(), dry_run=dry_run, shorten=shorten):
                table.add_row(target.name, step.what, step.outcome.value, step.detail)
    Console().print(table)


@app.command("backfill")
def backfill_command(
    config: Config,
    ward: WardFile,
    data: Data = DEFAULT_DATA,
    only: Only = None,
    start: From = None,
    end: To = None,
) -> None:
    """Send what the embedded store and the alarm journal hold. What is there already stays as it is.

    [bold]Example[/]: wardlight influx backfill --config influx.toml --ward ward.toml --from 2026-11-20T00:00
    """
    library()
    from wardlight.influx_work import backfill

    of_ward = read_ward(ward)
    span = _span(start, end, of_ward)
    console = Console(stderr=True)
    for target in _targets(config, only):
        with Progress(console=console) as progress:
            bar = progress.add_task(target.name, total=1.0)
            work = backfill(target, config.parent, DataFolder(data), of_ward.site, span, Bar(progress, bar))
            sent = asyncio.run(work)
        console.print(f"{sent:,} lines → {target.name}")


@app.command("verify")
def verify_command(
    config: Config,
    ward: WardFile,
    data: Data = DEFAULT_DATA,
    only: Only = None,
    start: From = None,
    end: To = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per difference.")] = False,
) -> None:
    """Compare counts and values per patient and hour with the embedded store. Exit code 1 for any difference.

    The newest readings may not have been sent yet: `status` tells, or name a --to.

    [bold]Example[/]: wardlight influx verify --config influx.toml --ward ward.toml --from 2026-11-22T00:00
    """
    library()
    from wardlight.influx_work import verify

    of_ward = read_ward(ward)
    span = _span(start, end, of_ward)
    console = Console(stderr=True)
    found: list[tuple[str, Difference]] = []
    points = 0
    for target in _targets(config, only):
        with Progress(console=console) as progress:
            bar = progress.add_task(target.name, total=1.0)
            for done, compared, differences in verify(target, config.parent, DataFolder(data), of_ward.site, span):
                progress.update(bar, completed=done)
                points += compared
                found += [(target.name, difference) for difference in differences]
    _report(found, _zone(of_ward), as_json=as_json)
    console.print(f"{points:,} readings compared, {len(found):,} streams differ")
    raise typer.Exit(1 if found else 0)


@app.command("status")
def status_command(config: Config, data: Data = DEFAULT_DATA, only: Only = None) -> None:
    """How far each database is, what waits, and whether it answers. Exit code 1 when one does not.

    [bold]Example[/]: wardlight influx status --config influx.toml
    """
    library()
    from wardlight.influx_work import status

    table = Table(box=None, pad_edge=False)
    for column in (
        "Database",
        "Kind",
        "Answers",
        "Readings waiting",
        "Rollups",
        "Alarms",
        "Owed hours",
        "Refused lines",
    ):
        table.add_column(column, overflow="fold")
    healthy = True
    for target in _targets(config, only):
        found = status(target, config.parent, DataFolder(data))
        healthy &= not found.trouble
        counts = (found.readings, found.rollups, found.alarms, found.owed_hours, found.refused)
        shown = ["never forwarded" if count is None else f"{count:,}" for count in counts]
        table.add_row(target.name, target.kind.value, found.trouble or "yes", *shown)
    Console().print(table)
    Console(stderr=True).print("waiting: journal records; refused lines: `wardlight journal poison` lists them")
    raise typer.Exit(0 if healthy else 1)


@dataclass(frozen=True, slots=True)
class Bar:
    """Moves a progress bar."""

    progress: Progress
    task: TaskID

    def __call__(self, done: float) -> None:
        """Show this fraction."""
        self.progress.update(self.task, completed=done)


def _targets(config: Path, only: str | None) -> Iterator[Target]:
    targets = read_targets(config)
    if only is not None and only not in {target.name for target in targets}:
        raise ConfigurationError(f"--target {only!r}: {config} names {', '.join(t.name for t in targets)}")
    return (target for target in targets if only in (None, target.name))


def _span(start: str | None, end: str | None, ward: Ward) -> tuple[int, int]:
    zone = _zone(ward)
    start_ns = 0 if start is None else moment_ns(start, zone, "--from")
    end_ns = now_ns() if end is None else moment_ns(end, zone, "--to")
    if start_ns >= end_ns:
        raise ConfigurationError("--from has to be before --to, and --to is now unless given")
    return start_ns, end_ns


def _zone(ward: Ward) -> ZoneInfo:
    return ZoneInfo(ward.time_zone)


def _report(found: list[tuple[str, Difference]], zone: ZoneInfo, *, as_json: bool) -> None:
    from ingest.influx.line_protocol import vital_name

    if as_json:
        for name, difference in found:
            typer.echo(msgspec.json.encode({"target": name, **asdict(difference)}).decode())
        return
    if not found:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("Database", "Patient", f"Hour ({zone.key})", "Device", "Vital", "Here", "There", "What"):
        table.add_column(column, overflow="fold")
    for name, d in found[:MOST_SHOWN]:
        hour = f"{datetime.fromtimestamp(d.hour_ns / 1e9, zone):%Y-%m-%d %H:%M}"
        what = [
            f"{count:,} {word}"
            for count, word in ((d.missing, "missing"), (d.extra, "too many"), (d.changed, "with another value"))
            if count
        ]
        table.add_row(
            name,
            d.patient or "(unassigned)",
            hour,
            d.device,
            vital_name(d.vital),
            f"{d.stored:,}",
            f"{d.found:,}",
            ", ".join(what),
        )
    Console().print(table)
    if len(found) > MOST_SHOWN:
        Console().print(f"and {len(found) - MOST_SHOWN:,} more: --json lists all")
