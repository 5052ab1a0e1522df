"""Any strap or band with the Heart Rate Service. Pure.

A chest strap measures the heart's electricity, a band on the wrist the pulse: what the sensor says about its place
decides whether its number is a heart rate or a pulse rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.devices import standard_services
from gateway.devices.driver import Action, Heard, HeardSample, Read, Seen, Stream, Subscribe
from gateway.devices.reading import reading, surplus, unusable
from gateway.gatt.frame import FrameError
from gateway.gatt.heart_rate import (
    LOCATION,
    MEASUREMENT,
    RR_UNITS_PER_S,
    SERVICE,
    BodySensorLocation,
    HeartRateMeasurement,
    decode_location,
)
from vitals.model import Quality, Reason, Vital

_ELECTRICAL: Final = (BodySensorLocation.CHEST, BodySensorLocation.OTHER)
_QUALITY: Final = {None: Quality.UNKNOWN, True: Quality.USABLE, False: Quality.UNUSABLE}


@dataclass(frozen=True, slots=True)
class HeartRateState:
    """`rate`: what the number is. `beat_at_ns`, `sequence`: of the last RR interval that was passed on."""

    rate: Vital = Vital.HEART_RATE
    beat_at_ns: int | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class HeartRateDriver:
    """Heart Rate Service, see `gateway.gatt.heart_rate`."""

    name: str = "heart-rate"
    label: str = "Heart rate sensor"
    vitals: tuple[Vital, ...] = (Vital.HEART_RATE, Vital.RR_INTERVAL, Vital.BATTERY)
    streams: tuple[Stream, ...] = (Stream(MEASUREMENT, stall_s=15.0),)  # once a second, without contact as well
    needs_pairing: bool = False

    def matches(self, seen: Seen) -> bool:
        """A device that advertises the Heart Rate Service."""
        return SERVICE in seen.services

    def begin(self) -> tuple[HeartRateState, tuple[Action, ...]]:
        """The place is read first, so that no number gets a wrong name."""
        return HeartRateState(), (Read(LOCATION, optional=True), Subscribe(MEASUREMENT), *standard_services.ACTIONS)

    def feed(self, state: HeartRateState, uuid: str, data: bytes, at_monotonic_ns: int) -> tuple[HeartRateState, Heard]:
        """See `Driver.feed`."""
        try:
            if uuid == MEASUREMENT:
                return _measured(state, HeartRateMeasurement.decode(data), at_monotonic_ns)
            if uuid == LOCATION:
                return _located(state, decode_location(data))
            return state, standard_services.heard(uuid, data, at_monotonic_ns)
        except FrameError as error:
            return state, unusable(uuid, data, error)

    def tick(self, state: HeartRateState, at_monotonic_ns: int) -> tuple[HeartRateState, Heard]:  # noqa: ARG002  as every driver
        """Nothing to do."""
        return state, Heard()


def _located(state: HeartRateState, location: BodySensorLocation) -> tuple[HeartRateState, Heard]:
    rate = Vital.HEART_RATE if location in _ELECTRICAL else Vital.PULSE_RATE
    return replace(state, rate=rate), Heard(notes={"worn at": location.name.lower().replace("_", " ")})


def _measured(state: HeartRateState, said: HeartRateMeasurement, at_ns: int) -> tuple[HeartRateState, Heard]:
    quality = _QUALITY[said.contact]
    value = said.heart_rate if said.reason is Reason.PRESENT else None
    rate = reading(state.rate, at_ns, value, said.reason, quality)
    if said.reason is Reason.PROBE_OFF:  # what is counted without contact are no heart beats
        lost = (reading(Vital.RR_INTERVAL, at_ns, None, said.reason, quality),) if said.rr_intervals else ()
        state = replace(state, beat_at_ns=at_ns, sequence=0) if lost else state
        return state, Heard((rate, *lost), malformed=surplus(MEASUREMENT, said.surplus))
    state, beats = _beats(state, said, at_ns, quality)
    return state, Heard((rate, *beats), malformed=surplus(MEASUREMENT, said.surplus))


def _beats(
    state: HeartRateState, said: HeartRateMeasurement, at_ns: int, quality: Quality
) -> tuple[HeartRateState, tuple[HeardSample, ...]]:
    """The RR intervals, each at the beat that ended it: the last one at `at_ns`, the others backwards from there.

    A notification that the radio held up would put its first beats before the last one of the notification before
    it. They are then set to the time of that beat, and `sequence` keeps their order.
    """
    samples = []
    behind = sum(said.rr_intervals)
    for raw, milliseconds in zip(said.rr_intervals, said.rr_intervals_ms, strict=True):
        behind -= raw
        state = _next_beat(state, at_ns - behind * 1_000_000_000 // RR_UNITS_PER_S)
        assert state.beat_at_ns is not None
        samples.append(
            reading(Vital.RR_INTERVAL, state.beat_at_ns, milliseconds, quality=quality, sequence=state.sequence)
        )
    return state, tuple(samples)


def _next_beat(state: HeartRateState, at_ns: int) -> HeartRateState:
    if state.beat_at_ns is None or at_ns > state.beat_at_ns:
        return replace(state, beat_at_ns=at_ns, sequence=0)
    return replace(state, sequence=state.sequence + 1)
