"""What is known of an allowed wearable besides its session."""

from __future__ import annotations

from gateway.devices.driver import Heard, HeardSample
from gateway.devices.heart_rate import HeartRateDriver
from gateway.radio_status import AllowedDevice
from gateway.wearables import Wearable
from vitals.model import Reason, Vital


def told(*vitals: Vital) -> Heard:
    return Heard(tuple(HeardSample(vital, 1, 60.0) for vital in vitals))


def lost(wearable: Wearable) -> set[Vital]:
    samples = wearable.lost(5).samples
    assert {(s.at_monotonic_ns, s.value, s.reason) for s in samples} <= {(5, None, Reason.RADIO_LOST)}
    assert len(samples) == len({s.vital for s in samples})
    return {s.vital for s in samples}


def test_what_it_tells_is_missing_when_it_is_lost_and_nothing_else() -> None:
    wearable = Wearable("C0:00:00:00:00:01", AllowedDevice("w-1"), HeartRateDriver())
    assert lost(wearable) == {Vital.HEART_RATE, Vital.RR_INTERVAL, Vital.BATTERY}, "nothing was heard: it may tell all"
    wearable.count(told(Vital.BATTERY))
    assert lost(wearable) == {Vital.HEART_RATE, Vital.RR_INTERVAL, Vital.BATTERY}, "a battery is no reading of a body"
    wearable.count(told(Vital.PULSE_RATE))
    assert lost(wearable) == {Vital.PULSE_RATE, Vital.BATTERY}, "it is worn on a wrist"


def test_without_a_driver_nothing_can_be_said() -> None:
    assert lost(Wearable("C0:00:00:00:00:01", AllowedDevice("w-1"), None)) == set()
