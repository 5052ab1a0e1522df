"""The generic drivers: which one answers to an advertisement, and that none of them ever raises."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.driver import Driver, Heard, Read, Seen, Subscribe, Write
from gateway.devices.heart_rate import HeartRateDriver
from gateway.devices.pulse_oximeter import MOST_TOLD, PulseOximeterDriver
from gateway.devices.registry import DRIVERS, GENERIC, driver_for, driver_named
from gateway.gatt import current_time, heart_rate, plx_features, pulse_oximeter, racp, thermometer
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import uuid16
from gateway.gatt.heart_rate import HeartRateMeasurement
from gateway.gatt.pulse_oximeter import Oximetry, SpotCheckMeasurement
from vitals.model import Quality, Reason, Sample, Vital

SECOND = 1_000_000_000

each_driver = pytest.mark.parametrize("driver", GENERIC, ids=lambda driver: driver.name)


def seen(*services: str) -> Seen:
    return Seen("AA:BB:CC:DD:EE:01", "", services=frozenset(services))


@pytest.mark.parametrize(
    ("services", "name"),
    [
        ((heart_rate.SERVICE,), "heart-rate"),
        ((pulse_oximeter.SERVICE,), "pulse-oximeter"),
        ((thermometer.SERVICE,), "thermometer"),
        ((heart_rate.SERVICE, pulse_oximeter.SERVICE), "pulse-oximeter"),
        ((uuid16(0x180F), heart_rate.SERVICE), "heart-rate"),
    ],
)
def test_a_standard_service_is_enough(services: tuple[str, ...], name: str) -> None:
    driver = driver_for(seen(*services))
    assert driver is not None
    assert driver.name == name
    assert driver_named(name) is driver


def test_what_is_not_known_has_no_driver() -> None:
    assert driver_for(seen(uuid16(0x180F))) is None
    assert driver_named("toaster") is None


def test_names_are_unique_and_generic_drivers_are_asked_last() -> None:
    names = [driver.name for driver in DRIVERS]
    assert len(set(names)) == len(names)
    assert DRIVERS[-len(GENERIC) :] == GENERIC


@each_driver
def test_only_what_the_profile_demands_is_not_optional(driver: Driver) -> None:
    _, actions = driver.begin()
    assert not any(isinstance(action, Write) for action in actions)
    needed = {action.uuid for action in actions if not action.optional}
    assert needed <= {heart_rate.MEASUREMENT, thermometer.MEASUREMENT}
    watched = {stream.uuid for stream in driver.streams}
    assert watched <= {action.uuid for action in actions if isinstance(action, Subscribe)}


@each_driver
def test_a_characteristic_that_was_not_asked_for_tells_nothing(driver: Driver) -> None:
    state, _ = driver.begin()
    assert driver.feed(state, uuid16(0x2AFF), b"\x01", SECOND) == (state, Heard())


def uuids(driver: Driver) -> list[str]:
    return sorted({action.uuid for action in driver.begin()[1] if isinstance(action, Read | Subscribe)})


@each_driver
@given(data=st.data())
def test_no_data_makes_a_driver_raise(driver: Driver, data: st.DataObject) -> None:
    state: Any
    state, _ = driver.begin()
    at_ns = 0
    for uuid, frame, pause_ns in data.draw(
        st.lists(st.tuples(st.sampled_from(uuids(driver)), st.binary(max_size=24), st.integers(0, 40 * SECOND)))
    ):
        at_ns += pause_ns
        state, heard = driver.feed(state, uuid, frame, at_ns)
        state, ticked = driver.tick(state, at_ns)
        for said in (*heard.samples, *ticked.samples):
            # what the core refuses, such as a value together with a reason, raises here
            Sample(said.vital, said.at_monotonic_ns, said.value, said.reason, said.quality, said.sequence)
            assert said.at_monotonic_ns <= at_ns
            assert said.value is not None or said.quality in {Quality.UNUSABLE, Quality.TEST}
        assert hash(state) == hash(state)  # a plain value


@given(st.lists(st.tuples(st.integers(0, 3 * SECOND), st.lists(st.integers(0, 0xFFFF), max_size=9)), max_size=20))
def test_beats_keep_their_order_whatever_the_radio_does(notifications: list[tuple[int, list[int]]]) -> None:
    driver = HeartRateDriver()
    state, _ = driver.begin()
    at_ns, places = 0, []
    for pause_ns, intervals in notifications:
        at_ns += pause_ns
        frame = HeartRateMeasurement(60, True, rr_intervals=tuple(intervals)).encode()
        state, heard = driver.feed(state, heart_rate.MEASUREMENT, frame, at_ns)
        beats = [sample for sample in heard.samples if sample.vital is Vital.RR_INTERVAL]
        assert [sample.value for sample in beats] == [raw * 1000 / 1024 for raw in intervals]
        assert not beats or beats[-1].at_monotonic_ns <= at_ns
        places += [(sample.at_monotonic_ns, sample.sequence) for sample in beats]
    assert places == sorted(set(places))


def test_the_last_interval_ends_at_the_notification_and_the_others_before() -> None:
    driver = HeartRateDriver()
    state, _ = driver.begin()
    frame = HeartRateMeasurement(60, True, rr_intervals=(1024, 512, 2048)).encode()
    _, heard = driver.feed(state, heart_rate.MEASUREMENT, frame, 100 * SECOND)
    assert [sample.at_monotonic_ns / SECOND for sample in heard.samples[1:]] == [97.5, 98.0, 100.0]


def test_a_download_is_asked_for_in_either_order_of_clock_and_features() -> None:
    driver = PulseOximeterDriver()
    clock, features = bytes.fromhex("E8070B1D170A00050000"), bytes.fromhex("0C00")
    asked = Write(racp.RECORD_ACCESS, b"\x01\x01", optional=True)
    for order in (
        (current_time.CURRENT_TIME, plx_features.FEATURES),
        (plx_features.FEATURES, current_time.CURRENT_TIME),
    ):
        state, _ = driver.begin()
        actions = []
        for uuid in order:
            state, heard = driver.feed(state, uuid, clock if uuid == current_time.CURRENT_TIME else features, SECOND)
            actions += heard.actions
        assert actions == [asked]


def test_a_measurement_that_was_downloaded_before_is_not_told_again() -> None:
    driver = PulseOximeterDriver()
    state, actions = driver.begin()
    clock, features = bytes.fromhex("E8070B1D170A00050000"), bytes.fromhex("0C00")
    records = [bytes.fromhex(f"01 5F00 48{pulse:02X} E8070B1D170000") for pulse in (0, 1, 0)]
    told = []
    for connection in range(2):
        start_ns = connection * 3600 * SECOND
        for uuid, data in [
            (current_time.CURRENT_TIME, clock),
            (plx_features.FEATURES, features),
            *((pulse_oximeter.SPOT_CHECK, record) for record in records),
        ]:
            state, heard = driver.feed(state, uuid, data, start_ns)
            told += heard.samples
        state, again = driver.resume(state)
        assert again == actions
    assert len(told) == 4
    assert all(sample.stored for sample in told)


def test_what_is_remembered_of_a_download_is_bounded() -> None:
    driver = PulseOximeterDriver()
    state, _ = driver.begin()
    for number in range(MOST_TOLD + 10):
        time = DateTime(2024, 11, 29, number // 3600, number // 60 % 60, number % 60)
        frame = SpotCheckMeasurement(Oximetry(Decimal(97), Decimal(60)), measured_at=time).encode()
        state, heard = driver.feed(state, pulse_oximeter.SPOT_CHECK, frame, SECOND)
        assert len(heard.samples) == 2
    assert len(state.told) == MOST_TOLD


def test_a_fault_of_the_device_outlives_a_number_that_looks_well() -> None:
    driver = PulseOximeterDriver()
    state, _ = driver.begin()
    _, heard = driver.feed(state, pulse_oximeter.CONTINUOUS, bytes.fromhex("08 5F00 5A00 004000"), SECOND)
    assert {(sample.value, sample.reason) for sample in heard.samples} == {(None, Reason.DEVICE_FAULT)}
