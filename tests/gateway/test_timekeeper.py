"""What time it was: synchronised, stepped, drifting, unknown, and before the power was cut."""

from __future__ import annotations

from gateway.collect import HeardDevice
from gateway.devices.driver import HeardSample, HeardWave
from gateway.timekeeper import (
    ACCEPT_AFTER_NS,
    AGE_AFTER_NS,
    EARLIEST_NS,
    ClockReading,
    Timekeeper,
    Timing,
    anchor,
    begin,
    look,
    may_age,
    of_earlier_boot,
    timed,
    timing,
    unsynchronised,
)
from vitals.clock import UNKNOWN_UNCERTAINTY_MS, Moment
from vitals.model import ClockSource, ClockTrust, Vital, Waveform

S = 1_000_000_000
T0 = 1_790_000_000 * S


def seen(
    timekeeper: Timekeeper, at_s: float, *, error_s: float = 0.0, synchronised: bool = True
) -> tuple[Timekeeper, Moment]:
    """The clocks `at_s` seconds after boot, which was at T0."""
    return look(timekeeper, ClockReading(T0 + int((at_s + error_s) * S), int(at_s * S), synchronised))


def test_nobody_knows_the_time_until_it_is_synchronised() -> None:
    timekeeper, moment = seen(begin("b", None), 5, error_s=-1e6, synchronised=False)
    assert timing(timekeeper, moment) is None
    assert anchor(timekeeper) is None
    timekeeper, moment = seen(timekeeper, 6)
    assert timing(timekeeper, moment) == Timing(T0, ClockTrust(ClockSource.SYNCHRONISED, 50.0))


def test_a_restart_in_the_same_boot_still_knows_the_time_and_another_boot_does_not() -> None:
    timekeeper, _ = seen(begin("b", None), 6)
    kept = anchor(timekeeper)
    timekeeper, moment = seen(begin("b", kept), 1006, error_s=-1e6, synchronised=False)
    assert timing(timekeeper, moment) == Timing(T0, ClockTrust(ClockSource.HOLDOVER, 150.0))
    timekeeper, moment = seen(begin("c", kept), 5, synchronised=False)
    assert timing(timekeeper, moment) is None


def test_a_step_is_not_followed_until_it_insists() -> None:
    timekeeper, _ = seen(begin("b", None), 6)
    timekeeper, moment = seen(timekeeper, 7, error_s=3600)
    assert (moment.utc_ns, moment.trust.source, timekeeper.steps) == (T0 + 7 * S, ClockSource.HOLDOVER, 1)
    at_s = 8 + ACCEPT_AFTER_NS // S
    timekeeper, moment = seen(timekeeper, at_s, error_s=3600)
    assert (moment.utc_ns, moment.trust.source) == (T0 + (at_s + 3600) * S, ClockSource.SYNCHRONISED)


def test_a_clock_that_wanders_about_is_not_believed() -> None:
    timekeeper, _ = seen(begin("b", None), 6)
    for number in range(50):
        timekeeper, moment = seen(timekeeper, 7 + number * 100, error_s=3600 + number * 10)
        assert moment.trust.source is ClockSource.HOLDOVER
    timekeeper, moment = seen(timekeeper, 6_000)
    assert moment.trust.source is ClockSource.SYNCHRONISED


def test_drift_is_followed() -> None:
    timekeeper, moment = seen(begin("b", None), 0)
    for at_s in range(0, 100_000, 1_000):
        timekeeper, moment = seen(timekeeper, at_s, error_s=at_s * 50e-6)
        assert moment.trust.source is ClockSource.SYNCHRONISED
    assert timekeeper.steps == 0


def test_only_a_clock_that_was_right_for_an_hour_may_drop_anything() -> None:
    timekeeper, _ = seen(begin("b", None), 0)
    assert not may_age(timekeeper, AGE_AFTER_NS - 1)
    assert may_age(timekeeper, AGE_AFTER_NS)
    timekeeper, _ = seen(timekeeper, 3_700, error_s=1e6)
    assert not may_age(timekeeper, 10 * AGE_AFTER_NS)


def test_an_earlier_boot_is_bounded_by_what_is_known() -> None:
    between = of_earlier_boot(100 * S, boot_began_ns=T0, earliest_ns=T0 - 3_600 * S)
    assert between.offset_ns + 100 * S == T0 - 1_800 * S
    assert between.trust == ClockTrust(ClockSource.UNSYNCHRONISED, 1_800_000.0)
    for earliest_ns in (None, T0 + 1):
        at_the_end = of_earlier_boot(100 * S, boot_began_ns=T0, earliest_ns=earliest_ns)
        assert at_the_end == Timing(T0 - 100 * S, ClockTrust(ClockSource.UNSYNCHRONISED, UNKNOWN_UNCERTAINTY_MS))


def test_a_wall_clock_of_1970_is_not_sent() -> None:
    by = unsynchronised(ClockReading(5 * S, 5 * S, False))
    assert by.offset_ns + 5 * S == EARLIEST_NS
    assert by.trust.uncertainty_ms == UNKNOWN_UNCERTAINTY_MS


def test_times_are_moved_and_what_cannot_be_said_is_left_out() -> None:
    heard = HeardDevice(
        "ox",
        (HeardSample(Vital.SPO2, 5 * S, 97.0), HeardSample(Vital.SPO2, -20 * S, 96.0)),
        (HeardWave(Waveform.ECG, 5 * S, 130.0, b"\0\0\0\0"), HeardWave(Waveform.ECG, -20 * S, 130.0, b"")),
        -60,
    )
    (device,) = timed((heard,), Timing(10 * S, ClockTrust(ClockSource.SYNCHRONISED, 1.0)))
    assert [s.sampled_at_ns for s in device.samples] == [15 * S]
    assert [w.started_at_ns for w in device.waveforms] == [15 * S]
    assert device.rssi_dbm == -60
