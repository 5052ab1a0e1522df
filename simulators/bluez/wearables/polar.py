"""Polar H10 and Verity Sense: heart rate, and the streams of Polar Measurement Data that are started. Pure.

The H10 has ECG and acceleration; the Verity Sense PPG, pulse intervals and acceleration. Nothing runs until the control
point starts it; a disconnection stops everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from gateway.gatt import heart_rate, polar
from gateway.gatt.frame import FrameError
from gateway.gatt.polar import DataFrame, Measurement, PulseInterval
from gateway.gatt.polar_control import (
    NO_SETTINGS,
    ControlRequest,
    ControlResponse,
    Opcode,
    Setting,
    Settings,
    Status,
)
from gateway.gatt.polar_deltas import Rows
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import standard
from simulators.bluez.wearables.standard import Label
from simulators.bluez.wearables.strap import Strap, StrapState
from simulators.timeline import Contact

FRAME_BYTES: Final = 229  # an ATT_MTU of 232, as an H10 negotiates
CLOCK_NS: Final = 599_616_000_000_000_000  # 2019-01-01, where a Polar's clock begins that nobody has set
INTERVALS_AFTER_S: Final = 25  # a Verity Sense needs so long before it is sure of its intervals [unverified]
_NS: Final = 1_000_000_000
_SETTINGS: Final[Mapping[Measurement, Settings]] = MappingProxyType(
    {
        Measurement.ECG: {Setting.RATE_HZ: (130,), Setting.RESOLUTION_BITS: (14,)},
        Measurement.PPG: {Setting.RATE_HZ: (55,), Setting.RESOLUTION_BITS: (22,), Setting.CHANNELS: (4,)},
        Measurement.ACCELERATION: {
            Setting.RATE_HZ: (25, 50, 100, 200),
            Setting.RESOLUTION_BITS: (16,),
            Setting.RANGE: (2, 4, 8),
        },
        Measurement.PULSE_INTERVALS: NO_SETTINGS,
    }
)
_OFFERED: Final[Mapping[str, tuple[Measurement, ...]]] = MappingProxyType(
    {
        "H10": (Measurement.ECG, Measurement.ACCELERATION),
        "Sense": (Measurement.PPG, Measurement.PULSE_INTERVALS, Measurement.ACCELERATION),
    }
)
_PMD: Final = Service(
    polar.SERVICE,
    (Characteristic(polar.CONTROL_POINT, ("read", "write", "indicate")), Characteristic(polar.DATA, ("notify",))),
)
_FEATURES: Final = 0x0F  # first byte of what the control point reads; a mask of measurements follows
_LABEL: Final = Label("Polar Electro Oy", "H10")


@dataclass(frozen=True, slots=True)
class PolarState:
    """`started`: running measurements with their rate and the second they were started in."""

    strap: StrapState
    clock_s: int = 0
    started: Mapping[Measurement, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Polar:
    """`model` "Sense": the optical one for the arm."""

    name: str = ""
    model: Literal["H10", "Sense"] = "H10"

    @property
    def profile(self) -> Profile:
        strap = self._strap.profile
        services = (strap.services[0], _PMD, *strap.services[1:])
        return Profile(
            self.name or f"Polar {self.model} 00000001",
            services,
            advertised=(heart_rate.SERVICE,),
            manufacturer_data={0x006B: b"\x72\x08\x97\x44"},  # Polar's company number
        )

    @property
    def _strap(self) -> Strap:
        return Strap(intervals=self.model == "H10")

    def start(self) -> PolarState:
        return PolarState(self._strap.start())

    def connect(self, state: PolarState) -> PolarState:
        return replace(state, started={})

    def live(self, state: PolarState, lived: Lived) -> tuple[PolarState, tuple[Notification, ...]]:
        strap, said = self._strap.live(state.strap, lived)
        frames = (
            notification
            for measurement, (rate_hz, since_s) in state.started.items()
            for notification in _stream(measurement, rate_hz, state.clock_s - since_s, state.clock_s, lived)
        )
        return replace(state, strap=strap, clock_s=state.clock_s + 1), (*said, *frames)

    def read(self, state: PolarState, uuid: str) -> bytes:
        mask = sum(1 << measurement for measurement in _OFFERED[self.model])
        more = {polar.CONTROL_POINT: bytes([_FEATURES]) + mask.to_bytes(2, "little"), **_LABEL.values}
        more |= replace(_LABEL, model=self.model).values
        return more[uuid] if uuid in more else self._strap.read(state.strap, uuid)

    def write(self, state: PolarState, uuid: str, data: bytes) -> tuple[PolarState, tuple[Notification, ...]]:
        if uuid != polar.CONTROL_POINT:
            strap, said = self._strap.write(state.strap, uuid, data)
            return replace(state, strap=strap), said
        try:
            asked = ControlRequest.decode(data)
        except FrameError:
            raise AttError(standard.NOT_SUPPORTED) from None
        state, response = self._controlled(state, asked)
        return state, (Notification(polar.CONTROL_POINT, response.encode()),)

    def _controlled(self, state: PolarState, asked: ControlRequest) -> tuple[PolarState, ControlResponse]:
        def answer(status: Status, settings: Settings = NO_SETTINGS) -> ControlResponse:
            return ControlResponse(asked.opcode, asked.measurement, status, settings=settings)

        kind, running = asked.measurement, dict(state.started)
        if kind not in _OFFERED[self.model]:
            return state, answer(Status.NOT_SUPPORTED)
        if asked.opcode is Opcode.GET_SETTINGS:
            return state, answer(Status.SUCCESS, _SETTINGS[kind])
        if asked.opcode is Opcode.STOP:
            return replace(state, started={k: v for k, v in running.items() if k is not kind}), answer(Status.SUCCESS)
        if kind in running:
            return state, answer(Status.ALREADY_IN_STATE)
        rate_hz = asked.settings.get(Setting.RATE_HZ, _SETTINGS[kind].get(Setting.RATE_HZ, (1,))[0])
        if rate_hz not in _SETTINGS[kind].get(Setting.RATE_HZ, (1,)):
            return state, answer(Status.INVALID_RATE)
        return replace(state, started={**running, kind: (rate_hz, state.clock_s)}), answer(Status.SUCCESS)


def _stream(kind: Measurement, rate_hz: int, running_s: int, clock_s: int, lived: Lived) -> Iterator[Notification]:
    """The frames of a second, each when its last sample has been taken (a second later than on a real device)."""
    if kind is Measurement.PULSE_INTERVALS:
        if running_s >= INTERVALS_AFTER_S and lived.second.rr_intervals_s.size:
            frame = DataFrame(kind, 0, intervals=_intervals(lived))
            yield Notification(polar.DATA, frame.encode())
        return
    frame_type, compressed, rows = _rows(kind, rate_hz, lived)
    row_bytes = polar.LAYOUTS[kind, frame_type, compressed].row_bytes
    at_once = (FRAME_BYTES - 10) // row_bytes
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        end = first + len(part)
        ended_ns = CLOCK_NS + clock_s * _NS + end * _NS // rate_hz
        frame = DataFrame(kind, ended_ns, frame_type, compressed, part)
        yield Notification(polar.DATA, frame.encode(), (end - 1) / rate_hz)


def _rows(kind: Measurement, rate_hz: int, lived: Lived) -> tuple[int, bool, Rows]:
    """Frame type, compressed, samples of a second."""
    grid = np.arange(lived.second.cardiac_phase.size)
    at = np.linspace(0, grid.size - 1, rate_hz)
    if kind is Measurement.ECG:
        phase = np.interp(at, grid, lived.second.cardiac_phase) % 1.0
        worn = lived.condition.contact is not Contact.PROBE_OFF
        return 0, False, tuple((int(n),) for n in np.rint(_ecg_uv(phase) * worn))
    if kind is Measurement.PPG:
        infrared = np.rint(np.interp(at, grid, lived.light.infrared))
        red = np.rint(np.interp(at, grid, lived.light.red))
        return 0, True, tuple((int(i), int(i) + 40, int(r), 900) for i, r in zip(infrared, red, strict=True))
    shake_mg = 400 * lived.second.motion * np.sin(2 * np.pi * 1.7 * np.arange(rate_hz) / rate_hz)
    return 1, False, tuple((int(n), -int(n) // 2, 1000 + int(n) // 3) for n in shake_mg)


def _ecg_uv(phase: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """P wave, QRS complex and T wave over the cardiac cycle, in µV; the R wave falls on the beat, at phase 0."""
    centred = (phase + 0.5) % 1.0 - 0.5
    waves = ((90.0, -0.18, 0.025), (-110.0, -0.025, 0.008), (1100.0, 0.0, 0.01), (-180.0, 0.028, 0.009))
    total = 250.0 * np.exp(-0.5 * ((centred - 0.28) / 0.05) ** 2)
    for height, centre, width in waves:
        total = total + height * np.exp(-0.5 * ((centred - centre) / width) ** 2)
    return total


def _intervals(lived: Lived) -> tuple[PulseInterval, ...]:
    worn = lived.condition.contact is Contact.WORN
    return tuple(
        PulseInterval(
            interval_ms=round(float(interval_s) * 1000),
            error_ms=40 if lived.second.motion >= 0.35 else 5,
            pulse_rate=round(60 / float(interval_s)),
            blocked=lived.second.motion >= 0.85,
            contact=worn,
        )
        for interval_s in lived.second.rr_intervals_s
    )
