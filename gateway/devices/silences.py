"""When nothing was heard of a device that goes on recording: what its memory may fill. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

Span = tuple[int, int]

LONGEST_PAUSE_NS: Final = 30_000_000_000  # between live readings; more is a silence
MOST_SPANS: Final = 64  # a link that fails each few minutes, for hours; then the two oldest become one


@dataclass(frozen=True, slots=True)
class Silences:
    """`spans`: from the last reading before to the first one after, oldest first. `heard_ns`: the last reading.

    What came before the first reading is nobody's: the device may have been worn by somebody else.
    """

    spans: tuple[Span, ...] = ()
    heard_ns: int | None = None

    def hear(self, at_ns: int) -> Silences:
        """A live reading came."""
        if self.heard_ns is None or at_ns - self.heard_ns <= LONGEST_PAUSE_NS:
            return replace(self, heard_ns=at_ns)
        spans = (*self.spans, (self.heard_ns, at_ns))
        if len(spans) > MOST_SPANS:
            spans = ((spans[0][0], spans[1][1]), *spans[2:])
        return Silences(spans, at_ns)

    def holds(self, at_ns: int) -> bool:
        """Whether nothing was heard at that time."""
        return any(begun_ns < at_ns < ended_ns for begun_ns, ended_ns in self.spans)

    def meets(self, begun_ns: int, ended_ns: int) -> bool:
        """Whether a part of a recording may lie in a silence."""
        return any(begun_ns < silence[1] and silence[0] < ended_ns for silence in self.spans)

    def fill(self, begun_ns: int, ended_ns: int) -> Silences:
        """A recording of that time was passed on."""
        left: list[Span] = []
        for silence in self.spans:
            left += _without(silence, (begun_ns, ended_ns))
        return replace(self, spans=tuple(left))


NEVER_HEARD: Final = Silences()


def _without(span: Span, filled: Span) -> list[Span]:
    """What is left of a span; the rest of one pause is no silence."""
    pieces = [(span[0], min(span[1], filled[0])), (max(span[0], filled[1]), span[1])]
    return [piece for piece in pieces if piece[1] - piece[0] > LONGEST_PAUSE_NS]
