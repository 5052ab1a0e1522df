"""A hash chain over the records of a journal: what was written can no longer be changed unseen. Pure.

Each record carries a link, SHA-256 over the link before it and over all that the record says. Whoever changes, removes
or inserts a record breaks every link after it. Somebody who may write the file could compute all of them anew:
therefore the newest link is to be kept elsewhere now and then (on paper, in a log of another machine), and `verify`
can be asked whether the journal still leads through it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

START: Final = bytes(32)  # the link before the first record


@dataclass(frozen=True, slots=True)
class Linked:
    """A record and the link it carries; `None` for one that is older than the chain."""

    sequence: int
    kind: int
    appended_at_ns: int
    payload: bytes
    link: bytes | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a chain shows: how many records carry links that hold, and where the first one does not.

    `first`: sequence of the first linked record, 0 without one. `broken_at`: sequence of the first record that does not
    fit, `None` when all do; `why`: for people. `head`: the last link that holds, hexadecimal. `found`: whether a link
    that was asked for is part of the chain; `None` when none was.
    """

    records: int
    first: int
    broken_at: int | None
    why: str
    head: str
    found: bool | None


def link_after(before: bytes, sequence: int, kind: int, appended_at_ns: int, payload: bytes) -> bytes:
    """The link of a record that follows one with the link `before`; 32 bytes."""
    numbers = b"".join(number.to_bytes(8, "big", signed=True) for number in (sequence, kind, appended_at_ns))
    return sha256(before + numbers + payload).digest()


def verify(records: Iterable[Linked], base: bytes, *, expected: bytes | None = None) -> Verdict:
    """Walk through `records`, oldest first; `base`: the link of the last one that was trimmed, `START` without."""
    before, previous, count, first = base, 0, 0, 0
    found = None if expected is None else expected == base
    for record in records:
        if record.link is None and not count:
            previous = record.sequence
            continue  # written by a release without chains
        why = _fault(record, before, previous)
        if why:
            return Verdict(count, first, record.sequence, why, before.hex(), found)
        before, previous, count, first = record.link or before, record.sequence, count + 1, first or record.sequence
        found = found if expected is None else found or before == expected
    return Verdict(count, first, None, "", before.hex() if count else "", found)


def _fault(record: Linked, before: bytes, previous: int) -> str:
    if previous and record.sequence != previous + 1:
        return f"records {previous + 1:,} to {record.sequence - 1:,} are missing"
    if record.link is None:
        return "the record carries no link"
    if record.link != link_after(before, record.sequence, record.kind, record.appended_at_ns, record.payload):
        return "the record, or one before it, is not what was written"
    return ""
