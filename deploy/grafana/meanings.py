"""What numbers mean, in words: every state has a word and a sign, colour only repeats it."""

from __future__ import annotations

from typing import Final

from alerts.events import Priority, Transition
from alerts.notify.catalogue import ENGLISH
from alerts.station.words import condition
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DynamicConfigValue,
    SpecialValueMap,
    SpecialValueMatch,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from vitals.model import ClockSource, Presence, Quality, Reason

_REASONS: Final = {
    Reason.PRESENT: ("✓ valid", "green"),
    Reason.NO_READING: ("– no reading", "blue"),
    Reason.PROBE_OFF: ("⌀ sensor off", "purple"),
    Reason.SEARCHING: ("… searching", "blue"),
    Reason.POOR_SIGNAL: ("~ poor signal", "orange"),
    Reason.DEVICE_FAULT: ("✗ device fault", "dark-orange"),
    Reason.OUT_OF_RANGE: ("↕ out of range", "orange"),
    Reason.NOT_A_NUMBER: ("? not a number", "orange"),
    Reason.RADIO_LOST: ("⌁ radio lost", "purple"),
    Reason.GATEWAY_DOWN: ("▽ gateway down", "dark-purple"),
    Reason.BROKER_DOWN: ("▽ broker down", "dark-purple"),
    Reason.STORE_DOWN: ("▽ store down", "dark-purple"),
    Reason.BATTERY_EMPTY: ("▁ battery empty", "dark-orange"),
    Reason.CLOCK_UNTRUSTED: ("◷ clock untrusted", "dark-blue"),
    Reason.NEVER_SEEN: ("○ never seen", "text"),
}
_QUALITIES: Final = {
    Quality.UNKNOWN: ("? unknown", "text"),
    Quality.USABLE: ("✓ usable", "green"),
    Quality.DOUBTFUL: ("~ doubtful", "orange"),
    Quality.UNUSABLE: ("✗ unusable", "purple"),
    Quality.TEST: ("t test mode", "blue"),
}
_PRIORITIES: Final = {
    Priority.HIGH: ("‼ high", "red"),
    Priority.MEDIUM: ("! medium", "yellow"),
    Priority.LOW: ("· low", "super-light-blue"),
}
_PRESENCES: Final = {
    Presence.ONLINE: ("✓ online", "green"),
    Presence.OFFLINE: ("– went away in order", "text"),
    Presence.LOST: ("✗ lost", "orange"),
}
_CLOCKS: Final = {
    ClockSource.SYNCHRONISED: ("✓ synchronised", "green"),
    ClockSource.HOLDOVER: ("~ carried on", "yellow"),
    ClockSource.UNSYNCHRONISED: ("✗ not synchronised", "orange"),
    ClockSource.DEVICE: ("? the wearable's own", "blue"),
}


def _mapping(words: dict[int, tuple[str, str]], nothing: str) -> list[ValueMapping]:
    known = {
        str(int(value)): ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(words.items())
    }
    absent = DashboardSpecialValueMapOptions(SpecialValueMatch.NULL, ValueMappingResult(text=nothing, color="text"))
    return [ValueMap(options=known), SpecialValueMap(options=absent)]


REASONS: Final = _mapping(dict(_REASONS), "○ nothing told")
QUALITIES: Final = _mapping(dict(_QUALITIES), "○ not judged")
PRIORITIES: Final = _mapping(dict(_PRIORITIES), "– none")
PRESENCES: Final = _mapping(dict(_PRESENCES), "○ never heard")
CLOCKS: Final = _mapping(dict(_CLOCKS), "○ not told")
OPEN: Final = _mapping(dict(_PRIORITIES) | {0: ("closed", "transparent")}, "closed")  # of the band of an alarm
TRANSITIONS: Final = [
    ValueMap(
        options={
            Transition.ESCALATED.value: ValueMappingResult(text="priority raised"),
            Transition.DE_ESCALATED.value: ValueMappingResult(text="priority lowered"),
            Transition.REMINDED.value: ValueMappingResult(text="called again"),
            Transition.WIDENED.value: ValueMappingResult(text="about more"),
            Transition.ANNOTATED.value: ValueMappingResult(text="found afterwards"),
            Transition.DISPROVED.value: ValueMappingResult(text="disproved afterwards"),
        }
    )
]
CONDITIONS: Final = [
    ValueMap(options={name: ValueMappingResult(text=condition(name)) for name in sorted(ENGLISH.conditions)})
]
MISSING: Final = _mapping({}, "– why?")


def words(mappings: list[ValueMapping], width: int | None = 150) -> list[DynamicConfigValue]:
    """Properties of a table's column that shows words in their colour. Without `width` it takes the room there is."""
    shown = [
        DynamicConfigValue("mappings", mappings),
        DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]
    return shown if width is None else [*shown, narrow(width)]


def narrow(width: int) -> DynamicConfigValue:
    """A table's column of short words: on a phone the first columns have to fit."""
    return DynamicConfigValue("custom.width", width)


def number(unit: str, decimals: int = 0, *, told: bool = False) -> list[DynamicConfigValue]:
    """Properties of a table's column of numbers. `told`: why one is missing stands in the column beside it."""
    found = [DynamicConfigValue("unit", unit), DynamicConfigValue("decimals", decimals)]
    return [*found, DynamicConfigValue("mappings", MISSING)] if told else found


def condition_words() -> list[DynamicConfigValue]:
    """Properties of a table's column of alarm conditions: as nurses say them."""
    return [DynamicConfigValue("mappings", CONDITIONS), narrow(145)]


def condition_names() -> dict[str, list[DynamicConfigValue]]:
    """The same for series that are named after a condition."""
    return {name: [DynamicConfigValue("displayName", condition(name))] for name in sorted(ENGLISH.conditions)}
