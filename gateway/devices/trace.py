"""Samples of a signal on their way to blocks of one second. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from gateway.devices.driver import HeardWave
from gateway.devices.pace import Pace, counted
from vitals.model import Quality, Waveform

_SECOND_NS: Final = 1_000_000_000
APART_NS: Final = 100_000_000  # between where samples should begin and where they do: more is a gap
SHORTEST_S: Final = 0.1  # of a block: what is left between two gaps, if it is shorter, shows no pulse wave
Row = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """Equally spaced samples that are not yet a block. Bound: one second of them, and one notification.

    `waveforms`: what the numbers of a row are, in their order. `width_bytes`: of a number in the block, which must fit.
    `started_ns`: monotonic, of the first row. A block has the worst quality of its samples.
    """

    waveforms: tuple[Waveform, ...]
    sample_rate_hz: float
    width_bytes: Literal[2, 4] = 4
    rows: tuple[Row, ...] = ()
    started_ns: int = 0
    quality: Quality = Quality.UNKNOWN

    @property
    def due_ns(self) -> int:
        """When the next sample should begin."""
        return self.started_ns + self._span_ns(len(self.rows))

    def add(
        self, rows: Sequence[Row], started_ns: int, quality: Quality, *, period_ns: float | None = None
    ) -> tuple[Trace, tuple[HeardWave, ...]]:
        """Take samples, the first from `started_ns`; a gap before them ends the block that was begun.

        `period_ns`: how far apart they are, where that is known better than from the sample rate.
        """
        blocks: list[HeardWave] = []
        trace = self
        if self.rows and abs(started_ns - self.due_ns) > APART_NS:
            trace, ended = self.end()
            blocks.extend(ended)
        waiting = len(trace.rows)
        begun_ns, worst = (trace.started_ns, max(trace.quality, quality)) if waiting else (started_ns, quality)
        trace = replace(trace, rows=(*trace.rows, *rows), started_ns=begun_ns, quality=worst)
        whole = round(self.sample_rate_hz)
        while len(trace.rows) >= whole:
            blocks.extend(trace.blocks(whole))
            next_ns = started_ns + round((whole - waiting) * (period_ns or _SECOND_NS / self.sample_rate_hz))
            trace = replace(trace, rows=trace.rows[whole:], started_ns=next_ns, quality=quality)
            waiting -= whole
        return trace, tuple(blocks)

    def end(self) -> tuple[Trace, tuple[HeardWave, ...]]:
        """Close the block that was begun."""
        blocks = self.blocks(len(self.rows)) if len(self.rows) >= SHORTEST_S * self.sample_rate_hz else ()
        return replace(self, rows=()), blocks

    def end_if_stalled(self, at_ns: int) -> tuple[Trace, tuple[HeardWave, ...]]:
        """At a tick: nothing more came for a second, so what was begun is passed on."""
        if not self.rows or at_ns - self.due_ns < 1.5 * _SECOND_NS:
            return self, ()
        return self.end()

    def blocks(self, count: int) -> tuple[HeardWave, ...]:
        """The first `count` samples, a block for each waveform."""
        code = "h" if self.width_bytes == 2 else "i"
        return tuple(
            HeardWave(
                waveform,
                self.started_ns,
                self.sample_rate_hz,
                struct.pack(f"<{count}{code}", *(row[place] for row in self.rows[:count])),
                self.width_bytes,
                self.quality,
            )
            for place, waveform in enumerate(self.waveforms)
        )

    def _span_ns(self, samples: int) -> int:
        return round(samples * _SECOND_NS / self.sample_rate_hz)


@dataclass(frozen=True, slots=True)
class CountedTrace:
    """A trace of samples without times: they are as many sample periods apart as there are samples between them."""

    trace: Trace
    pace: Pace = field(default_factory=counted)
    samples: int = 0

    def add(
        self, rows: Sequence[Row], at_ns: int, quality: Quality, *, behind: int = 0
    ) -> tuple[CountedTrace, tuple[HeardWave, ...]]:
        """Take samples that were heard at `at_ns`.

        The last one was measured just before, or, when so many more samples `behind` it were heard with it, the last
        of those.
        """
        rate_hz = self.trace.sample_rate_hz
        begun_ns = round(self.samples * _SECOND_NS / rate_hz)
        ended_ns = round((self.samples + len(rows) + behind) * _SECOND_NS / rate_hz)
        pace = self.pace.hear(ended_ns, at_ns)
        trace, blocks = self.trace.add(rows, pace.at(begun_ns), quality)
        return CountedTrace(trace, pace, self.samples + len(rows)), blocks

    def skip(self, samples: int) -> tuple[CountedTrace, tuple[HeardWave, ...]]:
        """So many samples are missing: a gap, which is never bridged."""
        trace, blocks = self.trace.end()
        return replace(self, trace=trace, samples=self.samples + samples), blocks

    def end_if_stalled(self, at_ns: int) -> tuple[CountedTrace, tuple[HeardWave, ...]]:
        """See `Trace.end_if_stalled`."""
        trace, blocks = self.trace.end_if_stalled(at_ns)
        return replace(self, trace=trace), blocks
