"""What is remembered of the last minute, through a restart: checkpoints and holes in the snapshot, rows read again.

The rows themselves would make a snapshot ten times as large. They stand in the ingest journal, which is kept from the
older checkpoint on (`needed_after`) for this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct

from alerts.cells import Sample
from alerts.conditions import Tracker
from alerts.engine import Arrival, Engine
from alerts.history import Hole
from alerts.recent import Checkpoint, fits
from alerts.screening import screen
from alerts.streams import NEVER, STATE_DTYPE
from vitals.columns import Rows, SampleBlock


class CheckpointKept(Struct, array_like=True, frozen=True):
    """See `alerts.recent.Checkpoint`; `state`: rows of `STATE_DTYPE`."""

    position: int
    arrived_ns: int
    state: bytes
    trackers: dict[int, list[Tracker]]


class PastKept(Struct, array_like=True, frozen=True):
    """What a snapshot holds of the past. `first_ns`: little-endian int64, when each stream was first heard."""

    older: CheckpointKept
    newer: CheckpointKept
    first_ns: bytes
    holes: dict[int, list[Hole]]

    def check(self, streams: int) -> None:
        """Raise `ValueError` unless it fits so many streams."""
        if len(np.frombuffer(self.first_ns, np.int64)) != streams:
            raise ValueError(f"{len(self.first_ns)} bytes are no times of {streams} streams")
        for checkpoint in (self.older, self.newer):
            np.frombuffer(checkpoint.state, STATE_DTYPE)


def kept_past(engine: Engine) -> PastKept:
    """The past between two steps."""
    recent = engine.recent
    recent.fit()
    older, newer = (
        CheckpointKept(c.position, c.arrived_ns, c.state.tobytes(), c.trackers) for c in (recent.older, recent.newer)
    )
    return PastKept(older, newer, recent.first_ns[: engine.table.size].tobytes(), engine.history.holes)


def needed_after(engine: Engine) -> int:
    """The record of the ingest journal after which all are needed again, should this process end now."""
    begun = engine.recent.begun
    return min(begun.position, engine.position) if begun.arrived_ns != NEVER else engine.position


def put_back_past(engine: Engine, kept: PastKept | None, places: Mapping[int, int]) -> None:
    """Carry on from a snapshot; `places`: its streams → those of now. The rows are for `recall`.

    An older release kept nothing of the past: it begins now.
    """
    recent = engine.recent
    recent.fit()
    if kept is None:
        recent.forget(engine.walk.trackers)
        return
    recent.older, recent.newer = (_checkpoint(engine, found, places) for found in (kept.older, kept.newer))
    first_ns = np.frombuffer(kept.first_ns, np.int64)
    recent.first_ns[list(places.values())] = first_ns[list(places)]
    engine.history.put_back({places[s]: found for s, found in kept.holes.items() if s in places})


def recall(engine: Engine, arrivals: Iterable[Arrival]) -> None:
    """Remember the rows since the older checkpoint, judging nothing.

    `arrivals`: the records after `needed_after` and through the engine's position, in order.
    """
    table, recent = engine.table, engine.recent
    reading = counted = False
    now, table.state = table.state, _as_of(recent.older, len(table.state))
    first_ns = recent.first_ns.copy()
    for arrived_ns, arrival in arrivals:
        reading = reading or arrived_ns == recent.begun.arrived_ns
        if not counted and arrived_ns == recent.newer.arrived_ns:
            counted, recent.newer.count = True, recent.count[: table.size].copy()
        if reading and isinstance(arrival, SampleBlock) and len(arrival.rows):
            _recall_block(engine, arrival, counted=counted)
    table.state, recent.first_ns = now, first_ns


def _recall_block(engine: Engine, block: SampleBlock, *, counted: bool) -> None:
    table = engine.table
    slots = table.slots_of(block.patients, block.devices)
    streams = table.streams(slots[block.rows["device"]], block.rows["vital"])
    kept = streams >= 0
    if not kept.any():
        return
    screened = screen(table, block.rows[kept], streams[kept])
    engine.recent.remember(screened, screened.plain)
    ends = screened.ends[screened.plain]
    table.state["newest_at_ns"][screened.streams[ends]] = screened.times[ends]
    rest = np.repeat(~screened.plain, screened.ends - screened.starts + 1)
    if rest.any():
        rows = screened.rows[rest]
        columns = (screened.times[rest], rows["value"], rows["reason"], rows["quality"])
        samples = [Sample(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
        for stream, sample in zip(screened.streams[rest].tolist(), samples, strict=True):
            _recall_one(engine, stream, sample, counted=counted)


def _recall_one(engine: Engine, stream: int, sample: Sample, *, counted: bool) -> None:
    recent, state = engine.recent, engine.table.state
    if sample.at_ns > state["newest_at_ns"][stream]:
        recent.append(stream, sample)
        state["newest_at_ns"][stream] = sample.at_ns
    elif not engine.late_samples.is_old(stream, sample.at_ns):
        place = engine.late_samples.place(stream, sample.at_ns)
        if place is not None:
            recent.insert(stream, len(place.after), sample)
            if counted and sample.at_ns < recent.newer.newest_ns(stream):
                recent.newer.count[stream] += 1


def _checkpoint(engine: Engine, kept: CheckpointKept, places: Mapping[int, int]) -> Checkpoint:
    rows = np.frombuffer(kept.state, STATE_DTYPE)
    old = np.array([s for s in places if s < len(rows)], np.int64)
    state = np.zeros(engine.table.size, STATE_DTYPE)
    state[[places[s] for s in old.tolist()]] = rows[old]
    trackers = {places[s]: found for s, found in kept.trackers.items() if s in places}
    fitting = {s: found for s, found in trackers.items() if fits(found, engine.table.rules[s])}
    return Checkpoint(kept.position, kept.arrived_ns, state, fitting, np.zeros(engine.table.size, np.int64))


def _as_of(checkpoint: Checkpoint, size: int) -> Rows:
    state = np.zeros(size, STATE_DTYPE)
    state[: len(checkpoint.state)] = checkpoint.state
    return state
