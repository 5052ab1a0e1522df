"""Suspicion of an irregular rhythm: random intervals raise it, ordered ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.signals.hrv import variability
from ingest.signals.irregularity import SEGMENT, STEP, Advisory, Floats, advisories, coefficients_of_sample_entropy
from ingest.signals.rhythm import correct


def found_in(rr: Floats) -> list[Advisory]:
    """As `rhythm.correct` finds them, or with every interval normal where one is missing."""
    if np.isnan(rr).any():
        return advisories(rr, np.isfinite(rr))
    return list(correct(rr).advisories)


def fibrillation(count: int, mean_ms: float = 700.0, variation: float = 0.2) -> Floats:
    return np.maximum(np.random.default_rng(3).gamma(1 / variation**2, mean_ms * variation**2, count), 300.0)


@pytest.mark.parametrize(("mean_ms", "variation"), [(550, 0.24), (700, 0.2), (900, 0.16)])
def test_random_intervals_are_suspected(mean_ms: float, variation: float) -> None:
    found = found_in(fibrillation(1000, mean_ms, variation))
    assert np.mean([advisory.suspected for advisory in found]) > 0.8


@pytest.mark.parametrize(
    "pattern",
    [(800.0,), (480.0, 1120.0), (800.0, 480.0, 1120.0), (800.0, 800.0, 480.0, 1120.0)],
    ids=["regular", "bigeminy", "trigeminy", "quadrigeminy"],
)
def test_ordered_intervals_are_not(pattern: tuple[float, ...]) -> None:
    rr = np.resize(pattern, 1000) + np.random.default_rng(3).normal(0, 12, 1000)
    assert not any(advisory.suspected for advisory in found_in(rr))


def test_respiratory_arrhythmia_is_not() -> None:
    rr = 900 + 120 * np.sin(2 * np.pi * np.arange(1000) / 4.3) + np.random.default_rng(3).normal(0, 25, 1000)
    assert not any(advisory.suspected for advisory in found_in(rr))


def test_segments_overlap_by_half_and_broken_ones_say_nothing() -> None:
    rr = fibrillation(SEGMENT + 2 * STEP)
    assert [advisory.first for advisory in found_in(rr)] == [0, STEP, 2 * STEP]
    rr[STEP - 1] = np.nan
    assert [advisory.first for advisory in found_in(rr)] == [STEP, 2 * STEP]
    assert found_in(rr[: SEGMENT - 1]) == []


def test_constant_intervals_have_little_entropy() -> None:
    found = found_in(np.full(SEGMENT, 800.0))[0]
    assert found.entropy == 0
    assert found.turning_share == 0
    assert found.cosen < -2


def test_the_coefficient_widens_its_tolerance_until_runs_match() -> None:
    apart = np.cumsum(np.arange(12) * 100.0) + 400  # no two differ by less than 100 ms
    (cosen,) = coefficients_of_sample_entropy(apart)
    assert np.isfinite(cosen)


def test_frequent_ectopic_beats_in_no_order_are_not_suspected_because_of_the_rhythm_between_them() -> None:
    random = np.random.default_rng(3)
    rr = 850 + random.normal(0, 25, 1000)
    for place in np.flatnonzero(random.random(999) < 0.25).tolist():
        rr[place : place + 2] = random.uniform(420, 620), random.uniform(1050, 1300)
    everything = advisories(rr, np.ones(1000, np.bool_))
    assert any(advisory.suspected for advisory in everything)
    assert not any(advisory.suspected for advisory in found_in(rr))


def test_in_fibrillation_little_is_marked_and_hrv_refuses() -> None:
    found = correct(fibrillation(1000))
    assert found.irregular.mean() > 0.8
    assert found.corrected_share < 0.1  # a third with the bounds of a sinus rhythm
    assert not variability([found]).usable
