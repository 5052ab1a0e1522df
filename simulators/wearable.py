"""A wearable: what a device makes of one second of a body. Pure.

    batch = sense(worn, second, condition, noise=..., started_at_ns=..., perfusion_pct=2.0, battery_due=False)

Numbers are stamped at the end of the second that they describe, waveforms with its beginning. A device that has no
reading says why, for every vital that it measures, once a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from simulators import ppg
from simulators.body import BodySecond
from simulators.story import ScenarioDevice, WearableKind
from simulators.timeline import Contact, DeviceCondition
from vitals.model import VITALS, DeviceBatch, Quality, Reason, Sample, Vital, Waveform, WaveformBlock

_NS: Final = 1_000_000_000
_DOUBTFUL_MOTION: Final = 0.35  # from here on a real device lowers its quality mark
_BLIND_MOTION: Final = 0.85  # and from here on it gives no number
_FALSE_PULSE_MOTION: Final = 0.6  # of the one limb, when an oximeter counts it as the pulse
_RR_TICKS_PER_S: Final = 1024  # resolution of the RR interval in GATT 0x2A37 (STANDARDS §1.2)


@dataclass(frozen=True, slots=True)
class Measures:
    """What a kind of wearable measures. `vitals`: once a second; `rr`: beat intervals too; `red`: both colours."""

    vitals: tuple[Vital, ...]
    waveforms: tuple[Waveform, ...] = ()
    rr_intervals: bool = False


MEASURES: Final[Mapping[WearableKind, Measures]] = MappingProxyType(
    {
        "oximeter": Measures(
            (Vital.SPO2, Vital.PULSE_RATE, Vital.PERFUSION_INDEX), (Waveform.PPG_INFRARED, Waveform.PPG_RED)
        ),
        "strap": Measures((Vital.HEART_RATE,), rr_intervals=True),
        "patch": Measures((Vital.HEART_RATE, Vital.SPO2, Vital.RESP_RATE), (Waveform.PPG_INFRARED,)),
    }
)

_REASONS: Final[Mapping[Contact, Reason]] = MappingProxyType(
    {Contact.SEARCHING: Reason.SEARCHING, Contact.PROBE_OFF: Reason.PROBE_OFF}
)


def sense(
    worn: ScenarioDevice,
    second: BodySecond,
    condition: DeviceCondition,
    *,
    started_at_ns: int,
    perfusion_pct: float,
    battery_due: bool,
    noise: np.random.Generator,
) -> DeviceBatch | None:
    """What the device says of the second that began at `started_at_ns` (UTC); `None` while its radio is gone."""
    if condition.contact is Contact.SILENT:
        return None
    measures = MEASURES[worn.kind]
    at_ns = started_at_ns + _NS
    reason, quality = _judge(condition.contact, second.motion)
    values = dict(_values(second, perfusion_pct))
    if condition.false_pulse is not None:
        values[Vital.PULSE_RATE] = condition.false_pulse
        second = replace(second, motion=max(second.motion, _FALSE_PULSE_MOTION))  # as its wave shows
    samples = [_sample(vital, values[vital], at_ns, reason, quality) for vital in measures.vitals]
    if measures.rr_intervals and reason is Reason.PRESENT:
        samples.extend(_rr_intervals(second, at_ns, quality))
    if battery_due:
        samples.append(Sample(Vital.BATTERY, at_ns, float(round(condition.battery_pct))))
    covered = condition.contact is not Contact.PROBE_OFF
    light = _light(second, perfusion_pct, noise, covered=covered) if measures.waveforms else None
    waveforms = tuple(_block(w, light, started_at_ns, quality) for w in measures.waveforms if light)
    rssi_dbm = -58 + int(noise.integers(-6, 7))
    return DeviceBatch(worn.device, tuple(samples), waveforms, rssi_dbm)


def _judge(contact: Contact, motion: float) -> tuple[Reason, Quality]:
    """Why there is no number (`PRESENT`: there is one), and how good the signal is."""
    if contact is not Contact.WORN:
        return _REASONS[contact], Quality.UNUSABLE
    if motion >= _BLIND_MOTION:
        return Reason.POOR_SIGNAL, Quality.UNUSABLE
    return Reason.PRESENT, Quality.DOUBTFUL if motion >= _DOUBTFUL_MOTION else Quality.USABLE


def _values(second: BodySecond, perfusion_pct: float) -> Mapping[Vital, float]:
    return {
        Vital.HEART_RATE: second.heart_rate_per_min,
        Vital.PULSE_RATE: second.heart_rate_per_min,
        Vital.SPO2: second.spo2_pct,
        Vital.RESP_RATE: second.resp_rate_per_min,
        Vital.PERFUSION_INDEX: perfusion_pct,
    }


def _sample(vital: Vital, value: float, at_ns: int, reason: Reason, quality: Quality) -> Sample:
    if reason is not Reason.PRESENT:
        return Sample(vital, at_ns, None, reason, quality)
    return Sample(vital, at_ns, float(round(value, VITALS[vital].decimals)), quality=quality)


def _rr_intervals(second: BodySecond, at_ns: int, quality: Quality) -> Iterator[Sample]:
    """One notification: the intervals share its time and are told apart by their sequence."""
    for sequence, interval_s in enumerate(second.rr_intervals_s):
        milliseconds = round(float(interval_s) * _RR_TICKS_PER_S) * 1000 / _RR_TICKS_PER_S
        yield Sample(Vital.RR_INTERVAL, at_ns, milliseconds, quality=quality, sequence=sequence)


def _light(second: BodySecond, perfusion_pct: float, noise: np.random.Generator, *, covered: bool) -> ppg.Light:
    return ppg.illuminate(second, perfusion_pct, noise) if covered else ppg.uncovered(second.cardiac_phase.size, noise)


def _block(waveform: Waveform, light: ppg.Light, started_at_ns: int, quality: Quality) -> WaveformBlock:
    counts = light.red if waveform is Waveform.PPG_RED else light.infrared
    return WaveformBlock(waveform, started_at_ns, ppg.SAMPLE_RATE_HZ, counts.astype("<i4").tobytes(), quality=quality)
