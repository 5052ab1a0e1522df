"""What `wardlight limits` shows: tables for people, records for other programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.limit_changes import ConfigurationChange, LimitChange, setting_words, value_words
from alerts.limits_in_force import InForce, Origin
from vitals.ward import Patient

PIPED_WIDTH: Final = 160  # characters, where nobody says how wide the paper is
MOST_TEXT: Final = 80  # of a setting's value: the rationale is long


def console() -> Console:
    """Standard output, wide when it goes into a file."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def limits_table(found: Sequence[tuple[Patient, InForce]], zone: ZoneInfo, title: str) -> Table:
    """One line for each setting that holds."""
    table = _table(title, "bed", "patient", "limit", "in force", "from")
    for patient, limit in found:
        row = (
            patient.bed,
            patient.patient,
            setting_words(limit.vital, limit.field),
            value_words(limit.vital, limit.field, limit.value),
            origin_words(limit, zone),
        )
        table.add_row(*map(Text, row), style="" if limit.origin is Origin.PRESET else "bold")
    if not found:
        table.caption = "No patient's limits differ from the preset."
    return table


def origin_words(limit: InForce, zone: tzinfo) -> str:
    """`changed by AB, 2026-11-22 22:10, until 2026-11-23 07:00: why`, or the file it comes from."""
    change = limit.change
    if change is None:
        return limit.origin.value
    when = moment(change.at_ns, zone) + until_words(change.until_ns, zone)
    return f"changed by {change.actor}, {when}: {change.reason}"


def history_table(
    entries: Sequence[LimitChange | ConfigurationChange], beds: Mapping[str, str], zone: ZoneInfo
) -> Table:
    """One line for each setting that was changed; `beds`: patient → bed, of those who are on the ward."""
    table = _table(f"{len(entries)} changes, times in {zone}", "time", "bed", "patient", "setting", "to", "by", "why")
    for entry in entries:
        at = moment(entry.at_ns, zone)
        if isinstance(entry, LimitChange):
            bed = beds.get(entry.patient, "left")
            for s in entry.settings:
                to = "back to the ward's" if s.value is None else value_words(s.vital, s.field, s.value)
                row = (at, bed, entry.patient, setting_words(s.vital, s.field), to + until_words(entry.until_ns, zone))
                table.add_row(*map(Text, (*row, entry.actor, entry.reason)))
        else:
            approved = f"{entry.preset}, approved {entry.approved_on}" if entry.approved_on else entry.preset
            for name, (before, after) in entry.before_after.items() or [("all settings", ("", "first written down"))]:
                to = f"{_short(before)} → {_short(after)}" if before else after
                table.add_row(*map(Text, (at, "ward", "", name, to, entry.actor, approved)))
    return table


def limit_record(patient: Patient, limit: InForce) -> dict[str, Any]:
    """A setting in force as plain JSON values, times in UTC."""
    change = limit.change
    return {
        "patient": patient.patient,
        "bed": patient.bed,
        "vital": limit.vital,
        "setting": limit.field,
        "value": limit.value,
        "from": limit.origin.value,
        "by": change.actor if change else None,
        "why": change.reason if change else None,
        "at": _utc(change.at_ns) if change else None,
        "until": _utc(change.until_ns) if change and change.until_ns else None,
    }


def entry_record(entry: LimitChange | ConfigurationChange) -> dict[str, Any]:
    """An entry of the history as plain JSON values, times in UTC."""
    if isinstance(entry, LimitChange):
        return {
            "at": _utc(entry.at_ns),
            "patient": entry.patient,
            "settings": {f"{setting.vital}.{setting.field}": setting.value for setting in entry.settings},
            "by": entry.actor,
            "why": entry.reason,
            "until": _utc(entry.until_ns) if entry.until_ns else None,
            "preset": entry.preset,
        }
    changed = {name: {"before": before, "after": after} for name, (before, after) in entry.before_after.items()}
    return {
        "at": _utc(entry.at_ns),
        "files": changed,
        "by": entry.actor,
        "approved_on": entry.approved_on or None,
        "preset": entry.preset,
    }


def moment(at_ns: int, zone: tzinfo) -> str:
    """`2026-11-22 22:10` in the ward's time."""
    return f"{datetime.fromtimestamp(at_ns // 1_000_000_000, zone):%Y-%m-%d %H:%M}"


def until_words(until_ns: int, zone: tzinfo) -> str:
    """`, until 2026-11-23 07:00`; nothing for what has no end."""
    return f", until {moment(until_ns, zone)}" if until_ns else ""


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_TEXT else line[: MOST_TEXT - 1] + "…"


def _utc(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="seconds")
