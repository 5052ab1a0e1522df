"""A rota and chains for tests: two shifts, a charge nurse, a doctor; Berlin, where clocks change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from alerts.escalation import Chain, Escalation, Step
from alerts.events import AlarmEvent, Kind, Priority, Transition
from alerts.rota import Absence, Person, Quiet, Rota, Shift, make_rota

S = 1_000_000_000
BERLIN = ZoneInfo("Europe/Berlin")
PEOPLE = (
    Person("day", ("day-phone",), "spare"),
    Person("night", ("night-phone",), "spare"),
    Person("spare", ("spare-phone",)),
    Person("charge", ("charge-phone", "charge-mail")),
)
SHIFTS = (Shift("day", ("day",), "06:00", "18:30"), Shift("night", ("night",), "18:30", "06:00"))
CHANNELS = ("day-phone", "night-phone", "spare-phone", "charge-phone", "charge-mail")
WARD = Chain("ward", (Step(("@shift",), 120), Step(("@stand-in",), 60), Step(("charge",), 60)))


def berlin_ns(text: str) -> int:
    """A moment by the wall clock of Berlin."""
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()) * S


def rota(quiet: Quiet | None = None, absences: tuple[Absence, ...] = (), shifts: tuple[Shift, ...] = SHIFTS) -> Rota:
    return make_rota(PEOPLE, shifts, absences, quiet, zone=BERLIN, channels=CHANNELS)


def escalation(*chains: Chain, **settings: Any) -> Escalation:
    return Escalation(chains or (WARD,), rota(**settings))


def alarm(number: int = 1, alarm_id: str = "a", at_ns: int = 0, **changes: Any) -> AlarmEvent:
    event = AlarmEvent(
        number=number,
        alarm_id=alarm_id,
        patient="P-0001",
        bed="3-01",
        kind=Kind.PHYSIOLOGICAL,
        condition="spo2_low",
        priority=Priority.HIGH,
        transition=Transition.RAISED,
        at_ns=at_ns,
        decided_at_ns=at_ns,
        position=1,
        value=79.0,
        limit=85.0,
    )
    return replace(event, **changes)
