"""Which five-minute buckets of which patients changed, so that their rollups are due. Pure.

A bucket is ripe when its time is over and nothing came into it for a while: then the ordinary data are complete, and
late ones, which a gateway's spool brings by the hundreds, cost one recomputation and not hundreds. Nothing is stored:
after a restart the journal is read again from the first record that touched a bucket that is not done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ingest.store.rows import BUCKET_NS

GRACE_NS: Final = 45 * 10**9  # after the end of a bucket: a little more than the store waits before it seals
QUIET_NS: Final = 30 * 10**9  # of processing time since a bucket was first touched
MOST_PAIRS: Final = 300_000  # buckets × patients remembered by name; beyond, a bucket is due for everybody


class Touch(NamedTuple):
    """What a run of journal records brought into one bucket: the first of them that did, and whose readings."""

    first_position: int
    patients: set[str]


@dataclass(slots=True)
class Bucket:
    """One bucket that changed. `patients`: whose; `None` for everybody's."""

    first_position: int
    noted_at_ns: int
    patients: set[str] | None = field(default_factory=set)


@dataclass(slots=True)
class Touched:
    """Buckets that changed and are not done."""

    buckets: dict[int, Bucket] = field(default_factory=dict)
    position: int = 0  # the newest journal record that was looked at
    _pairs: int = 0

    def note(self, position: int, found: Mapping[int, Touch], now_ns: int) -> None:
        """The records through `position` brought readings into these buckets, by their number."""
        self.position = max(self.position, position)
        for number, touch in found.items():
            bucket = self.buckets.setdefault(number, Bucket(touch.first_position, now_ns))
            if bucket.patients is None:
                continue
            before = len(bucket.patients)
            bucket.patients |= touch.patients
            self._pairs += len(bucket.patients) - before
            while self._pairs > MOST_PAIRS:
                self._fold()

    def ripe(self, now_ns: int) -> list[int]:
        """The buckets that are due, the oldest first."""
        return sorted(number for number, bucket in self.buckets.items() if _is_ripe(number, bucket, now_ns))

    def take(self, number: int) -> Bucket:
        """A bucket to work on now; what touches it from here on makes it due again."""
        bucket = self.buckets.pop(number)
        self._pairs -= len(bucket.patients or ())
        return bucket

    def holds_from(self) -> int:
        """The position through which nothing is due any more."""
        return min([self.position, *(bucket.first_position - 1 for bucket in self.buckets.values())])

    def _fold(self) -> None:
        """Forget the names of the fullest bucket."""
        fullest = max(self.buckets.values(), key=lambda bucket: len(bucket.patients or ()))
        self._pairs -= len(fullest.patients or ())
        fullest.patients = None


def _is_ripe(number: int, bucket: Bucket, now_ns: int) -> bool:
    over = now_ns >= (number + 1) * BUCKET_NS + GRACE_NS
    quiet = abs(now_ns - bucket.noted_at_ns) >= QUIET_NS  # a clock that was set back delays nothing for long
    return over and quiet
