"""What a channel tells: the words, and which message is next."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from zoneinfo import ZoneInfo

import pytest
from alert_world import T0, S
from hypothesis import given
from hypothesis import strategies as st

from alerts.events import AlarmEvent, Kind, Priority, Transition
from alerts.notify.catalogue import ENGLISH
from alerts.notify.message import condition_name, message_for, summary_for
from alerts.notify.outbox import (
    BURST,
    MOST_RETRY_S,
    Delivery,
    DeliveryState,
    Subscription,
    decode_delivery,
    due,
    encode_delivery,
    retry_delay_s,
    wants,
)
from alerts.notify.wording import Wording
from vitals.errors import MalformedMessageError
from vitals.model import Reason

BERLIN = Wording(ENGLISH, ZoneInfo("Europe/Berlin"), "north")
ALL = Subscription("phone")


def event(number: int, alarm_id: str = "a", **changes: object) -> AlarmEvent:
    raised = AlarmEvent(
        number=number,
        alarm_id=alarm_id,
        patient="P-0001",
        bed="3-01",
        kind=Kind.PHYSIOLOGICAL,
        condition="spo2_low",
        priority=Priority.HIGH,
        transition=Transition.RAISED,
        at_ns=T0,
        decided_at_ns=T0,
        position=1,
        value=78.4,
        limit=80.0,
    )
    return replace(raised, **changes)  # type: ignore[arg-type]  # a test names fields freely


def test_a_message_says_what_where_since_when_and_what_to_do_and_no_pseudonym() -> None:
    message = message_for(event(1), BERLIN, T0)
    assert message.title == "*** Bed 3-01: SpO₂ low, 78 %"
    assert message.body == "78 % (limit 80). Since 17:06:40. Look at the patient now."
    assert "P-0001" not in message.title + message.body


def test_a_gateways_message_lists_its_beds() -> None:
    down = event(
        1,
        kind=Kind.TECHNICAL,
        condition="gateway_down",
        priority=Priority.MEDIUM,
        gateway="gw-2",
        patient="",
        bed="",
        value=None,
        beds=tuple(f"3-{i:02}" for i in range(14)),
    )
    message = message_for(down, BERLIN, T0)
    assert message.title == "** Gateway gw-2: 14 beds not monitored"
    assert "Beds 3-00, 3-01" in message.body
    assert "and 2 more." in message.body


def test_what_an_ended_and_an_escalated_alarm_say() -> None:
    assert message_for(event(1, transition=Transition.ENDED), BERLIN, T0).title == "Ended: Bed 3-01: SpO₂ low"
    escalated = message_for(event(1, transition=Transition.ESCALATED), BERLIN, T0)
    assert escalated.title == "*** Bed 3-01: SpO₂ low, 78 %, now high priority"


def test_missing_data_say_why() -> None:
    lost = event(1, kind=Kind.TECHNICAL, condition="no_data", value=None, reason=Reason.BATTERY_EMPTY)
    assert "Battery empty. The patient is not monitored." in message_for(lost, BERLIN, T0).body


def test_every_condition_has_a_name_for_people() -> None:
    assert condition_name("pulse_rate_high") == "Pulse rate high"
    assert condition_name("battery_low") == "battery low"
    assert condition_name("something_new") == "something new"


@pytest.mark.parametrize(
    ("subscription", "changes", "wanted"),
    [
        (ALL, {}, True),
        (ALL, {"notify": False}, False),
        (ALL, {"transition": Transition.ENDED}, False),
        (Subscription("phone", send_ended=True), {"transition": Transition.ENDED}, True),
        (Subscription("phone", frozenset({Priority.LOW})), {}, False),
        (ALL, {"condition": "channel_down", "detail": "phone"}, False),
        (ALL, {"condition": "channel_down", "detail": "pager"}, True),
    ],
)
def test_what_a_channel_wants_to_hear(subscription: Subscription, changes: dict[str, object], *, wanted: bool) -> None:
    assert wants(subscription, event(1, **changes)) is wanted


def test_fresh_events_are_told_one_by_one_in_order() -> None:
    waiting = [(10 + i, event(i, f"a{i}")) for i in range(BURST)]
    found = due(ALL, waiting, BERLIN, T0 + S)
    assert found is not None
    assert found.message is not None
    assert (found.through, found.message.numbers) == (10, (0,))


def test_a_channel_that_fell_behind_tells_what_is_still_true_as_one() -> None:
    waiting = [
        (1, event(1, "a", priority=Priority.LOW)),
        (2, event(2, "b", condition="pulse_rate_high", value=150.0, limit=140.0)),
        (3, event(3, "c")),
        (4, event(4, "c", transition=Transition.ENDED)),
        (5, event(5, "d")),
        (6, event(6, "d", transition=Transition.ACKNOWLEDGED, notify=False)),
        (7, event(7, "a", priority=Priority.MEDIUM, transition=Transition.ESCALATED)),
    ]
    found = due(ALL, waiting, BERLIN, T0 + 3600 * S)
    assert found is not None
    assert found.message is not None
    assert (found.through, sorted(found.obsolete), found.message.numbers) == (7, [1, 3, 5], (2, 7))
    assert found.message.title == "*** 2 alarms open, worst: Bed 3-01: Pulse rate high, 150 /min"
    late, worst = found.message.body.splitlines()[:2]
    assert late.startswith("LATE")
    assert worst.startswith("*** Bed 3-01: Pulse rate high, 150 /min (limit 140) since ")


def test_what_is_no_longer_true_is_not_told_late() -> None:
    waiting = [(1, event(1)), (2, event(2, transition=Transition.ENDED))]
    found = due(ALL, waiting, BERLIN, T0 + 3600 * S)
    assert found is not None
    assert (found.message, found.through, found.obsolete) == (None, 2, (1,))


def test_a_burst_is_one_message_with_the_worst_first() -> None:
    waiting = [(i, event(i, f"a{i}", priority=Priority.LOW, bed=f"b{i}")) for i in range(1, 30)]
    waiting.append((30, event(30, "h", bed="urgent")))
    found = due(ALL, waiting, BERLIN, T0 + S)
    assert found is not None
    assert found.message is not None
    lines = found.message.body.splitlines()
    assert "urgent" in lines[0]
    assert lines[-2:] == ["and 18 more: see the station page", "Begin with the first."]


def test_nothing_of_interest_is_nothing_to_tell() -> None:
    assert due(ALL, [(1, event(1, notify=False))], BERLIN, T0) is None
    assert due(ALL, [], BERLIN, T0) is None


def test_a_summary_of_many_counts_them() -> None:
    message = summary_for([event(i, f"a{i}") for i in range(3)], BERLIN, T0)
    assert message.title == "*** 3 alarms open, worst: Bed 3-01: SpO₂ low, 78 %"


@given(st.integers(1, 10_000), st.none() | st.floats(0, 1e9), st.integers())
def test_a_retry_waits_a_bounded_time(attempt: int, asked: float | None, seed: int) -> None:
    delay = retry_delay_s(attempt, asked, Random(seed))
    assert 0.5 <= delay <= 10 * MOST_RETRY_S
    assert delay >= min(asked or 0, MOST_RETRY_S)


@given(st.text(max_size=20), st.sampled_from(DeliveryState), st.lists(st.integers(0, 2**40)), st.integers(0, 99))
def test_a_delivery_survives_its_journal_form(name: str, state: DeliveryState, numbers: list[int], tries: int) -> None:
    delivery = Delivery(name, state, tuple(numbers), T0, T0 + S, tries, "why")
    assert decode_delivery(encode_delivery(delivery)) == delivery
    with pytest.raises(MalformedMessageError):
        decode_delivery(encode_delivery(delivery)[:-1])
