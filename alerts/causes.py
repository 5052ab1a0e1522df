"""One cause, one alarm: which condition explains which, and what is silent together.

A symptom that a present cause explains raises no alarm of its own; the cause's alarm lists its beds, and their tiles
say why they have no values. When the cause ends and the symptom remains, that alarms at once: its delay is long over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from alerts.events import (
    EARLY_WARNING,
    GATEWAY_DOWN,
    INTAKE_DOWN,
    NO_DATA,
    RADIO_DOWN,
    SPO2_DEFICIT,
    SPO2_FALLING,
    SPO2_LOW,
)

TOGETHER_NS: Final = 10_000_000_000  # what fell silent within this time did so for one cause
LEAST: Final = 2  # gateways, or beds of one gateway: one alone may have a reason of its own

_OF_RATE: Final = ("pulse_rate_low", "pulse_rate_high", "heart_rate_low", "heart_rate_high")
_OF_BREATH: Final = ("resp_rate_low", "resp_rate_high")

CAUSES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(  # symptom → what explains it, the nearest first
    {
        NO_DATA: (RADIO_DOWN, GATEWAY_DOWN, INTAKE_DOWN),
        RADIO_DOWN: (GATEWAY_DOWN, INTAKE_DOWN),
        GATEWAY_DOWN: (INTAKE_DOWN,),
        SPO2_FALLING: (SPO2_LOW,),
        SPO2_DEFICIT: (SPO2_FALLING, SPO2_LOW),
        "spo2_trend": (SPO2_DEFICIT, SPO2_FALLING, SPO2_LOW),
        "heart_rate_trend": _OF_RATE,
        "resp_rate_trend": _OF_BREATH,
        EARLY_WARNING: (*_OF_RATE, *_OF_BREATH, SPO2_DEFICIT, SPO2_FALLING, SPO2_LOW),
    }
)
COUNTED_WITH: Final[Mapping[str, str]] = MappingProxyType(
    {
        RADIO_DOWN: "counted with its gateway's radio",
        GATEWAY_DOWN: "counted with its gateway",
        INTAKE_DOWN: "counted with all gateways",
        SPO2_FALLING: "counted with the fall of SpO₂",
        SPO2_DEFICIT: "counted with the area below the limit of SpO₂",
        **dict.fromkeys((SPO2_LOW, *_OF_RATE, *_OF_BREATH), "counted with the alarm of the limit"),
    }
)


def cause_of(symptom: str, present: Collection[str]) -> str:
    """What of `present` explains `symptom`, the root of it; `""` when nothing does."""
    return next((cause for cause in reversed(CAUSES.get(symptom, ())) if cause in present), "")


def fell_together(last_heard_ns: Sequence[int]) -> bool:
    """Whether sources that are silent now, last heard at these times, are silent for one cause."""
    return len(last_heard_ns) >= LEAST and max(last_heard_ns) - min(last_heard_ns) <= TOGETHER_NS
