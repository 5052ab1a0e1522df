"""The last samples of every stream, and how its conditions stood before them: what a late sample is put between. Pure.

    ── older checkpoint ────────── newer checkpoint ───────────── now
       │  rows since then: at least half a minute of arrivals      │

All streams of a ward share two checkpoints, of which the newer becomes the older every `REACH_NS`; they are told apart
by when the records arrived, so that reading the journal again makes the same ones. Between them and now the rows stand
in rings, one column for each stream: 18 bytes a row, 1.2 kB a stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from alerts.cells import Cell, Sample
from alerts.conditions import Tracker
from alerts.limits import Rule
from alerts.screening import Screened
from alerts.streams import NEVER, STATE_DTYPE, Bools, Indices, StreamTable
from vitals.columns import Rows

REACH_NS: Final = 30_000_000_000  # so much of the past can be walked again at least: the live window
CAPACITY: Final = 64  # rows of a stream: two reaches at one a second, and a few that came late


@dataclass(slots=True)
class Checkpoint:
    """How all streams stood before the record that arrived at `arrived_ns`, which comes after record `position`.

    `state`: rows of `STATE_DTYPE`; streams that are newer had never been heard. `count`: rows written until then.
    """

    position: int = 0
    arrived_ns: int = NEVER
    state: Rows = field(default_factory=lambda: np.zeros(0, STATE_DTYPE))
    trackers: dict[int, list[Tracker]] = field(default_factory=dict)
    count: Indices = field(default_factory=lambda: np.zeros(0, np.int64))

    def cell(self, stream: int) -> Cell:
        """What the stream was."""
        return Cell(*self.state[stream].item()) if stream < len(self.state) else Cell()

    def newest_ns(self, stream: int) -> int:
        return int(self.state["newest_at_ns"][stream]) if stream < len(self.state) else NEVER

    def counted(self, stream: int) -> int:
        return int(self.count[stream]) if stream < len(self.count) else 0

    def of(self, streams: Indices) -> tuple[Indices, Indices]:
        """When the newest sample of each stream was, and how many rows were written."""
        known, place = streams < len(self.state), np.minimum(streams, len(self.state) - 1)
        if not len(self.state):
            return np.zeros_like(streams), np.zeros_like(streams)
        newest_ns, count = self.state["newest_at_ns"][place], self.count[place]
        return np.where(known, newest_ns, NEVER), np.where(known, count, 0)

    def amend(self, stream: int, cell: Cell, trackers: list[Tracker] | None, *, rows: int = 0) -> None:
        """Let the stream have been something else, with so many rows more before it."""
        if stream >= len(self.state):
            return
        self.state[stream] = cell.as_row()
        self.count[stream] += rows
        self.trackers.pop(stream, None)
        if trackers is not None:
            self.trackers[stream] = copied(trackers)


class Grids(NamedTuple):
    """Remembered rows as arrays of shape (`CAPACITY`, streams)."""

    at_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    reason: npt.NDArray[np.uint8]
    quality: npt.NDArray[np.uint8]


def copied(trackers: list[Tracker]) -> list[Tracker]:
    """Trackers that go their own way."""
    return [replace(tracker, covered_ns=list(tracker.covered_ns)) for tracker in trackers]


def fits(trackers: list[Tracker], rules: tuple[Rule, ...]) -> bool:
    """Whether trackers can be those of rules."""
    levels = [len(tracker.covered_ns) for tracker in trackers]
    return levels == [len(rule.levels) for rule in rules]


class Recent:
    """`older`, `newer`: the checkpoints."""

    def __init__(self, table: StreamTable) -> None:
        self._table = table
        self.older, self.newer = Checkpoint(), Checkpoint()
        self._width = 0
        self.count: Indices = np.zeros(0, np.int64)  # rows ever written, by stream
        self.first_ns: Indices = np.zeros(0, np.int64)  # the oldest sample of each stream; see `began_ns`
        self._at_ns: Indices = np.zeros(0, np.int64)
        self._value: npt.NDArray[np.float64] = np.zeros(0)
        self._reason: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._quality: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def is_due(self, arrived_ns: int) -> bool:
        """Whether a checkpoint is to be made before the record that arrived then. The clock may have been set back."""
        return abs(arrived_ns - self.newer.arrived_ns) >= REACH_NS

    @property
    def begun(self) -> Checkpoint:
        """The older checkpoint, or the newer one when that is the first."""
        return self.older if self.older.arrived_ns != NEVER else self.newer

    def mark(self, position: int, arrived_ns: int, trackers: dict[int, list[Tracker]]) -> None:
        """Make a checkpoint of the table as it is now, and of `trackers`."""
        self.fit()
        state = self._table.state[: self._table.size].copy()
        kept = {stream: copied(found) for stream, found in trackers.items()}
        count = self.count[: self._table.size].copy()
        self.older, self.newer = self.newer, Checkpoint(position, arrived_ns, state, kept, count)

    def forget(self, trackers: dict[int, list[Tracker]]) -> None:
        """Let nothing before now be walked again."""
        self.mark(0, NEVER, trackers)
        self.mark(0, NEVER, trackers)

    def begin_anew(self, stream: int, trackers: list[Tracker] | None) -> None:
        """Let nothing before now be walked again: something else than samples changed the stream."""
        self.fit()
        cell = Cell(*self._table.state[stream].item())
        for checkpoint in (self.older, self.newer):
            self._reach(checkpoint, stream)
            checkpoint.amend(stream, cell, trackers)
            checkpoint.count[stream] = self.count[stream]

    def _reach(self, checkpoint: Checkpoint, stream: int) -> None:
        if (more := stream + 1 - len(checkpoint.state)) > 0:
            checkpoint.state = np.concatenate([checkpoint.state, np.zeros(more, STATE_DTYPE)])
            checkpoint.count = np.concatenate([checkpoint.count, np.zeros(more, np.int64)])

    # -- rows --------------------------------------------------------------------------------------------------------

    def remember(self, screened: Screened, chosen: Bools) -> None:
        """Write the rows of the `chosen` groups, which are in order, before the table takes note of them."""
        self.fit()
        streams, times, rows, starts = screened.streams, screened.times, screened.rows, screened.starts
        lengths = screened.ends - starts + 1
        if len(starts) < len(streams):
            rank = np.arange(len(streams)) - np.repeat(starts, lengths)
            place = (self.count[streams] + rank) % CAPACITY * self._width + streams
        else:
            place = self.count[streams] % CAPACITY * self._width + streams
        if not chosen.all():
            mine = np.repeat(chosen, lengths)
            place, times, rows = place[mine], times[mine], rows[mine]
            starts, lengths = starts[chosen], lengths[chosen]
        self._at_ns[place], self._value[place] = times, rows["value"]
        self._reason[place], self._quality[place] = rows["reason"], rows["quality"]
        first = streams[starts]
        new = self._table.state["newest_at_ns"][first] == NEVER
        if new.any():
            self.first_ns[first[new]] = screened.times[starts[new]]
        self.count[first] += lengths

    def append(self, stream: int, sample: Sample) -> None:
        """Write one row that is newer than all of its stream, before the table takes note of it."""
        self.fit()
        if self._table.state["newest_at_ns"][stream] == NEVER:
            self.first_ns[stream] = sample.at_ns
        self._put(stream, int(self.count[stream]), sample)
        self.count[stream] += 1

    def insert(self, stream: int, place: int, sample: Sample) -> None:
        """Write one row before the last `place` of its stream."""
        rows = self.last(stream, place)
        end = int(self.count[stream])
        for number, row in enumerate((sample, *rows), end - place):
            self._put(stream, number, row)
        self.count[stream] += 1
        self.first_ns[stream] = min(int(self.first_ns[stream]), sample.at_ns)

    def insert_each(self, streams: Indices, places: Indices, rows: Rows, times: Indices) -> None:
        """Write one row for each of different streams, before the last `places` of it."""
        ends = self.count[streams]
        for back in range(int(places.max(initial=0))):
            some = places > back
            old, new = (((ends[some] - back - n) % CAPACITY) * self._width + streams[some] for n in (1, 0))
            for column in (self._at_ns, self._value, self._reason, self._quality):
                column[new] = column[old]
        place = (ends - places) % CAPACITY * self._width + streams
        self._at_ns[place], self._value[place] = times, rows["value"]
        self._reason[place], self._quality[place] = rows["reason"], rows["quality"]
        self.count[streams] += 1

    def grids(self, streams: Indices) -> Grids:
        """All rows of some streams, newest first; what was never written is of time 0."""
        numbers = (self.count[streams] - 1 - np.arange(CAPACITY)[:, np.newaxis]) % CAPACITY
        place = numbers * self._width + streams
        return Grids(self._at_ns[place], self._value[place], self._reason[place], self._quality[place])

    def since(self, checkpoint: Checkpoint, stream: int) -> list[Sample] | None:
        """The rows after a checkpoint, oldest first; `None` when there are more than are kept."""
        self.fit()
        many = int(self.count[stream]) - checkpoint.counted(stream)
        return self.last(stream, many) if many <= CAPACITY else None

    def last(self, stream: int, many: int) -> list[Sample]:
        """The last rows, oldest first; at most `CAPACITY`."""
        end = int(self.count[stream])
        places = np.arange(max(0, end - min(many, CAPACITY)), end) % CAPACITY * self._width + stream
        columns = (self._at_ns, self._value, self._reason, self._quality)
        return [Sample(*row) for row in zip(*(column[places].tolist() for column in columns), strict=True)]

    def of(self, stream: int) -> list[Sample]:
        """All rows of a stream that are remembered, oldest first."""
        return self.last(stream, CAPACITY)

    def began_ns(self, stream: int) -> int:
        """When a stream was first heard; `NEVER` when that was before a release that takes note of it."""
        return int(self.first_ns[stream]) if stream < self._width else NEVER

    def fit(self) -> None:
        """Make room for the streams that are new in the table."""
        if self._table.size <= self._width:
            return
        width = len(self._table.state)  # it doubles, and what is not written yet takes no memory
        for name in ("_at_ns", "_value", "_reason", "_quality"):
            column = getattr(self, name).reshape(CAPACITY, self._width)
            wider = np.zeros((CAPACITY, width), column.dtype)
            wider[:, : self._width] = column
            setattr(self, name, wider.reshape(-1))
        more = np.zeros(width - self._width, np.int64)
        self.count, self.first_ns = np.concatenate([self.count, more]), np.concatenate([self.first_ns, more])
        self._width = width

    def _put(self, stream: int, number: int, row: Sample) -> None:
        place = number % CAPACITY * self._width + stream
        self._at_ns[place], self._value[place] = row.at_ns, row.value
        self._reason[place], self._quality[place] = row.reason, row.quality
