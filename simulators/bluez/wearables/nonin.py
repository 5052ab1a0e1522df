"""Nonin 3230 and 3150: oximetry once a second; the 3150 adds pulse intervals, pulse wave and its own state. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from gateway.gatt import nonin
from gateway.gatt.nonin import (
    DeviceError,
    DeviceStatus,
    IntervalStatus,
    Oximetry,
    Pleth,
    Pulse,
    PulseIntervals,
    Status,
)
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import optics, standard
from simulators.bluez.wearables.optics import Numbers
from simulators.bluez.wearables.standard import Label

_PLETH_FRAMES: Final = 3  # a second, of 25 samples each: 75 Hz
_COUNTERS: Final = 1 << 16
_BATTERY_DV: Final = 30
_LABEL: Final = Label("Nonin Medical", "Simulated Nonin")
_OXIMETRY: Final = (
    Characteristic(nonin.MEASUREMENT, ("notify",)),
    Characteristic(nonin.CONTROL_POINT, ("write", "indicate")),
)
_OF_THE_3150: Final = tuple(
    Characteristic(uuid, ("notify",)) for uuid in (nonin.PULSE_INTERVALS, nonin.PLETH, nonin.DEVICE_STATUS)
)


@dataclass(frozen=True, slots=True)
class NoninState:
    """`counter`: seconds, `frames`: of the pulse wave; both as the device counts them, without end."""

    counter: int = 0
    frames: int = 0
    battery_pct: float = 100.0


@dataclass(frozen=True, slots=True)
class Nonin:
    """`model` "3150": the wrist oximeter with everything that it adds."""

    name: str = ""
    model: Literal["3230", "3150"] = "3230"

    @property
    def profile(self) -> Profile:
        offered = (*_OXIMETRY, *_OF_THE_3150) if self.model == "3150" else _OXIMETRY
        services = (Service(nonin.SERVICE, offered), _LABEL.service)
        return Profile(self.name or f"Nonin{self.model}_000000001", services, advertised=(nonin.SERVICE,))

    def start(self) -> NoninState:
        return NoninState()

    def connect(self, state: NoninState) -> NoninState:
        return state

    def live(self, state: NoninState, lived: Lived) -> tuple[NoninState, tuple[Notification, ...]]:
        seen = optics.numbers(lived)
        measured = Oximetry(
            seen.spo2_pct,
            seen.pulse_rate,
            round(seen.perfusion_pct * 100),
            state.counter % _COUNTERS,
            _BATTERY_DV,
            _status(seen),
        )
        said = [Notification(nonin.MEASUREMENT, measured.encode())]
        if self.model == "3150":
            said += _added_by_3150(state, lived, seen)
        lived_on = NoninState(state.counter + 1, state.frames + _PLETH_FRAMES, lived.condition.battery_pct)
        return lived_on, tuple(said)

    def read(self, state: NoninState, uuid: str) -> bytes:
        return standard.readable(uuid, replace(_LABEL, model=f"Model {self.model}"), state.battery_pct, {})

    def write(self, state: NoninState, uuid: str, data: bytes) -> tuple[NoninState, tuple[Notification, ...]]:  # noqa: ARG002  Wearable
        """Whatever is written to the control point is accepted: its commands are not simulated."""
        if uuid != nonin.CONTROL_POINT:
            raise AttError(standard.WRITE_NOT_PERMITTED)
        return state, ()


def _status(seen: Numbers) -> Status:
    status = Status(0) if seen.off else Status.PLACED
    if seen.searching:
        return status | Status.SEARCHING
    return status if seen.off else status | (Status.WEAK_SIGNAL if seen.doubtful else Status.SMART_POINT)


def _added_by_3150(state: NoninState, lived: Lived, seen: Numbers) -> Iterator[Notification]:
    error = DeviceError.NO_SENSOR if seen.off else DeviceError.NONE
    level = round(lived.condition.battery_pct)
    told = DeviceStatus(1, error, _BATTERY_DV, level, state.counter % _COUNTERS)
    yield Notification(nonin.DEVICE_STATUS, told.encode())
    pulses = tuple(
        Pulse(round(float(interval_s) * 10_000), min(round(seen.perfusion_pct * 100), 0xFFF), bad=seen.doubtful)
        for interval_s in lived.second.rr_intervals_s[: nonin.MOST_PULSES]
    )
    beats = PulseIntervals(
        state.counter % _COUNTERS,
        IntervalStatus(0) if seen.pulse_rate else IntervalStatus.INVALID,
        pulses if seen.pulse_rate else (),
    )
    yield Notification(nonin.PULSE_INTERVALS, beats.encode())
    wave = optics.pleth(lived, _PLETH_FRAMES * nonin.PLETH_SAMPLES, 0, 0xFFFF)
    for number in range(_PLETH_FRAMES):
        samples = wave[number * nonin.PLETH_SAMPLES :][: nonin.PLETH_SAMPLES]
        frame = Pleth(samples, (state.frames + number) % _COUNTERS)
        yield Notification(nonin.PLETH, frame.encode(), number / _PLETH_FRAMES)
