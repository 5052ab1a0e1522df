"""What the commands of `wardlight influx` do: between the embedded store, the alarm journal and a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from alerts.events import AlarmEvent
from alerts.log import read_events
from ingest.influx.client import Client
from ingest.influx.comparison import Difference, differences, stored_points
from ingest.influx.config import Target
from ingest.influx.line_protocol import in_bodies
from ingest.influx.owed import Owed, cursor_of
from ingest.influx.questions import Question, points_at
from ingest.influx.refill import Refill, hours
from ingest.influx.sender import REASON, Sender
from ingest.influx.service import ROLLUPS, send_from_store
from ingest.poison import newest_first
from ingest.store.reader import StoreReader
from vitals.errors import PermanentError, RetryableError
from vitals.journal import Journal
from vitals.model import Vital
from wardlight.influx_alarms import alarm_lines, moments
from wardlight.layout import DataFolder, now_ns

Span: TypeAlias = tuple[int, int]
SEQUENCE_MARGIN_NS: Final = 10**9  # stamps carry the sequence: what stands just before an hour may reach into it
MOST_COUNTED: Final = 100_000  # refused lines looked through


async def backfill(
    target: Target, folder: Path, data: DataFolder, site: str, span: Span, progress: Callable[[float], None]
) -> int:
    """Send all that is stored of `span`, patient by patient, and its alarms; how many lines were accepted.

    Waits for a database that is busy; raises `PermanentError` for one that needs a person, or refuses a line.
    """
    sent = 0
    with ExitStack() as stack:
        reader = stack.enter_context(StoreReader(data.store))
        client = stack.enter_context(Client(target, folder))
        sender = Sender(client, site, None, stay=False, now_ns=now_ns)
        refill = Refill(reader, target, site)
        steps = list(_steps(reader, span))
        for index, (patient, start_ns, end_ns) in enumerate(steps):
            sent += await send_from_store(refill, sender, patient, start_ns, end_ns, now_ns=now_ns())
            progress((index + 1) / len(steps))
        events = await asyncio.to_thread(_events, data.alarms, span)
        lines = (told for event in events for told in alarm_lines(event, site, target.precision))
        sent += await sender.send_all(in_bodies(list(lines)))
        if target.snippets:
            sent += await sender.send_all(refill.snippets(moments(events), oldest_ns=target.oldest_ns(now_ns())))
        progress(1.0)
    return sent


def _events(path: Path, span: Span) -> list[AlarmEvent]:
    if not path.exists():
        return []
    with Journal(path, read_only=True) as journal:
        return [event for event in read_events(journal) if span[0] <= event.at_ns < span[1]]


def verify(
    target: Target, folder: Path, data: DataFolder, site: str, span: Span
) -> Iterator[tuple[float, int, list[Difference]]]:
    """For each patient and hour: the fraction done, how many readings were compared, and which streams differ.

    What the target no longer keeps is left out. Raises `RetryableError` or `PermanentError`, with what to check.
    """
    span = max(span[0], target.oldest_ns(now_ns())), span[1]
    with StoreReader(data.store) as reader, Client(target, folder) as client:
        steps = list(_steps(reader, span))
        for index, (patient, start_ns, end_ns) in enumerate(steps):
            samples = reader.samples(patient, None, start_ns - SEQUENCE_MARGIN_NS, end_ns)
            stored = stored_points(samples, target.precision, start_ns, end_ns)
            asked = Question(patient, site, tuple(int(vital) for vital in Vital), start_ns, end_ns)
            found = list(differences(patient, start_ns, stored, points_at(client, asked)))
            yield (index + 1) / len(steps), sum(points.stamps.size for points in stored.values()), found
    yield 1.0, 0, []


def _steps(reader: StoreReader, span: Span) -> Iterator[tuple[str, int, int]]:
    """Each patient's hours within `span` that may hold anything."""
    for patient in reader.patients():
        extent = reader.extent(patient)
        if extent is not None:
            start_ns, end_ns = max(span[0], extent[0]), min(span[1], extent[1] + SEQUENCE_MARGIN_NS)
            yield from ((patient, *hour) for hour in hours(start_ns, end_ns))


@dataclass(frozen=True, slots=True)
class Status:
    """How one target stands. Counts of journal records that wait; `None`: never forwarded there.

    `trouble`: why it does not answer, "" when it does. `refused`: lines kept as poison.
    """

    trouble: str
    readings: int | None
    rollups: int | None
    alarms: int | None
    owed_hours: int
    refused: int


def status(target: Target, folder: Path, data: DataFolder) -> Status:
    """How `target` stands, as another process than the server sees it."""
    with Journal(data.journal, read_only=True) as journal, Journal(data.alarms, read_only=True) as alarms:
        readings = _waiting(journal, cursor_of(target.name))
        rollups = _waiting(journal, cursor_of(target.name, ROLLUPS))
        told = _waiting(alarms, cursor_of(target.name))
        owed = len(Owed(journal, target.name).hours)
    with Journal(data.poison, read_only=True) as poison:
        kept = newest_first(poison, gateway=f"influx:{target.name}", reason=REASON)
        refused = sum(1 for _, _entry in zip(range(MOST_COUNTED), kept, strict=False))
    return Status(_trouble(target, folder), readings, rollups, told, owed, refused)


def _waiting(journal: Journal, cursor: str) -> int | None:
    at = journal.cursors().get(cursor)
    return None if at is None else journal.newest - at


def _trouble(target: Target, folder: Path) -> str:
    with closing(Client(target, folder)) as client:
        try:
            client.text("/health" if target.kind is not target.kind.INFLUX1 else "/ping")
        except (RetryableError, PermanentError) as error:
            return str(error)
    return ""
