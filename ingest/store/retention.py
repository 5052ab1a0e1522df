"""How long the embedded store keeps what, and the deletions that follow from it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ingest.store.rows import bucket_of, pair

CHUNK: Final = 2_000  # blobs deleted per transaction: a write waits a few milliseconds for one
SERIES_CHUNK: Final = 500  # series whose old rollups are deleted per transaction
STEADY_NS: Final = 6 * 3_600 * 10**9  # for somebody to notice that the page shows a wrong time, and set it
LEAP_NS: Final = 600 * 10**9  # between two looks that are seconds apart: no clock is corrected so far by slewing
_DAY_NS: Final = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Retention:
    """Days to keep. The defaults: samples for a stay and its review, minutes for a year of audits, waveforms, by far
    the largest, for the questions of the next days."""

    samples_days: float = 30.0
    minutes_days: float = 400.0
    waveforms_days: float = 3.0


DEFAULT: Final = Retention()


@dataclass(slots=True)
class ClockWatch:
    """Whether the clock may be believed when it says that data are old. Ask often, with the time now.

    A clock that jumps to 2100, or is wrong since the start, would empty the store; so it has to run without a leap
    for `STEADY_NS` first.
    """

    steady_since_ns: int
    asked_at_ns: int

    @classmethod
    def begin(cls, now_ns: int) -> ClockWatch:
        """A watch that starts now."""
        return cls(now_ns, now_ns)

    def is_steady(self, now_ns: int) -> bool:
        """Take note of the time; whether it came here step by step for long enough."""
        if abs(now_ns - self.asked_at_ns) > LEAP_NS:
            self.steady_since_ns = now_ns
        self.asked_at_ns = now_ns
        return now_ns - self.steady_since_ns >= STEADY_NS


class Kept(Enum):
    """What is kept, each for its own time."""

    SAMPLES = "samples"
    MINUTES = "minutes"
    WAVEFORMS = "waveforms"


@dataclass(frozen=True, slots=True)
class Deletion:
    """One transaction's worth: `sql` with `values`, repeated while it deletes `CHUNK` rows."""

    what: Kept
    sql: str
    values: tuple[int, ...]


_OLD_SAMPLES: Final = "DELETE FROM sealed WHERE key IN (SELECT key FROM sealed WHERE key<? LIMIT ?)"
_OLD_WAVEFORMS: Final = "DELETE FROM sealed_waveform WHERE key IN (SELECT key FROM sealed_waveform WHERE key<? LIMIT ?)"
_OLD_MINUTES: Final = "DELETE FROM rollup WHERE series IN (SELECT id FROM series WHERE id BETWEEN ? AND ?) AND bucket<?"


def deletions(now_ns: int, keep: Retention, newest_series: int) -> Iterator[Deletion]:
    """What to delete at `now_ns` from a store whose series are numbered up to `newest_series`.

    Only whole buckets go. Samples that are not sealed yet stay: sealing comes first.
    """
    yield Deletion(Kept.SAMPLES, _OLD_SAMPLES, (pair(_first_kept(now_ns, keep.samples_days), 0), CHUNK))
    yield Deletion(Kept.WAVEFORMS, _OLD_WAVEFORMS, (pair(_first_kept(now_ns, keep.waveforms_days), 0), CHUNK))
    oldest = _first_kept(now_ns, keep.minutes_days)
    for first in range(1, newest_series + 1, SERIES_CHUNK):
        yield Deletion(Kept.MINUTES, _OLD_MINUTES, (first, first + SERIES_CHUNK - 1, oldest))


def _first_kept(now_ns: int, days: float) -> int:
    """The oldest bucket that stays: the one in which the time to keep begins."""
    return max(0, bucket_of(now_ns - int(days * _DAY_NS)))
