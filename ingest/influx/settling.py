"""When a write counts as safe, for targets that answer before it is durable. Pure.

VictoriaMetrics answers 204 while the lines are in memory, and flushes within seconds. A write is therefore settled only
`delay_s` after its answer, and only when the target was not restarted in between. What is not settled is sent again.
With a delay of 0, as for InfluxDB, whose answer means durable, everything is settled at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_STEPS: Final = 64  # into which the delay is divided: bounds how many positions are remembered


@dataclass(slots=True)
class _Sent:
    """Positions that were answered within one step of time, by the newest of them."""

    first_s: float
    last_s: float
    position: int


@dataclass(slots=True)
class Settling:
    """Positions that were answered, and the one that is safe. Times are seconds of a monotonic clock."""

    settled: int
    delay_s: float = 0.0
    life: str = ""  # of the target, as it names it: changes when it restarts
    _sent: deque[_Sent] = field(default_factory=deque)

    @property
    def sent(self) -> int:
        """The newest position that was answered."""
        return self._sent[-1].position if self._sent else self.settled

    def answered(self, position: int, now_s: float) -> None:
        """The target answered everything through `position`."""
        if self.delay_s <= 0:
            self.settled = max(self.settled, position)
        elif self._sent and now_s - self._sent[-1].first_s < self.delay_s / _STEPS:
            self._sent[-1].last_s, self._sent[-1].position = now_s, position
        else:
            self._sent.append(_Sent(now_s, now_s, position))

    def skip(self, position: int) -> None:
        """Go on from `position`, whatever was answered."""
        self.settled = position
        self._sent.clear()

    def alive(self, life: str, now_s: float) -> bool:
        """The target says which life it is in; `False` when it restarted: go back to `settled` and send again.

        What was sent before it ever said so may have gone to an earlier life.
        """
        restarted = life != self.life and bool(self.life or self._sent)
        self.life = life
        if restarted:
            self._sent.clear()
            return False
        while self._sent and now_s - self._sent[0].last_s >= self.delay_s:
            self.settled = self._sent.popleft().position
        return True
