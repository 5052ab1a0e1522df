"""All that one photoplethysmogram tells at rest, second by second and across devices.

`advance` takes the next second of every row and joins the parts: beats and pulse rate (`beats`), quality (`quality`),
contact (`contact`), respiratory rate (`breathing`). Under motion, pulse rate comes from `ingest.signals.pulse`.

Latency: pulse rate is the mean of the last 14 s of beats, the newest of which are at most 1.75 s old; quality looks 8 s
back, contact 3 to 4 s, respiratory rate 32 s. State is arrays only: the same seconds give the same numbers, to the bit,
wherever the state was saved and restored between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.signals import beats, breathing, contact, quality
from ingest.signals.smoothing import present
from vitals.model import Quality, Reason

if TYPE_CHECKING:
    from ingest.signals.quality import Sqi
    from ingest.signals.smoothing import Codes, Floats
    from ingest.streams import Indices, Mask

MEMORY: Final = 0.9  # of a second's index in the next: quality over about the last 10 s, for breathing


class OpticalState:
    """State of `rows` wearables of one sample rate; `steadiness`: the quality index, averaged over about 10 s."""

    def __init__(self, rows: int, rate_hz: float) -> None:
        self.beats = beats.BeatState(rows, rate_hz)
        self.contact = contact.ContactState(rows)
        self.breath = breathing.BreathState(rows)
        self.steadiness = np.zeros(rows)

    def clear(self, rows: Indices) -> None:
        """Forget these rows: another wearer, or another device."""
        self.beats.clear(rows)
        self.contact.clear(rows)
        self.breath.clear(rows)
        self.steadiness[rows] = 0.0


@dataclass(frozen=True, slots=True)
class OpticalEstimates:
    """Per row: rates in /min, NaN where there is none, and how far they may be trusted.

    A rate is the best guess whatever its verdict: `USABLE` may be shown and alarmed on, `DOUBTFUL` shown as such,
    `UNUSABLE` is for people who study signals. `*_verdict` holds `Quality`; `*_reason` `Reason`, `PRESENT` where
    usable; `contact` holds `contact.Contact`; `index` is the quality index, 0 to 1.
    """

    pulse_per_min: Floats
    pulse_verdict: Codes
    pulse_reason: Codes
    resp_per_min: Floats
    resp_verdict: Codes
    resp_reason: Codes
    index: Floats
    contact: Codes


def advance(
    state: OpticalState, ppg: Floats, acceleration_g: Floats | None = None, *, absolute: bool = False
) -> OpticalEstimates:
    """Take the next second, (rows, n), NaN where a sample is missing; a pulse goes upwards.

    `acceleration_g`: (rows, 3, m) of about the last seconds. `absolute`: samples are counts of light (for perfusion).
    """
    rate_hz = state.beats.rate_hz
    pulse = beats.advance(state.beats, ppg)
    window = state.beats.window
    sqi = quality.assess(window, rate_hz, acceleration_g, absolute=absolute, found=pulse.found)
    placed = contact.advance(state.contact, window, rate_hz, sqi)
    state.steadiness = MEMORY * state.steadiness + (1 - MEMORY) * sqi.index
    breath = breathing.advance(state.breath, state.beats, state.steadiness >= quality.DOUBTFUL)

    off = placed == contact.Contact.OFF
    rate = np.where(off, np.nan, pulse.rate_per_min)
    verdict, reason = _judged(sqi, rate, off, window, ppg.shape[1])
    resp = np.where(off, np.nan, breath.rate_per_min)
    of_signal = quality.verdict_of(state.steadiness)
    resp_verdict = np.where(np.isnan(resp), Quality.UNUSABLE, np.maximum(breath.verdict, of_signal)).astype(np.uint8)
    return OpticalEstimates(
        rate, verdict, reason, resp, resp_verdict, _resp_reason(resp, resp_verdict, reason), sqi.index, placed
    )


def _judged(sqi: Sqi, rate: Floats, off: Mask, window: Floats, newest: int) -> tuple[Codes, Codes]:
    """Verdict and reason of the pulse rate; `newest`: how many samples the last second has."""
    silent = ~present(window[:, -newest:]).any(axis=1)
    filling = ~present(window[:, 0]) & ~silent
    reason = np.where((sqi.verdict == Quality.UNUSABLE) & filling, Reason.SEARCHING, sqi.reason)
    lacking = np.isnan(rate) & (sqi.verdict != Quality.UNUSABLE)
    verdict = np.where(off | silent | lacking, Quality.UNUSABLE, sqi.verdict)
    reason = np.where(lacking, Reason.SEARCHING, reason)
    reason = np.where(off, Reason.PROBE_OFF, np.where(silent, Reason.NO_READING, reason))
    return verdict.astype(np.uint8), reason.astype(np.uint8)


def _resp_reason(rate: Floats, verdict: Codes, pulse_reason: Codes) -> Codes:
    """The pulse's reason where it has one; a missing rate is being searched for, an uncertain one has a poor signal."""
    own = np.where(np.isnan(rate), Reason.SEARCHING, Reason.POOR_SIGNAL)
    reason = np.where(pulse_reason != Reason.PRESENT, pulse_reason, own)
    return np.where(verdict == Quality.USABLE, Reason.PRESENT, reason).astype(np.uint8)
