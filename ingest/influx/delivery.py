"""One body on its way: which part to send next, and which lines turn out to be refused. Pure.

    send part ─▶ accepted: next part
              ─▶ refused:  halve it, send both halves; one line that is refused alone is poison, and so is every
                           line of a part of which the target says that it dropped them all

Halves that the target accepted before stay written; sending a line twice changes nothing, so no order is needed.
A body of n lines with k bad ones costs about 2·k·log2(n/k) + 2·k requests; but a field whose type the target holds to
be another makes every line bad that has it, thousands in one body. So the lines are first told apart by their field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_FIELD: Final = re.compile(rb"(?<!\\) ([^ =]+)=")  # the first field of a line: after the first space of no tag


@dataclass(slots=True)
class Delivery:
    """The parts of one body, of whole lines, that are not accepted yet, the first last."""

    waiting: list[bytes]
    accepted: int = 0  # lines
    poison: list[tuple[bytes, str]] = field(default_factory=list)  # line, and the server's reason

    @classmethod
    def of(cls, body: bytes) -> Delivery:
        """A delivery that has all of `body` before it; nothing for an empty one."""
        return cls([body] if body else [])

    @property
    def part(self) -> bytes | None:
        """What to send next; `None` when everything is accepted or set aside."""
        return self.waiting[-1] if self.waiting else None

    @property
    def single(self) -> bool:
        """Whether the next part is one line, so that refusing it condemns it."""
        return bool(self.waiting) and self.waiting[-1].count(b"\n") <= 1

    def accept(self) -> None:
        """The next part is durable at the target."""
        self.accepted += self.waiting.pop().count(b"\n")

    def halve(self) -> None:
        """The next part was refused as a whole or in part: try its halves. Illegal for a single line."""
        if self.single:
            raise ValueError("a single line cannot be halved: condemn it")
        lines = self.waiting.pop().splitlines(keepends=True)
        fields = [_first_field(line) for line in lines]
        distinct = sorted(set(fields))
        if len(distinct) > 1:
            former = set(distinct[: len(distinct) // 2])
            first = [line for line, name in zip(lines, fields, strict=True) if name in former]
            second = [line for line, name in zip(lines, fields, strict=True) if name not in former]
        else:
            middle = len(lines) // 2
            first, second = lines[:middle], lines[middle:]
        self.waiting += [b"".join(second), b"".join(first)]

    def condemns_all(self, dropped: int) -> bool:
        """Whether a target that refused the next part and dropped so many lines of it refused each of them."""
        return self.single or (bool(self.waiting) and dropped == self.waiting[-1].count(b"\n"))

    def condemn(self, reason: str, dropped: int = 0) -> None:
        """The next part is refused, all of it (`condemns_all`), while the target accepts other lines."""
        if not self.condemns_all(dropped):
            raise ValueError("only what is refused as a whole can be condemned: halve it first")
        self.poison += [(line, reason) for line in self.waiting.pop().splitlines(keepends=True)]


def _first_field(line: bytes) -> bytes:
    found = _FIELD.search(line)
    return found.group(1) if found else b""
