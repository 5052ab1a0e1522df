"""Polar's signals in time: the sensor's clock gives the distances, the gateway's the place."""

from __future__ import annotations

import struct
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from gateway.devices.driver import HeardSample, HeardWave, Seen, Write
from gateway.devices.polar import drivers
from gateway.devices.polar_start import choose
from gateway.devices.registry import driver_for
from gateway.gatt import heart_rate, polar
from gateway.gatt.polar import DataFrame, Measurement, PulseInterval
from gateway.gatt.polar_control import (
    ControlRequest,
    ControlResponse,
    Opcode,
    Setting,
    Settings,
    Status,
    factor_bits,
)
from vitals.model import Quality, Waveform

SECOND = 1_000_000_000
MS = 1_000_000
START_NS = 500 * SECOND
STRAP, BAND = drivers()
SETTINGS: dict[Measurement, Settings] = {
    Measurement.ECG: {Setting.RATE_HZ: (130,), Setting.RESOLUTION_BITS: (14,)},
    Measurement.ACCELERATION: {
        Setting.RATE_HZ: (25, 50, 100, 200),
        Setting.RESOLUTION_BITS: (16,),
        Setting.RANGE: (8,),
    },
    Measurement.PPG: {Setting.RATE_HZ: (55, 135), Setting.RESOLUTION_BITS: (22,), Setting.CHANNELS: (4,)},
}


class Sensor:
    """Answers the control point as a Polar sensor does. `factor`: in the answer to START."""

    def __init__(self, driver: Any, factor: float | None = None) -> None:
        self.driver, self.factor = driver, factor
        self.started: dict[Measurement, dict[Setting, int]] = {}
        self.waves: list[HeardWave] = []
        self.samples: list[HeardSample] = []
        self.state, actions = driver.begin()
        self.do(actions, START_NS)

    def do(self, actions: tuple[Any, ...], at_ns: int) -> None:
        for action in actions:
            if isinstance(action, Write):
                reply = self.reply(ControlRequest.decode(action.data))
                self.feed(polar.CONTROL_POINT, reply.encode(), at_ns)

    def reply(self, request: ControlRequest) -> ControlResponse:
        settings: Settings = {}
        if request.opcode is Opcode.GET_SETTINGS:
            settings = SETTINGS[request.measurement]
        if request.opcode is Opcode.START:
            self.started[request.measurement] = dict(request.settings)
            settings = {} if self.factor is None else {Setting.FACTOR: (factor_bits(self.factor),)}
        return ControlResponse(request.opcode, request.measurement, Status.SUCCESS, settings=settings)

    def feed(self, uuid: str, data: bytes, at_ns: int) -> Any:
        self.state, heard = self.driver.feed(self.state, uuid, data, at_ns)
        self.waves += heard.waves
        self.samples += heard.samples
        self.do(heard.actions, at_ns)
        return heard


def counts(wave: HeardWave) -> list[int]:
    code = "h" if wave.width_bytes == 2 else "i"
    return [number for (number,) in struct.iter_unpack(f"<{code}", wave.samples)]


def test_everything_is_started_with_what_the_sensor_offers() -> None:
    sensor = Sensor(BAND)
    assert sensor.started == {
        Measurement.PPG: {Setting.RATE_HZ: 55, Setting.RESOLUTION_BITS: 22, Setting.CHANNELS: 4},
        Measurement.ACCELERATION: {Setting.RATE_HZ: 25, Setting.RESOLUTION_BITS: 16, Setting.RANGE: 8},
        Measurement.PULSE_INTERVALS: {},
    }


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ({Setting.RATE_HZ: (28, 44)}, {Setting.RATE_HZ: 44}),
        ({Setting.RATE_HZ: (0,)}, {}),
        ({Setting.RATE_HZ: ()}, {}),
        ({Setting.RATE_HZ: (200,), Setting.RANGE: (2, 4, 16)}, {Setting.RATE_HZ: 200, Setting.RANGE: 4}),
        ({Setting.RANGE_MILLI: (245, 500), Setting.FACTOR: (1,)}, {Setting.RANGE_MILLI: 500}),
    ],
)
def test_settings_are_chosen(offered: Settings, chosen: dict[Setting, int]) -> None:
    assert choose(Measurement.PPG, offered) == chosen


@pytest.mark.parametrize("drift_ppm", [-80, 80])
def test_an_ecg_keeps_its_spacing_and_its_place(drift_ppm: int) -> None:
    """Frames of 73 samples; the sensor's crystal is off, the radio late now and then."""
    sensor, random = Sensor(STRAP), Random(4)
    period_ns = round(SECOND / 130) * (1_000_000 + drift_ppm) // 1_000_000
    told = 0
    for frame in range(1, 3000):
        ended_ns = START_NS + frame * 73 * period_ns
        clock_ns = 800_000_000 * SECOND + frame * 73 * round(SECOND / 130)
        rows = tuple((told + n,) for n in range(73))
        told += 73
        heard_ns = ended_ns + random.choice([8, 8, 20, 150]) * MS
        sensor.feed(polar.DATA, DataFrame(Measurement.ECG, clock_ns, rows=rows).encode(), heard_ns)
    waves = sensor.waves
    assert [number for wave in waves for number in counts(wave)] == list(range(130 * len(waves)))
    assert {(wave.waveform, wave.sample_rate_hz, wave.width_bytes) for wave in waves} == {(Waveform.ECG, 130.0, 4)}
    for number, wave in enumerate(waves[100:], 100):
        true_ns = START_NS + (1 + number * 130) * period_ns
        assert abs(wave.at_monotonic_ns - true_ns) < 50 * MS
    jumps = [abs(b.at_monotonic_ns - a.at_monotonic_ns - 130 * period_ns) for a, b in pairwise(waves[100:])]
    assert max(jumps) < 20 * MS


def test_a_missing_frame_is_a_gap() -> None:
    sensor = Sensor(STRAP)
    for frame in (1, 2, 4, 5, 6):
        clock_ns = frame * 73 * SECOND // 130
        rows = tuple((frame,) for _ in range(73))
        sensor.feed(polar.DATA, DataFrame(Measurement.ECG, clock_ns, rows=rows).encode(), START_NS + clock_ns)
    first, second, third = sensor.waves
    assert counts(first) == [1] * 73 + [2] * 57
    assert counts(second) == [2] * 16, "what was begun before the gap"
    assert counts(third) == [4] * 73 + [5] * 57
    apart_ns = third.at_monotonic_ns - second.at_monotonic_ns
    assert apart_ns == pytest.approx((16 + 73) * SECOND / 130, abs=2 * MS)


def test_compressed_acceleration_is_scaled() -> None:
    for frame_type, factor in ((1, 0.244), (0, 0.000244)):
        sensor = Sensor(BAND, factor=factor)
        rows = tuple((1000 + n, -2000, 4098) for n in range(25))
        frame = DataFrame(Measurement.ACCELERATION, SECOND, frame_type, compressed=True, rows=rows)
        sensor.feed(polar.DATA, frame.encode(), START_NS)
        x, y, z = sensor.waves
        assert counts(x) == [round((1000 + n) * 0.244) for n in range(25)]
        assert set(counts(y)) == {-488}
        assert set(counts(z)) == {1000}, "one g"


def test_an_acceleration_that_no_body_stands_is_refused() -> None:
    sensor = Sensor(BAND)  # without a factor, type 0 is in g
    frame = DataFrame(Measurement.ACCELERATION, SECOND, 0, compressed=True, rows=((1000, 0, 0),) * 25)
    heard = sensor.feed(polar.DATA, frame.encode(), START_NS)
    assert heard.malformed
    assert not sensor.waves


def test_of_the_green_channels_the_first_is_kept() -> None:
    sensor = Sensor(BAND)
    rows = tuple((100_000 + n, 5, 6, 7) for n in range(55))
    sensor.feed(polar.DATA, DataFrame(Measurement.PPG, SECOND, rows=rows).encode(), START_NS)
    (wave,) = sensor.waves
    assert wave.waveform is Waveform.PPG_GREEN
    assert counts(wave) == [100_000 + n for n in range(55)]


def test_pulse_intervals_are_placed_by_the_sensors_clock() -> None:
    """They come in bursts, late: the acceleration, which does not, tells where the sensor's clock stands."""
    sensor = Sensor(BAND)
    for tenth in range(10):
        frame = DataFrame(Measurement.ACCELERATION, (tenth + 1) * SECOND // 10, 1, rows=((0, 0, 1000),) * 2)
        sensor.feed(polar.DATA, frame.encode(), START_NS + tenth * SECOND // 10)
    intervals = (PulseInterval(800, 10), PulseInterval(700, 10))
    late_ns = START_NS + 4 * SECOND
    frame = DataFrame(Measurement.PULSE_INTERVALS, SECOND, intervals=intervals)
    sensor.feed(polar.DATA, frame.encode(), late_ns)
    first, second = sensor.samples
    assert second.at_monotonic_ns == pytest.approx(START_NS + SECOND * 9 // 10, abs=2 * MS)
    assert second.at_monotonic_ns - first.at_monotonic_ns == 700 * MS
    assert first.quality is Quality.USABLE


def test_a_measurement_that_stops_is_started_again() -> None:
    sensor = Sensor(STRAP)
    sensor.started.clear()
    for second in range(1, 40):
        rows = ((0,),) * 130
        at_ns = START_NS + second * SECOND
        sensor.feed(polar.DATA, DataFrame(Measurement.ECG, second * SECOND, rows=rows).encode(), at_ns)
        sensor.state, heard = STRAP.tick(sensor.state, at_ns)
        sensor.do(heard.actions, at_ns)
    assert sensor.started.keys() == {Measurement.ACCELERATION}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Polar H10 12345678", "polar-strap"),
        ("Polar Sense ABCD1234", "polar-band"),
        ("Polar OH1 12345678", "polar-band"),
        ("Polar Vantage V2", "heart-rate"),
        ("Nonin3150_1234", "nonin-3150"),
        ("Nonin3230_1234", "nonin"),
        ("BerryMed", "berrymed"),
        ("O2Ring 1234", "viatom"),
        ("O2Ring S 1234", None),
        ("Checkme O2 1234", "viatom"),
        ("My Oximeter", "jumper"),
        ("PC-60NW-1", "creative"),
        ("PC-60FW", "creative"),
        ("a watch", None),
    ],
)
def test_a_device_is_known_by_its_name(name: str, expected: str | None) -> None:
    services = frozenset({heart_rate.SERVICE}) if name.startswith("Polar") else frozenset()
    found = driver_for(Seen("AA:BB:CC:DD:EE:FF", name, services=services))
    assert (found.name if found else None) == expected


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("46a970e0-0d5f-11e2-8b5e-0002a5d5c51b", "nonin"),
        ("14839ac4-7d7e-415c-9a42-167340cf2339", "viatom"),
        ("cdeacb80-5235-4c07-8846-93a37ee6b86d", "jumper"),
        ("49535343-fe7d-4ae5-8fa9-9fafd205e455", None),  # a radio module that many devices have
        ("6e400001-b5a3-f393-e0a9-e50e24dcca9e", None),
        ("e8fb0001-a14b-98f9-831b-4e2941d01248", None),
    ],
)
def test_a_device_is_known_by_its_service(service: str, expected: str | None) -> None:
    found = driver_for(Seen("AA:BB:CC:DD:EE:FF", "", services=frozenset({service})))
    assert (found.name if found else None) == expected
