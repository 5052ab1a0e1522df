"""The service takes changed limits into force while it runs, after a restart, and when the journal fails it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from alert_desk import Desk, running, until
from alert_world import T0, S, preset, single_device_ward, told

from alerts.app import AlertService
from alerts.events import LIMITS_CHANGED, LIMITS_STUCK
from alerts.limit_changes import ConfigurationChange, LimitChange, Setting
from alerts.limit_journal import append, read_history, writing
from alerts.limits import Preset
from alerts.limits_in_force import Origin
from vitals.errors import ConfigurationError
from vitals.journal import Bounds, Journal
from vitals.model import Vital

WARD = single_device_ward()


class LimitsDesk(Desk):
    """A desk with a journal of limits beside the others."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.limits = folder / "limits.db"

    def start(self, of: Preset | None = None) -> AlertService:
        return AlertService(
            ingest=self.ingest,
            alarms=self.alarms,
            ward=WARD,
            preset=of or preset(),
            now_ns=lambda: self.now_ns,
            standstill_ns=1_000_000 * S,
            limits=self.limits,
        )

    def change(self, value: float | None, *, field: str = "low", patient: str = "P-0", until_s: int = 0) -> None:
        until_ns = T0 + until_s * S if until_s else 0
        with writing(self.limits, wait_s=5) as journal:
            append(journal, LimitChange(patient, (Setting("spo2", field, value),), "AB", "COPD", self.now_ns, until_ns))

    def told_of(self, condition: str) -> list[str]:
        return [e.detail for e in self.events() if e.condition == condition]


@pytest.fixture
def limits(tmp_path: Path) -> Iterator[LimitsDesk]:
    found = LimitsDesk(tmp_path)
    with found.ingest, found.alarms:
        yield found


def low(service: AlertService, patient: str = "P-0") -> float:
    """The mildest limit of SpO2 that the engine checks."""
    return service.rules(patient)[Vital.SPO2][0].levels[0].limit


async def test_a_change_ends_an_open_alarm_while_the_service_runs(limits: LimitsDesk) -> None:
    service = limits.start()
    async with running(service):
        limits.seconds(0, 20, "d-0", "d-1", spo2=87.0)
        await until(lambda: len(service.alarms()) == 2)
        limits.change(86)
        await until(lambda: len(service.alarms()) == 1)
        assert (low(service), low(service, "P-1")) == (86, 88)
        (shown,) = [found for found in service.limits_in_force("P-0") if found.origin is Origin.CHANGED]
        assert shown.change is not None
        assert (shown.vital, shown.field, shown.value, shown.change.actor) == ("spo2", "low", 86, "AB")
    assert limits.told_of(LIMITS_CHANGED) == ["SpO₂ low changed from 88 % to 86 %: COPD"]
    assert told(limits.events())[-2:] == [(LIMITS_CHANGED, "noted"), ("spo2_low", "ended")]
    assert limits.events()[-1].detail == "limit changed"


async def test_after_a_crash_everything_is_as_it_was_and_told_once(limits: LimitsDesk) -> None:
    first = limits.start()
    async with running(first):
        limits.seconds(0, 20, "d-0", "d-1", spo2=87.0)
        await until(lambda: len(first.alarms()) == 2)
        limits.change(87.5)
        await until(lambda: low(first) == 87.5)
        limits.seconds(20, 22, "d-0", spo2=97.0)
        limits.seconds(22, 30, "d-0", spo2=87.0)
        await until(lambda: first.position == limits.ingest.newest)
        first._saver._try_to_write = lambda marks, position: None  # type: ignore[method-assign]  # as if the process were gone
    before = limits.events()
    second = limits.start()
    assert low(second) == 87.5
    assert [(a.condition, a.patient) for a in second.alarms()] == [("spo2_low", "P-1")]
    assert told(limits.events()[len(before) :]) == [("engine_down", "noted")]
    async with running(second):
        limits.seconds(30, 38, "d-0", spo2=87.0)
        await until(lambda: len(second.alarms()) == 2)
    raised = limits.events()[-1]
    assert (raised.condition, raised.limit, (raised.at_ns - T0) // S) == ("spo2_low", 87.5, 36)


async def test_a_change_while_the_service_was_down_is_in_force_before_anything_is_judged(limits: LimitsDesk) -> None:
    first = limits.start()
    async with running(first):
        limits.seconds(0, 20, "d-0", spo2=87.0)
        await until(first.alarms)
    limits.change(86)
    second = limits.start()
    assert (low(second), second.alarms()) == (86, ())
    assert told(limits.events())[-3:] == [("engine_down", "noted"), (LIMITS_CHANGED, "noted"), ("spo2_low", "ended")]


async def test_a_temporary_change_ends_by_itself(limits: LimitsDesk) -> None:
    service = limits.start()
    async with running(service):
        limits.change(86, until_s=100)
        await until(lambda: low(service) == 86)
        limits.now_ns = T0 + 100 * S
        await until(lambda: low(service) == 88)
    assert limits.told_of(LIMITS_CHANGED) == [
        "SpO₂ low changed from 88 % to 86 %: COPD",
        "SpO₂ low changed from 86 % to 88 %: the time is over",
    ]


def damage(path: Path) -> None:
    for part in path.parent.glob(f"{path.name}-*"):
        part.unlink()
    path.write_bytes(b"no database at all" * 500)


@pytest.mark.parametrize("how", ["damaged", "gone"])
async def test_without_its_journal_the_limits_in_force_stay_and_people_are_told(limits: LimitsDesk, how: str) -> None:
    first = limits.start()
    async with running(first):
        limits.change(86)
        await until(lambda: low(first) == 86)
    kept = limits.limits.read_bytes()
    (damage if how == "damaged" else Path.unlink)(limits.limits)
    second = limits.start()
    assert low(second) == 86, "no patient's limits change because a file is gone"
    async with running(second):
        await until(second.alarms)
        (alarm,) = second.alarms()
        assert (alarm.condition, alarm.detail, alarm.priority.name) == (LIMITS_STUCK, "the ward", "MEDIUM")
        replacement = limits.limits.with_suffix(".back")
        replacement.write_bytes(kept)
        replacement.replace(limits.limits)
        await until(lambda: not second.alarms())
        limits.change(85)
        await until(lambda: low(second) == 85)
    assert limits.told_of(LIMITS_CHANGED)[1:] == ["SpO₂ low changed from 86 % to 85 %: COPD"]


async def test_an_entry_of_a_newer_release_stops_the_following_and_nothing_else(limits: LimitsDesk) -> None:
    service = limits.start()
    async with running(service):
        with writing(limits.limits, wait_s=5) as journal:
            journal.append([(77, b"of a newer release")], now_ns=T0)
        limits.change(86)
        await until(service.alarms)
        assert service.alarms()[0].condition == LIMITS_STUCK
        assert low(service) == 88, "nobody knows whether what stands behind it still counts"
        limits.seconds(0, 20, "d-0", spo2=87.0)
        await until(lambda: len(service.alarms()) == 2)


async def test_what_the_wards_files_no_longer_permit_is_told_for_the_bed(limits: LimitsDesk) -> None:
    limits.change(82)
    spo2 = msgspec.structs.replace(preset().vitals["spo2"], severe_low=84)
    service = limits.start(msgspec.structs.replace(preset(), vitals=preset().vitals | {"spo2": spo2}))
    assert low(service) == 88
    assert [(a.condition, a.detail) for a in service.alarms()] == [(LIMITS_STUCK, "bed 3-00")]
    async with running(service):
        limits.change(None)
        await until(lambda: not service.alarms())


async def test_a_full_disk_holds_a_change_back_until_it_can_be_written(limits: LimitsDesk) -> None:
    service = limits.start()
    async with running(service):
        limits.seconds(0, 20, "d-0", spo2=87.0)
        await until(service.alarms)
        before, limits.alarms.bounds = limits.events(), Bounds(max_bytes=1)
        limits.change(86)
        await until(lambda: "takes nothing in" in service.trouble())
        assert limits.events() == before
        limits.alarms.bounds = Bounds()
        await until(lambda: len(limits.events()) == len(before) + 2)
    assert low(limits.start()) == 86


def test_what_changed_in_the_files_is_recorded_once_at_the_start(limits: LimitsDesk) -> None:
    limits.start()
    limits.start()
    spo2 = msgspec.structs.replace(preset().vitals["spo2"], low=90.0)
    stricter = msgspec.structs.replace(preset(), vitals=preset().vitals | {"spo2": spo2}, approved_by="ward lead")
    limits.start(stricter)
    first, then = read_history(limits.limits).entries
    assert isinstance(first, ConfigurationChange)
    assert isinstance(then, ConfigurationChange)
    assert (first.before_after, first.actor) == ({}, "configuration file")
    assert then.before_after == {
        "preset.approved_by": ("", "ward lead"),
        "preset.vitals.spo2.low": ("88", "90"),
    }
    assert then.actor == "ward lead"


async def test_while_somebody_else_writes_the_files_are_recorded_later(limits: LimitsDesk) -> None:
    with Journal(limits.limits, chained=True):
        service = limits.start()
    async with running(service):
        await until(lambda: read_history(limits.limits).entries)


def test_two_cannot_write_at_once(limits: LimitsDesk) -> None:
    with Journal(limits.limits, chained=True), pytest.raises(ConfigurationError, match="in use by another process"):
        open_for_writing(limits.limits)


def open_for_writing(path: Path) -> None:
    with writing(path, wait_s=0.1):
        raise AssertionError("two writers")
