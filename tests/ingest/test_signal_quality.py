"""A bad signal is never called usable, a good one is, and contact is told within five seconds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pulse_waves import HEIGHT, LIGHT, steady

from ingest.signals.beats import find
from ingest.signals.contact import Contact, ContactState, advance
from ingest.signals.quality import SCALES, Index, assess
from ingest.signals.smoothing import Floats
from vitals.model import Quality, Reason

RATE_HZ = 50.0
LENGTH = int(8 * RATE_HZ)
GOOD = np.stack([steady(rate, 8, RATE_HZ) for rate in (48.0, 62.0, 75.0, 98.0, 140.0)])


def _clipped(share: float) -> Callable[[Floats], Floats]:
    return lambda wave: np.minimum(wave, np.quantile(wave, 1 - share, axis=1, keepdims=True))


def _wrapped(wave: Floats) -> Floats:
    counts = ((wave - LIGHT) / HEIGHT * 60_000).astype(np.int64)
    return counts.astype(np.int16).astype(np.float64)


def _with_gap(wave: Floats) -> Floats:
    torn = wave.copy()
    torn[:, 100:180] = np.nan
    return torn


def _noise(wave: Floats) -> Floats:
    return LIGHT + np.random.default_rng(5).normal(0, 300, wave.shape)


BAD: dict[str, Callable[[Floats], Floats]] = {
    "nothing": lambda wave: np.full_like(wave, np.nan),
    "gap": _with_gap,
    "constant": lambda wave: np.full_like(wave, LIGHT),
    "zero": np.zeros_like,
    "clipped by a sixth": _clipped(0.16),
    "clipped by half": _clipped(0.5),
    "at the limit": lambda wave: np.full_like(wave, 32_767.0),
    "16-bit overflow": _wrapped,
    "noise": _noise,
    "random walk": lambda wave: _noise(wave).cumsum(axis=1) - LIGHT * np.arange(1, LENGTH + 1),
    "breathing alone": lambda wave: LIGHT + 2000 * np.sin(2 * np.pi * 0.3 * np.arange(LENGTH) / RATE_HZ) + 0 * wave,
    "mains": lambda wave: LIGHT + 900 * np.sin(2 * np.pi * 10 * np.arange(LENGTH) / RATE_HZ) + 0 * wave,
    "infinite": lambda wave: np.where(np.arange(LENGTH) % 7 == 0, np.inf, wave),
    "no number": lambda wave: np.where(np.arange(LENGTH) % 3 == 0, 1e300, wave),
    "step": lambda wave: wave + 30_000 * (np.arange(LENGTH) > 210),
}


def test_good_waves_are_usable() -> None:
    sqi = assess(GOOD, RATE_HZ, absolute=True)
    assert sqi.verdict.tolist() == [Quality.USABLE] * len(GOOD)
    assert sqi.reason.tolist() == [Reason.PRESENT] * len(GOOD)
    assert sqi.index.min() >= 0.5


@pytest.mark.parametrize("kind", BAD)
def test_bad_waves_are_not(kind: str) -> None:
    sqi = assess(BAD[kind](GOOD), RATE_HZ)
    assert Quality.USABLE not in sqi.verdict
    assert Reason.PRESENT not in sqi.reason
    assert np.isfinite(sqi.indices).all()


def test_the_reason_is_that_of_the_worst_index() -> None:
    assert set(assess(BAD["constant"](GOOD), RATE_HZ).reason) == {Reason.PROBE_OFF}
    assert set(assess(BAD["nothing"](GOOD), RATE_HZ).reason) == {Reason.NO_READING}
    assert set(assess(BAD["noise"](GOOD), RATE_HZ).reason) == {Reason.POOR_SIGNAL}


def test_motion_makes_a_good_wave_doubtful() -> None:
    still = np.zeros((len(GOOD), 3, LENGTH))
    still[:, 2] = 1.0
    walking = still + 0.35 * np.sin(2 * np.pi * 1.8 * np.arange(LENGTH) / RATE_HZ)
    assert set(assess(GOOD, RATE_HZ, still).verdict) == {Quality.USABLE}
    moved = assess(GOOD, RATE_HZ, walking)
    assert Quality.USABLE not in moved.verdict
    assert (moved.indices.argmin(axis=1) == Index.STILLNESS).all()
    assert Quality.USABLE not in assess(GOOD, RATE_HZ, np.full_like(still, np.nan)).verdict


def test_low_perfusion_is_told_only_where_counts_are_absolute() -> None:
    faint = LIGHT * 10 + (GOOD - LIGHT)
    assert set(assess(faint, RATE_HZ).verdict) == {Quality.USABLE}
    assert Quality.USABLE not in assess(faint, RATE_HZ, absolute=True).verdict


def test_scale_and_level_do_not_matter_otherwise() -> None:
    plain, scaled = assess(GOOD, RATE_HZ), assess((GOOD - LIGHT) / 4_000, RATE_HZ)
    np.testing.assert_allclose(plain.indices, scaled.indices, atol=1e-6)


def test_noise_that_looks_like_slow_pulses_is_seldom_usable() -> None:
    rng = np.random.default_rng(11)
    slow = np.stack([np.convolve(row, np.hanning(40), "same") for row in rng.normal(size=(300, LENGTH))])
    assert (assess(slow, RATE_HZ).verdict == Quality.USABLE).mean() < 0.05


def test_all_indices_have_a_scale() -> None:
    assert tuple(SCALES) == tuple(Index)


# -- contact -----------------------------------------------------------------------------------------------------------

PULSES = np.stack([steady(rate, 60, RATE_HZ) for rate in (62.0, 75.0, 98.0, 140.0)])
OFF_AT, ON_AT = 20.4, 40.3
AWAY: dict[str, Callable[[Floats], Floats]] = {
    "still": lambda part: np.full_like(part, 3_000.0),
    "at the counter's limit": lambda part: np.full_like(part, 262_143.0),
    "room light": lambda part: 20_000 + np.random.default_rng(3).normal(0, 80, part.shape),
}


def _contacts(ppg: Floats) -> Floats:
    """`Contact` at the end of every second, (rows, seconds)."""
    state, told = ContactState(len(ppg)), []
    for end in range(int(RATE_HZ), ppg.shape[1] + 1, int(RATE_HZ)):
        window = np.full((len(ppg), LENGTH), np.nan)
        begin = max(0, end - LENGTH)
        window[:, LENGTH - (end - begin) :] = ppg[:, begin:end]
        told.append(advance(state, window, RATE_HZ, assess(window, RATE_HZ, found=find(window, RATE_HZ))).copy())
    return np.array(told).T


@pytest.mark.parametrize("kind", AWAY)
def test_contact_is_lost_and_found_within_five_seconds(kind: str) -> None:
    ppg = PULSES.copy()
    away = slice(int(OFF_AT * RATE_HZ), int(ON_AT * RATE_HZ))
    ppg[:, away] = AWAY[kind](ppg[:, away])
    told = _contacts(ppg)
    ends = np.arange(1, 61)
    assert (told[:, (ends > 5) & (ends < OFF_AT)] == Contact.ON).all()
    assert (told[:, (ends > OFF_AT + 5) & (ends < ON_AT)] == Contact.OFF).all()
    assert (told[:, ends > ON_AT + 5] == Contact.ON).all()


def test_a_pulse_that_ends_at_the_same_level_is_not_called_off() -> None:
    ppg = PULSES.copy()
    gone = slice(int(OFF_AT * RATE_HZ), None)
    ppg[:, gone] = LIGHT + np.random.default_rng(4).normal(0, 5, ppg[:, gone].shape)
    told = _contacts(ppg)
    assert (told[:, int(OFF_AT) + 6 :] != Contact.ON).all()
    assert (told[:, int(OFF_AT) + 6 :] != Contact.OFF).all()


@pytest.mark.parametrize("jump", [40_000.0, -40_000.0])
def test_a_level_that_jumps_under_a_pulse_ends_contact_for_three_seconds_at_most(jump: float) -> None:
    told = _contacts(PULSES + jump * (np.arange(PULSES.shape[1]) > 30 * RATE_HZ))
    assert (told[:, 5:30] == Contact.ON).all()
    assert (told[:, 30:] == Contact.OFF).sum(axis=1).max() <= 3
    assert (told[:, 35:] == Contact.ON).all()


def test_a_cleared_row_is_unknown() -> None:
    state = ContactState(2)
    state.contact[:] = Contact.ON
    state.level[:] = state.height[:] = 5.0
    state.clear(np.array([1]))
    assert state.contact.tolist() == [Contact.ON, Contact.UNKNOWN]
    assert np.isnan(state.level[1])
