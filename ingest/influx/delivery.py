"""One body on its way: which part to send next, and which lines turn out to be refused. Pure.

    send part ─▶ accepted: next part
              ─▶ refused:  halve it, send both halves; one line that is refused alone is poison

Halves that the target accepted before stay written; sending a line twice changes nothing, so no order is needed.
A body of n lines with k bad ones costs about 2·k·log2(n/k) + 2·k requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field


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
        middle = len(lines) // 2
        self.waiting += [b"".join(lines[middle:]), b"".join(lines[:middle])]

    def condemn(self, reason: str) -> None:
        """The next part, one line, is refused while the target accepts others."""
        if not self.single:
            raise ValueError("only a single line can be condemned: halve it first")
        self.poison.append((self.waiting.pop(), reason))
