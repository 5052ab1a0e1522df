"""The tracker on real runners: what the issue asks of it, window by window, no window left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from ingest.signals.pulse import CONFIDENT, LATENCY_S, PulseState, advance
from ingest.signals.pulse_spectra import WINDOW_S
from ingest.signals.smoothing import Floats
from ingest.streams import Mask

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).parents[3] / "shared" / "data"))
STEP_S = 2  # between the windows of the reference
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}; set WARDLIGHT_DATA"),
]


@dataclass(frozen=True)
class Recording:
    rate_hz: int
    ppg: Floats
    acc: Floats
    reference: Floats


def spc(path: Path) -> Recording:
    signals = loadmat(path)["sig"]
    reference = loadmat(path.with_name(f"{path.stem}_BPMtrace.mat"))["BPM0"].ravel()
    return Recording(125, signals[1:3], signals[3:6], reference)


def bami(path: Path) -> Recording:
    """Its accelerometer counts around 2^15, in a unit that is not told: most of the time its length is gravity."""
    file = loadmat(path)
    counts = file["rawAcc"].astype(np.float64) - 2**15
    gravity = np.median(np.linalg.norm(counts, axis=0))
    return Recording(50, file["rawPPG"].astype(np.float64), counts / gravity, file["bpm_ecg"].ravel())


def errors(recording: Recording) -> tuple[Floats, Floats]:
    """Of every window of the reference: the absolute error, infinite without an estimate, and the confidence."""
    hz, windows = recording.rate_hz, len(recording.reference)
    seconds = STEP_S * (windows - 1) + WINDOW_S + LATENCY_S
    state = PulseState(1, len(recording.ppg))
    rates, confidences = np.empty(seconds), np.empty(seconds)
    for at_s in range(seconds):
        second = slice(at_s * hz, (at_s + 1) * hz)
        estimate = advance(state, whole(recording.ppg[:, second], hz), whole(recording.acc[:, second], hz))
        rates[at_s], confidences[at_s] = estimate.rate_per_min[0], estimate.confidence[0]
    at = STEP_S * np.arange(windows) + WINDOW_S + LATENCY_S - 1
    error = np.abs(rates[at] - recording.reference)
    return np.where(np.isnan(error), np.inf, error), confidences[at]


def whole(second: Floats, hz: int) -> Floats:
    """What is behind the end is missing."""
    return np.pad(second, ((0, 0), (0, hz - second.shape[1])), constant_values=np.nan)[None]


def longest_run_s(lost: Mask) -> int:
    longest = run = 0
    for window in lost:
        run = run + 1 if window else 0
        longest = max(longest, run)
    return longest * STEP_S


@pytest.mark.parametrize(
    ("recordings", "read", "mae", "share"),
    [("ieee_spc2015_train/DATA_??_TYPE??.mat", spc, 1.6, 0.95), ("bami1/*.mat", bami, 3.0, 0.94)],
)
def test_runners(recordings: str, read: Callable[[Path], Recording], mae: float, share: float) -> None:
    scored = [errors(read(path)) for path in sorted(DATA.glob(recordings))]
    assert scored
    error, confidence = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    assert error.mean() <= mae
    assert (error <= 5).mean() >= share
    sure = confidence >= CONFIDENT
    assert sure.mean() >= 0.85
    assert (error[sure] <= 5).mean() >= 0.985
    assert max(longest_run_s(e > 5) for e, _ in scored) <= 30
