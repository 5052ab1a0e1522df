"""Numbers that the server derives itself: alarmed on and shown, but no equipment that could fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from alert_world import T0, S, World, block, second, told

from vitals.columns import SampleBlock
from vitals.derived import derived_name, is_virtual, source_of
from vitals.model import Quality, Reason, Vital


def derived(vital: Vital, at_s: float, value: float, quality: Quality = Quality.USABLE) -> SampleBlock:
    return replace(block([("d-0:ppg", vital, at_s, value)], quality=quality), patients=("P-0",))


def test_a_doubtful_or_missing_derived_number_is_no_technical_alarm() -> None:
    world = World()
    for at_s in range(60):
        world.play(block(second(at_s, "d-0", "d-1")), at_s + 0.1)
        if at_s < 40:
            world.play(derived(Vital.PULSE_RATE, at_s, 80.0, Quality.DOUBTFUL), at_s + 0.2)
    assert world.history == []


def test_a_derived_respiratory_rate_beyond_its_limit_is_alarmed_with_where_it_comes_from() -> None:
    world = World()
    for at_s in range(40):
        world.play(block(second(at_s, "d-0", "d-1")), at_s + 0.1)
        world.play(derived(Vital.RESP_RATE, at_s, 34.0), at_s + 0.2)
    assert ("resp_rate_high", "raised") in told(world.history)
    assert {e.device for e in world.history} == {"d-0:ppg"}


def test_a_derived_number_does_not_make_a_lone_device_a_silent_gateway() -> None:
    def conditions(*, with_derived: bool) -> list[tuple[str, str]]:
        world = World()
        for at_s in range(20):
            world.play(block(second(at_s, "d-0")), at_s + 0.1)
            if with_derived:
                world.play(derived(Vital.RESP_RATE, at_s, 14.0), at_s + 0.2)
        for at_s in range(20, 120):
            world.wait(at_s)
        return [(e.condition, e.device) for e in world.history]

    assert conditions(with_derived=True) == conditions(with_derived=False) != []


def test_a_tile_says_why_a_derived_number_is_missing() -> None:
    world = World()
    for at_s in range(100):
        world.play(block(second(at_s, "d-0", "d-1")), at_s + 0.1)
        if at_s < 20:
            world.play(derived(Vital.RESP_RATE, at_s, 14.0, Quality.DOUBTFUL), at_s + 0.2)
        if at_s in (19, 99):
            (resp,) = (v for v in world.engine.tiles(T0 + at_s * S)[0].vitals if v.vital is Vital.RESP_RATE)
            assert resp.device == "d-0:ppg"
            shown = (resp.value, resp.reason, resp.quality)
            doubtful = Quality.DOUBTFUL
            assert shown == ((14.0, Reason.PRESENT, doubtful) if at_s == 19 else (None, Reason.POOR_SIGNAL, doubtful))


def test_the_wearables_own_number_is_shown_while_a_derived_one_is_doubtful() -> None:
    world = World()
    world.play(block(second(1, "d-0", pulse=80.0)), 1.1)
    world.play(derived(Vital.PULSE_RATE, 2, 120.0, Quality.DOUBTFUL), 2.1)
    (pulse,) = (v for v in world.engine.tiles(T0 + 3 * S)[0].vitals if v.vital is Vital.PULSE_RATE)
    assert (pulse.device, pulse.value) == ("d-0", 80.0)


@pytest.mark.parametrize(("device", "name"), [("ox-02", "ox-02:ppg"), ("ox-02:ppg", None), ("x" * 61, None)])
def test_the_name_of_a_derived_device(device: str, name: str | None) -> None:
    assert derived_name(device) == name
    if name is not None:
        assert (is_virtual(name), is_virtual(device), source_of(name)) == (True, False, device)
