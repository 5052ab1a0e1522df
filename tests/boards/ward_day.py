"""A day of a simulated ward as line protocol, at a reduced rate: a reading each minute, and rollups; of one patient
also the rollups of a month.

Two patients miss readings for a while, one has desaturations, one gateway is lost and comes back; some alarms are open,
some acknowledged, some ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from alerts.events import AlarmEvent, Kind, Priority, Transition
from ingest.influx.line_protocol import Precision, line
from ingest.influx.rollup_lines import Rollup, rollup_line
from ingest.influx.status_lines import GATEWAY_MEASUREMENT, bed_line, status_lines
from simulators.body import Targets, start, step
from vitals.model import (
    VITAL_BY_NAME,
    ClockSource,
    ClockTrust,
    GatewayHealth,
    GatewayStatus,
    Presence,
    Quality,
    Reason,
    WearableHealth,
)
from vitals.ward import Patient
from wardlight.influx_alarms import alarm_lines

SITE = "north"
PATIENTS = tuple(f"P-{number:04}" for number in range(1, 7))
STEP_S = 60
AHEAD_S = 1_200
DAY_S = 86_400
_NS = 10**9


def lines(now_s: int, precision: Precision, *, ahead_s: int = AHEAD_S) -> Iterator[bytes]:
    """A day around `now_s` (Unix time); readings go on after it, or a slow test would find nobody heard "now"."""
    end_s = now_s + ahead_s
    for index in range(len(PATIENTS)):
        yield from _patient(index, end_s, precision)
    yield from _month(end_s, precision)
    yield from _gateways(end_s, precision)
    yield from _beds(end_s, precision)
    yield from _alarms(now_s, precision)


def _month(end_s: int, precision: Precision) -> Iterator[bytes]:
    """Of the first patient, what was before the day: minutes of two more days, quarters of an hour of a month."""
    day_s, month_s = _first_s(end_s), (end_s - 30 * DAY_S) // 900 * 900
    first = _vitals(0, DAY_S // STEP_S)
    for measurement, since_s, width_s in (("vitals_1m", day_s - 2 * DAY_S, STEP_S), ("vitals_15m", month_s, 900)):
        for at_s in range(since_s, day_s, width_s):
            yield from _rollups(measurement, 0, first[at_s // STEP_S % len(first)], at_s, precision)


def _gateways(end_s: int, precision: Precision) -> Iterator[bytes]:
    """Half of the wearables at each gateway; one gateway is lost for half an hour, and what it spooled comes late."""
    for at_s in range(end_s - DAY_S, end_s, 60):
        for place, gateway in enumerate(("gw-east", "gw-west")):
            ago_s = end_s - at_s
            lost = gateway == "gw-west" and 5_400 < ago_s < 7_200
            presence = Presence.LOST if lost else Presence.ONLINE
            clock = ClockTrust(ClockSource.SYNCHRONISED, 1.5)
            health = None if lost else _health(range(place * 3, place * 3 + 3), at_s)
            told = GatewayStatus(gateway, presence, at_s * _NS, "0.1", 120 if lost else at_s % 7, 0, clock, health)
            yield from status_lines(told, SITE, precision)
            if not lost:
                oldest_s = 1_800.0 if gateway == "gw-west" and 5_280 < ago_s <= 5_400 else 1.2
                delays: dict[str, float | str | None] = {"delay_s": oldest_s, "least_delay_s": 0.2 + place / 10}
                stamp = at_s * _NS // precision.divisor
                yield line(GATEWAY_MEASUREMENT, {"gateway": gateway, "site": SITE}, delays, stamp + 1)


def _health(numbers: range, at_s: int) -> GatewayHealth:
    wearables = [
        WearableHealth(f"ox-{number:02}", "streaming", -52 - 8 * number - at_s % 5, 80 + number, 0.5, number % 2)
        for number in numbers
    ]
    problems = ('Signal of "ox-05" is weak: move the gateway nearer to its bed.',) if 5 in numbers else ()
    return GatewayHealth(tuple(wearables), problems=problems, uptime_s=float(at_s % 500_000))


def _beds(end_s: int, precision: Precision) -> Iterator[bytes]:
    for at_s in range(end_s - DAY_S, end_s, 300):
        for index, patient in enumerate(PATIENTS):
            lying = Patient(patient, bed_of(patient), (f"ox-{index:02}", f"strap-{index:02}"))
            yield bed_line(lying, SITE, at_s * _NS, precision)


def bed_of(patient: str) -> str:
    """Where `patient` lies."""
    return f"3-0{patient[-1]}"


@cache
def _vitals(index: int, steps: int) -> tuple[dict[str, float], ...]:
    """What patient `index` has in each step; the first one desaturates at the beginning of every hour."""
    state, found = start(index, Targets()), []
    for number in range(steps):
        spo2 = 86 if _deep(index, number * STEP_S) else 97 - index % 3
        state, second = step(state, Targets(heart_rate_per_min=62 + 6 * index, spo2_pct=spo2), float(STEP_S))
        rate = second.heart_rate_per_min
        values = {
            "heart_rate": rate,
            "pulse_rate": rate,
            "spo2": second.spo2_pct,
            "resp_rate": second.resp_rate_per_min,
        }
        found.append(values)
    return tuple(found)


def _deep(index: int, at_s: int) -> bool:
    return index == 0 and at_s % 3_600 < 2 * STEP_S


def _first_s(end_s: int) -> int:
    return (end_s - DAY_S) // STEP_S * STEP_S + STEP_S


def _patient(index: int, end_s: int, precision: Precision) -> Iterator[bytes]:
    patient, first_s = PATIENTS[index], _first_s(end_s)
    oximeter, strap = _tags(patient, f"ox-{index:02}"), _tags(patient, f"strap-{index:02}")
    for number, values in enumerate(_vitals(index, DAY_S // STEP_S)):
        at_s = first_s + number * STEP_S
        stamp = at_s * _NS // precision.divisor
        off = index == 1 and 3_000 < end_s - at_s < 4_200
        for device in (f"ox-{index:02}", f"{patient}:best"):
            yield line("vitals", _tags(patient, device), _fields(values, off=off), stamp)
        yield line("rr_interval", strap, {"ms": 60_000 / values["heart_rate"], "reason": 0.0}, stamp)
        yield from _rollups("vitals_1m", index, values, at_s, precision)
        if _deep(index, number * STEP_S):
            yield line("vitals", oximeter, {"desaturation_depth": 8.5, "desaturation_duration": 60.0}, stamp)
        if at_s % 900 == 0:
            yield from _rollups("vitals_15m", index, values, at_s, precision)
            yield line("vitals", oximeter, {"battery": 80.0 + index}, stamp)
            yield line("vitals", strap, {"hrv_sdnn": 42.0 + index, "hrv_rmssd": 31.0 + index}, stamp)


def _fields(values: dict[str, float], *, off: bool) -> dict[str, float | str | None]:
    reason = float(Reason.PROBE_OFF if off else Reason.PRESENT)
    quality = float(Quality.UNUSABLE if off else Quality.USABLE)
    return {**({} if off else values), **{f"{name}_reason": reason for name in values}, "spo2_quality": quality}


def _rollups(
    measurement: str, index: int, values: dict[str, float], at_s: int, precision: Precision
) -> Iterator[bytes]:
    patient, width_s = PATIENTS[index], 900 if measurement == "vitals_15m" else 60
    told = [(device, name, value) for device in (f"ox-{index:02}", f"{patient}:best") for name, value in values.items()]
    if values["spo2"] < 90:
        told += [(f"ox-{index:02}", "desaturation_depth", 8.5), (f"ox-{index:02}", "desaturation_duration", 60.0)]
    for device, name, value in told:
        vital = VITAL_BY_NAME[name]
        rollup = Rollup(device, vital, at_s * _NS, 1, 0, width_s, value - 1, value + 1, value, int(Reason.PRESENT))
        yield rollup_line(measurement, rollup, patient, SITE, precision)


#: Seconds ago, patient, condition, priority, transition, and for how long: of a pause, or of what was found afterwards.
_STORY = (
    (900, "P-0001", "spo2_low", Priority.MEDIUM, Transition.RAISED, 0),
    (840, "P-0001", "spo2_low", Priority.HIGH, Transition.ESCALATED, 0),
    (800, "P-0001", "spo2_low", Priority.HIGH, Transition.ACKNOWLEDGED, 0),
    (4_200, "P-0002", "probe_off", Priority.LOW, Transition.RAISED, 0),
    (3_000, "P-0002", "probe_off", Priority.LOW, Transition.ENDED, 0),
    (20_000, "P-0003", "heart_rate_high", Priority.MEDIUM, Transition.RAISED, 0),
    (19_900, "P-0003", "heart_rate_high", Priority.MEDIUM, Transition.ACKNOWLEDGED, 0),
    (19_000, "P-0003", "heart_rate_high", Priority.MEDIUM, Transition.ENDED, 0),
    (600, "P-0004", "spo2_low", Priority.MEDIUM, Transition.RAISED, 0),
    (300, "P-0004", "spo2_low", Priority.MEDIUM, Transition.REMINDED, 0),
    (18_000, "P-0001", "spo2_low", Priority.HIGH, Transition.RAISED, 0),
    (17_900, "P-0001", "spo2_low", Priority.HIGH, Transition.ACKNOWLEDGED, 0),
    (17_400, "P-0001", "spo2_low", Priority.HIGH, Transition.ENDED, 0),
    (12_000, "P-0001", "heart_rate_high", Priority.MEDIUM, Transition.RAISED, 0),
    (10_800, "P-0001", "heart_rate_high", Priority.MEDIUM, Transition.ENDED, 0),
    (9_000, "P-0001", "probe_off", Priority.LOW, Transition.RAISED, 0),
    (8_700, "P-0001", "probe_off", Priority.LOW, Transition.ENDED, 0),
    (8_000, "P-0001", "alarms_paused", Priority.LOW, Transition.PAUSED, 900),
    (7_400, "P-0001", "alarms_paused", Priority.LOW, Transition.RESUMED, 0),
    (6_600, "P-0001", "spo2_low", Priority.MEDIUM, Transition.ANNOTATED, 600),
    (5_000, "P-0001", "spo2_low", Priority.MEDIUM, Transition.DISPROVED, 120),
)
_LIMITS = {"spo2_low": (86.0, 88.0), "heart_rate_high": (131.0, 120.0)}


def _alarms(end_s: int, precision: Precision) -> Iterator[bytes]:
    """One is open and acknowledged, one open, others are over; one patient was paused for a while."""
    raised: dict[str, tuple[str, int]] = {}  # of patient and condition: the alarm and when it came
    for number, (ago_s, patient, condition, priority, transition, lasts_s) in enumerate(_STORY, start=1):
        kind = Kind.PHYSIOLOGICAL if condition in _LIMITS else Kind.TECHNICAL
        at_ns = (end_s - ago_s) * _NS
        if transition is Transition.RAISED:
            raised[patient + condition] = f"alarm-{number}", at_ns
        found_late = transition in (Transition.ANNOTATED, Transition.DISPROVED)
        name, since_ns = ("", 0) if found_late else raised.get(patient + condition, (f"pause-{number}", 0))
        value, limit = _LIMITS.get(condition, (None, None))
        event = AlarmEvent(number, name, patient, bed_of(patient), kind, condition, priority, transition, at_ns,
                           at_ns + _NS, number, value, limit, raised_at_ns=since_ns,
                           until_ns=at_ns + lasts_s * _NS if lasts_s else 0)  # fmt: skip
        yield from alarm_lines(event, SITE, precision)


def _tags(patient: str, device: str) -> dict[str, str]:
    return {"patient": patient, "device": device, "site": SITE}
