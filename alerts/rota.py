"""Who is on call: people, shifts, absences and quiet hours of a ward. Pure.

Shifts are written and held in the wall-clock time of the ward. A week whose every wall-clock minute has a shift has
one at every moment, also where daylight saving time leaves an hour out or repeats it: the repeated hour belongs to the
same shift both times, and nobody is on call in an hour that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from vitals.errors import ConfigurationError
from vitals.wire import Name

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN: Final = 24 * 60
WEEK_MIN: Final = 7 * DAY_MIN
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Person(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to be called, by a role or a short name. `stand_in`: who is called while this one is absent."""

    name: Name
    channels: tuple[str, ...] = ()
    stand_in: str = ""


class Shift(Struct, frozen=True, forbid_unknown_fields=True):
    """`start` to `end` (in TOML `from` and `to`) on the days on which it begins; `end` not after `start`: next day."""

    name: str
    responders: tuple[str, ...]
    start: str = field(name="from")
    end: str = field(name="to")
    days: tuple[Day, ...] = DAYS


class Absence(Struct, frozen=True, forbid_unknown_fields=True):
    """A person cannot be called from `start` until `end` (in TOML `from` and `until`), in the ward's time."""

    person: str
    start: datetime = field(name="from")
    end: datetime = field(name="until")


class Quiet(Struct, frozen=True, forbid_unknown_fields=True):
    """Every day from `start` to `end` (in TOML `from` and `to`) low priority calls nobody; it is told afterwards."""

    start: str = field(name="from")
    end: str = field(name="to")


@dataclass(frozen=True, slots=True)
class Rota:
    """Who is on call at a moment; made by `make_rota`, which refuses one that leaves somebody uncalled."""

    people: Mapping[str, Person]
    shifts: tuple[Shift, ...]
    absences: tuple[Absence, ...]
    quiet: Quiet | None
    zone: ZoneInfo

    def on_call(self, now_ns: int) -> tuple[str, ...]:
        """The people who are on call at `now_ns`, each once; absent ones are replaced by their stand-ins."""
        minute = _minute_of_week(_local(now_ns, self.zone))
        named = (name for shift in self.shifts if _covers(shift, minute) for name in shift.responders)
        return tuple(dict.fromkeys(self.present(name, now_ns) for name in named))

    def stand_ins(self, now_ns: int) -> tuple[str, ...]:
        """The stand-ins of those on call who have one."""
        names = (self.people[name].stand_in for name in self.on_call(now_ns))
        return tuple(dict.fromkeys(self.present(name, now_ns) for name in names if name))

    def present(self, name: str, now_ns: int) -> str:
        """`name`, or whoever stands in; the one asked for when everybody is absent: to call is never wrong."""
        local = _local(now_ns, self.zone)
        chosen = name
        for _ in self.people:
            if not any(a.person == chosen and a.start <= local < a.end for a in self.absences):
                return chosen
            chosen = self.people[chosen].stand_in or name
        return name

    def is_quiet(self, now_ns: int) -> bool:
        """Whether low priority is to wait."""
        if self.quiet is None:
            return False
        start, end = _minutes(self.quiet.start), _minutes(self.quiet.end)
        minute = _minute_of_week(_local(now_ns, self.zone)) % DAY_MIN
        return (minute - start) % DAY_MIN < (end - start) % DAY_MIN


class OnDuty:
    """A rota at the moment `now_ns`, asked on behalf of any number of alarms: it looks things up once."""

    def __init__(self, rota: Rota, now_ns: int) -> None:
        self._rota = rota
        self.now_ns = now_ns

    @cached_property
    def on_call(self) -> tuple[str, ...]:
        """See `Rota`."""
        return self._rota.on_call(self.now_ns)

    @cached_property
    def stand_ins(self) -> tuple[str, ...]:
        """See `Rota`."""
        return self._rota.stand_ins(self.now_ns)

    @cached_property
    def is_quiet(self) -> bool:
        """See `Rota`."""
        return self._rota.is_quiet(self.now_ns)

    def present(self, name: str) -> str:
        """See `Rota`."""
        return self._rota.present(name, self.now_ns)


def make_rota(
    people: Iterable[Person],
    shifts: Iterable[Shift],
    absences: Iterable[Absence],
    quiet: Quiet | None,
    *,
    zone: ZoneInfo,
    channels: Iterable[str],
) -> Rota:
    """A rota that always has a responder who can be reached; raises `ConfigurationError` that names the setting.

    `channels`: the names of the channels that are configured.
    """
    listed, of_week, known = tuple(people), tuple(shifts), frozenset(channels)
    by_name = {person.name: person for person in listed}
    for person in listed:
        _check_person(person, by_name, known, twice=sum(p.name == person.name for p in listed) > 1)
    for shift in of_week:
        _check_shift(shift, by_name)
    rota = Rota(by_name, of_week, tuple(absences), quiet, zone)
    for absence in rota.absences:
        _check_absence(absence, by_name)
    if quiet is not None:
        for setting, text in (("quiet.from", quiet.start), ("quiet.to", quiet.end)):
            _check_time(setting, text)
    _check_coverage(of_week)
    return rota


def _check_person(person: Person, people: Mapping[str, Person], channels: frozenset[str], *, twice: bool) -> None:
    where = f"alerts: people {person.name!r}"
    if twice:
        raise ConfigurationError(f"{where} stands twice; give each an own name")
    unknown = [name for name in person.channels if name not in channels]
    if unknown or not person.channels:
        what = f"channel {unknown[0]!r} is not among [[channels]]" if unknown else "has no channel"
        raise ConfigurationError(f"{where}.channels: {what}; nobody could be reached: name a configured channel")
    seen = [person.name]
    while following := people[seen[-1]].stand_in:
        if following not in people:
            raise ConfigurationError(f"{where}.stand_in: {following!r} is not among [[people]]")
        if following in seen:
            raise ConfigurationError(f"{where}.stand_in: goes round in a circle ({' → '.join([*seen, following])})")
        seen.append(following)


def _check_shift(shift: Shift, people: Mapping[str, Person]) -> None:
    where = f"alerts: shifts {shift.name!r}"
    if not shift.responders:
        raise ConfigurationError(f"{where}.responders: is empty; name who is called in this shift")
    for name in shift.responders:
        if name not in people:
            raise ConfigurationError(f"{where}.responders: {name!r} is not among [[people]]")
    if not shift.days:
        raise ConfigurationError(f"{where}.days: is empty; leave it out for every day")
    for setting, text in (("from", shift.start), ("to", shift.end)):
        _check_time(f"shifts {shift.name!r}.{setting}", text)


def _check_absence(absence: Absence, people: Mapping[str, Person]) -> None:
    where = f"alerts: absences of {absence.person!r}"
    if absence.person not in people:
        raise ConfigurationError(f"{where}: is not among [[people]]")
    if not people[absence.person].stand_in:
        raise ConfigurationError(f"{where}: has no stand_in; nobody would be called instead")
    if absence.start.tzinfo or absence.end.tzinfo:
        raise ConfigurationError(f"{where}: write local times without an offset, such as 2027-01-31T06:00:00")
    if absence.end <= absence.start:
        raise ConfigurationError(f"{where}: until is not after from")


def _check_time(setting: str, text: str) -> None:
    if not _TIME.fullmatch(text):
        raise ConfigurationError(f'alerts: {setting}: {text!r} is no time of day; write one such as "06:00"')


def _check_coverage(shifts: tuple[Shift, ...]) -> None:
    covered = {minute % WEEK_MIN for shift in shifts for span in _spans(shift) for minute in span}
    gap = next((minute for minute in range(WEEK_MIN) if minute not in covered), None)
    if gap is not None:
        day, minute = divmod(gap, DAY_MIN)
        raise ConfigurationError(
            f"alerts: shifts: nobody is on call from {DAYS[day]} {minute // 60:02d}:{minute % 60:02d}; "
            "add a shift or lengthen one"
        )


def _spans(shift: Shift) -> list[range]:
    start = _minutes(shift.start)
    length = (_minutes(shift.end) - start) % DAY_MIN or DAY_MIN
    begins = [DAYS.index(day) * DAY_MIN + start for day in shift.days]
    return [range(begin, begin + length) for begin in begins]


def _covers(shift: Shift, minute: int) -> bool:
    return any(minute in span or minute + WEEK_MIN in span for span in _spans(shift))


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _minute_of_week(local: datetime) -> int:
    return local.weekday() * DAY_MIN + local.hour * 60 + local.minute


def _local(now_ns: int, zone: ZoneInfo) -> datetime:
    """The wall-clock time of the ward, without an offset: what a rota on paper knows."""
    return datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).astimezone(zone).replace(tzinfo=None)
