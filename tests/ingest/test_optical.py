"""The parts joined: saved and restored anywhere, never confident about garbage, and what they tell of an alarm."""

from __future__ import annotations

import pickle
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulse_waves import HEIGHT, LIGHT, beat_times, steady, wave

from ingest.signals.alarm_aid import Witness, at_alarm
from ingest.signals.contact import Contact
from ingest.signals.optical import OpticalEstimates, OpticalState, advance
from ingest.signals.smoothing import Floats
from vitals.model import Quality, Reason

RATE_HZ = 50.0
SECOND = int(RATE_HZ)


def _run(state: OpticalState, ppg: Floats) -> list[OpticalEstimates]:
    return [advance(state, second) for second in np.split(ppg, ppg.shape[1] // SECOND, axis=1)]


def _assert_identical(left: OpticalEstimates, right: OpticalEstimates) -> None:
    for field in fields(OpticalEstimates):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name), strict=True)


def test_a_clean_minute() -> None:
    told = _run(OpticalState(2, RATE_HZ), np.stack([steady(66, 60, RATE_HZ, 12), steady(104, 60, RATE_HZ, 22)]))[-1]
    assert told.pulse_per_min == pytest.approx([66, 104], abs=1)
    assert told.resp_per_min == pytest.approx([12, 22], abs=1)
    for verdict in (told.pulse_verdict, told.resp_verdict):
        assert verdict.tolist() == [Quality.USABLE] * 2
    for reason in (told.pulse_reason, told.resp_reason):
        assert reason.tolist() == [Reason.PRESENT] * 2
    assert told.contact.tolist() == [Contact.ON] * 2


def test_the_start_is_a_search() -> None:
    told = _run(OpticalState(1, RATE_HZ), steady(70, 12, RATE_HZ)[None])
    assert [one.pulse_reason[0] for one in told[:3]] == [Reason.SEARCHING] * 3
    assert told[-1].pulse_verdict[0] == Quality.USABLE
    assert told[-1].resp_reason[0] == Reason.SEARCHING


def test_probe_off_has_no_rate_and_silence_has_its_reason() -> None:
    ppg = np.stack([steady(70, 50, RATE_HZ), steady(70, 50, RATE_HZ)])
    ppg[0, 40 * SECOND :] = 2_000.0
    ppg[1, 40 * SECOND :] = np.nan
    told = _run(OpticalState(2, RATE_HZ), ppg)[46]
    assert np.isnan(told.pulse_per_min[0])
    assert np.isnan(told.resp_per_min[0])
    assert told.contact.tolist() == [Contact.OFF, Contact.UNKNOWN]
    assert told.pulse_reason.tolist() == [Reason.PROBE_OFF, Reason.NO_READING]
    assert told.resp_verdict[0] == Quality.UNUSABLE
    assert told.resp_verdict[1] != Quality.USABLE


@settings(max_examples=8, deadline=None)
@given(seconds=st.integers(1, 49), seed=st.integers(0, 2**32 - 1))
def test_saved_and_restored_anywhere_the_numbers_are_the_same(seconds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ppg = np.stack([steady(rate, 50, RATE_HZ) for rate in (58.0, 83.0, 121.0)])
    ppg[rng.random(ppg.shape) < 0.001] = np.nan
    begin = rng.integers(0, 40 * SECOND)
    ppg[rng.integers(0, 3), begin : begin + 6 * SECOND] = rng.choice([np.nan, 32_767.0])
    whole = OpticalState(3, RATE_HZ)
    _run(whole, ppg[:, : seconds * SECOND])
    restored = pickle.loads(pickle.dumps(whole))
    for left, right in zip(*(_run(state, ppg[:, seconds * SECOND :]) for state in (whole, restored)), strict=True):
        _assert_identical(left, right)


def _with_gaps(rng: np.random.Generator, ppg: Floats) -> Floats:
    return np.where(np.repeat(rng.random((len(ppg), 60)) < 0.3, SECOND, axis=1), np.nan, ppg)


def _garbage(rng: np.random.Generator) -> Floats:
    """Rows of 60 s that are no pulse wave, or a broken one."""
    good = np.stack([steady(rate, 60, RATE_HZ) for rate in (55.0, 80.0, 110.0)])
    scaled = (good - LIGHT) / HEIGHT
    overflow = (scaled * 50_000).astype(np.int64).astype(np.int16).astype(np.float64)
    clipped = np.minimum(good, np.quantile(good, 0.8, axis=1, keepdims=True))
    noise = rng.normal(0, 500, good.shape)
    flat = np.full_like(good, rng.choice([0.0, -1.0, 32_767.0, 8_388_607.0]))
    bits = rng.integers(-32_768, 32_768, good.shape).astype(np.float64)
    steps = np.repeat(rng.normal(0, 1_000, (3, 600)), 5, axis=1)
    wild = np.where(rng.random(good.shape) < 0.1, rng.choice([np.inf, -np.inf, 1e300, np.nan]), good)
    return np.concatenate([overflow, clipped, noise, flat, bits, steps, wild, _with_gaps(rng, noise)])


@pytest.mark.parametrize("seed", range(3))
def test_garbage_gives_no_confident_number(seed: int) -> None:
    ppg = _garbage(np.random.default_rng(seed))
    told = _run(OpticalState(len(ppg), RATE_HZ), ppg)
    for one in told:
        assert Quality.USABLE not in one.pulse_verdict
        assert Quality.USABLE not in one.resp_verdict
        assert Reason.PRESENT not in one.pulse_reason


def test_motion_is_not_confident() -> None:
    state, ppg = OpticalState(1, RATE_HZ), steady(75, 30, RATE_HZ)[None]
    shaken = np.random.default_rng(1).normal(0, 0.6, (1, 3, SECOND)) + np.array([0, 0, 1.0])[:, None]
    for second in np.split(ppg, 30, axis=1):
        told = advance(state, second, shaken)
        assert told.pulse_verdict[0] != Quality.USABLE


def test_a_cleared_row_knows_nothing_of_the_wearer_before() -> None:
    first, second = steady(60, 40, RATE_HZ), steady(110, 40, RATE_HZ)
    used, fresh = OpticalState(1, RATE_HZ), OpticalState(1, RATE_HZ)
    _run(used, first[None])
    used.clear(np.array([0]))
    left, right = _run(used, second[None])[-1], _run(fresh, second[None])[-1]
    np.testing.assert_allclose(left.pulse_per_min, right.pulse_per_min)
    np.testing.assert_allclose(left.resp_per_min, right.resp_per_min)


# -- alarms ------------------------------------------------------------------------------------------------------------


def test_a_pulse_that_goes_on_is_steady() -> None:
    aid = at_alarm(steady(76, 90, RATE_HZ)[None], RATE_HZ)
    assert aid.witness[0] == Witness.STEADY
    assert (aid.rate_per_min[0], aid.before_per_min[0]) == pytest.approx((76, 76), abs=2)
    assert aid.height_share[0] == pytest.approx(1, abs=0.1)


def test_a_faster_pulse_has_changed() -> None:
    times = np.concatenate([beat_times(75, 48), 48 + beat_times(130, 12)])
    aid = at_alarm(wave(times, 60, RATE_HZ)[None] + np.random.default_rng(0).normal(0, 5, 60 * SECOND), RATE_HZ)
    assert aid.witness[0] != Witness.STEADY
    assert aid.rate_per_min[0] == pytest.approx(130, abs=4)


@pytest.mark.parametrize("ends", ["flat", "missing", "noise"])
def test_no_pulse_is_no_witness(ends: str) -> None:
    ppg = steady(76, 60, RATE_HZ)[None].copy()
    last = {"flat": LIGHT, "missing": np.nan, "noise": LIGHT + np.random.default_rng(0).normal(0, 400, 10 * SECOND)}
    ppg[:, -10 * SECOND :] = last[ends]
    aid = at_alarm(ppg, RATE_HZ)
    assert aid.witness[0] == Witness.SILENT
    assert aid.at_alarm.pulse_verdict[0] == Quality.UNUSABLE
