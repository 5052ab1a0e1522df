"""Creative PC-60FW and PC-60NW, also sold by Viatom: oximetry once a second and a pulse wave. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from gateway.devices import standard_services
from gateway.devices.cadence import Cadence, every_minute, every_second
from gateway.devices.driver import NOTHING, Action, Heard, HeardSample, Seen, Stream, Subscribe
from gateway.devices.reading import joined, reading, unusable
from gateway.devices.trace import CountedTrace, Trace
from gateway.gatt import creative
from gateway.gatt.creative import CreativeBattery, CreativeFrame, CreativePleth, CreativeReading, CreativeStream
from gateway.gatt.frame import FrameError
from vitals.model import Quality, Reason, Vital, Waveform

#: The service is a serial port that many devices have: it proves nothing. "OxySmart" is a PC-60FW under another name.
_NAMES: Final = ("PC-60F", "PC-60N", "OxySmart")
_QUARTER_PCT: Final = 25


def _pleth() -> CountedTrace:
    return CountedTrace(Trace((Waveform.PPG_INFRARED,), creative.PLETH_RATE_HZ, width_bytes=2))


@dataclass(frozen=True, slots=True)
class CreativeState:
    """`reason`: why the last reading had no numbers, which is also what its pulse wave is worth."""

    stream: CreativeStream = field(default_factory=CreativeStream)
    pleth: CountedTrace = field(default_factory=_pleth)
    numbers: Cadence = field(default_factory=every_second)
    battery: Cadence = field(default_factory=every_minute)
    reason: Reason = Reason.PRESENT


@dataclass(frozen=True, slots=True)
class CreativeDriver:
    """Creative's serial port, see `gateway.gatt.creative`."""

    name: str = "creative"
    label: str = "Creative PC-60FW / PC-60NW"
    vitals: tuple[Vital, ...] = (Vital.SPO2, Vital.PULSE_RATE, Vital.PERFUSION_INDEX, Vital.BATTERY)
    streams: tuple[Stream, ...] = (Stream(creative.NOTIFY, stall_s=15.0),)  # it switches itself off without a finger
    needs_pairing: bool = False

    def matches(self, seen: Seen) -> bool:
        """By name."""
        return seen.name.startswith(_NAMES)

    def begin(self) -> tuple[CreativeState, tuple[Action, ...]]:
        return CreativeState(), (Subscribe(creative.NOTIFY), *standard_services.ACTIONS)

    def feed(self, state: CreativeState, uuid: str, data: bytes, at_monotonic_ns: int) -> tuple[CreativeState, Heard]:
        """See `Driver.feed`."""
        if uuid != creative.NOTIFY:
            return _standard(state, uuid, data, at_monotonic_ns)
        stream, frames, skipped = state.stream.feed(data)
        state = replace(state, stream=stream)
        parts = []
        for frame in frames:
            try:
                state, heard = _framed(state, frame, at_monotonic_ns)
            except FrameError as error:
                heard = unusable(uuid, frame.encode(), error)
            parts.append(heard)
        if skipped:
            parts.append(Heard(malformed=(f"sync in {uuid}: {skipped} bytes belong to no frame ({data[:20].hex()})",)))
        return state, joined(parts)

    def tick(self, state: CreativeState, at_monotonic_ns: int) -> tuple[CreativeState, Heard]:
        """Pass on what is left of a pulse wave that stopped."""
        pleth, waves = state.pleth.end_if_stalled(at_monotonic_ns)
        return replace(state, pleth=pleth), Heard(waves=waves)


def _standard(state: CreativeState, uuid: str, data: bytes, at_ns: int) -> tuple[CreativeState, Heard]:
    try:
        return state, standard_services.heard(uuid, data, at_ns)
    except FrameError as error:
        return state, unusable(uuid, data, error)


def _framed(state: CreativeState, frame: CreativeFrame, at_ns: int) -> tuple[CreativeState, Heard]:
    """What a frame tells; those of other kinds are none of ours."""
    if frame.kind == creative.READING:
        return _read(state, CreativeReading.decode(frame.content), at_ns)
    if frame.kind == creative.PLETH:
        rows = [(sample,) for sample in CreativePleth.decode(frame.content).samples]
        quality = Quality.UNKNOWN if state.reason is Reason.PRESENT else Quality.UNUSABLE
        pleth, waves = state.pleth.add(rows, at_ns, quality)
        return replace(state, pleth=pleth), Heard(waves=waves)
    if frame.kind == creative.BATTERY:
        return _battery(state, CreativeBattery.decode(frame.content), at_ns)
    return state, NOTHING


def _read(state: CreativeState, said: CreativeReading, at_ns: int) -> tuple[CreativeState, Heard]:
    state = replace(state, reason=said.reason)
    cadence, due = state.numbers.tell(at_ns)
    perfusion = None if said.perfusion is None else said.perfusion / 10
    values = {Vital.SPO2: said.spo2_pct, Vital.PULSE_RATE: said.pulse_rate, Vital.PERFUSION_INDEX: perfusion}
    samples = tuple(_sample(vital, value, said.reason, at_ns) for vital, value in values.items()) if due else ()
    return replace(state, numbers=cadence), Heard(samples)


def _sample(vital: Vital, value: float | None, complaint: Reason, at_ns: int) -> HeardSample:
    """What the device complains about leaves no number, whatever it sends."""
    if complaint is not Reason.PRESENT:
        return reading(vital, at_ns, None, complaint)
    return reading(vital, at_ns, value, Reason.NO_READING if value is None else Reason.PRESENT)


def _battery(state: CreativeState, said: CreativeBattery, at_ns: int) -> tuple[CreativeState, Heard]:
    """The middle of the quarter, doubtful, since no more is known; once a minute."""
    cadence, due = state.battery.tell(at_ns)
    percent = said.quarter * _QUARTER_PCT + _QUARTER_PCT // 2
    samples = (reading(Vital.BATTERY, at_ns, percent, quality=Quality.DOUBTFUL),) if due else ()
    return replace(state, battery=cadence), Heard(samples)
