"""What eight seconds of PPG and motion say about the pulse rate: how much speaks for each of `RATES_PER_MIN`.

A pulse leaves power at its rate and at the double of it; so does motion, at the cadence and its multiples, often more.
Two spectra of each window are therefore read side by side: that of the PPG as it is, and that of what is left when the
share that three axes of acceleration explain is taken out of it. Where cadence and pulse differ the second is right,
where they coincide only the first still shows the pulse. Steps:

- **Band-pass** 0.4–7 Hz, without delay or state, as a choice of the window's cosine coefficients (DCT-II), and a taper:
  half of a Hann window (its root) here, so that the fit below weighs the samples as the spectra do, half there.
- **Motion**: least squares on the lagged acceleration (a Wiener filter of finite length, cf. Temko 2017, IEEE TBME
  64(9):2016, and Widrow et al. 1975, Proc. IEEE 63:1692, for noise cancelling by a reference).
- **Spectra** of the *velocity* (the derivative whitens the 1/f of baseline wander), normalised, averaged over the
  usable channels.
- **Likelihood**: the power at the rate and, half as much, at its double, as products, above a floor that bounds what a
  rate can lose.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ingest.signals.smoothing import Floats
    from ingest.streams import Mask

Spectra: TypeAlias = npt.NDArray[np.float32]

INTERNAL_HZ: Final = 25
WINDOW_S: Final = 8
SAMPLES: Final = WINDOW_S * INTERNAL_HZ
#: Motion reaches the PPG within 0.4 s; steps of 80 ms tell apart all phases of up to 6 Hz. Wider steps lose runners.
LAGS: Final = (0, 2, 4, 6, 8, 10)
MOTION_SAMPLES: Final = SAMPLES + max(LAGS)
AXES: Final = 3

RATES_PER_MIN: Final = np.arange(30.0, 241.0)
PASS_BAND_HZ: Final = (0.4, 7.0)
STILL_G: Final = 0.02  # rms: acceleration below it explains nothing
ALIKE: Final = 1e-4  # share of its power: what of the lagged motion is nearer to a mixture of the rest is not used
DRIFT_ORDER: Final = 3  # polynomial: the cosines of a slope, or of a sensor that settles, reach far into the pass band
FAINT: Final = 1e-3  # rms in the pass band as a share of the window's range: below it rounding and drift are left
FLOOR: Final = 1e-4  # share of a spectrum's power per grid step; an even spectrum has 5e-3
DOUBLE_WEIGHT: Final = 0.5  # of the power at twice the rate: some pulses are nearly sinusoidal

_DOUBLES: Final = np.concatenate([np.arange(30, 211, 2), np.arange(211, 331)])  # places of twice the rate among `_GRID`
_GRID: Final = np.concatenate([RATES_PER_MIN, np.arange(242.0, 481.0, 2.0)])
_TINY: Final = np.float32(1e-30)


def averaged(second: Floats) -> Floats:
    """One second of samples, (…, n), as means over 1/25 s, (…, 25); each n ≥ 17 by its share in the interval."""
    means: Floats = second @ _shares(second.shape[-1])
    return means


def support(ppg: Floats, usable: Mask, acc: Spectra) -> Spectra:
    """Log-likelihood of each rate above the mean over all, in nats, (rows, 2, rates); 0 where no channel is usable.

    First by both spectra, then by that without motion alone, counted twice: a cadence has the first, a pulse both.
    `ppg`: (rows, channels, `SAMPLES`), finite. `usable`: (rows, channels). `acc`: (rows, 3, `MOTION_SAMPLES`) in g,
    finite; all 0 where unknown.
    """
    centred = ppg - ppg.mean(axis=-1, keepdims=True)
    centred /= np.maximum(np.abs(centred).max(axis=-1, keepdims=True), 1e-12)
    pulse = centred.astype(np.float32) @ _band()
    usable = np.logical_and(usable, np.square(pulse).sum(axis=-1) > SAMPLES * FAINT**2)
    weights = (usable / np.maximum(usable.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    both = np.stack([pulse, _without_motion(pulse, acc)])
    power = np.log((_spectra(both) * weights[:, :, None]).sum(axis=2) + np.float32(FLOOR))
    rates = power[..., : len(RATES_PER_MIN)] + np.float32(DOUBLE_WEIGHT) * power[..., _DOUBLES]
    said = np.stack([rates[0] + rates[1], 2 * rates[1]], axis=1)
    above: Spectra = said - said.mean(axis=2, keepdims=True)
    return np.where(np.any(usable, axis=1)[:, None, None], above, np.float32(0.0))


def _without_motion(pulse: Spectra, acc: Spectra) -> Spectra:
    """`pulse`, (rows, channels, coefficients), less its best fit by the lagged acceleration."""
    newest = max(LAGS)
    lagged = np.concatenate([acc[:, :, newest - lag : newest - lag + SAMPLES] for lag in LAGS], axis=1)
    motion = (lagged - lagged.mean(axis=-1, keepdims=True)) @ _band()
    across = motion.transpose(0, 2, 1)
    alike = motion @ across
    power = np.trace(alike, axis1=1, axis2=2)[:, None, None] / np.float32(motion.shape[1])
    ridge = np.float32(SAMPLES * STILL_G**2) + np.float32(ALIKE) * power  # and so it can always be solved
    fit = np.linalg.solve(alike + ridge * np.eye(motion.shape[1], dtype=np.float32), motion @ pulse.transpose(0, 2, 1))
    left: Spectra = pulse - fit.transpose(0, 2, 1) @ motion
    return left


def _spectra(coefficients: Spectra) -> Spectra:
    """Power of the velocity over `_GRID`, as a share of that over the grid of rates."""
    waves = coefficients @ _waves()
    power = np.square(waves[..., : len(_GRID)]) + np.square(waves[..., len(_GRID) :])
    total = power[..., : len(RATES_PER_MIN)].sum(axis=-1, keepdims=True)
    shares: Spectra = power / (total + _TINY)
    return shares


@lru_cache(maxsize=64)
def _shares(samples: int) -> Floats:
    """How much of each of n samples lies in each of 25 equal intervals of their second, (n, 25)."""
    edges = np.arange(INTERNAL_HZ + 1) / INTERNAL_HZ
    begins = np.arange(samples)[:, None] / samples
    overlap = np.minimum(begins + 1 / samples, edges[1:]) - np.maximum(begins, edges[:-1])
    return np.asarray(np.maximum(overlap, 0.0) * INTERNAL_HZ, np.float64)


@lru_cache(maxsize=1)
def _cosines() -> Floats:
    """The orthonormal cosines of a window that lie in the pass band, (samples, coefficients)."""
    low, high = (round(2 * WINDOW_S * edge_hz) for edge_hz in PASS_BAND_HZ)
    phase = np.pi / SAMPLES * np.outer(np.arange(SAMPLES) + 0.5, np.arange(low, high + 1))
    return np.asarray(np.sqrt(2 / SAMPLES) * np.cos(phase), np.float64)


def _half_taper() -> Floats:
    return np.asarray(np.sqrt(np.hanning(SAMPLES + 2)[1:-1, None]), np.float64)


@lru_cache(maxsize=1)
def _band() -> Spectra:
    """Samples to cosine coefficients of the window less its drift, band-passed and half tapered."""
    cosines = _cosines()
    drift = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, SAMPLES), DRIFT_ORDER + 1))[0]
    level = cosines - drift @ (drift.T @ cosines)
    return np.asarray(level @ (cosines.T @ (_half_taper() * cosines)), np.float32)


@lru_cache(maxsize=1)
def _waves() -> Spectra:
    """These coefficients to the Fourier transform of the tapered velocity over `_GRID`: real parts, then imaginary."""
    hertz = _GRID / 60
    turning = np.exp(-2j * np.pi * np.outer(np.arange(SAMPLES) / INTERNAL_HZ, hertz)) * hertz * _half_taper()
    return np.asarray(_cosines().T @ np.concatenate([turning.real, turning.imag], axis=1), np.float32)
