"""One best value of several, where it came from, and no flapping."""

from __future__ import annotations

import copy

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.signals.fusion import (
    APART_NS,
    LEAVE_DOUBT_NS,
    MAX_AGE_NS,
    NO_SOURCE,
    TAKE_OVER_NS,
    Best,
    Candidates,
    FusionState,
    Source,
    fuse,
)
from vitals.model import Quality, Reason, Vital, Waveform

SECOND = 1_000_000_000
NAN = float("nan")
STRAP, OXIMETER, WRIST = range(3)
GOOD, DOUBT, BAD = Quality.USABLE, Quality.DOUBTFUL, Quality.UNUSABLE


def fused(
    state: FusionState,
    at_s: float,
    values: tuple[float, float, float],
    quality: tuple[Quality, Quality, Quality] = (GOOD, GOOD, GOOD),
    *,
    age_s: tuple[float, float, float] = (0, 0, 0),
    reasons: tuple[Reason, Reason, Reason] = (Reason.PRESENT,) * 3,
) -> Best:
    now_ns = int(at_s * SECOND)
    sampled = now_ns - (np.array([age_s]) * SECOND).astype(np.int64)
    codes = np.array([quality], np.uint8), np.array([reasons], np.uint8)
    return fuse(state, Candidates(np.array([values]), sampled, *codes, np.array([[0, 1, 2]]), 10.0), now_ns)


def test_the_best_method_gives_the_value_and_says_so() -> None:
    best = fused(FusionState.of(1), 100, (71.0, 73.0, 75.0), age_s=(2, 0, 0))
    assert best.value[0] == 71
    sources = [
        Source("strap-1", Vital.HEART_RATE),
        Source("o2-1", Vital.PULSE_RATE),
        Source("band-1", Waveform.PPG_GREEN),
    ]
    provenance = best.provenance(0, sources)
    assert provenance is not None
    assert (provenance.device, provenance.stream) == ("strap-1", Vital.HEART_RATE)
    assert (provenance.quality, provenance.age_s) == (Quality.USABLE, 2)


def test_quality_comes_before_method() -> None:
    assert fused(FusionState.of(1), 100, (71.0, 73.0, 75.0), (DOUBT, BAD, GOOD)).source[0] == WRIST
    assert fused(FusionState.of(1), 100, (71.0, 73.0, 75.0), (DOUBT, Quality.UNKNOWN, BAD)).source[0] == OXIMETER
    unknown = fused(FusionState.of(1), 100, (71.0, 150.0, 75.0), (Quality.UNKNOWN, GOOD, BAD))
    assert unknown.source[0] == STRAP, "a strap without a quality indicator comes before an oximeter that has one"
    assert fused(FusionState.of(1), 100, (71.0, NAN, NAN), (Quality.TEST, GOOD, GOOD)).source[0] == NO_SOURCE


def test_a_source_that_is_gone_is_left_at_once() -> None:
    state = FusionState.of(1)
    assert fused(state, 100, (71.0, 73.0, 75.0)).source[0] == STRAP
    gone = fused(state, 101, (NAN, 73.0, 75.0))
    assert gone.source[0] == OXIMETER
    assert gone.changed[0]
    old = fused(state, 102, (NAN, 73.0, 75.0), age_s=(0, MAX_AGE_NS / SECOND + 1, 0))
    assert old.source[0] == WRIST


def test_a_better_source_waits_until_it_has_been_there_for_long() -> None:
    state = FusionState.of(1)
    fused(state, 100, (NAN, 73.0, 75.0))
    wait_s = TAKE_OVER_NS // SECOND
    chosen = [int(fused(state, 101 + s, (71.0, 73.0, 75.0)).source[0]) for s in range(wait_s + 2)]
    assert chosen == [OXIMETER] * wait_s + [STRAP] * 2


def test_doubt_is_left_sooner_and_a_flapping_source_never_takes_over() -> None:
    state = FusionState.of(1)
    fused(state, 100, (71.0, 73.0, NAN))
    wait_s = LEAVE_DOUBT_NS // SECOND
    chosen = [int(fused(state, 101 + s, (71.0, 73.0, NAN), (DOUBT, GOOD, GOOD)).source[0]) for s in range(wait_s + 1)]
    assert chosen == [STRAP] * wait_s + [OXIMETER]
    flapping = [(71.0 if s % 5 else NAN, 73.0, NAN) for s in range(60)]
    assert {int(fused(state, 200 + s, values).source[0]) for s, values in enumerate(flapping)} == {OXIMETER}


def test_disagreeing_sources_make_the_value_doubtful() -> None:
    state, patience_s = FusionState.of(1), APART_NS // SECOND
    told = [bool(fused(state, 100 + s, (71.0, 112.0, 72.0)).disagrees[0]) for s in range(patience_s)]
    assert not any(told), "an average follows some seconds later"
    best = fused(state, 100 + patience_s, (71.0, 112.0, 72.0))
    assert best.source[0] == STRAP
    assert best.disagrees[0]
    assert best.quality[0] == Quality.DOUBTFUL
    ignored = fused(state, 101 + patience_s, (71.0, 112.0, 72.0), (GOOD, DOUBT, GOOD))
    assert not ignored.disagrees[0]
    assert ignored.quality[0] == Quality.USABLE


def test_no_value_says_why() -> None:
    assert fused(FusionState.of(1), 100, (NAN, NAN, NAN), age_s=(100, 100, 100)).reason[0] == Reason.NEVER_SEEN
    off = (Reason.PROBE_OFF, Reason.SEARCHING, Reason.NO_READING)
    assert fused(FusionState.of(1), 100, (NAN, NAN, NAN), reasons=off).reason[0] == Reason.PROBE_OFF
    assert fused(FusionState.of(1), 100, (NAN, NAN, NAN), age_s=(20, 0, 0), reasons=off).reason[0] == Reason.SEARCHING
    assert fused(FusionState.of(1), 100, (NAN, 70.0, NAN), age_s=(0, 60, 0)).reason[0] == Reason.NO_READING
    poor = fused(FusionState.of(1), 100, (70.0, NAN, NAN), (BAD, GOOD, GOOD))
    assert poor.reason[0] == Reason.POOR_SIGNAL
    assert np.isnan(poor.value[0])
    assert poor.provenance(0, []) is None


def test_every_patient_may_have_a_time_of_its_own() -> None:
    sampled = np.array([[90, 89], [990, 989]]) * SECOND
    values, codes = np.array([[70.0, 80.0]] * 2), np.ones((2, 2), np.uint8)
    candidates = Candidates(values, sampled, codes, np.zeros((2, 2), np.uint8), np.array([[0, 1]] * 2), 20.0)
    best = fuse(FusionState.of(2), candidates, np.array([100, 1001]) * SECOND)
    assert best.source.tolist() == [STRAP, NO_SOURCE]
    assert best.age_ns.tolist() == [10 * SECOND, 0]


def test_forgotten_patients_choose_anew() -> None:
    state = FusionState.of(1)
    fused(state, 100, (NAN, 73.0, NAN))
    state.clear(np.array([0]))
    assert fused(state, 101, (71.0, 73.0, NAN)).source[0] == STRAP


SECONDS = st.tuples(
    st.tuples(*[st.sampled_from([NAN, 70.0, 90.0])] * 3), st.tuples(*[st.sampled_from(list(Quality))] * 3)
)


@given(st.lists(SECONDS, min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_value_is_always_one_of_the_eligible_and_a_saved_state_goes_on_alike(rows: list) -> None:
    state = FusionState.of(1)
    for second, (values, quality) in enumerate(rows, start=100):
        saved = copy.deepcopy(state)
        best, again = fused(state, second, values, quality), fused(saved, second, values, quality)
        for name in Best.__slots__:
            np.testing.assert_array_equal(getattr(again, name), getattr(best, name))
        eligible = [
            n for n in range(3) if not np.isnan(values[n]) and quality[n] not in (Quality.UNUSABLE, Quality.TEST)
        ]
        assert (int(best.source[0]) in eligible) if eligible else (best.source[0] == NO_SOURCE)
        assert np.isnan(best.value[0]) == (best.reason[0] != Reason.PRESENT)
