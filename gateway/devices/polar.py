"""Polar's chest straps and arm bands: heart rate by the standard service, and signals by Polar's own. Pure.

The signals carry times of the sensor's clock. They tell how far apart the samples are; where on the gateway's clock
they lie is found by `gateway.devices.pace`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from gateway.devices.beats import NO_BEATS, Beats, Interval
from gateway.devices.driver import Action, Heard, HeardWave, Read, Seen, Stream, Subscribe, Write
from gateway.devices.heart_rate import HeartRateDriver, HeartRateState
from gateway.devices.pace import Pace, stamped
from gateway.devices.polar_start import Running, Starter
from gateway.devices.reading import unusable
from gateway.devices.trace import Row, Trace
from gateway.gatt import heart_rate, polar
from gateway.gatt.frame import FrameError
from gateway.gatt.polar import DataFrame, Measurement
from gateway.gatt.polar_control import ControlRequest, ControlResponse
from vitals.model import Quality, Vital, Waveform

_HEART: Final = HeartRateDriver()
_STRAPS: Final = ("Polar H10", "Polar H9", "Polar H7")
_BANDS: Final = ("Polar Sense", "Polar Verity", "Polar OH1", "Polar 360")
_MILLI: Final = 1000
_TOLERANCE: Final = 0.1  # of the distance of samples: more, and frames are missing
_MOST_MILLI_G: Final = (1 << 15) - 1  # of a number in a block

#: All three PPG channels are green light: the first one is kept. Acceleration: x, y, z.
WAVEFORMS: Final = {
    Measurement.ECG: (Waveform.ECG,),
    Measurement.PPG: (Waveform.PPG_GREEN,),
    Measurement.ACCELERATION: (Waveform.ACCELERATION_X, Waveform.ACCELERATION_Y, Waveform.ACCELERATION_Z),
}


@dataclass(frozen=True, slots=True)
class Signal:
    """A measurement's samples on their way; `ended_ns`: the sensor's time of the last one."""

    trace: Trace
    ended_ns: int = 0


@dataclass(frozen=True, slots=True)
class PolarState:
    starter: Starter
    heart: HeartRateState
    pace: Pace = field(default_factory=stamped)
    signals: dict[Measurement, Signal] = field(default_factory=dict)
    beats: Beats = NO_BEATS


Told: TypeAlias = tuple[PolarState, Heard]


@dataclass(frozen=True, slots=True)
class PolarDriver:
    """Heart Rate Service and Polar Measurement Data, see `gateway.gatt.polar`. `rate`: what the heart rate is."""

    name: str
    label: str
    names: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    rate: Vital
    streams: tuple[Stream, ...] = _HEART.streams
    needs_pairing: bool = False

    @property
    def vitals(self) -> tuple[Vital, ...]:
        return (self.rate, Vital.RR_INTERVAL, Vital.BATTERY)

    def matches(self, seen: Seen) -> bool:
        """By name. Polar's watches, which show a heart rate only, are left to the driver for any of these."""
        return seen.name.startswith(self.names)

    def begin(self) -> tuple[PolarState, tuple[Action, ...]]:
        """Where it is worn is known, so that is not read. A sensor without signals still tells its heart rate."""
        heart, actions = _HEART.begin()
        starter, request = Starter(self.measurements).request(None)
        first = tuple(action for action in actions if action != Read(heart_rate.LOCATION, optional=True))
        own = (Subscribe(polar.CONTROL_POINT, optional=True), Subscribe(polar.DATA, optional=True))
        return PolarState(starter, replace(heart, rate=self.rate)), (*first, *own, *_writes(request))

    def feed(self, state: PolarState, uuid: str, data: bytes, at_monotonic_ns: int) -> Told:
        """See `Driver.feed`."""
        try:
            if uuid == polar.DATA:
                return _data(state, DataFrame.decode(data), at_monotonic_ns)
            if uuid == polar.CONTROL_POINT:
                return _control(state, ControlResponse.decode(data), at_monotonic_ns)
        except FrameError as error:
            return state, unusable(uuid, data, error)
        heart, heard = _HEART.feed(state.heart, uuid, data, at_monotonic_ns)
        if Measurement.PULSE_INTERVALS in state.starter.running:  # they would be told twice
            heard = replace(heard, samples=tuple(s for s in heard.samples if s.vital is not Vital.RR_INTERVAL))
        return replace(state, heart=heart), heard

    def tick(self, state: PolarState, at_monotonic_ns: int) -> Told:
        """Start what is to be started; pass on what is left of signals that stopped."""
        starter, request = state.starter.tick(at_monotonic_ns)
        signals, waves = dict[Measurement, Signal](), list[HeardWave]()
        for kind, signal in state.signals.items():
            runs = kind in starter.running
            trace, ended = signal.trace.end_if_stalled(at_monotonic_ns) if runs else signal.trace.end()
            signals |= {kind: replace(signal, trace=trace)} if runs else {}
            waves += ended
        told = Heard(waves=tuple(waves), actions=_writes(request), notes=_refusals(state.starter, starter))
        return replace(state, starter=starter, signals=signals), told


def drivers() -> tuple[PolarDriver, PolarDriver]:
    """A strap hears the heart's electricity, a band sees the pulse."""
    ecg, ppg, acceleration = Measurement.ECG, Measurement.PPG, Measurement.ACCELERATION
    strap = PolarDriver("polar-strap", "Polar H9 / H10", _STRAPS, (ecg, acceleration), Vital.HEART_RATE)
    wanted = (ppg, acceleration, Measurement.PULSE_INTERVALS)
    return strap, PolarDriver("polar-band", "Polar OH1 / Verity Sense", _BANDS, wanted, Vital.PULSE_RATE)


def _writes(request: ControlRequest | None) -> tuple[Action, ...]:
    return () if request is None else (Write(polar.CONTROL_POINT, request.encode(), optional=True),)


def _refusals(before: Starter, now: Starter) -> dict[str, str]:
    new = now.refused.items() - before.refused.items()
    return {f"{kind.name.lower().replace('_', ' ')}": f"{why}; tried again each minute" for kind, why in new}


def _control(state: PolarState, response: ControlResponse, at_ns: int) -> Told:
    starter, request = state.starter.responded(response, at_ns)
    heard = Heard(actions=_writes(request), notes=_refusals(state.starter, starter))
    return replace(state, starter=starter), heard


def _data(state: PolarState, frame: DataFrame, at_ns: int) -> Told:
    """Frames of a measurement that was not started by us are of an unknown rate: it will be started anew."""
    running = state.starter.running.get(frame.measurement)
    if running is None:
        return state, Heard()
    pace = state.pace.hear(frame.ended_ns, at_ns) if frame.ended_ns else state.pace
    ended_ns = pace.at(frame.ended_ns) if frame.ended_ns else at_ns
    state = replace(state, pace=pace, starter=state.starter.heard(frame.measurement, at_ns))
    if frame.measurement is Measurement.PULSE_INTERVALS:
        intervals = [Interval(each.interval_ms, each.reason, each.quality) for each in frame.intervals]
        beats, samples = state.beats.add(intervals, ended_ns)
        return replace(state, beats=beats), Heard(samples)
    if not frame.rows:
        return state, Heard()
    rows = _scaled(frame, running.factor)
    signal = state.signals.get(frame.measurement) or _signal(frame.measurement, running)
    period_ns = _period_ns(signal, frame, running)
    started_ns = ended_ns - round((len(rows) - 1) * period_ns)
    trace, waves = signal.trace.add(rows, started_ns, Quality.UNKNOWN, period_ns=period_ns)
    signals = {**state.signals, frame.measurement: Signal(trace, frame.ended_ns)}
    return replace(state, signals=signals), Heard(waves=waves)


def _signal(measurement: Measurement, running: Running) -> Signal:
    width: Final = 2 if measurement is Measurement.ACCELERATION else 4
    return Signal(Trace(WAVEFORMS[measurement], running.rate_hz, width))


def _period_ns(signal: Signal, frame: DataFrame, running: Running) -> float:
    """Between samples: as the sensor's clock tells since the last frame, unless a frame is missing in between."""
    nominal_ns = 1e9 / running.rate_hz
    measured_ns = (frame.ended_ns - signal.ended_ns) / len(frame.rows)
    return measured_ns if signal.ended_ns and abs(measured_ns / nominal_ns - 1) < _TOLERANCE else nominal_ns


def _scaled(frame: DataFrame, factor: float) -> list[Row]:
    """What goes into blocks: µV, counts, mg; raises `FrameError` for an acceleration that no body stands."""
    if frame.measurement is not Measurement.ACCELERATION:
        return [row[:1] for row in frame.rows]
    scale = 1.0
    if frame.compressed:
        scale = factor if frame.frame_type == 1 else factor * _MILLI
    rows = [tuple(round(number * scale) for number in row) for row in frame.rows]
    if any(abs(number) > _MOST_MILLI_G for row in rows for number in row):
        raise FrameError("value", "samples", f"an acceleration of more than {_MOST_MILLI_G} mg")
    return rows
