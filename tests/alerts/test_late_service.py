"""Late samples through the service and its journals: written once, after a crash too, and nobody is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from alert_desk import Desk, running, until
from alert_world import T0, S, World, block, preset, second, single_device_ward, told
from duty_world import escalation
from structlog.testing import capture_logs

from alerts.app import AlertService
from alerts.events import AlarmEvent, Transition
from alerts.notify.outbox import Subscription, wants
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from alerts.view import OpenAlarm
from vitals.model import Vital


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.ingest.close()
    found.alarms.close()


def outage(desk: Desk) -> None:
    """Two minutes without anything, in which SpO2 was low for forty seconds; then live, and the backlog beside it."""
    desk.seconds(0, 30, "d-0", "d-1")
    desk.seconds(150, 170, "d-0", "d-1")
    for at_s in range(30, 150, 10):
        rows = [r for s in range(at_s, at_s + 10) for r in second(s, "d-0", spo2=85.0 if 60 <= s < 100 else 97.0)]
        desk.add(block(rows, received_s=170 + at_s / 100), 170 + at_s / 100)
    desk.seconds(172, 190, "d-0", "d-1")


def crash(service: AlertService) -> None:
    """Forget what would be saved on the way out."""
    service._saver._try_to_write = lambda marks, position: None  # type: ignore[method-assign]  # as if the process were gone


def annotated(events: list[AlarmEvent]) -> list[AlarmEvent]:
    return [event for event in events if event.transition is Transition.ANNOTATED]


def low(service: AlertService) -> list[OpenAlarm]:
    return [alarm for alarm in service.alarms() if alarm.condition == "spo2_low"]


async def test_a_backlog_is_annotated_once_and_a_restart_repeats_nothing(desk: Desk) -> None:
    first = desk.service()
    async with running(first):
        outage(desk)
        await until(lambda: first.position == desk.ingest.newest and annotated(desk.events()))
        assert low(first) == []
        crash(first)
    before = desk.events()
    (found,) = annotated(before)
    assert ((found.at_ns - T0) // S, (found.until_ns - T0) // S) == (74, 100)
    with capture_logs() as logs:
        again = desk.service()
    assert "replay_differs" not in [entry["event"] for entry in logs]
    async with running(again):
        desk.seconds(190, 200, "d-0", "d-1")
        await until(lambda: again.position == desk.ingest.newest)
    assert annotated(desk.events()) == [found]
    assert desk.events()[: len(before)] == before


async def test_what_late_samples_changed_is_the_same_after_a_crash(desk: Desk) -> None:
    first = desk.service()
    async with running(first):
        desk.seconds(0, 20, "d-0", spo2=85.0)
        await until(desk.events)
        desk.seconds(30, 38, "d-0", spo2=85.0)
        desk.add(block([("d-0", Vital.SPO2, 25.5, 97.0)], received_s=38.2), 38.2)
        await until(lambda: not low(first) and first.position == desk.ingest.newest)
        crash(first)
    before = desk.events()
    ended = [e for e in before if e.transition is Transition.ENDED and e.condition == "spo2_low"]
    assert [(e.at_ns - T0) / S for e in ended] == [25.5]
    with capture_logs() as logs:
        again = desk.service()
    assert "replay_differs" not in [entry["event"] for entry in logs]
    assert low(again) == []
    async with running(again):
        desk.seconds(38, 45, "d-0", spo2=85.0)
        await until(lambda: low(again))
    assert told(desk.events()[len(before) :]) == [("engine_down", "noted"), ("spo2_low", "raised")]


@pytest.mark.parametrize("transition", [Transition.ANNOTATED, Transition.DISPROVED])
def test_an_entry_about_the_past_calls_nobody_and_stops_no_call(transition: Transition) -> None:
    world = World()
    raised = world.run(0, 20, "d-0", spo2=85.0)[0]
    found = replace(
        raised,
        number=raised.number + 1,
        alarm_id="",
        transition=transition,
        at_ns=raised.at_ns - 100 * S,
        until_ns=raised.at_ns - 50 * S,
        notify=False,
    )
    desk = escalation()
    desk.heard(found)
    assert desk.open == {}
    desk.heard(raised)
    before = dict(desk.open)
    desk.heard(found)
    assert desk.open == before
    assert not wants(Subscription("all", send_ended=True), found)


def test_a_snapshot_of_the_release_before_is_read_and_repeats_nothing() -> None:
    world = World()
    world.run(0, 20, "d-0")
    fields = msgspec.msgpack.decode(encode_snapshot(world.engine, T0 + 20 * S))
    engine = restore(decode_snapshot(msgspec.msgpack.encode(fields[:-1])), single_device_ward(), preset())
    again = [row for at_s in range(20) for row in second(at_s, "d-0", spo2=70.0)]
    assert engine.step([(T0 + 21 * S, block(again, received_s=21))], 21, T0 + 21 * S) == ()
    live = block(second(21, "d-0", spo2=70.0))
    assert told(engine.step([(T0 + 22 * S, live)], 22, T0 + 22 * S)) == [("spo2_low", "raised")]
