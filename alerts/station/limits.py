"""The limits in force as the patient's page shows them: one line for each limit, its delay with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from alerts.limit_changes import setting_words, value_words
from alerts.limits_in_force import InForce
from alerts.station import words

LIMITS: Final = ("severe_low", "low", "high", "severe_high")


@dataclass(frozen=True, slots=True)
class ShownLimit:
    """`name`: `SpO₂ low`; `value`: `86 % after 15 s`; `source`: the file it comes from, or who changed it and why."""

    name: str
    value: str
    source: str
    changed: bool


def shown(in_force: Iterable[InForce], zone: tzinfo, now_ns: int) -> list[ShownLimit]:
    """The limits of a patient; a hysteresis is shown only where it was changed."""
    settings = {(found.vital, found.field): found for found in in_force}
    lines = []
    for (vital, field), found in settings.items():
        delay = settings.get((vital, f"{field}_delay_s"))
        if field in LIMITS:
            after = f" after {value_words(vital, delay.field, delay.value)}" if delay is not None else ""
            sources = dict.fromkeys(_source(each, zone, now_ns) for each in (found, delay) if each is not None)
            value = value_words(vital, field, found.value) + after
            changed = any(each is not None and each.change is not None for each in (found, delay))
            lines.append(ShownLimit(setting_words(vital, field), value, "; ".join(sources), changed))
        elif not field.endswith("_delay_s") and found.change is not None:
            value = value_words(vital, field, found.value)
            lines.append(ShownLimit(setting_words(vital, field), value, _source(found, zone, now_ns), changed=True))
    return lines


def _source(found: InForce, zone: tzinfo, now_ns: int) -> str:
    change = found.change
    if change is None:
        return found.origin.value
    until = f", until {words.clock(change.until_ns, zone, now_ns)}" if change.until_ns else ""
    return f"changed by {change.actor} at {words.clock(change.at_ns, zone, now_ns)}{until}: {change.reason}"
