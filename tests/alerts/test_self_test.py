"""The synthetic patient's alarm: raised and ended by each message, whatever the clock does, and never the ward's."""

from __future__ import annotations

import numpy as np
import pytest
from alert_desk import Desk, running, until
from alert_world import T0, S, preset, single_device_ward

from alerts.app import AlertService
from alerts.events import AlarmEvent, AlarmRecordKind, Priority, Transition, decode_event
from alerts.log import read_events
from alerts.notify.channels import RecordChannel
from alerts.notify.outbox import Subscription, decode_delivery
from alerts.self_test import BEYOND, CONDITION, NORMAL, SelfTest, readings
from vitals.columns import SAMPLE_DTYPE, RecordKind, SampleBlock, encode_block
from vitals.model import GatewayBatch
from vitals.self_test import SELF_TEST
from vitals.wire import decode, encode, from_wire


def payload(batch: GatewayBatch) -> bytes:
    """What ingest journals of a round, without ingest."""
    (device,) = from_wire(decode(encode(batch)).batch).devices
    rows = np.zeros(len(device.samples), SAMPLE_DTYPE)
    rows["sampled_at_ns"] = rows["received_at_ns"] = [sample.sampled_at_ns for sample in device.samples]
    rows["value"] = rows["raw"] = [sample.value for sample in device.samples]
    rows["vital"] = [sample.vital for sample in device.samples]
    return encode_block(SampleBlock((SELF_TEST,), (SELF_TEST,), (SELF_TEST,), rows))


class Judge:
    def __init__(self) -> None:
        self.judged: list[tuple[int, int]] = []
        self.test = SelfTest(lambda at_ns, decided_at_ns: self.judged.append((at_ns, decided_at_ns)), T0)

    def round(self, at_ns: int) -> list[AlarmEvent]:
        return list(self.test.step([payload(readings(at_ns))], at_ns + 50_000_000))


def test_each_round_raises_one_alarm_of_high_priority_and_ends_it() -> None:
    judge = Judge()
    for number in range(20):  # often enough to count as coming and going, were it of a lower priority
        raised, ended = judge.round(T0 + number * 5 * S)
        assert (raised.transition, ended.transition) == (Transition.RAISED, Transition.ENDED)
        assert (raised.condition, raised.priority, raised.notify) == (CONDITION, Priority.HIGH, True)
        assert (raised.value, ended.value) == (BEYOND, NORMAL)
        assert judge.judged[-1] == (T0 + number * 5 * S, raised.decided_at_ns)


def test_what_cannot_be_read_is_a_round_that_does_not_come_through() -> None:
    judge = Judge()
    assert judge.test.step([b"", b"rubbish"], T0) == ()
    assert len(judge.round(T0 + S)) == 2


@pytest.mark.parametrize("jump_s", [-86_400, -10, 10, 86_400])
def test_a_clock_that_was_set_is_no_reason_to_miss_a_round(jump_s: int) -> None:
    judge = Judge()
    judge.round(T0)
    after_ns = T0 + jump_s * S
    judge.test.resume(after_ns)
    assert len(judge.round(after_ns + S)) == 2


async def test_in_the_service_it_is_told_by_its_own_channel_alone(desk: Desk) -> None:
    proof, book = RecordChannel(Subscription(SELF_TEST)), RecordChannel(Subscription("book"))
    heard: list[AlarmEvent] = []
    judge = Judge()
    service = AlertService(
        ingest=desk.ingest,
        alarms=desk.alarms,
        ward=single_device_ward(),
        preset=preset(),
        channels=(proof, book),
        now_ns=lambda: desk.now_ns,
        self_test=judge.test,
    )
    with service.listen(heard.extend):
        async with running(service):
            desk.seconds(0, 3, "d-0")
            kind = int(RecordKind.SELF_TEST)
            desk.ingest.append([(kind, payload(readings(desk.now_ns - S)))], now_ns=desk.now_ns)
            await until(lambda: proof.handed_over)
            await service.told()
    assert "Bed self-test" in proof.handed_over[0][1].title
    assert (book.handed_over, heard, list(read_events(desk.alarms))) == ([], [], [])
    assert (service.unreadable, service.alarms()) == (0, ())
    records = desk.alarms.read(0)
    told = [decode_event(r.payload).transition for r in records if r.kind == AlarmRecordKind.SELF_TEST]
    (delivery,) = [decode_delivery(r.payload) for r in records if r.kind == AlarmRecordKind.SELF_TEST_DELIVERY]
    assert told == [Transition.RAISED, Transition.ENDED]
    assert (delivery.channel, desk.deliveries()) == (SELF_TEST, [])


async def test_after_a_restart_the_ward_is_as_if_there_were_no_self_test(desk: Desk) -> None:
    """Its events have numbers of their own: the ward's go on without a gap, and nothing is replayed of them."""

    def service() -> AlertService:
        return AlertService(
            ingest=desk.ingest,
            alarms=desk.alarms,
            ward=single_device_ward(),
            preset=preset(),
            now_ns=lambda: desk.now_ns,
            self_test=Judge().test,
            standstill_ns=10**18,
        )

    for life in range(2):
        async with running(service()) as alive:
            desk.ingest.append([(int(RecordKind.SELF_TEST), payload(readings(desk.now_ns)))], now_ns=desk.now_ns)
            start = life * 60
            desk.seconds(start, start + 20, "d-0", spo2=85.0 if not life else 97.0)
            await until(lambda alive=alive: alive.position == desk.ingest.newest)
    events = desk.events()
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert SELF_TEST not in {event.patient for event in events}
    assert [e.transition for e in events if e.condition == "spo2_low"] == [Transition.RAISED, Transition.ENDED]
