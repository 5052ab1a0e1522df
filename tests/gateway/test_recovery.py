"""The ladder: gentle first, never too often, and never against links that live."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recovery import (
    HOUR_S,
    LADDER,
    Condition,
    Policy,
    Rung,
    State,
    Step,
    advertised,
    due,
    next_deadline,
    notified,
    observe,
)

POLICY = Policy()
SCANNING = observe(State(), Condition.SCANNING, 0.0)


def climb(
    state: State, until_s: float, policy: Policy = POLICY, *, others_live: bool = False
) -> list[tuple[float, Step]]:
    """Every step of a radio that stays as it is, with its time."""
    taken = []
    while (now_s := next_deadline(state, policy)) is not None and now_s <= until_s:
        state, step = due(state, now_s, policy, others_live=others_live)
        taken += [(now_s, step)] if step is not None else []
    return taken


def test_a_silent_radio_is_helped_step_by_step_and_then_left_alone() -> None:
    steps = climb(SCANNING, 1800)
    assert steps == [
        (90.0, Step.RESTART_SCAN),
        (120.0, Step.POWER_CYCLE),
        (165.0, Step.RESET_ADAPTER),
        (225.0, Step.RESTART_BLUETOOTHD),
    ]


def test_an_advertisement_ends_the_climb() -> None:
    state, _ = due(SCANNING, 90.0, POLICY)
    assert state.is_climbing
    state = advertised(state, 100.0)
    assert not state.is_climbing
    assert next_deadline(state, POLICY) == 190.0
    assert due(state, 190.0, POLICY)[1] is Step.RESTART_SCAN


def test_links_that_live_are_never_killed_for_the_sake_of_the_scan() -> None:
    state, steps = SCANNING, []
    for second in range(1, 3600):
        state = notified(state, float(second))
        state, step = due(state, float(second), POLICY)
        steps += [step] if step is not None else []
    assert set(steps) == {Step.RESTART_SCAN}
    assert len(steps) <= LADDER[Step.RESTART_SCAN].per_hour


@pytest.mark.parametrize(
    ("condition", "first"),
    [
        (Condition.IDLE, (10.0, Step.RESTART_SCAN)),
        (Condition.OFF, (10.0, Step.POWER_CYCLE)),
        (Condition.MISSING, (90.0, Step.RESTART_BLUETOOTHD)),
        (Condition.NO_BLUEZ, (10.0, Step.RESTART_BLUETOOTHD)),
    ],
)
def test_the_first_step_is_one_that_can_help(condition: Condition, first: tuple[float, Step]) -> None:
    assert climb(observe(SCANNING, condition, 0.0), 200)[0] == first


def test_what_is_mended_is_not_reset_again() -> None:
    off = observe(SCANNING, Condition.OFF, 0.0)
    state, step = due(off, 10.0, POLICY)
    assert step is Step.POWER_CYCLE
    state = observe(state, Condition.SCANNING, 12.0)
    assert climb(state, 110.0) == [(102.0, Step.RESTART_SCAN)]


def test_its_own_power_cycle_does_not_look_like_success() -> None:
    state, _ = due(SCANNING, 90.0, POLICY)
    state, step = due(state, 120.0, POLICY)
    assert step is Step.POWER_CYCLE
    state = observe(observe(state, Condition.OFF, 121.0), Condition.SCANNING, 122.0)
    assert climb(state, 200.0) == [(167.0, Step.RESET_ADAPTER)]


def test_silence_while_the_scan_rests_for_a_connection_does_not_count() -> None:
    state = observe(SCANNING, Condition.PAUSED, 60.0)
    assert next_deadline(state, POLICY) is None
    state = observe(state, Condition.SCANNING, 500.0)
    assert next_deadline(state, POLICY) == 530.0


def test_bluetoothd_is_left_alone_while_another_adapter_lives() -> None:
    steps = [step for _, step in climb(SCANNING, 1000, others_live=True)]
    assert steps == [Step.RESTART_SCAN, Step.POWER_CYCLE, Step.RESET_ADAPTER]


def test_it_reboots_only_when_configured_and_long_after_the_last_boot() -> None:
    policy = Policy(ladder={**LADDER, Step.REBOOT: Rung(900.0, 1)})
    assert Step.REBOOT not in [step for _, step in climb(SCANNING, policy.reboot_uptime_s - 1, policy)]
    later = replace(SCANNING, since_s=policy.reboot_uptime_s)
    assert [step for _, step in climb(later, policy.reboot_uptime_s + 1000, policy)] == list(Step)


signs = st.sampled_from(["advertised", "notified", "nothing", "others", *Condition])


@given(st.lists(st.tuples(st.floats(0.1, 400.0), signs), max_size=150))
def test_never_more_often_than_allowed_and_never_before_the_last_step_had_its_time(
    happenings: list[tuple[float, str | Condition]],
) -> None:
    state, now_s = SCANNING, 0.0
    taken: list[tuple[float, Step]] = []
    for pause_s, sign in happenings:
        now_s += pause_s
        match sign:
            case Condition():
                state = observe(state, sign, now_s)
            case "advertised":
                state = advertised(state, now_s)
            case "notified":
                state = notified(state, now_s)
        climbing, before = state.is_climbing, state
        state, step = due(state, now_s, POLICY, others_live=sign == "others")
        if step is None:
            continue
        assert not climbing or now_s >= taken[-1][0] + LADDER[taken[-1][1]].settle_s
        assert state.counts[step] == before.counts.get(step, 0) + 1
        taken.append((now_s, step))
        for rung, limit in LADDER.items():
            assert sum(s is rung and at_s > now_s - HOUR_S for at_s, s in taken) <= limit.per_hour
