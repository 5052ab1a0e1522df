"""`wardlight export`: a patient's stored vitals and alarms as files. Works while the server runs."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress

from vitals.errors import ConfigurationError
from vitals.journal import Journal
from wardlight.layout import DEFAULT_DATA, DataFolder, now_ns, read_ward

_ALARM_FIELDS: Final = {
    "at_ns": int,
    "decided_at_ns": int,
    "alarm_id": str,
    "bed": str,
    "kind": str,
    "condition": str,
    "priority": str,
    "transition": str,
    "value": float,
    "limit": float,
    "reason": str,
    "device": str,
    "actor": str,
    "backlog": bool,
    "until_ns": int,
}


def export_command(
    patient: Annotated[str, typer.Argument(help="The pseudonym, such as P-0001.")],
    out: Annotated[Path, typer.Option(help="Folder for the two files; made when it is missing.")] = Path(),
    data: Annotated[Path, typer.Option(help="The server's data folder.")] = DEFAULT_DATA,
    ward: Annotated[Path | None, typer.Option(help="The ward file, for its time zone.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Ward time, like 2026-11-22T14:00.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Ward time, not included.")] = None,
    file_format: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="Of the files.")] = "csv",
) -> None:
    """Write a patient's vitals and alarms to PATIENT-vitals and PATIENT-alarms, as CSV or Parquet.

    Times stand twice, in UTC and in the ward's zone. A missing value is empty, with the reason beside it.

    [bold]Example[/]: wardlight export P-0001 --ward ward.toml --from 2026-11-22T14:00 --format parquet --out /tmp
    """
    from alerts.log import AlarmLogReader
    from ingest.export import export_alarms, export_vitals
    from ingest.store.reader import StoreReader
    from wardlight.alarms import as_record

    zone = ZoneInfo(read_ward(ward).time_zone if ward else "UTC")
    start_ns = 0 if start is None else moment_ns(start, zone, "--from")
    end_ns = now_ns() if end is None else moment_ns(end, zone, "--to")
    folder, console = DataFolder(data), Console(stderr=True)
    vitals_file, alarms_file = (out / f"{patient}-{what}.{file_format}" for what in ("vitals", "alarms"))
    with ExitStack() as stack:
        reader = stack.enter_context(StoreReader(folder.store))
        if patient not in reader.patients():
            known = ", ".join(name or "(unassigned)" for name in reader.patients()[:12]) or "no readings at all"
            raise ConfigurationError(f"nothing is stored of patient {patient!r}; there are {known}")
        file = stack.enter_context(_new_file(vitals_file))
        progress = stack.enter_context(Progress(console=console))
        bar = progress.add_task("vitals", total=1.0)
        samples = export_vitals(
            reader,
            patient,
            start_ns,
            end_ns,
            time_zone=zone.key,
            file_format=file_format,
            out=file,
            progress=lambda done: progress.update(bar, completed=done),
        )
    with Journal(folder.alarms, read_only=True) as journal, _new_file(alarms_file) as file:
        events = AlarmLogReader(journal).alarm_events(patient, start_ns, end_ns)
        rows = [
            {**as_record(e), "at_ns": e.at_ns, "decided_at_ns": e.decided_at_ns, "until_ns": e.until_ns or None}
            for e in events
        ]
        alarms = export_alarms(rows, _ALARM_FIELDS, time_zone=zone.key, file_format=file_format, out=file)
    console.print(f"{samples:,} readings → {vitals_file}\n{alarms:,} alarm entries → {alarms_file}")


def _new_file(path: Path) -> BinaryIO:
    """Open `path` for writing, and its folder; raises `ConfigurationError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}): name another --out") from error


def moment_ns(text: str, zone: ZoneInfo, option: str) -> int:
    """A time as people write it, in the ward's zone unless it names its own; raises `ConfigurationError`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} is not a time; write one like 2026-11-22T14:00") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000
