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

**Confidence**, 0 to 1, is the probability the model gives to rates within `TOLERANCE_PER_MIN` of the one found, times
how plainly the windows back it: a model that must choose among rates finds one in noise too. It is low where a cadence
may pass for the pulse, also when it rightly does not: there the accelerometer explains most of both. Where there is no
estimate the rate is NaN and the confidence 0: a channel with a second that is missing, constant, clipped or torn says
nothing until eight whole seconds have come again, and with no channel left there is no estimate. A series never spans
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
    support,
)

if TYPE_CHECKING:
    from ingest.signals.pulse_spectra import Spectra
    from ingest.signals.smoothing import Floats
    from ingest.streams import Indices, Mask

LATENCY_S: Final = 4
TOLERANCE_PER_MIN: Final = 5
CONFIDENT: Final = 0.8  # from here on a rate may be shown without doubt
MIN_RATE_HZ: Final = 17  # samples: the pass band and its mirror image must not meet
FORGET_S: Final = 10  # without evidence: it may be another wearer

DRIFT_PER_MIN: Final = 1.5  # mean change of the rate within a second: more than a runner's at the start
LEAK: Final = 1e-3  # a second's chance that the rate is any other: an ectopic run, a sensor put on anew

#: Windows that begin a second apart share most of their samples: each adds this much of what it says.
NEW_SHARE: Final = 0.5

# How much the windows back the rate found, above the mean of all rates: both spectra, and that without motion alone,
# where little is left of a pulse that runs with the cadence, and nothing of the cadence.
CHANCE_NATS: Final = np.array([3.0, 2.0])  # what the rate found has in noise
PLAIN_NATS: Final = np.array([6.0, 4.0])  # what noise of one channel passes in one window of a hundred
BACKING_S: Final = 5  # it is smoothed over: a disturbance passes, noise does not

CLIPPED_SHARE: Final = 0.3  # of a second's samples at its very top and bottom
TORN_SHARE: Final = 0.75  # of a second's range, in one step: an overflow, a change of gain. A pulse rises in 0.1 s
LARGEST: Final = 1e12  # no sensor counts so far
LARGEST_G: Final = 200.0

_CHUNK: Final = 128  # rows at once: their intermediate arrays stay in the processor's cache


class PulseState:
    """What is kept of every row; plain arrays, about 13 kB a row with two channels.

    `ppg`: (rows, channels, 200) and `acc`: (rows, 3, 210), the last seconds at 25 Hz, 0 where nothing came.
    `ppg_whole_s`, (rows, channels) and `acc_whole_s`, (rows,): how many seconds came without a gap, up to a window.
    `belief`: (rows, rates) after the window `LATENCY_S` ago. `support`: (rows, `LATENCY_S`, 2, rates) of the windows
    since, oldest first, and `seen`: (rows, `LATENCY_S`), whether there was any. `silent_s`: (rows,) seconds without, up
    to `FORGET_S`. `backing`: (rows, 2) how much the windows backed the rates found, in nats, smoothed.
    """

    def __init__(self, rows: int, channels: int) -> None:
        rates = len(RATES_PER_MIN)
        self.ppg = np.zeros((rows, channels, SAMPLES))
        self.acc = np.zeros((rows, AXES, MOTION_SAMPLES), np.float32)
        self.ppg_whole_s = np.zeros((rows, channels), np.int16)
        self.acc_whole_s = np.zeros(rows, np.int16)
        self.belief = np.full((rows, rates), 1 / rates, np.float32)
        self.support = np.zeros((rows, LATENCY_S, 2, rates), np.float32)
        self.seen = np.zeros((rows, LATENCY_S), np.bool_)
        self.silent_s = np.full(rows, FORGET_S, np.int16)
        self.backing = np.zeros((rows, 2))

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
    (rows, 3, m) in g, its own number of samples; NaN where missing, None if no row has an accelerometer. Without it
    the confidence holds for a wearer at rest only: a runner's cadence then passes for the pulse.
    """
    if min(ppg.shape[-1], MIN_RATE_HZ if acc is None else acc.shape[-1]) < MIN_RATE_HZ:
        raise ValueError(f"pulse rate needs at least {MIN_RATE_HZ} samples a second")
    _take_ppg(state, ppg)
    _take_acc(state, acc)
    usable: Mask = np.asarray(state.ppg_whole_s >= WINDOW_S)
    supported = np.zeros_like(state.support[:, 0])
    for first in range(0, len(ppg), _CHUNK):
        part = slice(first, first + _CHUNK)
        supported[part] = support(state.ppg[part], usable[part], _known_motion(state, part))
    return _believe(state, supported, np.any(usable, axis=1))


def _take_ppg(state: PulseState, second: Floats) -> None:
    whole = _whole(second)
    means = averaged(np.where(whole[..., None], second, 0.0))
    state.ppg = np.concatenate([state.ppg[..., INTERNAL_HZ:], means], axis=-1)
    state.ppg_whole_s = np.where(whole, np.minimum(state.ppg_whole_s + 1, WINDOW_S), 0).astype(np.int16)


def _whole(second: Floats) -> Mask:
    """Whether a second of samples, (…, n), is all there and can be a pulse."""
    there: Mask = np.all(np.abs(second) < LARGEST, axis=-1)  # NaN is not
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
    there: Mask = np.all(np.abs(second) < LARGEST_G, axis=(1, 2))
    means = averaged(np.where(there[:, None, None], second, 0.0)).astype(np.float32)
    state.acc = np.concatenate([state.acc[..., INTERNAL_HZ:], means], axis=-1)
    state.acc_whole_s = np.where(there, np.minimum(state.acc_whole_s + 1, WINDOW_S + 1), 0).astype(np.int16)


def _known_motion(state: PulseState, part: slice) -> Spectra:
    """The acceleration, or 0 where some of the window's is missing."""
    known: Mask = np.asarray(state.acc_whole_s[part] > WINDOW_S)
    return np.where(known[:, None, None], state.acc[part], np.float32(0.0))


def _believe(state: PulseState, support_now: Spectra, seen: Mask) -> PulseEstimates:
    """Move the belief on by a second, and judge it together with the windows of the seconds after it."""
    told, goes_on = state.seen[:, 0], state.silent_s == 0
    state.silent_s = np.where(told, 0, np.minimum(state.silent_s + 1, FORGET_S)).astype(np.int16)
    state.belief[state.silent_s >= FORGET_S] = 1 / len(RATES_PER_MIN)
    windows = np.concatenate([state.support, support_now[:, None]], axis=1)
    both = windows[:, :, 0]
    smoothed = _smoothed(state, np.exp(np.float32(NEW_SHARE) * (both - both.max(axis=2, keepdims=True))))
    state.support = windows[:, 1:]
    state.seen = np.concatenate([state.seen[:, 1:], seen[:, None]], axis=1)
    backing = (smoothed[:, None] * windows.mean(axis=1)).sum(axis=2)
    smoother = state.backing + (backing - state.backing) / BACKING_S
    state.backing = np.where((told & goes_on)[:, None], smoother, backing)
    rate, probability = _most_likely(smoothed)
    plain = np.clip((state.backing - CHANCE_NATS) / (PLAIN_NATS - CHANCE_NATS), 0.0, 1.0).min(axis=1)
    return PulseEstimates(np.where(told, rate, np.nan), np.where(told, probability * plain, 0.0))


def _smoothed(state: PulseState, likelihood: Spectra) -> Floats:
    """The belief `LATENCY_S` ago given all windows up to now, (rows, rates); `state.belief` moves on to there."""
    spread = _spread()
    state.belief = _normalised((state.belief @ spread) * likelihood[:, 0])
    later = np.ones_like(state.belief)
    for second in range(LATENCY_S, 0, -1):
        later = _normalised(np.matmul(later * likelihood[:, second], spread.T))
    both = state.belief * later
    return np.asarray(both / both.sum(axis=1, keepdims=True), np.float64)


def _most_likely(belief: Floats) -> tuple[Floats, Floats]:
    """The mean rate of the likeliest ± `TOLERANCE_PER_MIN`, and the probability of these."""
    reach, rates = TOLERANCE_PER_MIN, len(RATES_PER_MIN)
    upto = np.cumsum(np.pad(belief, ((0, 0), (1, 0))), axis=1)
    weighed = np.cumsum(np.pad(belief * RATES_PER_MIN, ((0, 0), (1, 0))), axis=1)
    low, high = np.maximum(np.arange(rates) - reach, 0), np.minimum(np.arange(rates) + reach + 1, rates)
    mass = upto[:, high] - upto[:, low]
    rows, best = np.arange(len(belief)), mass.argmax(axis=1)
    likeliest = mass[rows, best]
    rate = (weighed[rows, high[best]] - weighed[rows, low[best]]) / likeliest
    return rate, np.minimum(likeliest, 1.0)


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
