"""When something is due that is done again and again. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cadence:
    """Once each `every_ns`, in step: a call that comes late does not make the next one late.

    A quarter too early is in time, so that of what comes once in that time anyway nothing is left out.
    """

    every_ns: int
    due_ns: int | None = None

    def tell(self, at_ns: int) -> tuple[Cadence, bool]:
        """Whether it is due at `at_ns`, and when it is next."""
        if self.due_ns is None:
            return Cadence(self.every_ns, at_ns + self.every_ns), True
        if at_ns < self.due_ns - self.every_ns // 4:
            return self, False
        in_step_ns = self.due_ns + self.every_ns
        return Cadence(self.every_ns, in_step_ns if in_step_ns > at_ns else at_ns + self.every_ns), True


def every_second() -> Cadence:
    return Cadence(1_000_000_000)


def every_minute() -> Cadence:
    return Cadence(60_000_000_000)
