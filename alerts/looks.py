"""What a stream was like before: the levels it held within two minutes, its minutes, and its hours. Pure.

Every stream of a vital that is measured is looked at every five seconds of its own time (`LOOK_NS`): the first sample
with a value in each such cell stands for it. That is enough for a mean and for a level, and costs a fifth of taking
every sample. A doubtful sample is a look at nothing. All of a patient's cells begin at the same moment, and those of
different patients at different ones, so that minutes do not end for the whole ward at once.

Closed minutes of the last quarter of an hour are kept one by one; what is older goes into the hours of the last day,
the patient's own baseline, which therefore never holds what is compared with it.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from alerts.measure_settings import LOOK_S, MOST_WITHIN_S
from alerts.streams import JUDGED, Bools, Indices, StreamTable
from vitals.model import Vital

LOOK_NS: Final = LOOK_S * 1_000_000_000
LOOKS: Final = MOST_WITHIN_S // LOOK_S  # levels kept
MINUTE_NS: Final = 60_000_000_000
_PER_MINUTE: Final = MINUTE_NS // LOOK_NS
_LEAST_LOOKS: Final = 3  # of a minute that has a mean
MINUTES: Final = 15
LEAST_MINUTES: Final = 10  # of the last quarter of an hour, for it to be compared
HOURS: Final = 24
LEAST_BASELINE: Final = 120  # minutes
EARLIER: Final = 10  # minutes: what an alarm's value is told to come from
_ADJACENT: Final = 2  # cells from one look to the next; more is a gap, over which no level is held
_STEP: Final = 2  # levels are kept in half points
_NOTHING: Final = -1  # as a minute's mean
_NEVER_DUE: Final = np.iinfo(np.int64).max

Numbers = npt.NDArray[np.float64]

KEPT_DTYPE: Final = np.dtype(
    [
        ("looked_at_ns", "<i8"),  # event time of the last look, 0 for none
        ("level", "u1"),  # seen then, in half points; 0 for nothing that is trusted
        ("held", "u1", (LOOKS,)),  # by cell: the lower of two looks that follow each other
        ("sum", "<f4"),  # of the minute that is not over
        ("count", "u1"),
        ("minutes", "<i2", (MINUTES,)),  # by minute: the mean in hundredths
        ("hour", "<i4"),  # of the newest minute that went into the hours
        ("hour_sum", "<f4", (HOURS,)),
        ("hour_count", "u1", (HOURS,)),
    ]
)


class Looks:
    """Rows of `KEPT_DTYPE`, parallel to the rows of the table. `next_ns`: from when on a stream is to be looked at."""

    def __init__(self, table: StreamTable) -> None:
        self._table = table
        self.size = 0
        self.kept = np.zeros(0, KEPT_DTYPE)
        self.next_ns: Indices = np.zeros(0, np.int64)
        self.phase_ns: Indices = np.zeros(0, np.int64)
        self.is_spo2: Bools = np.zeros(0, np.bool_)

    def fit(self) -> range:
        """Make room for the streams that are new in the table, and return them."""
        before, table = self.size, self._table
        if table.size == before:
            return range(0)
        if (more := len(table.state) - len(self.kept)) > 0:
            fresh = np.zeros(more, KEPT_DTYPE)
            fresh["minutes"] = _NOTHING
            self.kept = np.concatenate([self.kept, fresh])
            self.next_ns = np.concatenate([self.next_ns, np.full(more, _NEVER_DUE)])
            self.phase_ns = np.concatenate([self.phase_ns, np.zeros(more, np.int64)])
            self.is_spo2 = np.concatenate([self.is_spo2, np.zeros(more, np.bool_)])
        new = np.arange(before, table.size)
        vitals, slots = table.state["vital"][new], table.state["slot"][new]
        measured = np.isin(vitals, list(JUDGED))
        self.phase_ns[new[measured]] = [_phase_ns(table.slots[slot][0]) for slot in slots[measured].tolist()]
        self.next_ns[new[measured]] = 0
        self.is_spo2[new] = vitals == Vital.SPO2
        self.size = table.size
        return range(before, table.size)

    def is_measured(self, streams: Indices) -> Bools:
        """Which of these streams are looked at."""
        found: Bools = self.next_ns[streams] != _NEVER_DUE
        return found

    def cells(self, streams: Indices, at_ns: Indices) -> Indices:
        """The number of the cell of each moment, of its stream."""
        found: Indices = (at_ns + self.phase_ns[streams]) // LOOK_NS
        return found

    def minute_of(self, stream: int, at_ns: int) -> int:
        """The number of the minute of a moment."""
        return (at_ns + int(self.phase_ns[stream])) // MINUTE_NS

    def look(self, streams: Indices, at_ns: Indices, values: Numbers, trusted: Bools) -> tuple[Bools, Bools]:
        """Look at streams, each once; whether that ended a minute, and whether it is the second one after a minute.

        By the second look of a minute the patient's other streams have ended the minute before as well.
        """
        kept = self.kept
        cells = self.cells(streams, at_ns)
        before_ns = kept["looked_at_ns"][streams]
        seen = before_ns > 0
        before = self.cells(streams, before_ns)
        if not seen.all():
            kept["hour"][streams[~seen]] = cells[~seen] // (60 * _PER_MINUTE)
        minutes = cells // _PER_MINUTE
        ended = seen & (minutes != before // _PER_MINUTE)
        if ended.any():
            self._end_minutes(streams[ended], before[ended] // _PER_MINUTE, minutes[ended])
        kept["sum"][streams] += np.where(trusted, values, 0.0)
        kept["count"][streams] += trusted
        spo2 = self.is_spo2[streams]
        if spo2.any():
            step = np.where(seen, cells - before, 0)[spo2]
            levels = np.where(trusted, values * _STEP, 0)[spo2].astype(np.uint8)
            self._hold(streams[spo2], cells[spo2], step, levels)
        kept["looked_at_ns"][streams] = at_ns
        self.next_ns[streams] = (cells + 1) * LOOK_NS - self.phase_ns[streams]
        return ended, seen & ((cells - 2) // _PER_MINUTE > (before - 2) // _PER_MINUTE)

    def highest(self, streams: Indices, within_s: int) -> Numbers:
        """The highest level of SpO2 that was held within that time before the last look; 0 where none was."""
        held = self.kept["held"][streams]
        if (cells := within_s // LOOK_S) < LOOKS:
            last = self.cells(streams, self.kept["looked_at_ns"][streams])
            held[(last[:, None] - np.arange(LOOKS)) % LOOKS >= cells] = 0
        found: Numbers = held.max(axis=1) / _STEP
        return found

    def trend(self, streams: Indices) -> tuple[Numbers, Numbers]:
        """The mean of the last quarter of an hour, and of the day before it; NaN where either is not known."""
        minutes = self.kept["minutes"][streams]
        present = minutes != _NOTHING
        count, total = present.sum(axis=1), np.where(present, minutes, 0).sum(axis=1)
        days, sums = self.kept["hour_count"][streams].sum(axis=1), self.kept["hour_sum"][streams].sum(axis=1)
        known = (count >= LEAST_MINUTES) & (days >= LEAST_BASELINE)
        recent = np.where(known, total / np.maximum(count, 1) / 100, np.nan)
        baseline = np.where(known, sums / np.maximum(days, 1), np.nan)
        return recent, baseline

    def minute(self, stream: int, minute: int) -> float | None:
        """The mean of a closed minute of the last quarter of an hour; `None` when it has none."""
        row = self.kept[stream]
        last = self.minute_of(stream, int(row["looked_at_ns"]))
        if not last - MINUTES <= minute < last:
            return None
        mean = int(row["minutes"][minute % MINUTES])
        return None if mean == _NOTHING else mean / 100

    def earlier(self, stream: int, at_ns: int) -> float | None:
        """The mean of the minute ten minutes before `at_ns`."""
        return self.minute(stream, self.minute_of(stream, at_ns) - EARLIER)

    def forget_after(self, now_ns: int) -> None:
        """Let nothing be of later than `now_ns`, because the clock was set back."""
        measured = self.next_ns != _NEVER_DUE
        self.next_ns = np.where(measured, np.minimum(self.next_ns, now_ns), self.next_ns)
        self.kept["looked_at_ns"] = np.minimum(self.kept["looked_at_ns"], now_ns)

    def put_back(self, streams: Indices, rows: npt.NDArray[np.void]) -> None:
        """Set what is kept of streams, as a snapshot has it."""
        self.kept[streams] = rows
        seen = streams[(rows["looked_at_ns"] > 0) & self.is_measured(streams)]
        cells = self.cells(seen, self.kept["looked_at_ns"][seen])
        self.next_ns[seen] = (cells + 1) * LOOK_NS - self.phase_ns[seen]

    def _hold(self, streams: Indices, cells: Indices, step: Indices, levels: npt.NDArray[np.uint8]) -> None:
        kept = self.kept
        lost = (step < 1) | (step > _ADJACENT)
        if lost.any():
            kept["held"][streams[lost]] = 0
        skipped = step == _ADJACENT
        kept["held"][streams[skipped], (cells[skipped] - 1) % LOOKS] = 0
        before = np.where(lost, 0, kept["level"][streams])
        kept["held"][streams, cells % LOOKS] = np.minimum(levels, before)
        kept["level"][streams] = levels

    def _end_minutes(self, streams: Indices, ended: Indices, current: Indices) -> None:
        """Put the minute that ended among the closed ones, and nothing for those that were left out after it."""
        kept = self.kept
        count = kept["count"][streams]
        means = kept["sum"][streams] / np.maximum(count, 1) * 100
        closed = np.where(count >= _LEAST_LOOKS, np.rint(means), _NOTHING).astype(np.int16)
        kept["sum"][streams], kept["count"][streams] = 0, 0
        back = (
            current < ended
        )  # the clock was set back: what is kept of these minutes is of no moment that one can name
        if back.any():
            kept["minutes"][streams[back]] = _NOTHING
            streams, ended, current, closed = streams[~back], ended[~back], current[~back], closed[~back]
        self._put_minute(streams, ended, closed)
        for left_out in range(1, min(int((current - ended).max(initial=1)), MINUTES + 1)):
            some = current - ended > left_out
            self._put_minute(streams[some], ended[some] + left_out, np.full(np.count_nonzero(some), _NOTHING, np.int16))
        self._pass_hours(streams, (current - MINUTES) // 60)

    def _put_minute(self, streams: Indices, minutes: Indices, means: npt.NDArray[np.int16]) -> None:
        """Keep a minute in the place of the one a quarter of an hour older, which goes into its hour."""
        kept, place = self.kept, minutes % MINUTES
        old, hours = kept["minutes"][streams, place], (minutes - MINUTES) // 60
        self._pass_hours(streams, hours)
        known = old != _NOTHING
        kept["hour_sum"][streams[known], hours[known] % HOURS] += old[known] / 100
        kept["hour_count"][streams[known], hours[known] % HOURS] += 1
        kept["minutes"][streams, place] = means

    def _pass_hours(self, streams: Indices, hours: Indices) -> None:
        """Begin the hours up to `hours` with nothing in them."""
        kept = self.kept
        step = hours - kept["hour"][streams]
        for begun in range(1, min(int(step.max(initial=0)), HOURS) + 1):
            some = streams[step >= begun]
            place = (kept["hour"][some] + begun) % HOURS
            kept["hour_sum"][some, place], kept["hour_count"][some, place] = 0, 0
        kept["hour"][streams] = np.maximum(kept["hour"][streams], hours)


def _phase_ns(patient: str) -> int:
    """How far before a full minute the minutes of a patient begin."""
    return crc32(patient.encode()) % 60 * 1_000_000_000
