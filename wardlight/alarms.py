"""`wardlight alarms`: what the alarm journal holds, by patient and time. Works while the server runs.

`report` and `mark` are in `wardlight.alarms_report`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from alerts.events import AlarmEvent, Priority, Transition
from alerts.log import read_events
from vitals.journal import Journal
from wardlight.alarms_report import mark_command, report_command
from wardlight.layout import DEFAULT_DATA, DataFolder, read_ward

MARKERS: Final = {Priority.HIGH: "***", Priority.MEDIUM: "**", Priority.LOW: "*"}
PIPED_WIDTH: Final = 160  # characters, where nobody says how wide the paper is
_AFTERWARDS: Final = {Transition.ANNOTATED: "found afterwards", Transition.DISPROVED: "found not to be so"}
_COLOURS: Final = {Priority.HIGH: "bold red", Priority.MEDIUM: "yellow", Priority.LOW: "cyan"}


app: Final = typer.Typer(invoke_without_command=True, no_args_is_help=False)
app.command("report")(report_command)
app.command("mark")(mark_command)


@app.callback()
def alarms_command(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="The server's data folder.")] = DEFAULT_DATA,
    ward: Annotated[Path | None, typer.Option(help="The ward file, for its time zone.")] = None,
    patient: Annotated[str | None, typer.Option(help="Only this patient.")] = None,
    opened: Annotated[bool, typer.Option("--opened", help="Only when alarms began or rose in priority.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List alarms by patient and time: what, when, at which value, and who acknowledged.

    [bold]Example[/]: wardlight alarms --data wardlight-data --ward ward.toml --opened
    """
    if context.invoked_subcommand is not None:
        return
    wanted = (Transition.RAISED, Transition.ESCALATED, Transition.CONFIRMED) if opened else tuple(Transition)
    with Journal(DataFolder(data).alarms, read_only=True) as journal:
        events = [
            event
            for event in read_events(journal)
            if event.transition in wanted and (patient is None or event.patient == patient)
        ]
    if as_json:
        for event in events:
            typer.echo(json.dumps(as_record(event)))
        return
    zone = ZoneInfo(read_ward(ward).time_zone if ward else "UTC")
    wide = None if sys.stdout.isatty() else PIPED_WIDTH
    Console(width=wide).print(alarm_table(events, zone))


def alarm_table(events: Sequence[AlarmEvent], zone: ZoneInfo) -> Table:
    """A table by patient, then time, in the ward's zone."""
    table = Table(title=f"{len(events)} entries, times in {zone.key}")
    for column in ("bed", "patient", "time", "", "condition", "what happened", "value", "limit", "by"):
        table.add_column(column, justify="right" if column in ("value", "limit") else "left")
    for event in sorted(events, key=lambda e: (e.bed or "~", e.patient, e.at_ns, e.number)):
        moment = datetime.fromtimestamp(event.at_ns / 1e9, zone)
        table.add_row(
            event.bed or ", ".join(event.beds) or event.gateway,
            event.patient,
            f"{moment:%Y-%m-%d %H:%M:%S}",
            MARKERS[event.priority],
            event.condition.replace("_", " "),
            _happened(event, zone),
            "" if event.value is None else f"{event.value:g}",
            "" if event.limit is None else f"{event.limit:g}",
            event.actor,
            style=_COLOURS[event.priority] if event.transition is not Transition.ENDED else "dim",
        )
    return table


def _happened(event: AlarmEvent, zone: ZoneInfo) -> str:
    if event.transition in _AFTERWARDS:
        until = datetime.fromtimestamp(event.until_ns / 1e9, zone)
        return f"{_AFTERWARDS[event.transition]}, until {until:%H:%M:%S}"
    return event.transition.value.replace("_", " ") + (" (from backlog)" if event.backlog else "")


def as_record(event: AlarmEvent) -> dict[str, Any]:
    """The event as plain JSON values, times in UTC, for other programs and for the export."""
    return {
        "alarm_id": event.alarm_id,
        "at": _utc(event.at_ns),
        "patient": event.patient,
        "bed": event.bed,
        "gateway": event.gateway,
        "kind": event.kind.value,
        "condition": event.condition,
        "priority": event.priority.name.lower(),
        "transition": event.transition.value,
        "value": event.value,
        "limit": event.limit,
        "reason": event.reason.name.lower(),
        "device": event.device,
        "beds": list(event.beds),
        "actor": event.actor,
        "backlog": event.backlog,
        "until": _utc(event.until_ns) if event.until_ns else None,
    }


def _utc(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, ZoneInfo("UTC")).isoformat(timespec="milliseconds")
