"""Nonin 3230 and 3150: oximetry once a second; from the 3150 also pulse intervals, pulse wave and its state. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from gateway.devices import standard_services
from gateway.devices.beats import NO_BEATS, Beats, Interval
from gateway.devices.driver import Action, Heard, HeardSample, Seen, Stream, Subscribe
from gateway.devices.reading import reading, unusable
from gateway.devices.trace import CountedTrace, Trace
from gateway.gatt import nonin
from gateway.gatt.frame import FrameError
from gateway.gatt.nonin import DeviceError, DeviceStatus, Oximetry, Pleth, PulseIntervals, Status
from vitals.model import Quality, Reason, Vital, Waveform

TWICE_NS: Final = 500_000_000  # the same bytes again so soon are the same notification: the device counts seconds
_COUNTERS: Final = 1 << 16
_ERROR_WORDS: Final[Mapping[DeviceError | None, str]] = MappingProxyType(
    {
        None: "an error that is not known",
        DeviceError.NONE: "none",
        DeviceError.NO_SENSOR: "no sensor",
        DeviceError.SENSOR_FAULT: "sensor fault: replace the sensor",
        DeviceError.SYSTEM: "system error: replace the device",
    }
)


def _pleth() -> CountedTrace:
    return CountedTrace(Trace((Waveform.PPG_INFRARED,), nonin.PLETH_RATE_HZ))


@dataclass(frozen=True, slots=True)
class NoninState:
    """`error`: what the 3150 says of itself. `heard`, `heard_at_ns`: the last measurement as it came."""

    error: DeviceError | None = DeviceError.NONE
    battery: str = ""
    heard: bytes = b""
    heard_at_ns: int = 0
    beats: Beats = NO_BEATS
    pleth: CountedTrace = field(default_factory=_pleth)
    pleth_counter: int | None = None
    quality: Quality = Quality.UNKNOWN

    @property
    def fault(self) -> Reason:
        """What of the device's own state speaks against any number; `PRESENT` for nothing."""
        if self.error is DeviceError.NO_SENSOR:
            return Reason.PROBE_OFF
        return Reason.PRESENT if self.error is DeviceError.NONE else Reason.DEVICE_FAULT


@dataclass(frozen=True, slots=True)
class NoninDriver:
    """Nonin's oximetry service, see `gateway.gatt.nonin`.

    As it comes from the factory, a 3150 accepts a new bond only within two minutes after its batteries were inserted.
    """

    name: str = "nonin"
    label: str = "Nonin 3230"
    prefix: str = "Nonin"
    needs_pairing: bool = False
    vitals: tuple[Vital, ...] = (Vital.SPO2, Vital.PULSE_RATE, Vital.PERFUSION_INDEX)
    streams: tuple[Stream, ...] = (Stream(nonin.MEASUREMENT, stall_s=15.0),)  # once a second, without finger as well

    def matches(self, seen: Seen) -> bool:
        """By name; a device that only advertises the service is taken for a 3230."""
        return seen.name.startswith(self.prefix) or (not self.needs_pairing and nonin.SERVICE in seen.services)

    def begin(self) -> tuple[NoninState, tuple[Action, ...]]:
        """What concerns the device itself comes first, so that a number is not passed on without its fault."""
        return NoninState(), (
            Subscribe(nonin.DEVICE_STATUS, optional=True),
            Subscribe(nonin.MEASUREMENT),
            Subscribe(nonin.PULSE_INTERVALS, optional=True),
            Subscribe(nonin.PLETH, optional=True),
            *standard_services.ACTIONS,
        )

    def feed(self, state: NoninState, uuid: str, data: bytes, at_monotonic_ns: int) -> tuple[NoninState, Heard]:
        """See `Driver.feed`."""
        try:
            if (take := _FRAMES.get(uuid)) is not None:
                return take(state, data, at_monotonic_ns)
            return state, standard_services.heard(uuid, data, at_monotonic_ns)
        except FrameError as error:
            return state, unusable(uuid, data, error)

    def tick(self, state: NoninState, at_monotonic_ns: int) -> tuple[NoninState, Heard]:
        """Pass on what is left of a pulse wave that stopped."""
        pleth, waves = state.pleth.end_if_stalled(at_monotonic_ns)
        return replace(state, pleth=pleth), Heard(waves=waves)


def drivers() -> tuple[NoninDriver, NoninDriver]:
    """The 3150 before the 3230, whose driver takes everything of Nonin's."""
    more = (Vital.SPO2, Vital.PULSE_RATE, Vital.PERFUSION_INDEX, Vital.RR_INTERVAL, Vital.BATTERY)
    return NoninDriver("nonin-3150", "Nonin WristOx2 3150", "Nonin3150", True, more), NoninDriver()


def _measured(state: NoninState, data: bytes, at_ns: int) -> tuple[NoninState, Heard]:
    said = Oximetry.decode(data)
    if data == state.heard and at_ns - state.heard_at_ns < TWICE_NS:
        return state, Heard()
    state = replace(state, heard=data, heard_at_ns=at_ns, quality=said.quality)
    amplitude = None if said.spo2_pct is None and said.pulse_rate is None else said.amplitude / 100
    values = {Vital.SPO2: said.spo2_pct, Vital.PULSE_RATE: said.pulse_rate, Vital.PERFUSION_INDEX: amplitude}
    samples = tuple(_sample(state, said, vital, value, at_ns) for vital, value in values.items())
    state, notes = _noted(state, said)
    return state, Heard(samples, notes=notes)


def _sample(state: NoninState, said: Oximetry, vital: Vital, value: float | None, at_ns: int) -> HeardSample:
    if state.fault is not Reason.PRESENT:
        return reading(vital, at_ns, None, state.fault)
    return reading(vital, at_ns, value, said.reason if value is None else Reason.PRESENT, said.quality)


def _noted(state: NoninState, said: Oximetry) -> tuple[NoninState, Mapping[str, str]]:
    """The battery's voltage is no percentage, so it is a note; said again only when it changes."""
    battery = f"{said.battery_dv / 10} V" + (", low: replace it" if said.status & Status.LOW_BATTERY else "")
    return replace(state, battery=battery), {} if battery == state.battery else {"battery": battery}


def _beats(state: NoninState, data: bytes, at_ns: int) -> tuple[NoninState, Heard]:
    """Beats that the device calls bad are no intervals, but they take their time."""
    said = PulseIntervals.decode(data)
    if said.status or state.fault is not Reason.PRESENT:
        return state, Heard()
    intervals = [
        Interval(pulse.interval / 10, Reason.POOR_SIGNAL if pulse.bad else Reason.PRESENT, state.quality)
        for pulse in said.pulses
    ]
    beats, samples = state.beats.add(intervals, at_ns)
    return replace(state, beats=beats), Heard(samples)


def _pulse_wave(state: NoninState, data: bytes, at_ns: int) -> tuple[NoninState, Heard]:
    """The device counts its frames: one that comes twice is dropped, missing ones are a gap."""
    said = Pleth.decode(data)
    new = 1 if state.pleth_counter is None else (said.counter - state.pleth_counter) % _COUNTERS
    if new == 0:
        return state, Heard()
    pleth, waves = state.pleth.skip((new - 1) * nonin.PLETH_SAMPLES) if new > 1 else (state.pleth, ())
    pleth, more = pleth.add([(sample,) for sample in said.samples], at_ns, state.quality)
    return replace(state, pleth=pleth, pleth_counter=said.counter), Heard(waves=waves + more)


def _device(state: NoninState, data: bytes, at_ns: int) -> tuple[NoninState, Heard]:
    said = DeviceStatus.decode(data)
    battery = (reading(Vital.BATTERY, at_ns, said.battery_pct),)
    if said.error is state.error:
        return state, Heard(battery)
    return replace(state, error=said.error), Heard(battery, notes={"fault": _ERROR_WORDS[said.error]})


_FRAMES: Final[Mapping[str, Callable[[NoninState, bytes, int], tuple[NoninState, Heard]]]] = MappingProxyType(
    {
        nonin.MEASUREMENT: _measured,
        nonin.PULSE_INTERVALS: _beats,
        nonin.PLETH: _pulse_wave,
        nonin.DEVICE_STATUS: _device,
    }
)
