"""Scores of the rates: pulse under motion and at the bedside, breathing, and what a pulse wave tells of an alarm.

The records of a family run side by side as rows of one array, the way the service runs devices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from ingest.signals import alarm_aid, breathing, optical, pulse
from vitals.model import Quality, Reason
from wardlight.signals_data import Alarmed, Bedside, Motion
from wardlight.signals_scores import Bounds, Floats, Measure, Score, Track, longest_s, rate_measures, rate_records

PULSE_LIMIT_PER_MIN: Final = 5.0
BREATH_LIMIT_PER_MIN: Final = 2.0
BOUNDS: Final = {
    "ieee_spc": Bounds(PULSE_LIMIT_PER_MIN, mae=1.6, within=0.95, gated_within=0.985, coverage=0.85),
    "bami": Bounds(PULSE_LIMIT_PER_MIN, mae=3.0, within=0.94, gated_within=0.985, coverage=0.85),
    "bedside pulse": Bounds(PULSE_LIMIT_PER_MIN, mae=1.5, within=0.95),
    "bedside breathing": Bounds(BREATH_LIMIT_PER_MIN, mae=2.0, gated_mae=1.2, coverage=0.70),
}
MAX_UNLOCKED_S: Final = 30.0

_WINDOW_S, _STEP_S = 8, 2  # of the references under motion
_WARM_UP_S: Final = 10  # of a bedside record: a window of 8 s and the latency of a beat
_ALARM_S: Final = 300  # into the record: where the challenge put every alarm

Progress = Callable[[], None]


def score_motion(family: str, layout: str, records: Sequence[Motion], progress: Progress) -> Score:
    """Pulse rate from PPG and acceleration against the reference of each window of 8 s, 2 s apart.

    The estimate of a window waits `pulse.LATENCY_S`; what a record lacks of that at its end is fed as missing.
    """
    seconds = max(_WINDOW_S + _STEP_S * (len(r.rate_per_min) - 1) for r in records) + pulse.LATENCY_S
    rate_hz = round(records[0].rate_hz)
    ppg = _rows([r.ppg for r in records], seconds * rate_hz)
    acc = _rows([r.acceleration_g for r in records], seconds * rate_hz)
    state = pulse.PulseState(len(records), ppg.shape[1])
    rates, confidence = np.empty((2, len(records), seconds))
    began_s = time.process_time()
    for second in range(seconds):
        part = slice(second * rate_hz, (second + 1) * rate_hz)
        told = pulse.advance(state, ppg[..., part], acc[..., part])
        rates[:, second], confidence[:, second] = told.rate_per_min, told.confidence
        progress()
    spent_s = time.process_time() - began_s
    tracks = tuple(_motion_track(r, rates[i], confidence[i]) for i, r in enumerate(records))
    unlocked_s = max(longest_s(track, PULSE_LIMIT_PER_MIN) for track in tracks)
    measures = (
        *rate_measures(tracks, BOUNDS[layout]),
        Measure("longest time off by more than 5, s", unlocked_s, MAX_UNLOCKED_S, decimals=0),
    )
    per_record = rate_records(tracks, PULSE_LIMIT_PER_MIN)
    for track in tracks:
        per_record[track.name]["longest_off_s"] = longest_s(track, PULSE_LIMIT_PER_MIN)
    us = spent_s / (seconds * len(records)) * 1e6
    return Score(family, "pulse rate under motion", len(records), measures, per_record, us, tracks)


def _motion_track(record: Motion, rates: Floats, confidence: Floats) -> Track:
    ends = _WINDOW_S + _STEP_S * np.arange(len(record.rate_per_min))
    told = ends + pulse.LATENCY_S - 1  # number of the second whose estimate is of this window
    trusted = confidence[told] >= pulse.CONFIDENT
    return Track(record.name, ends.astype(np.float64), record.rate_per_min, rates[told], trusted)


def _rows(signals: Sequence[Floats], length: int) -> Floats:
    """Signals (…, n) of any n as rows of one array, NaN behind the end of each."""
    rows = np.full((len(signals), *signals[0].shape[:-1], length), np.nan)
    for row, values in zip(rows, signals, strict=True):
        shared = min(length, values.shape[-1])
        row[..., :shared] = values[..., :shared]
    return rows


def score_bedside(family: str, records: Sequence[Bedside], progress: Progress) -> tuple[Score, Score]:
    """Pulse and respiratory rate from PPG alone: pulse against the monitor's, breathing against the annotators' mean.

    Every second is a window: of what the pulse rate averages, and of the last 32 s for breathing.
    """
    rate_hz = round(records[0].rate_hz)
    seconds = min(len(r.pleth) for r in records) // rate_hz
    pleth = _rows([r.pleth for r in records], seconds * rate_hz)
    state = optical.OpticalState(len(records), rate_hz)
    pulses, breaths = np.empty((2, len(records), seconds))
    usable, certain = np.empty((2, len(records), seconds), np.bool_)
    began_s = time.process_time()
    for second in range(seconds):
        told = optical.advance(state, pleth[:, second * rate_hz : (second + 1) * rate_hz])
        pulses[:, second], breaths[:, second] = told.pulse_per_min, told.resp_per_min
        usable[:, second] = told.pulse_verdict == Quality.USABLE
        certain[:, second] = told.resp_verdict == Quality.USABLE
        progress()
    us = (time.process_time() - began_s) / (seconds * len(records)) * 1e6
    ends = np.arange(1, seconds + 1)
    at_s = ends.astype(np.float64)
    pulse_tracks = tuple(
        _track_from(Track(r.name, at_s, r.pulse_per_min[ends], pulses[i], usable[i]), _WARM_UP_S)
        for i, r in enumerate(records)
    )
    breath_tracks = tuple(
        _track_from(Track(r.name, at_s, _annotated(r, at_s), breaths[i], certain[i]), int(breathing.WINDOW_S))
        for i, r in enumerate(records)
    )
    return (
        _rate_score(family, "pulse rate at the bedside", pulse_tracks, BOUNDS["bedside pulse"], us),
        _rate_score(family, "respiratory rate from PPG", breath_tracks, BOUNDS["bedside breathing"], us),
    )


def _rate_score(family: str, task: str, tracks: tuple[Track, ...], bounds: Bounds, us: float) -> Score:
    measures, per_record = rate_measures(tracks, bounds), rate_records(tracks, bounds.limit)
    return Score(family, task, len(tracks), measures, per_record, us, tracks)


def _track_from(track: Track, first_s: int) -> Track:
    """The windows that end at `first_s` or later."""
    late = track.at_s >= first_s
    return Track(track.name, track.at_s[late], track.reference[late], track.estimate[late], track.trusted[late])


def _annotated(record: Bedside, ends_s: Floats) -> Floats:
    """Breaths per minute in the 32 s before each of `ends_s`: the mean of the annotators, NaN where one sees none."""
    rates = np.full((2, len(ends_s)), np.nan)
    for annotator, marks_s in enumerate(record.breaths_s):
        first, last = np.searchsorted(marks_s, [ends_s - breathing.WINDOW_S, ends_s], side="right")
        enough = last - first >= 2
        spans_s = marks_s[np.maximum(last - 1, 0)] - marks_s[np.minimum(first, len(marks_s) - 1)]
        rates[annotator, enough] = 60 * (last - first - 1)[enough] / spans_s[enough]
    return np.asarray(rates.mean(axis=0), np.float64)


def score_alarms(family: str, records: Sequence[Alarmed], progress: Progress) -> Score:
    """The pulse rate and its quality at each alarm, from the pulse wave alone: no verdict on the alarm."""
    per_record: dict[str, dict[str, float | str]] = {}
    began_s, seconds = time.process_time(), 0
    for record in records:
        before = record.pleth[: round(_ALARM_S * record.rate_hz)]  # what follows was not known at the alarm
        told = alarm_aid.at_alarm(before[None], record.rate_hz)
        seconds += min(len(before) // round(record.rate_hz), alarm_aid.HEARD_S)
        per_record[record.name] = {
            "alarm": "true" if record.true_alarm else "false",
            "pulse": float(told.at_alarm.pulse_per_min[0]),
            "quality": Quality(int(told.at_alarm.pulse_verdict[0])).name.lower(),
            "reason": Reason(int(told.at_alarm.pulse_reason[0])).name.lower(),
            "index": float(told.at_alarm.index[0]),
            "last 8 s": float(told.rate_per_min[0]),
            "before": float(told.before_per_min[0]),
            "height": float(told.height_share[0]),
            "witness": alarm_aid.Witness(int(told.witness[0])).name.lower(),
        }
        progress()
    us = (time.process_time() - began_s) / max(seconds, 1) * 1e6
    return Score(family, "pulse wave at an alarm", len(records), _alarm_measures(per_record), per_record, us)


def _alarm_measures(per_record: dict[str, dict[str, float | str]]) -> tuple[Measure, ...]:
    measures = []
    for kind in ("true", "false"):
        witnesses = [figures["witness"] for figures in per_record.values() if figures["alarm"] == kind]
        measures.append(Measure(f"{kind} alarms", len(witnesses), decimals=0))
        for witness in alarm_aid.Witness:
            count = witnesses.count(witness.name.lower())
            measures.append(Measure(f"{kind} alarms, pulse wave {witness.name.lower()}", count, decimals=0))
    return tuple(measures)
