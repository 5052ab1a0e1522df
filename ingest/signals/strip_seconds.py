"""Whole seconds of a waveform, however its blocks are cut. A gap ends what was begun; it is never bridged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from ingest.signals.smoothing import Floats
    from vitals.columns import WaveformRow

_NS: Final = 1_000_000_000
MOST_APART_NS: Final = 100_000_000  # between where a block should begin and where it does: clocks are not finer
LATE_NS: Final = 60 * _NS  # a block so much older than expected tells of a clock that was set back
_DTYPES: Final[dict[int, np.dtype[Any]]] = {2: np.dtype("<i2"), 4: np.dtype("<i4")}


class StripSeconds:
    """The samples of one waveform that wait for their second to be whole; `broken`: a gap came before them."""

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.per_second = round(rate_hz)
        self.start_ns = 0
        self.broken = True
        self._waiting: Floats = np.empty(0)

    def add(self, block: WaveformRow) -> None:
        """Take a block of this rate; one that is older than what is known is left out."""
        samples = np.frombuffer(block.samples, _DTYPES[block.width_bytes]).astype(np.float64)
        apart_ns = block.started_at_ns - self.end_ns
        if self.start_ns and -LATE_NS < apart_ns < -MOST_APART_NS:
            return
        if not self.start_ns or abs(apart_ns) > MOST_APART_NS:
            self._waiting, self.broken = samples, True
            self.start_ns = block.started_at_ns
        else:
            self._waiting = np.concatenate([self._waiting, samples])
            self.start_ns += apart_ns  # clocks drift: the newest time holds

    @property
    def end_ns(self) -> int:
        """When the last sample that waits is over."""
        return self.start_ns + round(len(self._waiting) * _NS / self.rate_hz)

    @property
    def whole(self) -> bool:
        """Whether a second waits."""
        return len(self._waiting) >= self.per_second > 0

    def take(self) -> Floats:
        """The next second's samples, (per_second,)."""
        second, self._waiting = self._waiting[: self.per_second], self._waiting[self.per_second :]
        self.start_ns += round(self.per_second * _NS / self.rate_hz)
        self.broken = False
        return second

    def drop_before(self, at_ns: int) -> None:
        """Drop whole seconds that are over before `at_ns`."""
        while self.whole and self.start_ns + _NS // 2 < at_ns:
            self.take()
