"""Whether an optical sensor is on skin, from the wave alone, within 5 s; across devices.

What tells is little, so it is kept apart from quality:
- *on*: the beats of the last 4 s look alike and rise like a pulse (the jump of the level when a sensor is put on has
  left this window after 4 s; slower pulses than 55 /min have too few beats in it, and wait for quality's window);
- *off*: the wave stands still (a device at rest on a table, a counter at its limit), or its level has left the level of
  the last good pulses by many times their height, and pulses are gone.

A level that moves without an end of the pulse is motion or an automatic gain; the jump itself hides the pulse, and may
be told as off for up to 3 s. Pulses that end at the same level are **not** off: no pulse wave on a well-seated sensor
can be a stopped heart, a cuff or cold fingers, and the wave cannot tell which. That is `Contact.UNKNOWN`, with an
unusable signal.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.signals.beats import find
from ingest.signals.quality import RECENT_S, Index, shape_and_rise
from ingest.signals.smoothing import bridged, present

if TYPE_CHECKING:
    from ingest.signals.quality import Sqi
    from ingest.signals.smoothing import Codes, Floats
    from ingest.streams import Indices


class Contact(IntEnum):
    """What the wave says about the sensor's place."""

    UNKNOWN = 0
    ON = 1
    OFF = 2


PULSE_LIKELY: Final = 0.88  # correlation with the template (Orphanidou: 0.86 over 10 s): on when twice in a row
PULSE_SURE: Final = 0.95  # on at once; noise seldom reaches it
PULSE_GONE: Final = 0.60  # what noise reaches on average
LEVEL_HEIGHTS: Final = 8.0  # pulses are 0.5 to 10 % of the light, skin or air makes most of the rest
CONTACT_S: Final = 4.0
MAX_RISE_S: Final = 0.28  # of a beat, between a pulse's (0.11 to 0.16 on a finger) and that of slow noise
LEVEL_S: Final = 1.0
_FAIR: Final = 0.5  # of an index, and of the samples


class ContactState:
    """Per row: `contact`, whether the second before looked like pulses, and the level and height of the last sure ones.

    `level`, `height`: NaN before the first.
    """

    def __init__(self, rows: int) -> None:
        self.contact = np.zeros(rows, np.uint8)
        self.likely = np.zeros(rows, np.bool_)
        self.level, self.height = np.full(rows, np.nan), np.full(rows, np.nan)

    def clear(self, rows: Indices) -> None:
        """Forget these rows."""
        self.contact[rows], self.likely[rows] = Contact.UNKNOWN, False
        self.level[rows], self.height[rows] = np.nan, np.nan


def advance(state: ContactState, window: Floats, rate_hz: float, sqi: Sqi) -> Codes:
    """`Contact` per row after one more second; `sqi` is that of `window`, (rows, n)."""
    level = np.median(bridged(window[:, -round(RECENT_S * rate_hz) :]), axis=1)
    newest = np.median(bridged(window[:, -round(LEVEL_S * rate_hz) :]), axis=1)
    here = present(window[:, -round(RECENT_S * rate_hz) :]).mean(axis=1) >= _FAIR  # silence says nothing
    flat = (sqi.indices[:, Index.MOVING] < _FAIR) & here
    alike, rise_s = _newest_beats(window, rate_hz, sqi)
    likely = (alike >= PULSE_LIKELY) & (rise_s <= MAX_RISE_S) & ~flat
    seen = likely & (state.likely | (alike >= PULSE_SURE))
    gone = sqi.recent < PULSE_GONE
    left = gone & here & (np.abs(newest - state.level) > LEVEL_HEIGHTS * state.height)  # False where either is NaN
    off = flat | left | (gone & (state.contact == Contact.OFF))
    faded = gone & (state.contact == Contact.ON)
    contact = np.where(off, Contact.OFF, np.where(faded, Contact.UNKNOWN, state.contact))
    state.contact = np.where(seen, Contact.ON, contact).astype(np.uint8)
    state.likely = likely
    steady = seen & (sqi.indices[:, Index.CONTINUITY] >= _FAIR)
    state.level = np.where(steady, level, state.level)
    state.height = np.where(steady, sqi.height, state.height)
    return state.contact


def _newest_beats(window: Floats, rate_hz: float, sqi: Sqi) -> tuple[Floats, Floats]:
    """How much the newest beats are alike, and their rise in s: quality's own findings where they are sure of it."""
    alike, rise_s = sqi.recent.copy(), sqi.rise_s.copy()
    unsure = np.flatnonzero((alike < PULSE_SURE) | (rise_s > MAX_RISE_S))
    if len(unsure):
        late = find(window[unsure, -round(CONTACT_S * rate_hz) :], rate_hz)
        shape, late_rise_s = shape_and_rise(late, rate_hz)
        alike[unsure] = np.maximum(alike[unsure], shape)
        rise_s[unsure] = late_rise_s
    return alike, rise_s
