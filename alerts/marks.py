"""What people say of an alarm afterwards: whether there was something to do. Encode and decode are a pair. Pure.

Marks have a journal of their own, beside the alarm journal: that one has a single writer, the service, and people mark
while it runs. The last mark of an alarm counts.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from vitals.errors import MalformedMessageError

MARK_KIND: Final = 1  # of the records in the journal of marks
_VERSION: Final = 1


class Mark(Struct, array_like=True, frozen=True):
    """`by`: who says so. `at_ns`: when it was said."""

    alarm_id: Annotated[str, Meta(min_length=1, max_length=64)]
    actionable: bool
    by: Annotated[str, Meta(min_length=1, max_length=64)]
    at_ns: int
    version: int = _VERSION


_DECODER: Final = msgspec.msgpack.Decoder(Mark)


def encode_mark(mark: Mark) -> bytes:
    """The journal form of `mark`."""
    return msgspec.msgpack.encode(mark)


def decode_mark(payload: bytes) -> Mark:
    """Read a journal record; raises `MalformedMessageError` for anything that `encode_mark` did not write."""
    try:
        mark = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not a mark of an alarm: {error}") from error
    if mark.version != _VERSION:
        raise MalformedMessageError("unknown_version", "version", f"a mark of version {mark.version} cannot be read")
    return mark
