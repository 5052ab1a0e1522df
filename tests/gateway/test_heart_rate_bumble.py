"""The heart rate codec against bumble's, which was written by others from the same specification."""

from __future__ import annotations

from bumble.profiles.heart_rate_service import HeartRateService
from hypothesis import given
from hypothesis import strategies as st

from gateway.gatt.heart_rate import (
    CONTROL_POINT,
    LOCATION,
    MEASUREMENT,
    SERVICE,
    BodySensorLocation,
    ControlPoint,
    HeartRateMeasurement,
)

Bumble = HeartRateService.HeartRateMeasurement

measurements = st.builds(
    HeartRateMeasurement,
    st.integers(1, 0xFFFF),
    st.none() | st.booleans(),
    st.none() | st.integers(0, 0xFFFF),
    st.lists(st.integers(0, 0xFFFF), max_size=9).map(tuple),
)


def as_bumble(said: HeartRateMeasurement) -> HeartRateService.HeartRateMeasurement:
    seconds = [raw / 1024 for raw in said.rr_intervals] or None
    return Bumble(said.heart_rate or 0, said.contact, said.energy_kj, seconds)


@given(measurements)
def test_both_write_the_same_bytes(said: HeartRateMeasurement) -> None:
    assert bytes(as_bumble(said)) == said.encode()


@given(measurements)
def test_bumble_reads_what_we_write(said: HeartRateMeasurement) -> None:
    read = Bumble.from_bytes(said.encode())
    assert (read.heart_rate, read.sensor_contact_detected) == (said.heart_rate, said.contact)
    assert read.energy_expended == said.energy_kj
    assert [round(seconds * 1024) for seconds in read.rr_intervals or ()] == list(said.rr_intervals)


@given(measurements)
def test_we_read_what_bumble_writes(said: HeartRateMeasurement) -> None:
    assert HeartRateMeasurement.decode(bytes(as_bumble(said))) == said


def test_numbers_and_names_are_the_same() -> None:
    theirs = {member.name: int(member) for member in HeartRateService.BodySensorLocation}
    assert {member.name: int(member) for member in BodySensorLocation} == theirs
    assert ControlPoint.RESET_ENERGY == HeartRateService.RESET_ENERGY_EXPENDED
    assert [SERVICE[4:8], MEASUREMENT[4:8], LOCATION[4:8], CONTROL_POINT[4:8]] == ["180d", "2a37", "2a38", "2a39"]
