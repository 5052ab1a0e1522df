"""The service on real journals: what is durable, what survives a restart, and how channels fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from alert_desk import Desk, running, until
from alert_world import T0, S, block, preset, second, single_device_ward, told

from alerts.app import AlertService
from alerts.attention import Acknowledged
from alerts.events import AlarmEvent, Priority
from alerts.notify.channels import RecordChannel
from alerts.notify.message import Message
from alerts.notify.outbox import Delivered, DeliveryState, Outcome, Permanent, Retry, Subscription
from vitals.columns import RecordKind
from vitals.errors import JournalFullError, RetryableError
from vitals.journal import Bounds
from vitals.model import Reason
from vitals.ward import Ward


class Scripted:
    """A channel that answers as it is told, then takes everything."""

    def __init__(self, *answers: Outcome, name: str = "scripted", **subscription: Any) -> None:
        self.subscription = Subscription(name, **subscription)
        self.answers = list(answers)
        self.asked: list[Message] = []

    async def send(self, message: Message) -> Outcome:
        self.asked.append(message)
        return self.answers.pop(0) if self.answers else Delivered()


async def test_from_a_sample_to_a_channel_and_back_to_an_acknowledgement(desk: Desk) -> None:
    channel = RecordChannel(Subscription("book"), now_ns=lambda: desk.now_ns)
    heard: list[Sequence[AlarmEvent]] = []
    service = desk.service(channel)
    with service.listen(heard.append):
        async with running(service):
            desk.seconds(0, 5, "d-0", "d-1")
            for at_s in range(5, 25):
                rows = second(at_s, "d-0", spo2=85.0) + second(at_s, "d-1")
                desk.add(block(rows), at_s + 0.1)
            await until(lambda: channel.handed_over)
            (alarm,) = service.alarms()
            assert service.acknowledge(alarm.alarm_id, "AB") is Acknowledged.ACCEPTED
            assert service.acknowledge(alarm.alarm_id, "AB") is Acknowledged.ALREADY
            assert service.tiles()[0].acknowledged
    assert channel.handed_over[0][1].title == "** Bed 3-00: SpO₂ low, 85 %"
    assert told(desk.events()) == [("spo2_low", "raised"), ("spo2_low", "acknowledged")]
    assert [e for events in heard for e in events] == desk.events()
    assert [(d.channel, d.state, d.numbers) for d in desk.deliveries()] == [("book", DeliveryState.HANDED_OVER, (1,))]
    assert desk.ingest.cursor("alerts") == 0, "what is remembered of the last minute is read again after a restart"


async def test_an_unreadable_record_is_counted_and_passed(desk: Desk) -> None:
    service = desk.service()
    async with running(service):
        desk.ingest.append([(int(RecordKind.SAMPLES), b"rubbish"), (99, b"of a newer release")], now_ns=T0)
        desk.seconds(0, 20, "d-0", spo2=75.0)
        await until(desk.events)
    assert service.unreadable == 1


async def test_what_was_open_and_pending_survives_a_crash_and_nothing_happens_twice(desk: Desk) -> None:
    first = desk.service()
    async with running(first):
        desk.seconds(0, 20, "d-0", spo2=85.0)  # raised at 15 s
        desk.seconds(20, 30, "d-1", spo2=85.0)  # nine of fifteen seconds
        await until(lambda: first.position == desk.ingest.newest)
        first.acknowledge(first.alarms()[0].alarm_id, "AB")
        crash(first)
    before = desk.events()
    second_life = desk.service()
    assert [(a.condition, a.acknowledged_by) for a in second_life.alarms()] == [("spo2_low", "AB")]
    async with running(second_life):
        desk.seconds(30, 37, "d-1", spo2=85.0)
        await until(lambda: len(second_life.alarms()) == 2)
    after = desk.events()
    assert after[: len(before)] == before
    assert told(after[len(before) :]) == [("engine_down", "noted"), ("spo2_low", "raised")]
    assert ((after[-1].at_ns - T0) // S, after[-1].patient) == (35, "P-1")
    assert [e.number for e in after] == list(range(1, len(after) + 1))


def crash(service: AlertService) -> None:
    """Forget what would be saved on the way out."""
    service._saver._try_to_write = lambda marks, position: None  # type: ignore[method-assign]  # as if the process were gone


async def test_changed_limits_end_what_nobody_watches_any_more(desk: Desk) -> None:
    first = desk.service()
    async with running(first):
        desk.seconds(0, 20, "d-0", spo2=85.0)
        await until(first.alarms)
    service = AlertService(
        ingest=desk.ingest,
        alarms=desk.alarms,
        ward=Ward("north", "UTC", single_device_ward().patients[1:]),
        preset=preset(),
        now_ns=lambda: desk.now_ns,
    )
    assert service.alarms() == ()
    ended = desk.events()[1]
    assert (ended.condition, ended.transition.value, ended.detail) == (
        "spo2_low",
        "ended",
        "limits or ward were changed",
    )


async def test_an_acknowledgement_that_cannot_be_written_changes_nothing(desk: Desk) -> None:
    service = desk.service()
    async with running(service):
        desk.seconds(0, 20, "d-0", spo2=85.0)
        await until(service.alarms)
        alarm = service.alarms()[0]
        desk.alarms.bounds = Bounds(max_bytes=1)
        with pytest.raises(RetryableError):
            service.acknowledge(alarm.alarm_id, "AB")
        assert service.alarms()[0].audible
        desk.alarms.bounds = Bounds()
        assert service.acknowledge(alarm.alarm_id, "AB") is Acknowledged.ACCEPTED


async def test_a_failing_channel_is_told_of_by_the_others_and_holds_nobody_up(desk: Desk) -> None:
    broken = Scripted(*[Retry("not today")] * 1_000_000, name="broken")
    fine = RecordChannel(Subscription("fine"), now_ns=lambda: desk.now_ns)
    service = desk.service(broken, fine)
    async with running(service):
        desk.seconds(0, 20, "d-0", spo2=85.0)
        await until(lambda: fine.handed_over and broken.asked)
        desk.now_ns += 31 * S
        await until(lambda: any("Channel broken" in m.title for _, m in fine.handed_over))
        broken.answers.clear()
        await until(lambda: ("channel_down", "ended") in told(desk.events()))
    assert "Bed 3-00: SpO₂ low" in broken.asked[0].title
    assert ("broken", DeliveryState.HANDED_OVER) in [(d.channel, d.state) for d in desk.deliveries()]


async def test_what_cannot_be_delivered_is_recorded_as_expired(desk: Desk) -> None:
    broken = Scripted(*[Retry("not today")] * 1_000_000, name="broken")
    service = desk.service(broken)
    async with running(service):
        desk.seconds(0, 20, "d-0", spo2=85.0)
        await until(lambda: len(broken.asked) > 3)
        desk.now_ns += 3_700 * S
        await until(desk.deliveries)
    expired = desk.deliveries()[0]
    assert (expired.state, expired.numbers, expired.reason) == (DeliveryState.EXPIRED, (1,), "not today")
    assert ("channel_down", "raised") in told(desk.events())


async def test_a_refused_message_is_recorded_and_the_next_is_told(desk: Desk) -> None:
    picky = Scripted(Permanent("too long"), name="picky", priorities=frozenset({Priority.HIGH, Priority.MEDIUM}))
    service = desk.service(picky)
    async with running(service):
        desk.seconds(0, 20, "d-0", spo2=85.0)
        desk.seconds(20, 22, "d-0", spo2=75.0)
        await until(lambda: len(desk.deliveries()) >= 2)
    assert [d.state for d in desk.deliveries()[:2]] == [DeliveryState.REFUSED, DeliveryState.HANDED_OVER]


async def test_a_full_disk_stops_no_channel_that_has_nothing_to_tell(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def full(name: str, _position: int) -> None:
        tried.append(name)
        raise JournalFullError("the disk is full")

    monkeypatch.setattr(desk.alarms, "move", full)
    desk.alarms.append([(99, b"of no interest")] * 300, now_ns=T0)
    channel = Scripted()
    async with running(desk.service(channel)):
        await until(lambda: tried)
        desk.seconds(0, 5, "d-0", "d-1")
        desk.seconds(5, 25, "d-0", spo2=75.0)
        await until(lambda: channel.asked)


@pytest.mark.parametrize(("to_s", "said"), [(305, "stood still"), (-3_595, "set back")])
async def test_a_service_that_stood_still_says_so_and_gives_everybody_time(desk: Desk, to_s: int, said: str) -> None:
    service = desk.service(standstill_s=5)
    async with running(service):
        desk.seconds(0, 5, "d-0", "d-1")
        await service.reached(desk.ingest.newest)
        desk.seconds(to_s, to_s + 1, "d-0", "d-1")
        await service.reached(desk.ingest.newest)
    (noted,) = desk.events()
    assert (noted.condition, noted.notify) == ("engine_down", to_s > 0)
    assert said in noted.detail


async def test_what_a_deaf_server_misses_is_not_blamed_on_the_radio(desk: Desk) -> None:
    deaf: list[str] = []
    service = desk.service(deaf=lambda: bool(deaf))
    async with running(service):
        desk.seconds(0, 5, "d-0", "d-1")
        await service.reached(desk.ingest.newest)
        deaf.append("the disk is full")
        assert service.tiles()[0].reason is Reason.PRESENT
        desk.now_ns += 60 * S
        tile = service.tiles()[0]
        assert {tile.reason, *(vital.reason for vital in tile.vitals)} == {Reason.STORE_DOWN}
        assert "Watch the patients directly" in service.trouble()
        deaf.clear()
        assert service.tiles()[0].reason is not Reason.STORE_DOWN
        assert service.trouble() == ""


async def test_a_channel_goes_on_where_it_stood(desk: Desk) -> None:
    channel = RecordChannel(Subscription("book"), now_ns=lambda: desk.now_ns)
    first = desk.service(channel)
    async with running(first):
        desk.seconds(0, 20, "d-0", spo2=85.0)
        await until(lambda: channel.handed_over)
        crash(first)
    second_life = desk.service(channel)
    async with running(second_life):
        desk.seconds(20, 21, "d-0", spo2=75.0)
        await until(lambda: len(channel.handed_over) == 2)
    assert [m.title for _, m in channel.handed_over] == [
        "** Bed 3-00: SpO₂ low, 85 %",
        "*** Bed 3-00: SpO₂ low, 75 %, now high priority",
    ]


def test_a_channel_that_is_no_longer_configured_lets_the_journal_be_trimmed(desk: Desk) -> None:
    desk.alarms.move("channel:old", 0)
    desk.service()
    assert "channel:old" not in desk.alarms.cursors()
