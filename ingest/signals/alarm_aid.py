"""What a pulse wave says about an alarm that an ECG raised: did the pulse go on, and can the wave be trusted?

Most false arrhythmia alarms of monitors come from a disturbed ECG, and a wave of another origin can bear witness
(Clifford et al. 2015, the PhysioNet/Computing in Cardiology Challenge on false arrhythmia alarms). That witness is
one-sided:
- `STEADY`: a usable wave whose rate and height went on as before. An arrest, or a run of ventricular tachycardia that
  costs the circulation its pulse, would show. **A tachycardia that still fills the arteries does not**: of eight true
  alarms that this was looked at on, one was steady, at 96 /min. It is a reason to look at the ECG first, and never a
  reason to silence an alarm.
- `CHANGED`: a usable wave with another rate or weaker beats: what an arrhythmia does, but also pain, a cuff, a cough.
- `SILENT`: no usable wave. Motion disturbs both sensors and an arrhythmia disturbs the wave; the two look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.signals import optical
from vitals.model import Quality

if TYPE_CHECKING:
    from ingest.signals.beats import BeatState
    from ingest.signals.optical import OpticalEstimates
    from ingest.signals.smoothing import Codes, Floats
    from ingest.streams import Mask

HEARD_S: Final = 60  # of wave before the alarm that is listened to: the estimates have settled, and a minute is at hand
NOW_S: Final = 8.0  # monitors must raise the alarm within 10 s of its cause (ANSI/AAMI EC13), so the cause lies in here
BEFORE_S: Final = 30.0  # what "as before" means: beats from here …
MAX_RATE_CHANGE: Final = 0.15  # share; breathing and averaging change less
LEAST_HEIGHT: Final = 0.6  # of the height before


class Witness(IntEnum):
    """See the module's text."""

    SILENT = 0
    CHANGED = 1
    STEADY = 2


@dataclass(frozen=True, slots=True)
class AlarmAid:
    """Per row, at the end of the wave: the estimates, what they were compared with, and the outcome.

    `rate_per_min`, `before_per_min`: from the median interval of the last `NOW_S` and of those from `BEFORE_S` until
    then; `height_share`: median height of the beats now, over that before; all NaN without beats.
    """

    at_alarm: OpticalEstimates
    rate_per_min: Floats
    before_per_min: Floats
    height_share: Floats
    witness: Codes


def at_alarm(ppg: Floats, rate_hz: float, *, absolute: bool = False) -> AlarmAid:
    """Judge waves that end with the alarm, (rows, n), NaN where a sample is missing, at least 30 s; `rate_hz` whole."""
    second = round(rate_hz)
    seconds = min(ppg.shape[1] // second, HEARD_S)
    state = optical.OpticalState(len(ppg), rate_hz)
    for left in range(seconds, 0, -1):
        begin = ppg.shape[1] - left * second
        estimates = optical.advance(state, ppg[:, begin : begin + second], absolute=absolute)
    rate, before, height = _compared(state.beats)
    steady = (np.abs(rate / before - 1) <= MAX_RATE_CHANGE) & (height >= LEAST_HEIGHT)  # False where one is NaN
    known = (estimates.pulse_verdict == Quality.USABLE) & np.isfinite(rate / before)
    witness = np.where(known, np.where(steady, Witness.STEADY, Witness.CHANGED), Witness.SILENT)
    return AlarmAid(estimates, rate, before, height, witness.astype(np.uint8))


def _compared(beats: BeatState) -> tuple[Floats, Floats, Floats]:
    """Rate now, rate before, and the share of the height that is left."""
    age_s = beats.now_s - beats.at_s  # NaN where there is no beat
    now, before = age_s <= NOW_S, (age_s > NOW_S) & (age_s <= BEFORE_S)
    height = beats.peak - beats.foot
    share = _median(height, now) / _median(height, before)
    return 60 / _median(beats.interval_s, now), 60 / _median(beats.interval_s, before), share


def _median(values: Floats, chosen: Mask) -> Floats:
    """Of each row's values that are `chosen` and not NaN; NaN where there are none."""
    ordered = np.sort(np.where(chosen, values, np.nan), axis=1)
    count = np.count_nonzero(~np.isnan(ordered), axis=1)
    rows = np.arange(len(values))
    return np.asarray((ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2]) / 2, np.float64)
