"""The words, markers and times that nurses read. Pure; everything shown to people is spelled here once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Final

from alerts.events import ADVISORIES, BATTERY_LOW, EARLY_WARNING, IRREGULAR_RHYTHM
from alerts.notify.message import condition_name
from alerts.view import Doubt, Origin, TileVital
from vitals.model import VITAL_BY_NAME, VITALS, Quality, Reason, Vital

NS: Final = 1_000_000_000

REASONS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.PRESENT: "",
        Reason.NO_READING: "no reading",
        Reason.PROBE_OFF: "finger out",
        Reason.SEARCHING: "searching for a pulse",
        Reason.POOR_SIGNAL: "poor signal",
        Reason.DEVICE_FAULT: "device fault",
        Reason.OUT_OF_RANGE: "impossible value",
        Reason.NOT_A_NUMBER: "no reading",
        Reason.RADIO_LOST: "out of radio range",
        Reason.GATEWAY_DOWN: "gateway silent",
        Reason.BROKER_DOWN: "connection to the broker down",
        Reason.STORE_DOWN: "storage down",
        Reason.BATTERY_EMPTY: "battery empty",
        Reason.CLOCK_UNTRUSTED: "device clock not set",
        Reason.NEVER_SEEN: "no device heard yet",
    }
)

QUALITIES: Final[Mapping[Quality, str]] = MappingProxyType(
    {
        Quality.UNKNOWN: "",
        Quality.USABLE: "",
        Quality.DOUBTFUL: "doubtful, poor signal",
        Quality.UNUSABLE: "unusable signal",
        Quality.TEST: "test mode",
    }
)

DOUBTS: Final[Mapping[Doubt, str]] = MappingProxyType(
    {
        Doubt.NONE: "",
        Doubt.POOR_SIGNAL: "doubtful, poor signal",
        Doubt.LOW_PERFUSION: "doubtful, little blood flow at the sensor",
        Doubt.SOURCES_DISAGREE: "doubtful, the devices disagree",
        Doubt.PULSE_DISAGREES: "doubtful, its pulse is not the heart's",
    }
)

ORIGINS: Final[Mapping[Origin, str]] = MappingProxyType(
    {
        Origin.UNKNOWN: "",
        Origin.STRAP: "strap",
        Origin.COMBINED: "multi-sensor",
        Origin.OXIMETER: "oximeter",
        Origin.OPTICAL: "optical sensor",
        Origin.PULSE_WAVE: "pulse wave",
    }
)

SHORT_LABELS: Final[Mapping[Vital, str]] = MappingProxyType(
    {
        Vital.HEART_RATE: "HR",
        Vital.PULSE_RATE: "PR",
        Vital.SPO2: "SpO₂",
        Vital.RESP_RATE: "Resp",
        Vital.RR_INTERVAL: "RR int.",
        Vital.PERFUSION_INDEX: "PI",
        Vital.BODY_TEMPERATURE: "Temp",
        Vital.BATTERY: "Battery",
    }
)


def condition_vital(condition: str) -> Vital | None:
    """The vital a physiological condition is about: `spo2_low` is about SpO₂."""
    name, _, side = condition.rpartition("_")
    return VITAL_BY_NAME.get(name) if side in ("low", "high") else None


def condition(name: str) -> str:
    """An alarm condition as nurses say it, `SpO₂ low` or `Sensor off`; the notifications write the vitals in full."""
    vital = condition_vital(name)
    if vital is None or name == BATTERY_LOW:
        text = condition_name(name)
        return text[:1].upper() + text[1:]
    return f"{SHORT_LABELS[vital]} {name.rpartition('_')[2]}"


def caution(condition: str) -> str:
    """What an advisory is not, and what a score is; `""` for an alarm."""
    if condition == EARLY_WARNING:
        return "partial early warning"
    if condition == IRREGULAR_RHYTHM:
        return "a suspicion from the intervals between beats, not a diagnosis"
    return "for 15 minutes, against the patient's own baseline" if condition in ADVISORIES else ""


def reason(why: Reason, vital: Vital | None = None) -> str:
    """The reason for a missing value in words; a chest strap is not worn on a finger."""
    if why is Reason.PROBE_OFF and vital in (Vital.HEART_RATE, Vital.RR_INTERVAL):
        return "strap off"
    return REASONS[why]


def doubt(reading: TileVital) -> str:
    """What is doubtful about a value, or that it is no measurement of the patient; `""` for nothing."""
    return DOUBTS[reading.doubt] or QUALITIES[reading.quality]


def number(vital: Vital, value: float) -> str:
    """The digits of a value as a monitor shows them, without the unit."""
    return f"{value:.{VITALS[vital].decimals}f}"


def with_unit(vital: Vital, value: float) -> str:
    """`88 %`, `120 /min`."""
    return f"{number(vital, value)} {VITALS[vital].unit}"


def of_condition(condition: str, value: float | None) -> str:
    """A value or limit of an alarm condition with its unit; `""` for a condition that has no number."""
    vital = Vital.BATTERY if condition == BATTERY_LOW else condition_vital(condition)
    return "" if value is None or vital is None else with_unit(vital, value)


def clock(at_ns: int, zone: tzinfo, now_ns: int | None = None) -> str:
    """`03:12` in the ward's time; with its date when that is not the day of `now_ns`."""
    at = datetime.fromtimestamp(at_ns / NS, zone)
    if now_ns is not None and at.date() != datetime.fromtimestamp(now_ns / NS, zone).date():
        return f"{at:%d %b %H:%M}"
    return f"{at:%H:%M}"


def clock_with_seconds(at_ns: int, zone: tzinfo) -> str:
    """`03:12:45` in the ward's time."""
    return f"{datetime.fromtimestamp(at_ns / NS, zone):%H:%M:%S}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`: as exact as it matters."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
