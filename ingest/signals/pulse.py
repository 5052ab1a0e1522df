"""Pulse rate from PPG under motion, with and without acceleration: streaming, across devices, a second at a time.

    state = PulseState(rows=2000, channels=2)
    while seconds come:
        estimates = advance(state, ppg, acc)        # (2000, 2, n), (2000, 3, m) or None

A tracker that follows one peak of the spectrum loses it, and then follows the runner's cadence for minutes. Here no
rate is ever lost: `belief` holds a probability for **every** rate from 30 to 240 /min; each second it is spread by how
fast a heart can change, and multiplied with what the window of the last eight seconds says (`pulse_spectra`). A rate
that the evidence of some seconds speaks for wins again by itself (hidden Markov model; Rabiner 1989, Proc. IEEE 77:257;
for pulse from PPG cf. Bieri et al. 2023, BeliefPPG).

**Latency**: the estimate of a window waits for the evidence of the four seconds after it (fixed-lag smoothing), so what
`advance` returns describes the eight seconds that ended `LATENCY_S` before the newest sample. Nothing else looks ahead.

**Confidence** is the probability that the rate lies within `TOLERANCE_PER_MIN` of the one given. Where there is no
estimate the rate is NaN and the confidence 0: a channel with a second that is missing, constant, clipped or torn says
nothing until eight whole seconds have come again; with no channel left there is no estimate. A series never spans
such a gap, and after `FORGET_S` of silence the next one begins without memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.signals.pulse_spectra import (
    AXES,
    INTERNAL_HZ,
    MOTION_SAMPLES,
    RATES_PER_MIN,
    SAMPLES,
    WINDOW_S,
    averaged,
    log_likelihood,
)

if TYPE_CHECKING:
    from ingest.signals.pulse_spectra import Spectra
    from ingest.signals.smoothing import Floats
    from ingest.streams import Indices, Mask

LATENCY_S: Final = 4
TOLERANCE_PER_MIN: Final = 5
CONFIDENT: Final = 0.9  # what may be shown without doubt
MIN_RATE_HZ: Final = 17  # twice 240 /min is 8 Hz
FORGET_S: Final = 10  # without evidence: it may be another wearer

DRIFT_PER_MIN: Final = 1.2  # mean change of the rate within a second: more than a runner's at the start
LEAK: Final = 1e-3  # a second's chance that the rate is any other: an ectopic run, a sensor put on anew

CLIPPED_SHARE: Final = 0.3  # of a second's samples at its very top and bottom
TORN_SHARE: Final = 0.75  # of a second's range, in one step: an overflow, a change of gain. A pulse rises in 0.1 s
LARGEST: Final = 1e12  # no sensor counts so far

_CHUNK: Final = 128  # rows at once: their intermediate arrays stay in the processor's cache


class PulseState:
    """What is kept of every row; plain arrays, about 10 kB a row with two channels.

    `ppg`: (rows, channels, 200) and `acc`: (rows, 3, 208), the last seconds at 25 Hz, 0 where nothing came.
    `ppg_whole_s`, (rows, channels) and `acc_whole_s`, (rows,): how many seconds came without a gap, up to a window.
    `belief`: (rows, rates) after the window `LATENCY_S` ago. `evidence`: (rows, `LATENCY_S`, rates) of the windows since,
    oldest first, and `seen`: (rows, `LATENCY_S`), whether there was any. `silent_s`: (rows,) seconds without.
    """

    def __init__(self, rows: int, channels: int) -> None:
        rates = len(RATES_PER_MIN)
        self.ppg = np.zeros((rows, channels, SAMPLES))
        self.acc = np.zeros((rows, AXES, MOTION_SAMPLES), np.float32)
        self.ppg_whole_s = np.zeros((rows, channels), np.int16)
        self.acc_whole_s = np.zeros(rows, np.int16)
        self.belief = np.full((rows, rates), 1 / rates, np.float32)
        self.evidence = np.ones((rows, LATENCY_S, rates), np.float32)
        self.seen = np.zeros((rows, LATENCY_S), np.bool_)
        self.silent_s = np.zeros(rows, np.int16)

    def clear(self, rows: Indices) -> None:
        """Forget these rows."""
        for name, array in vars(PulseState(len(rows), self.ppg.shape[1])).items():
            getattr(self, name)[rows] = array


@dataclass(frozen=True, slots=True)
class PulseEstimates:
    """Of each row, (rows,): the pulse rate (NaN: none) and its confidence, 0 to 1. See the module's text."""

    rate_per_min: Floats
    confidence: Floats


def advance(state: PulseState, ppg: Floats, acc: Floats | None) -> PulseEstimates:
    """Take in one second of every row, and tell the pulse rate of the window that ended `LATENCY_S` before its end.

    `ppg`: (rows, channels, n), the n samples of this second, at least `MIN_RATE_HZ`, in any unit and polarity. `acc`:
    (rows, 3, m) in g, its own number of samples; None where nobody moves or nobody knows. NaN: missing.
    """
    if min(ppg.shape[-1], MIN_RATE_HZ if acc is None else acc.shape[-1]) < MIN_RATE_HZ:
        raise ValueError(f"pulse rate needs at least {MIN_RATE_HZ} samples a second")
    _take_ppg(state, ppg)
    _take_acc(state, acc)
    usable = state.ppg_whole_s >= WINDOW_S
    evidence = np.ones_like(state.belief)
    for first in range(0, len(ppg), _CHUNK):
        part = slice(first, first + _CHUNK)
        said = log_likelihood(state.ppg[part], usable[part], _known_motion(state, part))
        evidence[part] = np.exp(said - said.max(axis=1, keepdims=True))
    return _believe(state, evidence, usable.any(axis=1))


def _take_ppg(state: PulseState, second: Floats) -> None:
    whole = _whole(second)
    means = averaged(np.where(whole[..., None], second, 0.0))
    state.ppg = np.concatenate([state.ppg[..., INTERNAL_HZ:], means], axis=-1)
    state.ppg_whole_s = np.where(whole, np.minimum(state.ppg_whole_s + 1, WINDOW_S), 0).astype(np.int16)


def _whole(second: Floats) -> Mask:
    """Whether a second of samples, (…, n), is all there and can be a pulse."""
    there = (np.abs(second) < LARGEST).all(axis=-1)  # NaN is not
    known = np.where(there[..., None], second, 0.0)
    top, bottom = known.max(axis=-1, keepdims=True), known.min(axis=-1, keepdims=True)
    span = (top - bottom)[..., 0]
    clipped = ((known == top) | (known == bottom)).mean(axis=-1) > CLIPPED_SHARE
    torn = np.abs(np.diff(known, axis=-1)).max(axis=-1) > TORN_SHARE * span
    whole: Mask = there & (span > 0) & ~clipped & ~torn
    return whole


def _take_acc(state: PulseState, second: Floats | None) -> None:
    if second is None:
        second = np.full((len(state.acc), AXES, MIN_RATE_HZ), np.nan)
    there = (np.abs(second) < LARGEST).all(axis=(1, 2))
    means = averaged(np.where(there[:, None, None], second, 0.0)).astype(np.float32)
    state.acc = np.concatenate([state.acc[..., INTERNAL_HZ:], means], axis=-1)
    state.acc_whole_s = np.where(there, np.minimum(state.acc_whole_s + 1, WINDOW_S + 1), 0).astype(np.int16)


def _known_motion(state: PulseState, part: slice) -> Spectra:
    """The acceleration, or 0 where some of the window's is missing."""
    known = state.acc_whole_s[part] > WINDOW_S
    return np.where(known[:, None, None], state.acc[part], np.float32(0.0))


def _believe(state: PulseState, evidence: Spectra, seen: Mask) -> PulseEstimates:
    """Move the belief on by a second, and smooth it with the evidence of the seconds after it."""
    spread = _spread()
    told = state.seen[:, 0]
    state.silent_s = np.where(told, 0, np.minimum(state.silent_s + 1, FORGET_S)).astype(np.int16)
    state.belief[state.silent_s >= FORGET_S] = 1 / len(RATES_PER_MIN)
    state.belief = _normalised((state.belief @ spread) * state.evidence[:, 0])
    state.evidence = np.concatenate([state.evidence[:, 1:], evidence[:, None]], axis=1)
    state.seen = np.concatenate([state.seen[:, 1:], seen[:, None]], axis=1)
    later = np.ones_like(state.belief)
    for second in reversed(range(LATENCY_S)):
        later = _normalised((later * state.evidence[:, second]) @ spread.T)
    return _most_likely(_normalised(state.belief * later).astype(np.float64), told)


def _most_likely(belief: Floats, told: Mask) -> PulseEstimates:
    """The mean rate of the likeliest ± `TOLERANCE_PER_MIN`, and the probability of these."""
    reach, rates = TOLERANCE_PER_MIN, len(RATES_PER_MIN)
    upto = np.cumsum(np.pad(belief, ((0, 0), (1, 0))), axis=1)
    weighed = np.cumsum(np.pad(belief * RATES_PER_MIN, ((0, 0), (1, 0))), axis=1)
    low, high = np.maximum(np.arange(rates) - reach, 0), np.minimum(np.arange(rates) + reach + 1, rates)
    mass = upto[:, high] - upto[:, low]
    rows, best = np.arange(len(belief)), mass.argmax(axis=1)
    confidence = mass[rows, best]
    rate = (weighed[rows, high[best]] - weighed[rows, low[best]]) / confidence
    return PulseEstimates(np.where(told, rate, np.nan), np.where(told, np.minimum(confidence, 1.0), 0.0))


def _normalised(belief: Spectra) -> Spectra:
    normal: Spectra = belief / belief.sum(axis=1, keepdims=True)
    return normal


@lru_cache(maxsize=1)
def _spread() -> Spectra:
    """How a rate changes within a second, (from, to): Laplace, and `LEAK` for any other."""
    apart = np.abs(RATES_PER_MIN[:, None] - RATES_PER_MIN)
    near = np.exp(-apart / DRIFT_PER_MIN)
    near /= near.sum(axis=1, keepdims=True)
    return np.asarray((1 - LEAK) * near + LEAK / len(RATES_PER_MIN), np.float32)
