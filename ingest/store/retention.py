"""How long the embedded store keeps what, and the deletions that follow from it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ingest.store.rows import bucket_of, pair

CHUNK: Final = 2_000  # blobs deleted per transaction: a write waits a few milliseconds for one
SERIES_CHUNK: Final = 500  # series whose old rollups are deleted per transaction
_DAY_NS: Final = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Retention:
    """Days to keep. The defaults: samples for a stay and its review, minutes for a year of audits, waveforms, by far
    the largest, for the questions of the next days."""

    samples_days: float = 30.0
    minutes_days: float = 400.0
    waveforms_days: float = 3.0


DEFAULT: Final = Retention()


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
