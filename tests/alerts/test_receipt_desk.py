"""Receipts at the desk: what a phone says reaches the escalation and the engine, once, and survives a crash."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from alert_desk import Desk, until
from alert_desk import running as running_service
from alert_world import T0, S, preset, single_device_ward
from duty_world import CHANNELS, WARD, alarm, berlin_ns, rota
from test_house_channels import Hook

from alerts.app import AlertService
from alerts.attention import Acknowledged
from alerts.duty import Duty
from alerts.escalation import Call, Escalation, Why, decode_call
from alerts.events import AlarmRecordKind, Priority, Transition
from alerts.notify.channels import RecordChannel
from alerts.notify.loop import CallReport
from alerts.notify.message import Message
from alerts.notify.outbox import Subscription
from alerts.notify.receipt_desk import Answer, ReceiptDesk
from alerts.notify.receipts import PATH, VALID_NS, Receipt, Said, TicketOffice, Verdict, decode_receipt
from alerts.notify.seal import KEY_BYTES, Seal
from alerts.notify.webhook import WebhookChannel
from alerts.view import OpenAlarm
from vitals.errors import JournalFullError
from vitals.journal import Journal

NOON = berlin_ns("2026-05-04T12:00")
OFFICE = TicketOffice(Seal(b"k" * KEY_BYTES))
DUTY = Duty(rota(), (WARD,))


# -- the escalation ----------------------------------------------------------------------------------------------------


def called(*reports: CallReport) -> Escalation:
    """One alarm whose first call, to a phone that tells what arrives, was answered with `reports`."""
    desk = Escalation((WARD,), rota(), ["day-phone"])
    desk.heard(alarm())
    (call,) = desk.due(NOON)
    desk.called(call)
    for report in reports:
        desk.reported(call.call_id, report)
    return desk


@pytest.mark.parametrize(
    ("reports", "after_s", "why"),
    [
        ((), 30, Why.NOT_REACHED),
        ((CallReport.HANDED_OVER,), 30, Why.NOT_REACHED),  # the push service has it, the phone has not
        ((CallReport.HANDED_OVER, CallReport.DELIVERED), 120, Why.NOT_ACKNOWLEDGED),
        ((CallReport.DELIVERED, CallReport.HANDED_OVER), 120, Why.NOT_ACKNOWLEDGED),  # the phone was faster
        ((CallReport.SEEN,), 120, Why.NOT_ACKNOWLEDGED),
        ((CallReport.FAILED,), 0, Why.NOT_REACHED),
    ],
)
def test_where_a_channel_tells_delivery_handed_over_is_no_receipt(
    reports: tuple[CallReport, ...], after_s: int, why: Why
) -> None:
    desk = called(*reports)
    assert desk.next_deadline() == NOON + after_s * S
    assert {call.why for call in desk.due(NOON + after_s * S)} == {why}


# -- the desk ----------------------------------------------------------------------------------------------------------


class Ward:
    """Open alarms, and who acknowledged them."""

    def __init__(self, **priorities: Priority) -> None:
        self.open = {alarm_id: self._alarm(alarm_id, priority) for alarm_id, priority in priorities.items()}
        self.acknowledged: list[tuple[str, str]] = []

    def alarms(self) -> list[OpenAlarm]:
        return list(self.open.values())

    def acknowledge(self, alarm_id: str, actor: str) -> Acknowledged:
        if self.open[alarm_id].acknowledged_by:
            return Acknowledged.ALREADY
        self.acknowledged.append((alarm_id, actor))
        self.open[alarm_id] = replace(self.open[alarm_id], acknowledged_by=actor)
        return Acknowledged.ACCEPTED

    def _alarm(self, alarm_id: str, priority: Priority) -> OpenAlarm:
        event = alarm()
        known = {name: getattr(event, name) for name in ("patient", "bed", "kind", "condition", "value", "limit")}
        known |= {name: getattr(event, name) for name in ("reason", "device", "gateway", "detail", "beds")}
        return OpenAlarm(
            alarm_id=alarm_id, priority=priority, raised_at_ns=NOON, audible=True, announced=True,
            acknowledged_by="", acknowledged_at_ns=None, **known,
        )  # fmt: skip


class Reception:
    """A desk with a journal in a folder and a clock that is told."""

    def __init__(self, folder: Path, ward: Ward) -> None:
        self.now_ns = NOON
        self.ward = ward
        self.journal = Journal(folder / "alarms.db", chained=True)
        owners = DUTY.owners
        self.desk = ReceiptDesk(ward, self.journal, OFFICE, now_ns=lambda: self.now_ns, owners=owners)

    def told(self, *alarms: tuple[str, Priority], phone: str = "", channel: str = "day-phone") -> str:
        calls = tuple(f"{n}-0-ab-{channel}" for n, _ in enumerate(alarms))
        message = Message("t", "b", Priority.HIGH, (1,), NOON, alarms, calls)
        return OFFICE.path(message, channel, phone).removeprefix(PATH)

    def written(self) -> list[Receipt]:
        records = self.journal.read(0)
        assert {record.kind for record in records} <= {AlarmRecordKind.RECEIPT}
        return [decode_receipt(record.payload) for record in records]


HIGH, MEDIUM = Priority.HIGH, Priority.MEDIUM


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Reception]]:
    """Makes a reception from priorities by alarm."""
    with ExitStack() as stack:

        def make(**priorities: Priority) -> Reception:
            reception = Reception(tmp_path, Ward(**priorities))
            stack.enter_context(reception.journal)
            return reception

        yield make


def test_a_receipt_is_written_once_for_each_phone_and_counted(opened: Callable[..., Reception]) -> None:
    reception = opened(a=HIGH)
    for phone in ("one", "two"):
        token = reception.told(("a", HIGH), phone=phone)
        for _ in range(3):
            assert reception.desk.take(token, Said.DELIVERED) == Answer(Verdict.TAKEN, still_open=True)
    assert [(r.phone, r.said, r.calls, r.alarms) for r in reception.written()] == [
        (phone, Said.DELIVERED, ("0-0-ab-day-phone",), ("a",)) for phone in ("one", "two")
    ]
    assert reception.desk.counts == {("day-phone", Said.DELIVERED): 2}


def test_an_acknowledgement_is_the_persons_and_changes_nothing_twice(opened: Callable[..., Reception]) -> None:
    reception = opened(a=HIGH)
    token = reception.told(("a", HIGH))
    for _ in range(2):
        assert reception.desk.take(token, Said.ACKNOWLEDGED) == Answer(Verdict.TAKEN, True, "day")
    assert reception.ward.acknowledged == [("a", "day")]
    assert [(r.said, r.actor) for r in reception.written()] == [(Said.ACKNOWLEDGED, "day")]


def test_what_became_worse_is_not_acknowledged_by_an_older_message(opened: Callable[..., Reception]) -> None:
    reception = opened(a=MEDIUM, b=HIGH)
    token = reception.told(("a", MEDIUM), ("b", MEDIUM))
    assert reception.desk.take(token, Said.ACKNOWLEDGED).verdict is Verdict.WORSE
    assert reception.ward.acknowledged == []
    assert [r.said for r in reception.written()] == [Said.SEEN]  # somebody looked, which the escalation may know
    assert reception.desk.take(reception.told(("a", HIGH)), Said.ACKNOWLEDGED).verdict is Verdict.TAKEN


def test_a_summary_acknowledges_what_is_still_open_of_what_it_listed(opened: Callable[..., Reception]) -> None:
    reception = opened(a=HIGH, c=HIGH)
    assert reception.desk.take(reception.told(("a", HIGH), ("b", HIGH)), Said.ACKNOWLEDGED).verdict is Verdict.TAKEN
    assert reception.ward.acknowledged == [("a", "day")]
    assert reception.desk.take(reception.told(("b", HIGH)), Said.ACKNOWLEDGED) == Answer(Verdict.OVER)


def test_what_is_forged_expired_or_another_messages_is_refused_and_not_written(
    opened: Callable[..., Reception],
) -> None:
    reception = opened(a=HIGH)
    token = reception.told(("a", HIGH))
    assert reception.desk.take(token[:-1] + "-", Said.ACKNOWLEDGED).verdict is Verdict.UNKNOWN
    assert reception.desk.take("", Said.SEEN).verdict is Verdict.UNKNOWN
    assert reception.desk.take(token, Said.SEEN, "another").verdict is Verdict.UNKNOWN
    reception.now_ns += VALID_NS + S
    assert reception.desk.take(token, Said.ACKNOWLEDGED).verdict is Verdict.OVER
    assert reception.written() == []


def test_a_receipt_that_cannot_be_written_is_asked_for_again(
    opened: Callable[..., Reception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise JournalFullError("the disk is full")

    reception = opened(a=HIGH)
    token = reception.told(("a", HIGH))
    with monkeypatch.context() as patch:
        patch.setattr(reception.journal, "append", full)
        with pytest.raises(JournalFullError):
            reception.desk.take(token, Said.DELIVERED)
    reception.desk.take(token, Said.DELIVERED)
    assert len(reception.written()) == 1


async def test_a_webhook_brings_the_address_for_its_receipts(opened: Callable[..., Reception]) -> None:
    reception, hook = opened(a=HIGH), Hook()
    office = TicketOffice(Seal(b"k" * KEY_BYTES), "https://ward.example")
    told = Message("t", "b", HIGH, (1,), NOON, (("a", HIGH),), ("1-0-ab-pager",))
    with hook.listening() as url:
        channel = WebhookChannel(Subscription("pager"), url, "s" * 32, now_ns=lambda: NOON, office=office)
        for _ in range(2):
            await channel.send(told)
    first, again = (json.loads(body) for _, _, body in hook.taken)
    assert first == again
    assert (first["id"], first["calls"]) == ("1-0-ab-pager", ["1-0-ab-pager"])
    token = first["receipt_url"].removeprefix("https://ward.example/receipts/")
    assert reception.desk.take(token, Said.ACKNOWLEDGED, first["id"]) == Answer(Verdict.TAKEN, True, "pager")


# -- the whole loop ----------------------------------------------------------------------------------------------------


def service(desk: Desk, found: dict[str, RecordChannel]) -> AlertService:
    return AlertService(
        ingest=desk.ingest,
        alarms=desk.alarms,
        ward=single_device_ward(1),
        preset=preset(),
        channels=tuple(found.values()),
        now_ns=lambda: desk.now_ns,
        delay_s=lambda attempt, asked: 0.01,
        standstill_ns=10**18,
        duty=DUTY if found else None,
    )


def calls(desk: Desk) -> list[Call]:
    return [decode_call(r.payload) for r in desk.alarms.read(0) if r.kind == AlarmRecordKind.CALL]


async def test_what_a_phone_reports_decides_who_is_called_next(desk: Desk) -> None:
    found = {
        name: RecordChannel(Subscription(name, tells_delivery=True), now_ns=lambda: desk.now_ns) for name in CHANNELS
    }
    desk.seconds(0, 20, "d-0", spo2=85.0)
    async with running_service(service(desk, found)) as running:
        reception = ReceiptDesk(running, desk.alarms, OFFICE, now_ns=lambda: desk.now_ns, owners=DUTY.owners)

        def message_to(channel: str) -> Message | None:
            told = [m for _, m in found[channel].handed_over if m.alarms and "SpO₂" in m.title]
            return told[-1] if told else None

        await until(lambda: message_to("day-phone"))
        desk.now_ns += 31 * S  # handed over, and the phone says nothing
        await until(lambda: message_to("spare-phone"))
        told = message_to("spare-phone")
        assert told is not None
        token = OFFICE.path(told, "spare-phone").removeprefix(PATH)
        assert reception.take(token, Said.DELIVERED).still_open
        desk.now_ns += 31 * S  # this one has it: time to come
        assert reception.take(token, Said.ACKNOWLEDGED) == Answer(Verdict.TAKEN, True, "spare")
        desk.now_ns += 600 * S
        others = len(calls(desk))
        await until(lambda: len(calls(desk)) > others)
        assert reception.take(token, Said.ACKNOWLEDGED).verdict is Verdict.TAKEN
    of_alarm = [call for call in calls(desk) if call.event.condition == "spo2_low"]
    assert [(call.channel, call.why) for call in of_alarm] == [
        ("day-phone", Why.ALARM),
        ("spare-phone", Why.NOT_REACHED),
    ]
    events = [e for e in desk.events() if e.transition is Transition.ACKNOWLEDGED]
    assert [(e.condition, e.actor) for e in events] == [("spo2_low", "spare")]


_LIFE = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from alert_world import T0, S, preset, single_device_ward
from alerts.app import AlertService
from alerts.notify.receipt_desk import ReceiptDesk
from alerts.notify.receipts import Said, TicketOffice
from alerts.notify.seal import KEY_BYTES, Seal
from vitals.journal import Journal

OFFICE = TicketOffice(Seal(b"k" * KEY_BYTES))
folder, token, killed_at = Path({folder!r}), sys.argv[1], sys.argv[2]
alarms = Journal(folder / "alarms.db")
service = AlertService(
    ingest=Journal(folder / "ingest.db", read_only=True), alarms=alarms, ward=single_device_ward(1), preset=preset(),
    keep_cursor=False, now_ns=lambda: T0 + 21 * S, standstill_ns=10**18,
)
desk = ReceiptDesk(service, alarms, OFFICE, now_ns=lambda: T0 + 21 * S)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if killed_at == "receipt":
    desk._write = die
elif killed_at == "engine":
    service.acknowledge = die
taken = desk.take(token, Said.ACKNOWLEDGED)
print(taken.verdict.name, taken.by)
"""


@pytest.mark.slow
async def test_killed_at_any_point_the_acknowledgement_survives_or_is_asked_again(tmp_path: Path) -> None:
    here = Path(__file__)
    script = _LIFE.format(tests=str(here.parent), root=str(here.parents[2]), folder=str(tmp_path))

    def live(token: str, killed_at: str = "") -> tuple[int, str]:
        run = [sys.executable, "-c", script, token, killed_at]
        found = subprocess.run(run, capture_output=True, text=True, timeout=50, check=False)
        return found.returncode, found.stdout.strip().rpartition("\n")[2]

    desk = Desk(tmp_path)
    desk.seconds(0, 20, "d-0", spo2=85.0)
    with desk.ingest, desk.alarms:
        async with running_service(service(desk, {})) as running:
            await until(lambda: any(alarm.condition == "spo2_low" for alarm in running.alarms()))
        (raised,) = [e for e in desk.events() if e.condition == "spo2_low"]
    told = Message("t", "b", raised.priority, (raised.number,), T0, ((raised.alarm_id, raised.priority),))
    token = OFFICE.path(told, "ward").removeprefix(PATH)
    assert live(token, "engine")[0] == -signal.SIGKILL
    assert live(token, "receipt")[0] == -signal.SIGKILL
    assert live(token) == (0, "TAKEN ward")
    with Journal(tmp_path / "alarms.db", read_only=True) as desk.alarms:
        taken = [e for e in desk.events() if e.transition is Transition.ACKNOWLEDGED]
        kinds = [record.kind for record in desk.alarms.read(0)]
    assert [(e.alarm_id, e.actor) for e in taken] == [(raised.alarm_id, "ward")]
    assert kinds.count(AlarmRecordKind.RECEIPT) == 1
