"""A day of a simulated ward as line protocol, at a reduced rate: a reading each minute, and rollups.

Two patients miss readings for a while, one has desaturations, one gateway is lost and comes back; some alarms are open,
some acknowledged, some ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from alerts.events import AlarmEvent, Kind, Priority, Transition
from ingest.influx.line_protocol import Precision, line
from ingest.influx.rollup_lines import Rollup, rollup_line
from ingest.influx.status_lines import status_line
from simulators.body import Targets, start, step
from vitals.model import VITAL_BY_NAME, ClockSource, ClockTrust, GatewayStatus, Presence, Quality, Reason
from wardlight.influx_alarms import alarm_line

SITE = "north"
PATIENTS = tuple(f"P-{number:04}" for number in range(1, 7))
STEP_S = 60
AHEAD_S = 1_200
DAY_S = 86_400
_NS = 10**9


def lines(now_s: int, precision: Precision) -> Iterator[bytes]:
    """A day around `now_s` (Unix time); readings go on after it, or a slow test would find nobody heard "now"."""
    end_s = now_s + AHEAD_S
    for index in range(len(PATIENTS)):
        yield from _patient(index, end_s, precision)
    for at_s in range(end_s - DAY_S, end_s, 60):
        for gateway in ("gw-east", "gw-west"):
            lost = gateway == "gw-west" and end_s - 7_200 < at_s < end_s - 5_400
            presence = Presence.LOST if lost else Presence.ONLINE
            clock = ClockTrust(ClockSource.SYNCHRONISED, 1.5)
            spooled = 120 if lost else at_s % 7
            yield status_line(GatewayStatus(gateway, presence, at_s * _NS, "0.1", spooled, 0, clock), SITE, precision)
    yield from _alarms(now_s, precision)


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


def _patient(index: int, end_s: int, precision: Precision) -> Iterator[bytes]:
    patient, first_s = PATIENTS[index], (end_s - DAY_S) // 900 * 900
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


def _alarms(end_s: int, precision: Precision) -> Iterator[bytes]:
    """(seconds ago, patient, condition, priority, transition): the first is open, the others are over or technical."""
    story = (
        (900, "P-0001", "spo2_low", Priority.MEDIUM, Transition.RAISED),
        (840, "P-0001", "spo2_low", Priority.HIGH, Transition.ESCALATED),
        (800, "P-0001", "spo2_low", Priority.HIGH, Transition.ACKNOWLEDGED),
        (4_200, "P-0002", "probe_off", Priority.LOW, Transition.RAISED),
        (3_000, "P-0002", "probe_off", Priority.LOW, Transition.ENDED),
        (20_000, "P-0003", "heart_rate_high", Priority.MEDIUM, Transition.RAISED),
        (19_900, "P-0003", "heart_rate_high", Priority.MEDIUM, Transition.ACKNOWLEDGED),
        (19_000, "P-0003", "heart_rate_high", Priority.MEDIUM, Transition.ENDED),
        (600, "P-0004", "spo2_low", Priority.MEDIUM, Transition.RAISED),
    )
    for number, (ago_s, patient, condition, priority, transition) in enumerate(story, start=1):
        kind = Kind.TECHNICAL if condition == "probe_off" else Kind.PHYSIOLOGICAL
        at_ns = (end_s - ago_s) * _NS
        event = AlarmEvent(number, f"{patient}-{condition}", patient, f"3-0{patient[-1]}", kind, condition, priority,
                           transition, at_ns, at_ns + _NS, number, value=87.0, limit=88.0)  # fmt: skip
        yield alarm_line(event, SITE, precision)


def _tags(patient: str, device: str) -> dict[str, str]:
    return {"patient": patient, "device": device, "site": SITE}
