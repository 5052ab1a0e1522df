"""The pulse wave that comes with Viatom's live readings. Pure.

How fast it is sampled is [unverified]: 125 or 62.5 Hz. A wave of the wrong rate would show the wrong pulse, so the rate
is measured first, by counting for some seconds; a device that shows neither has no wave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from gateway.devices.driver import HeardWave
from gateway.devices.trace import CountedTrace, Trace
from vitals.model import Quality, Waveform

RATES_HZ: Final = (125.0, 62.5)
COUNT_NS: Final = 10_000_000_000
_TOLERANCE: Final = 0.1  # of a rate: what polls of a second's length can miscount in ten


@dataclass(frozen=True, slots=True)
class ViatomWave:
    """`begun_ns`: when counting began; `samples`: since then. `trace`: `None` until the rate is known."""

    begun_ns: int | None = None
    samples: int = 0
    trace: CountedTrace | None = None

    def add(
        self, samples: Sequence[int | None], at_ns: int, quality: Quality
    ) -> tuple[ViatomWave, tuple[HeardWave, ...]]:
        """Take the samples since the last reading, which came at `at_ns`; the blocks that are whole."""
        if self.trace is None:
            return self._count(len(samples), at_ns), ()
        trace, waves, behind = self.trace, list[HeardWave](), len(samples)
        for missing, group in groupby(samples, lambda sample: sample is None):
            numbers = list(group)
            behind -= len(numbers)
            if missing:
                trace, blocks = trace.skip(len(numbers))
            else:
                trace, blocks = trace.add([(number or 0,) for number in numbers], at_ns, quality, behind=behind)
            waves += blocks
        return replace(self, trace=trace), tuple(waves)

    def end_if_stalled(self, at_ns: int) -> tuple[ViatomWave, tuple[HeardWave, ...]]:
        """At a tick."""
        if self.trace is None:
            return self, ()
        trace, waves = self.trace.end_if_stalled(at_ns)
        return replace(self, trace=trace), waves

    def _count(self, samples: int, at_ns: int) -> ViatomWave:
        """The first samples are from an unknown time before; after a count that fits no rate, a new one."""
        if self.begun_ns is None:
            return ViatomWave(at_ns)
        counted, passed_ns = self.samples + samples, at_ns - self.begun_ns
        if passed_ns < COUNT_NS:
            return replace(self, samples=counted)
        found_hz = counted * 1e9 / passed_ns
        for rate_hz in RATES_HZ:
            if abs(found_hz / rate_hz - 1) < _TOLERANCE:
                return replace(self, trace=CountedTrace(Trace((Waveform.PPG_INFRARED,), rate_hz, width_bytes=2)))
        return ViatomWave(at_ns)


NO_WAVE: Final = ViatomWave()
