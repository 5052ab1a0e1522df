"""One wearable as the analyst sees it: its pulse wave and motion second by second, and which numbers it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.signals.optical import OpticalState
from ingest.signals.pulse import MIN_RATE_HZ, PulseState
from ingest.signals.strip_seconds import StripSeconds
from vitals.model import ClockSource, Quality, Vital, Waveform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.signals.smoothing import Floats
    from vitals.columns import WaveformRow

PPG: Final = (Waveform.PPG_INFRARED, Waveform.PPG_RED, Waveform.PPG_GREEN)  # the first that comes is analysed
MOTION: Final = (Waveform.ACCELERATION_X, Waveform.ACCELERATION_Y, Waveform.ACCELERATION_Z)
OPTICAL_HZ: Final = 25  # slower waves show no shape of a beat, but still a spectrum
FASTEST_HZ: Final = 1_000  # no wearable's pulse wave is faster; bounds what is kept

_NS: Final = 1_000_000_000
OWN_PULSE_NS: Final = 10 * _NS  # so long the wearable's own number is taken to go on
OWN_RESP_NS: Final = 40 * _NS  # it is often sent once in half a minute
GRAVITY_SHARE: Final = 0.05  # of a second's in the mean: over about 20 s the mean is gravity, 1 g


@dataclass(frozen=True, slots=True)
class Second:
    """One second to analyse. `acc_g`: (3, m), or `None`. `wanted`: numbers that the wearable itself does not send."""

    ppg: Floats
    acc_g: Floats | None
    rate_hz: float
    end_ns: int
    received_at_ns: int
    after_gap: bool
    wanted: tuple[Vital, ...]


class Worn:
    """State of one wearable. `state`: of the analysis, one row; `None` before the first second.

    `heard_s`: seconds in `state`. `told`, `told_ns`: the last verdict on the wave, quality and reason, and its time.
    """

    def __init__(self) -> None:
        self.patient = ""
        self.gateway = ""
        self.clock: int = ClockSource.SYNCHRONISED
        self.uncertainty_ms = 0.0
        self.own_ns: dict[int, int] = {}  # vital → when the wearable last sent it, a value or none
        self.heard_s = 0
        self.told: tuple[int, int] | None = None
        self.told_ns = 0
        self.state: OpticalState | PulseState | None = None
        self._kind: int | None = None
        self._strips: dict[int, StripSeconds] = {}
        self._gravity = 0.0

    def add(self, blocks: Sequence[WaveformRow]) -> list[Second]:
        """Take the blocks of one commit; the seconds that are whole with them, oldest first."""
        for block in blocks:
            if block.quality != Quality.TEST and self._listens(block):
                self._strip(block).add(block)
        ppg = None if self._kind is None else self._strips[self._kind]
        seconds = []
        while ppg is not None and ppg.whole:
            start_ns, after_gap = ppg.start_ns, ppg.broken
            samples, acc_g = ppg.take(), self._motion(start_ns)
            wanted = self._wanted(ppg.start_ns)
            received_ns = max(block.received_at_ns for block in blocks)
            seconds.append(Second(samples, acc_g, ppg.rate_hz, ppg.start_ns, received_ns, after_gap, wanted))
        return seconds

    @property
    def moves(self) -> bool:
        """Whether the accelerometer's three axes come with the pulse wave."""
        return all(axis in self._strips for axis in MOTION)

    def _listens(self, block: WaveformRow) -> bool:
        if not MIN_RATE_HZ <= block.sample_rate_hz <= FASTEST_HZ:
            return False
        if block.waveform in MOTION:
            return True
        if block.waveform not in PPG:
            return False
        if self._kind is None or PPG.index(Waveform(block.waveform)) < PPG.index(Waveform(self._kind)):
            self._kind = block.waveform
        return self._kind == block.waveform

    def _strip(self, block: WaveformRow) -> StripSeconds:
        strip = self._strips.get(block.waveform)
        if strip is None or strip.rate_hz != block.sample_rate_hz:
            strip = self._strips[block.waveform] = StripSeconds(block.sample_rate_hz)
        return strip

    def _motion(self, start_ns: int) -> Floats | None:
        """Acceleration of the second that began at `start_ns`, in g; `None` where it is not whole."""
        if not self.moves:
            return None
        strips = [self._strips[axis] for axis in MOTION]
        for strip in strips:
            strip.drop_before(start_ns)
        if any(not s.whole or s.start_ns - start_ns > _NS // 2 for s in strips) or len({s.rate_hz for s in strips}) > 1:
            return None
        counts = np.stack([strip.take() for strip in strips])
        pull = float(np.median(np.sqrt(np.square(counts).sum(axis=0))))  # counts of 1 g are not told by the wearable
        self._gravity += (pull - self._gravity) * (GRAVITY_SHARE if self._gravity else 1.0)
        return counts / self._gravity if self._gravity else None

    def _wanted(self, end_ns: int) -> tuple[Vital, ...]:
        pulse_ns = max(self.own_ns.get(Vital.PULSE_RATE, 0), self.own_ns.get(Vital.HEART_RATE, 0))
        wanted = [Vital.PULSE_RATE] if end_ns - pulse_ns > OWN_PULSE_NS else []
        if end_ns - self.own_ns.get(Vital.RESP_RATE, 0) > OWN_RESP_NS:
            wanted.append(Vital.RESP_RATE)
        return tuple(wanted)
