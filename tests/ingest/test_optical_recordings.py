"""Real recordings with a reference: what the project promises of pulse rate and breathing at rest, and of alarms."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ingest.signals.alarm_aid import Witness, at_alarm
from ingest.signals.breathing import WINDOW_S
from ingest.signals.optical import OpticalState, advance
from ingest.signals.smoothing import Floats
from vitals.model import Quality

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).parents[3] / "shared" / "data"))
BEDSIDE, ALARMS = DATA / "bidmc", DATA / "cinc2015_vt"
TRUE_ALARMS = {"v158s", "v159l", "v221l", "v448s", "v542s", "v630s", "v696s", "v788s"}
FIRST_S = 14  # the first second whose pulse rate has all its beats

pytestmark = pytest.mark.slow


def _breaths_per_min(marks: Floats, end_s: int) -> float:
    """Rate of the breaths marked at these seconds within the window that ends at `end_s`, from first to last."""
    inside = marks[(marks >= end_s - WINDOW_S) & (marks < end_s)]
    return float(60 * (len(inside) - 1) / (inside[-1] - inside[0])) if len(inside) > 1 else np.nan


@pytest.mark.skipif(not BEDSIDE.is_dir(), reason=f"no recordings in {BEDSIDE}; set WARDLIGHT_DATA")
def test_pulse_rate_and_breathing_at_the_bedside() -> None:
    records = [dict(np.load(path)) for path in sorted(BEDSIDE.glob("*.npz"))]
    rate_hz = int(records[0]["fs"])
    pleth = np.stack([record["pleth"][: 480 * rate_hz : 5] for record in records])  # a wearable has 25 Hz, not 125
    state = OpticalState(len(records), rate_hz / 5)
    told = [advance(state, second) for second in np.split(pleth, 480, axis=1)]

    pulse = np.array([one.pulse_per_min for one in told])[FIRST_S - 1 :].T
    monitor = np.stack([record["pulse"][FIRST_S : 480 + 1] for record in records])
    known = np.isfinite(monitor)
    error = np.where(np.isnan(pulse), 60.0, np.abs(pulse - monitor))[known]
    assert error.mean() <= 1.5
    assert (error <= 5).mean() >= 0.95

    first = int(WINDOW_S)
    resp = np.array([one.resp_per_min for one in told])[first - 1 :].T
    usable = np.array([one.resp_verdict for one in told])[first - 1 :].T == Quality.USABLE
    marks = [[record[name] / rate_hz for name in ("breaths1", "breaths2")] for record in records]
    annotated = np.array(
        [[np.mean([_breaths_per_min(one, end) for one in pair]) for end in range(first, 481)] for pair in marks]
    )
    error = np.where(np.isnan(resp), 30.0, np.abs(resp - annotated))
    assert error.mean() <= 2.0
    assert usable.mean() >= 0.7
    assert error[usable].mean() <= 1.2


@pytest.mark.skipif(not ALARMS.is_dir(), reason=f"no recordings in {ALARMS}; set WARDLIGHT_DATA")
def test_the_witness_speaks_for_false_alarms_more_than_for_true_ones() -> None:
    paths = sorted(ALARMS.glob("*.npz"))
    archives = [np.load(path) for path in paths]
    aid = at_alarm(np.stack([one["sig_PLETH"].astype(float) for one in archives]), float(archives[0]["fs"]))
    true = np.array([path.stem in TRUE_ALARMS for path in paths])
    steady = aid.witness == Witness.STEADY
    assert steady[~true].mean() > 0.3
    assert steady[true].mean() < 0.2
    assert aid.before_per_min[steady] == pytest.approx(aid.rate_per_min[steady], rel=0.16)
