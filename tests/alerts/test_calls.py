"""The closed loop on real journals: whom the service calls, what it says, and that a crash changes neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from alert_desk import Desk, until
from alert_desk import running as running_service
from alert_world import S, preset, single_device_ward
from duty_world import BERLIN, CHANNELS, PEOPLE, SHIFTS, WARD, alarm, berlin_ns, rota
from hypothesis import given
from hypothesis import strategies as st

from alerts.app import AlertService
from alerts.config import decode_config, read_duty
from alerts.duty import Duty, DutyConfig, make_duty
from alerts.escalation import Call, Escalation, Why, decode_call
from alerts.events import AlarmEvent, AlarmRecordKind, Transition, encode_event
from alerts.notify.caller import Caller
from alerts.notify.calls import call_due
from alerts.notify.catalogue import ENGLISH
from alerts.notify.channels import RecordChannel
from alerts.notify.message import Message
from alerts.notify.outbox import BURST, Outcome, Retry, Subscription
from alerts.notify.wording import Wording
from vitals.errors import ConfigurationError

NOON = berlin_ns("2026-05-04T12:00")
WORDING = Wording(ENGLISH, BERLIN, "north")


class Phone(RecordChannel):
    """A channel that can be out of order."""

    works = True

    async def send(self, message: Message) -> Outcome:
        return await super().send(message) if self.works else Retry("out of order")


def phones(desk: Desk) -> dict[str, Phone]:
    return {name: Phone(Subscription(name), now_ns=lambda: desk.now_ns) for name in CHANNELS}


def service(desk: Desk, found: dict[str, Phone]) -> AlertService:
    return AlertService(
        ingest=desk.ingest,
        alarms=desk.alarms,
        ward=single_device_ward(),
        preset=preset(),
        channels=tuple(found.values()),
        now_ns=lambda: desk.now_ns,
        delay_s=lambda attempt, asked: 0.01,
        standstill_ns=10**18,
        duty=Duty(rota(), (WARD,)),
    )


def told(found: dict[str, Phone]) -> dict[str, int]:
    return {name: len(phone.handed_over) for name, phone in found.items() if phone.handed_over}


def calls(desk: Desk) -> list[Call]:
    return [decode_call(r.payload) for r in desk.alarms.read(0) if r.kind == AlarmRecordKind.CALL]


async def test_nobody_answers_then_the_service_dies_and_goes_on_at_the_step_it_had_reached(desk: Desk) -> None:
    found = phones(desk)
    desk.seconds(0, 20, "d-0", spo2=85.0)
    async with running_service(service(desk, found)):
        await until(lambda: len(told(found)) == 1)
        desk.now_ns += 121 * S
        await until(lambda: "spare-phone" in told(found))
    async with running_service(service(desk, found)) as again:
        desk.now_ns += 61 * S
        await until(lambda: "charge-mail" in told(found) and "charge-phone" in told(found))
        again.acknowledge(next(a.alarm_id for a in again.alarms() if a.condition == "spo2_low"), "AB")
        desk.now_ns += 600 * S
        until_now = len(calls(desk))
        await until(lambda: len(calls(desk)) > until_now)  # of the alarms that were not acknowledged
    of_alarm = [c for c in calls(desk) if c.event.condition == "spo2_low"]
    assert [c.channel for c in of_alarm] == ["day-phone", "spare-phone", "charge-phone", "charge-mail"]
    assert [c.step for c in of_alarm] == [0, 1, 2, 2]
    assert "Nobody has acknowledged it yet." in found["spare-phone"].handed_over[0][1].body


async def test_a_phone_that_is_out_of_order_is_passed_over(desk: Desk) -> None:
    found = phones(desk)
    for phone in found.values():
        phone.works = False
    found["spare-phone"].works = True
    desk.seconds(0, 20, "d-0", spo2=85.0)
    async with running_service(service(desk, found)) as running:
        await until(lambda: calls(desk))
        desk.now_ns += 31 * S
        await until(lambda: running.messages["spare-phone"].get("handed_over"))
        assert running.messages["day-phone"] == {}
        assert running.caller is not None
        assert running.caller.made["not_reached"] >= 1
        assert running.caller.waiting >= 1
    assert "could not be reached" in found["spare-phone"].handed_over[0][1].body


async def test_a_phone_that_was_down_for_an_hour_tells_what_is_still_true_and_that_it_is_late(desk: Desk) -> None:
    found = phones(desk)
    found["charge-phone"].works = False
    desk.seconds(0, 20, "d-0", spo2=85.0)
    async with running_service(service(desk, found)) as running:
        for _ in range(4):
            desk.now_ns += 121 * S
            before = len(calls(desk))
            await until(lambda before=before: len(calls(desk)) > before)
        desk.now_ns += 3_000 * S
        found["charge-phone"].works = True
        await until(lambda: found["charge-phone"].handed_over)
        await running.told()
    bodies = [message.body for _, message in found["charge-phone"].handed_over]
    assert bodies[0].startswith("LATE: ")


def _call(number: int = 1, why: Why = Why.ALARM, at_ns: int = NOON) -> Call:
    return Call(f"c-{number}-{why}", "day-phone", "day", 0, why, alarm(number, f"a-{number}", at_ns), at_ns)


def test_a_hand_over_is_one_message_of_everything_that_is_open() -> None:
    due = call_due("day-phone", [(n, _call(n, Why.HAND_OVER)) for n in (1, 2, 3)], WORDING, NOON)
    assert due is not None
    assert due.message is not None
    assert due.message.title.startswith("*** 3 alarms open, worst: Bed 3-0")
    assert due.message.body.startswith("Hand-over to your shift")
    assert (due.through, len(due.calls)) == (3, 3)


def test_what_was_settled_before_it_was_told_is_withdrawn() -> None:
    due = call_due("day-phone", [(1, _call()), (2, alarm(2, "a-1", transition=Transition.ENDED))], WORDING, NOON)
    assert due is not None
    assert (due.message, due.through, due.obsolete) == (None, 2, (1,))


@given(
    numbers=st.lists(st.integers(1, 5), min_size=1, max_size=3 * BURST),
    settled=st.sets(st.integers(1, 5)),
    late_s=st.integers(0, 300),
)
def test_whatever_waits_is_told_or_settled(numbers: list[int], settled: set[int], late_s: int) -> None:
    records: list[Call | AlarmEvent] = [_call(n) for n in numbers]
    records += [alarm(100 + n, f"a-{n}", transition=Transition.ACKNOWLEDGED) for n in settled]
    left, answered = list(enumerate(records, 1)), set[int]()
    while due := call_due("day-phone", left, WORDING, NOON + late_s * S):
        assert due.through >= left[0][0]
        answered.update(due.message.numbers if due.message else ())
        left = [(sequence, record) for sequence, record in left if sequence > due.through]
    assert answered >= set(numbers) - settled
    assert not any(isinstance(record, Call) for _, record in left)


def test_people_without_a_chain_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="chains: there is none"):
        make_duty(DutyConfig(people=PEOPLE, shifts=SHIFTS), BERLIN, CHANNELS)


def test_the_example_of_the_documentation_is_valid() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "notifications.md").read_text()
    begin = page.index("    quiet = ")
    block = page[begin : page.index("\n- **Shifts**", begin)]
    config = decode_config("\n".join(line.strip() for line in block.splitlines()).encode())
    duty = read_duty(config, single_device_ward())
    assert duty is not None
    assert duty.channels == {"ward-phone", "charge-phone"}


def test_the_example_in_the_module_is_valid(tmp_path: Path) -> None:
    import alerts.duty

    example = (alerts.duty.__doc__ or "").split("\n\n", 1)[1]
    example = example.replace('to = "14:00"', 'to = "06:00"').replace('"thu", "fri"]', '"thu", "fri", "sat", "sun"]')
    channel = '[[people]]\nname = "charge-nurse"\nchannels = ["ward-phone"]\n[[channels]]\nname = "ward-phone"\n'
    config = decode_config((example + channel + 'record_file = "book"\n').encode())
    duty = read_duty(config, single_device_ward())
    assert duty is not None
    assert duty.channels == {"ward-phone"}
    assert isinstance(Escalation(duty.chains, duty.rota), Escalation)


def test_that_nobody_is_called_for_some_alarms_is_said_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("alerts.escalation.MAX_PURSUED", 1)
    records = [(int(AlarmRecordKind.EVENT), encode_event(alarm(number, f"a-{number}"))) for number in range(1, 5)]
    desk.alarms.append(records, now_ns=NOON)
    assert Caller(desk.alarms, Duty(rota(), (WARD,)), now_ns=lambda: NOON).waiting == 1
    assert capsys.readouterr().out.count("alarms_without_calls") == 1
