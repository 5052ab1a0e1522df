"""How one channel is spoken to: its language, the ward's clock, and how much may be said. Pure.

The smallest pieces of a message are made here: numbers, times, and a first line that fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Final

from alerts.events import EARLY_WARNING, SPO2_DEFICIT, SPO2_FALLING, TREND, Priority
from alerts.notify.catalogue import Texts
from vitals.model import VITAL_BY_NAME, VITALS, Vital

MOST_TITLE: Final = 119  # characters of a first line; a lock screen shows about the first forty
_LEAST_NAME: Final = 12  # of a name's characters; before fewer are shown, the number goes
_OF_SPO2: Final = (SPO2_FALLING, SPO2_DEFICIT)


class Privacy(StrEnum):
    """What a message may say: bed and what, or only of which ward it is."""

    BED = "bed"
    WARD = "ward"


@dataclass(frozen=True, slots=True)
class Wording:
    """`ward`: its site's name."""

    texts: Texts
    zone: tzinfo
    ward: str
    privacy: Privacy = Privacy.BED

    def clock(self, at_ns: int, now_ns: int) -> str:
        """The ward's time of `at_ns`; with the date when that is not the day of `now_ns`."""
        at, now = (datetime.fromtimestamp(ns // 1_000_000_000, UTC).astimezone(self.zone) for ns in (at_ns, now_ns))
        return at.strftime(self.texts.time if at.date() == now.date() else self.texts.date_and_time)

    def number(self, condition: str, value: float) -> str:
        """`value` of a condition with its unit, or in points."""
        if condition == EARLY_WARNING:
            return self.texts.first_lines.points.format(value=f"{value:.0f}")
        vital = condition_vital(condition)
        return f"{self._digits(value, vital)} {VITALS[vital].unit}" if vital is not None else ""

    def limit(self, condition: str, limit: float) -> str:
        """What a value of the condition is held against: a limit as it was set, or a measured level with its unit."""
        if is_held_against_a_level(condition):
            return self.number(condition, limit)
        return f"{limit:g}".replace(".", self.texts.decimal_mark)

    def priority(self, priority: Priority) -> str:
        """How high a priority is."""
        named: str = getattr(self.texts.priorities, priority.name.lower())
        return named

    def _digits(self, value: float, vital: Vital) -> str:
        return f"{value:.{VITALS[vital].decimals}f}".replace(".", self.texts.decimal_mark)


def condition_vital(condition: str) -> Vital | None:
    """The vital that a condition's number is of; `None` when it has none in the unit of a vital."""
    if condition in _OF_SPO2:
        return Vital.SPO2
    name, _, side = condition.rpartition("_")
    return VITAL_BY_NAME.get(name) if side in ("low", "high", TREND) else None


def is_held_against_a_level(condition: str) -> bool:
    """Whether `AlarmEvent.limit` is no limit that was set, but what the patient's own value was before."""
    return condition == SPO2_FALLING or condition.endswith(f"_{TREND}")


def first_line(compose: Callable[[str, str], str], name: str, number: str) -> str:
    """The line that `compose` makes of a name and a number, with the name shortened where it would be too long.

    A number is never shortened: one that leaves no room for the name is left out.
    """
    name = _one_line(name)
    room = MOST_TITLE - len(compose("", number))
    if number and room < min(len(name), _LEAST_NAME):
        return first_line(compose, name, "")
    return compose(shortened(name, room), number)


def shortened(name: str, most: int) -> str:
    """`name` in at most `most` characters: its two ends, which tell names apart, with an ellipsis between them."""
    if len(name) <= most:
        return name
    kept = max(0, most - 1)
    return f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"


def _one_line(name: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
