"""From what was heard to batches: one a second, and at once when something changed that an alarm could depend on.

    urgent = collector.hear("ox-17", heard, rssi_dbm=-60)     each notification
    batch = collector.take()                                  every second, or when something urgent was heard

Readings keep their order; one that was heard already (a notification that came twice, a stored file downloaded again)
is refused and counted. Pieces of a signal are joined to one block a second; a gap splits the block and is never
bridged. Times are those of the monotonic clock. Everything is bounded: what does not fit is counted, oldest first.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.devices.driver import Heard, HeardSample, HeardWave
from vitals.model import Reason, Vital, Waveform
from vitals.wire import MAX_SAMPLES, MAX_WAVEFORM_BYTES, MAX_WAVEFORMS

TAKE_EVERY_S: Final = 1.0
TAKE_APART_S: Final = 0.05  # the least between two takes, urgent or not: each costs a disk flush
MAX_WAITING: Final = (
    20_000  # readings of one device: a night's stored file at 1 Hz is 30,000, taken a thousand a second
)
MAX_BLOCKS: Final = 256  # pieces of signal of one device that could not be joined: seconds of gaps
REMEMBERED: Final = 4_096  # keys per device, to refuse what came before: an hour of one vital, ten minutes of six
_JOIN_PERIODS: Final = (
    1.5  # two pieces are joined when the second begins within so many sample periods of the first's end
)

# A value is urgent when it is outside the calm band or comes back into it, or when it jumps. These are not alarm
# limits: they only decide whether a reading waits for the end of its second. They are wider awake than any preset.
_CALM: Final = {
    Vital.HEART_RATE: (55.0, 100.0),
    Vital.PULSE_RATE: (55.0, 100.0),
    Vital.SPO2: (94.0, 100.0),
    Vital.RESP_RATE: (11.0, 21.0),
    Vital.BODY_TEMPERATURE: (36.0, 38.0),
    Vital.BATTERY: (10.0, 100.0),
}
_JUMP: Final = {
    Vital.HEART_RATE: 10.0,
    Vital.PULSE_RATE: 10.0,
    Vital.SPO2: 3.0,
    Vital.RESP_RATE: 5.0,
    Vital.BODY_TEMPERATURE: 0.5,
}


@dataclass(frozen=True, slots=True)
class HeardDevice:
    """What one wearable said, in order, in monotonic time."""

    device: str
    samples: tuple[HeardSample, ...] = ()
    waves: tuple[HeardWave, ...] = ()
    rssi_dbm: int | None = None


@dataclass(slots=True)
class _Waiting:
    """What is known of one device."""

    samples: deque[HeardSample] = field(default_factory=deque)
    open_waves: dict[Waveform, list[HeardWave]] = field(default_factory=dict)  # pieces that follow on each other
    waves: deque[HeardWave] = field(default_factory=deque)
    rssi_dbm: int | None = None
    said: dict[Vital, HeardSample] = field(default_factory=dict)  # the newest live reading of each
    keys: dict[tuple[int, int, int], None] = field(default_factory=dict)  # oldest first


class Collector:
    """See the module's text. `counts`: `duplicates`, `dropped samples`, `dropped waves`, since the start."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._waiting: dict[str, _Waiting] = {}

    def hear(self, device: str, heard: Heard, *, rssi_dbm: int | None = None) -> bool:
        """Take what a device said; whether it should not wait for the end of the second."""
        waiting = self._waiting.setdefault(device, _Waiting())
        if rssi_dbm is not None:
            waiting.rssi_dbm = rssi_dbm
        urgent = False
        for sample in heard.samples:
            if self._is_new(waiting, (sample.vital, sample.at_monotonic_ns, sample.sequence)):
                urgent |= _is_urgent(waiting, sample)
                waiting.samples.append(sample)
        for wave in heard.waves:
            if self._is_new(waiting, (wave.waveform, wave.at_monotonic_ns, 0)):
                _join(waiting, wave)
        self._bound(waiting)
        return urgent

    def take(self, *, whole_second: bool = True) -> tuple[HeardDevice, ...]:
        """What was heard since the last time, at most what one message may carry of each device.

        Signals wait for the `whole_second`. There may be more to take, see `backed_up`.
        """
        found = []
        for device, waiting in self._waiting.items():
            samples = tuple(waiting.samples.popleft() for _ in range(min(len(waiting.samples), MAX_SAMPLES)))
            waves = _take_waves(waiting) if whole_second else ()
            if samples or waves:
                found.append(HeardDevice(device, samples, waves, waiting.rssi_dbm))
        return tuple(found)

    @property
    def backed_up(self) -> bool:
        """Whether more waits than the last `take` could carry, such as a stored file."""
        return any(waiting.samples for waiting in self._waiting.values())

    def forget(self, device: str) -> None:
        """The device is no longer allowed."""
        self._waiting.pop(device, None)

    def newest(self, device: str, vital: Vital) -> HeardSample | None:
        """The newest live reading, for a status page."""
        waiting = self._waiting.get(device)
        return waiting.said.get(vital) if waiting else None

    def _is_new(self, waiting: _Waiting, key: tuple[int, int, int]) -> bool:
        if key in waiting.keys:
            self.counts["duplicates"] += 1
            return False
        waiting.keys[key] = None
        if len(waiting.keys) > REMEMBERED:
            del waiting.keys[next(iter(waiting.keys))]
        return True

    def _bound(self, waiting: _Waiting) -> None:
        while len(waiting.samples) > MAX_WAITING:
            waiting.samples.popleft()
            self.counts["dropped samples"] += 1
        while len(waiting.waves) > MAX_BLOCKS:
            waiting.waves.popleft()
            self.counts["dropped waves"] += 1


def _is_urgent(waiting: _Waiting, sample: HeardSample) -> bool:
    """Whether an alarm may depend on this reading: something was lost or found, moved far, or left what is calm."""
    if sample.stored:
        return False
    before = waiting.said.get(sample.vital)
    if before is not None and before.at_monotonic_ns > sample.at_monotonic_ns:
        return False
    waiting.said[sample.vital] = sample
    is_calm = _is_calm(sample)
    if before is None:
        return not is_calm
    if sample.reason is not before.reason:
        return True
    if sample.value is None or before.value is None:
        return False
    jumped = abs(sample.value - before.value) >= _JUMP.get(sample.vital, float("inf"))
    return jumped or is_calm is not _is_calm(before) or (not is_calm and sample.value != before.value)


def _is_calm(sample: HeardSample) -> bool:
    low, high = _CALM.get(sample.vital, (float("-inf"), float("inf")))
    return sample.reason is Reason.PRESENT and sample.value is not None and low <= sample.value <= high


def _join(waiting: _Waiting, wave: HeardWave) -> None:
    pieces = waiting.open_waves.setdefault(wave.waveform, [])
    if pieces and not _follows(pieces, wave):
        waiting.waves.append(_joined(pieces))
        pieces.clear()
    pieces.append(wave)


def _follows(pieces: list[HeardWave], wave: HeardWave) -> bool:
    first, last = pieces[0], pieces[-1]
    alike = (wave.sample_rate_hz, wave.width_bytes, wave.quality) == (
        first.sample_rate_hz,
        first.width_bytes,
        first.quality,
    )
    size = sum(len(piece.samples) for piece in pieces) + len(wave.samples)
    if not alike or size > MAX_WAVEFORM_BYTES:
        return False
    period_ns = 1e9 / wave.sample_rate_hz
    end_ns = last.at_monotonic_ns + len(last.samples) // last.width_bytes * period_ns
    return abs(wave.at_monotonic_ns - end_ns) <= _JOIN_PERIODS * period_ns


def _joined(pieces: list[HeardWave]) -> HeardWave:
    return replace(pieces[0], samples=b"".join(piece.samples for piece in pieces))


def _take_waves(waiting: _Waiting) -> tuple[HeardWave, ...]:
    blocks = [*waiting.waves, *(_joined(pieces) for pieces in waiting.open_waves.values() if pieces)]
    waiting.waves.clear()
    waiting.open_waves.clear()
    blocks.sort(key=lambda wave: wave.at_monotonic_ns)
    waiting.waves.extend(blocks[MAX_WAVEFORMS:])
    return tuple(blocks[:MAX_WAVEFORMS])
