"""The state is written beside what goes on, whole, and never an older one over a newer one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

import pytest
from alert_desk import Desk
from alert_world import T0, S, block, preset, second, single_device_ward

from alerts.alarm_writer import AlarmWriter
from alerts.engine import Engine
from alerts.events import AlarmEvent
from alerts.recovery import CURSOR, SNAPSHOT_MARK
from alerts.snapshot import decode_snapshot
from alerts.state_saver import StateSaver
from vitals.errors import JournalFullError


class SlowWriter(AlarmWriter):
    """Writes when it is told to; `fails`: the disk is full."""

    fails = False

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.alarms, lambda: T0)
        self.may_write = threading.Event()
        self.began = threading.Event()

    def save(self, events: Sequence[AlarmEvent], marks: Mapping[str, bytes]) -> None:
        self.began.set()
        self.may_write.wait()
        if self.fails:
            raise JournalFullError("no space")
        super().save(events, marks)


def at_work(desk: Desk) -> tuple[Engine, SlowWriter, StateSaver]:
    engine = Engine(single_device_ward(), preset(), T0)
    hear(engine, 1)
    writer = SlowWriter(desk)
    return engine, writer, StateSaver(engine, writer, desk.alarms, desk.ingest, lambda: T0)


def hear(engine: Engine, position: int) -> None:
    at_ns = T0 + position * S
    engine.step([(at_ns, block(second(position, "d-0")))], position, at_ns)


def saved(desk: Desk) -> int:
    """The position of the snapshot in the journal; 0 for none."""
    mark = desk.alarms.mark(SNAPSHOT_MARK)
    return 0 if mark is None else decode_snapshot(mark).position


async def test_what_is_judged_meanwhile_is_not_part_of_it(desk: Desk) -> None:
    engine, writer, saver = at_work(desk)
    saving = asyncio.create_task(saver.save_aside())
    await asyncio.to_thread(writer.began.wait)
    hear(engine, 2)
    assert saver.alone.locked()
    writer.may_write.set()
    await saving
    assert (saved(desk), engine.position) == (1, 2)
    saver.save()
    assert saved(desk) == 2


async def test_cancelled_it_is_written_all_the_same_before_anything_else_is(desk: Desk) -> None:
    engine, writer, saver = at_work(desk)
    saving = asyncio.create_task(saver.save_aside())
    await asyncio.to_thread(writer.began.wait)
    saving.cancel()
    await asyncio.sleep(0)
    assert not saving.done()
    writer.may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert saved(desk) == 1
    hear(engine, 2)
    saver.try_to_save()
    assert saved(desk) == 2


async def test_a_full_disk_costs_one_snapshot_and_moves_no_cursor(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    _, writer, saver = at_work(desk)
    writer.may_write.set()
    writer.fails = True
    await saver.save_aside()
    assert (saved(desk), CURSOR in desk.ingest.cursors()) == (0, False)
    assert "snapshot_not_written" in capsys.readouterr().out
    writer.fails = False
    await saver.save_aside()
    assert (saved(desk), CURSOR in desk.ingest.cursors()) == (1, True)
