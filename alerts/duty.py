"""Who is called, and who next: the rota and the chains of a ward, as they stand in `alerts.toml`. Pure.

quiet = { from = "22:00", to = "06:00" }        # low priority waits; optional

[[people]]
name = "early-nurse"
channels = ["ward-phone"]
stand_in = "charge-nurse"

[[shifts]]
name = "early"
from = "06:00"                                  # the ward's wall clock
to = "14:00"
days = ["mon", "tue", "wed", "thu", "fri"]      # every day when left out
responders = ["early-nurse"]

[[absences]]
person = "early-nurse"
from = 2027-01-11T06:00:00
until = 2027-01-18T06:00:00

[[chains]]
name = "urgent"
priorities = ["high", "medium"]
[[chains.steps]]
to = ["@shift"]
wait_s = 120
receipt_s = 30
[[chains.steps]]
to = ["charge-nurse"]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from msgspec import Struct

from alerts.escalation import Chain, check_chains
from alerts.rota import Absence, Person, Quiet, Rota, Shift, make_rota
from vitals.errors import ConfigurationError


class DutyConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See the module's text."""

    people: tuple[Person, ...] = ()
    shifts: tuple[Shift, ...] = ()
    absences: tuple[Absence, ...] = ()
    chains: tuple[Chain, ...] = ()
    quiet: Quiet | None = None


@dataclass(frozen=True, slots=True)
class Duty:
    """A rota and chains that were checked."""

    rota: Rota
    chains: tuple[Chain, ...]

    @property
    def channels(self) -> frozenset[str]:
        """The channels that belong to people."""
        return frozenset(name for person in self.rota.people.values() for name in person.channels)

    @property
    def owners(self) -> dict[str, str]:
        """Channel → the person whom it belongs to alone."""
        owned = [(name, person) for person, known in self.rota.people.items() for name in known.channels]
        counts = Counter(name for name, _ in owned)
        return {name: person for name, person in owned if counts[name] == 1}


def make_duty(config: DutyConfig, zone: ZoneInfo, channels: Iterable[str]) -> Duty | None:
    """The duty of a ward; `None` when nothing of it is configured. Raises `ConfigurationError` naming the setting."""
    if not (config.people or config.shifts or config.chains or config.absences or config.quiet):
        return None
    if not config.chains:
        raise ConfigurationError("alerts: chains: there is none, so nobody of [[people]] would be called; add one")
    rota = make_rota(config.people, config.shifts, config.absences, config.quiet, zone=zone, channels=channels)
    check_chains(config.chains, rota)
    return Duty(rota, config.chains)
