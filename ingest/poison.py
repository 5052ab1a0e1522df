"""Kept poison: what could not be used, with its reason and the bytes as received, in a journal of its own.

Nothing waits for this journal: it drops its oldest entries at its bound. A storm is bounded twice: a gateway gets
`KEPT_PER_MINUTE` entries and all gateways together `KEPT_PER_MINUTE_IN_ALL`; the rest is counted, and the count is
kept as an entry of its own (`suppressed`) when the minute is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ingest.validate import Poison
from vitals.journal import Bounds, Journal, Record, WhenFull

BOUNDS: Final = Bounds(max_bytes=256 << 20, max_age_s=30 * 86_400.0, when_full=WhenFull.DROP_OLDEST)
KEPT_PER_MINUTE: Final = 60  # of one gateway: a second of each minute in full is enough to see what is wrong
KEPT_PER_MINUTE_IN_ALL: Final = 600  # 38 MB a minute at worst, with full excerpts
_MINUTE_NS: Final = 60_000_000_000
_KIND: Final = 1
_PAGE: Final = 500  # records read at once while listing: at most 32 MB
_DECODER: Final = msgspec.msgpack.Decoder(Poison)


class PoisonStore:
    """Writes poison to its journal, within the bounds of the module's text."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._minute = 0
        self._kept: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()

    def keep(self, found: Sequence[Poison], *, now_ns: int) -> None:
        """Make `found` durable, or count what is too much of it.

        Raises `JournalFullError` when the disk is full; nothing was kept then and the same call may be made again.
        """
        minute, kept, suppressed = self._minute, self._kept.copy(), self._suppressed.copy()
        entries: list[Poison] = []
        if now_ns // _MINUTE_NS != minute:
            minute = now_ns // _MINUTE_NS
            entries = [_summary(gateway, count, now_ns) for gateway, count in suppressed.items()]
            kept, suppressed = Counter(), Counter()
        for poison in found:
            if kept[poison.gateway] < KEPT_PER_MINUTE and kept.total() < KEPT_PER_MINUTE_IN_ALL:
                kept[poison.gateway] += 1
                entries.append(poison)
            else:
                suppressed[poison.gateway] += 1
        if entries:
            self.journal.append([(_KIND, msgspec.msgpack.encode(entry)) for entry in entries], now_ns=now_ns)
        self._minute, self._kept, self._suppressed = minute, kept, suppressed


def _summary(gateway: str, count: int, now_ns: int) -> Poison:
    sentence = f"{count:,} more findings of one minute were counted and not kept"
    return Poison(now_ns, "", gateway, "suppressed", "", sentence)


def newest_first(journal: Journal, *, gateway: str | None = None, reason: str | None = None) -> Iterator[Poison]:
    """The kept entries, the newest first, of all gateways and reasons or of one. Take as many as are wanted."""
    return (poison for _, poison in numbered(journal, gateway=gateway, reason=reason))


def numbered(
    journal: Journal, *, gateway: str | None = None, reason: str | None = None
) -> Iterator[tuple[int, Poison]]:
    """`newest_first`, each entry with the number by which `entry` finds it."""
    last, oldest = journal.newest, journal.oldest
    while last >= oldest and last > 0:
        start = max(oldest, last - _PAGE + 1)
        for record in reversed(_page(journal, start, last)):
            poison = _DECODER.decode(record.payload)
            if gateway in (None, poison.gateway) and reason in (None, poison.reason):
                yield record.sequence, poison
        last = start - 1


def entry(journal: Journal, number: int) -> Poison | None:
    """The entry of that number, `None` when it was never there or has gone at the bound."""
    found = journal.read(number - 1, limit=1)
    return _DECODER.decode(found[0].payload) if found and found[0].sequence == number else None


def _page(journal: Journal, first: int, last: int) -> list[Record]:
    """Records `first` to `last`; several reads when they are large."""
    found: list[Record] = []
    while first <= last:
        part = journal.read(first - 1, limit=last - first + 1)
        if not part:
            break
        found += part
        first = part[-1].sequence + 1
    return found
