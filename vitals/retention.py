"""How large and how old a journal may grow, what happens at the bound, and which records that condemns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class WhenFull(Enum):
    """What happens when unread records reach the bound."""

    REFUSE = "refuse"
    DROP_OLDEST = "drop_oldest"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large and how old a journal may grow.

    `max_bytes`: of payload (the file is a little larger). `max_age_s`: of unread records, `None` for any.
    `keep_read_s`: how long records stay that every cursor has passed, for restarts and late readers.
    """

    max_bytes: int = 2 << 30
    max_age_s: float | None = None
    keep_read_s: float = 600.0
    when_full: WhenFull = WhenFull.REFUSE


@dataclass(frozen=True, slots=True)
class Gap:
    """Records `first` to `last` that were dropped before every cursor had passed them, from `at_ns` on."""

    at_ns: int
    first: int
    last: int
    bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What one `trim` removed: records that all had read, and records that some had not."""

    read: int = 0
    dropped: int = 0


def last_beyond(
    rows: Sequence[tuple[int, int, int]], start_offset: int, least_offset: int, oldest_ns: int | None
) -> int:
    """Index of the last of `(sequence, end_offset, appended_at_ns)` that size or age condemns, -1 for none.

    A row must go while it starts before `least_offset`, the offset from which on everything fits.
    """
    last = -1
    for index, (_, end, appended_at_ns) in enumerate(rows):
        if start_offset >= least_offset and (oldest_ns is None or appended_at_ns >= oldest_ns):
            break
        last, start_offset = index, end
    return last
