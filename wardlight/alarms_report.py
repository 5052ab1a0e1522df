"""`wardlight alarms report` and `mark`: a period of alarms in figures, and what people say of an alarm afterwards."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from alerts.events import Priority
from alerts.log import read_events
from alerts.marks import MARK_KIND, Mark, decode_mark, encode_mark
from alerts.report import DAY_NS, PLANT_FIGURES, Report, report
from alerts.spans import spans_of
from vitals.errors import ConfigurationError
from vitals.journal import Journal
from wardlight.bars import bar_chart
from wardlight.layout import DEFAULT_DATA, DataFolder, now_ns, read_ward

MARKS_FILE: Final = "alarm-marks.db"  # beside the alarm journal, which only the service writes
_ORDER: Final = (Priority.LOW, Priority.MEDIUM, Priority.HIGH)


def report_command(
    data: Annotated[Path, typer.Option(help="The server's data folder.")] = DEFAULT_DATA,
    ward: Annotated[
        Path | None, typer.Option(help="The ward file: its time zone, and how many beds there are.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="Ward time, like 2026-11-22T14:00.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Ward time, not included.")] = None,
    days: Annotated[float, typer.Option(min=0.01, max=3660, help="The last days, where there is no --from.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Write a picture too: an .svg file.")] = None,
) -> None:
    """Figures of a period: alarms per bed and day, who took notice how fast, floods, and how much was noise.

    [bold]Example[/]: wardlight alarms report --ward ward.toml --days 7 --picture week.svg
    """
    from wardlight.export import moment_ns

    known = read_ward(ward) if ward else None
    zone = ZoneInfo(known.time_zone if known else "UTC")
    end_ns = now_ns() if end is None else moment_ns(end, zone, "--to")
    start_ns = end_ns - round(days * DAY_NS) if start is None else moment_ns(start, zone, "--from")
    if start_ns >= end_ns:
        raise ConfigurationError("the period ends before it begins: give a --from that is earlier than --to")
    with Journal(DataFolder(data).alarms, read_only=True) as journal:
        spans = spans_of(read_events(journal))
    found = report(spans, start_ns, end_ns, beds=len(known.patients) if known else 0, marks=read_marks(data))
    if picture is not None:
        write_picture(picture, report_chart(found))
    if as_json:
        typer.echo(json.dumps(as_record(found), indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(report_table(found, zone))


def mark_command(
    alarm_id: Annotated[str, typer.Argument(help="As `wardlight alarms --json` and the report show it.")],
    actionable: Annotated[bool, typer.Option("--actionable/--not-actionable", help="Was there something to do?")],
    by: Annotated[str, typer.Option(help="Who says so.")] = "",
    data: Annotated[Path, typer.Option(help="The server's data folder.")] = DEFAULT_DATA,
) -> None:
    """Say of an alarm whether there was something to do. The last word counts; all are kept. Works while serving.

    [bold]Example[/]: wardlight alarms mark 19a2b3c4d5e-7 --not-actionable --by nurse-4
    """
    folder = DataFolder(data)
    with Journal(folder.alarms, read_only=True) as journal:
        if not any(event.alarm_id == alarm_id for event in read_events(journal)):
            raise ConfigurationError(f"no alarm {alarm_id!r} in {folder.alarms}: `wardlight alarms --json` lists them")
    at_ns = now_ns()
    mark = Mark(alarm_id, actionable, by or getpass.getuser(), at_ns)
    with Journal(folder.root / MARKS_FILE, chained=True) as marks:
        marks.append([(MARK_KIND, encode_mark(mark))], now_ns=at_ns)
    typer.echo(f"{alarm_id}: {'actionable' if actionable else 'not actionable'}, says {mark.by}")


def read_marks(data: Path) -> dict[str, bool]:
    """Alarm → whether it was actionable, by the last mark of each."""
    path = DataFolder(data).root / MARKS_FILE
    found: dict[str, bool] = {}
    if not path.exists():
        return found
    with Journal(path, read_only=True) as journal:
        after = 0
        while records := journal.read(after):
            marks = [decode_mark(record.payload) for record in records if record.kind == MARK_KIND]
            found.update({mark.alarm_id: mark.actionable for mark in marks})
            after = records[-1].sequence
    return found


def report_table(found: Report, zone: ZoneInfo) -> Table:
    """The figures, those of process plants beside them."""
    first, last = (f"{datetime.fromtimestamp(ns / 1e9, zone):%Y-%m-%d %H:%M}" for ns in (found.start_ns, found.end_ns))
    table = Table(title=f"{first} to {last} {zone.key}", title_justify="left", caption_justify="left")
    table.caption = (
        "The last column: figures for one operator of a process plant (ISA-18.2, EEMUA 191), no clinical aim."
    )
    for heading in ("figure", "value", "process plant"):
        table.add_column(heading)
    for name, value in _lines(found):
        key = name.replace(" ", "_")
        table.add_row(name, value, PLANT_FIGURES.get(key, ""))
    return table


def _lines(found: Report) -> list[tuple[str, str]]:
    split = " / ".join(percent(found.share(found.by_priority[p])) for p in _ORDER)
    noisiest_share = found.share(sum(count for _, count in found.noisiest))
    lines = [
        ("alarms", f"{found.alarms}"),
        ("beds", f"{found.beds}"),
        ("alarms per bed and day", "–" if found.per_bed_day is None else f"{found.per_bed_day:.2f}"),
        ("alarms per hour", f"{found.alarms / (found.days * 24):.2f}"),
        ("priority split", f"{split} low / medium / high"),
        ("acknowledged", f"{found.acknowledged} ({percent(found.share(found.acknowledged))})"),
        (
            "time to acknowledge",
            f"median {seconds(found.acknowledge_median_s)}, p90 {seconds(found.acknowledge_p90_s)}",
        ),
        ("marked actionable", f"{found.actionable} of {found.marked} marked"),
        ("floods", f"{len(found.floods)}"),
        ("flood share", percent(found.flood_share)),
        ("chattering", f"{found.chattering}"),
        ("fleeting", f"{found.fleeting}"),
        ("stale", f"{found.stale}"),
        ("noisiest share", f"{percent(noisiest_share)} in {len(found.noisiest)} kinds of alarm"),
    ]
    lines += [(f"condition {name}".replace("_", " "), f"{n}") for name, n in by_count(found.by_condition)]
    return lines + [(f"noisiest: bed {b}", f"{c.replace('_', ' ')} {n}") for (b, c), n in found.noisiest]


def as_record(found: Report) -> dict[str, Any]:
    """The report as plain JSON values, times in UTC."""
    return {
        "from": _utc(found.start_ns),
        "to": _utc(found.end_ns),
        "beds": found.beds,
        "alarms": found.alarms,
        "alarms_per_bed_day": found.per_bed_day,
        "by_condition": dict(by_count(found.by_condition)),
        "by_priority": {p.name.lower(): found.by_priority[p] for p in _ORDER},
        "by_bed": dict(by_count(found.by_bed)),
        "by_bed_and_day": [{"bed": b, "day": d, "alarms": n} for (b, d), n in sorted(found.by_bed_day.items())],
        "acknowledged": found.acknowledged,
        "acknowledge_median_s": found.acknowledge_median_s,
        "acknowledge_p90_s": found.acknowledge_p90_s,
        "noisiest": [{"bed": b, "condition": c, "alarms": n} for (b, c), n in found.noisiest],
        "floods": [{"from": _utc(f.start_ns), "to": _utc(f.end_ns), "alarms": f.alarms} for f in found.floods],
        "flood_share": found.flood_share,
        "chattering": found.chattering,
        "fleeting": found.fleeting,
        "stale": found.stale,
        "marked": found.marked,
        "actionable": found.actionable,
        "process_plant_figures": dict(PLANT_FIGURES),
    }


def report_chart(found: Report) -> str:
    """Alarms by condition and the noisiest beds, as SVG."""
    rows = [(name.replace("_", " "), (count,)) for name, count in by_count(found.by_condition)]
    rows += [(f"bed {bed}", (count,)) for bed, count in by_count(found.by_bed)[:10]]
    return bar_chart(f"{found.alarms} alarms in {found.days:.1f} days, {found.beds} beds", ("alarms",), rows)


def write_picture(path: Path, text: str) -> None:
    """Write an SVG; raises `ConfigurationError` that says what to do."""
    if path.suffix != ".svg":
        raise ConfigurationError(f"--picture {path}: pictures are written as .svg; name it so")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}): name another --picture") from error


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def percent(share: float | None) -> str:
    """A share for people."""
    return "–" if share is None else f"{share:.1%}"


def seconds(value: float | None) -> str:
    """A time for people."""
    return "–" if value is None else f"{value:.0f} s"


def _utc(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="seconds")
