"""SpO2 as the oximeter says it, with short drop-outs bridged and with doubt where its own pulse gives it away.

    advance(state, Readings(...), now_ns)   ─▶ Judged: value, quality, reason and age of every oximeter, once a second

The value is always one that the oximeter itself sent; nothing is computed from red and infrared counts, whose ratio
means nothing without the calibration of that sensor (ISO 80601-2-61).

- *Drop-out*: a missing reading is answered with the last good one for `HOLD_NS`, marked `DOUBTFUL` and with its
  age; then the value is missing with the device's reason. Alarm delays see the age, so nothing is prolonged.
- *Perfusion* below 0.3 % makes a reading doubtful.
- *Pulse agreement*: an oximeter that counts another pulse than the ECG or strap does not look at arterial blood
  (Barker & Shah, Anesthesiology 86:101–108, 1997). Apart by more than 10 /min and 15 % for 5 s: doubtful, until it
  agrees for as long. Without a second heart rate nothing is said.
- *Leap*: arterial saturation does not change by more than 4 points a second; what does is doubtful until it has
  stayed within 4 points for `SETTLED_NS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from vitals.model import VITALS, Quality, Reason, Vital

if TYPE_CHECKING:
    from ingest.streams import Indices, Mask, Times

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.uint8]

HOLD_NS: Final = 10_000_000_000  # an oximeter's own averaging takes 8 to 16 s: a shorter gap hides no event
MAX_AGE_NS: Final = 5_000_000_000  # a reading of an oximeter that sends every 4 s is still the present one
LEAST_PERFUSION_PCT: Final = 0.3
APART_PER_MIN: Final = 10.0
APART_SHARE: Final = 0.15  # of the heart rate: at 150 /min, 10 apart is within the averaging of two devices
APART_NS: Final = 5_000_000_000
LEAP_PCT_PER_S: Final = 4.0
SETTLED_NS: Final = 6_000_000_000

_LOW, _HIGH = VITALS[Vital.SPO2].low, VITALS[Vital.SPO2].high


@dataclass(frozen=True, slots=True)
class Readings:
    """The newest readings of every oximeter, all (rows,); NaN where there is none.

    `sampled_at_ns` is when the oximeter produced `spo2_pct`, or when it said that it had none, 0 for never.
    `heart_rate` comes from another sensor (ECG, strap), at most `MAX_AGE_NS` old. `reason`: why the oximeter had none.
    """

    sampled_at_ns: Times
    spo2_pct: Floats
    pulse_rate: Floats
    perfusion_pct: Floats
    heart_rate: Floats
    reason: Codes


@dataclass(slots=True)
class OxygenState:
    """What is remembered of every oximeter, all (rows,): plain arrays to save and restore; a time of 0 means none."""

    good_pct: Floats
    good_at_ns: Times
    steady_pct: Floats  # the level that a leap is measured from
    leapt_at_ns: Times  # since when the present level lasts, 0 when it needs no settling
    seen_at_ns: Times  # time of the last reading taken in
    differs: Mask  # whether the pulse counts as disagreeing
    turning_at_ns: Times  # since when the pulse says the opposite of `differs`

    @classmethod
    def of(cls, rows: int) -> OxygenState:
        """Nothing known of `rows` oximeters."""
        times = [np.zeros(rows, np.int64) for _ in range(4)]
        return cls(
            np.full(rows, np.nan),
            times[0],
            np.full(rows, np.nan),
            times[1],
            times[2],
            np.zeros(rows, np.bool_),
            times[3],
        )

    def clear(self, rows: Indices) -> None:
        """Forget these oximeters."""
        for times in (self.good_at_ns, self.leapt_at_ns, self.seen_at_ns, self.turning_at_ns):
            times[rows] = 0
        self.good_pct[rows] = self.steady_pct[rows] = np.nan
        self.differs[rows] = False


@dataclass(frozen=True, slots=True)
class Judged:
    """The SpO2 of every oximeter, all (rows,).

    `spo2_pct` NaN goes with a `reason`, and `age_ns` is of the value given. `disagrees`, `low_perfusion`, `leaps`
    and `held` say what the doubt is about.
    """

    spo2_pct: Floats
    age_ns: Times
    quality: Codes
    reason: Codes
    held: Mask
    disagrees: Mask
    low_perfusion: Mask
    leaps: Mask


def advance(state: OxygenState, readings: Readings, now_ns: int | Times) -> Judged:
    """Judge the newest readings at `now_ns`, one for all or (rows,); `state` moves on.

    Call it with every reading, or at least every `MAX_AGE_NS`.
    """
    spo2 = readings.spo2_pct
    recent = (readings.sampled_at_ns > 0) & (now_ns - readings.sampled_at_ns <= MAX_AGE_NS)
    present = recent & (spo2 >= _LOW) & (spo2 <= _HIGH)
    disagrees = _disagreement(state, readings, recent, now_ns)
    leaps = _leap(state, readings, present)
    state.good_pct = np.where(present, spo2, state.good_pct)
    state.good_at_ns = np.where(present, readings.sampled_at_ns, state.good_at_ns)

    held = ~present & (state.good_at_ns > 0) & (now_ns - state.good_at_ns <= HOLD_NS)
    low_perfusion = present & (readings.perfusion_pct < LEAST_PERFUSION_PCT)
    doubtful = held | disagrees | low_perfusion | leaps
    known = present | held
    why = np.where(recent & (readings.reason > 0), readings.reason, np.uint8(Reason.NO_READING))
    why = np.where(readings.sampled_at_ns == 0, np.uint8(Reason.NEVER_SEEN), why)
    return Judged(
        spo2_pct=np.where(known, state.good_pct, np.nan),
        age_ns=np.where(known, now_ns - state.good_at_ns, 0),
        quality=np.where(~known, Quality.UNUSABLE, np.where(doubtful, Quality.DOUBTFUL, Quality.USABLE)).astype(
            np.uint8
        ),
        reason=np.where(known, np.uint8(Reason.PRESENT), why),
        held=held,
        disagrees=disagrees & known,
        low_perfusion=low_perfusion,
        leaps=leaps,
    )


def _disagreement(state: OxygenState, readings: Readings, recent: Mask, now_ns: int | Times) -> Mask:
    """Whether pulse and heart rate disagree, (rows,): a verdict turns when its opposite has lasted `APART_NS`."""
    apart = np.abs(readings.pulse_rate - readings.heart_rate)
    comparable = recent & np.isfinite(apart)
    differ = apart > np.maximum(APART_PER_MIN, APART_SHARE * readings.heart_rate)
    turning = comparable & (differ != state.differs)
    since = np.where(turning & (state.turning_at_ns == 0), now_ns, state.turning_at_ns)
    turned = turning & (now_ns - since >= APART_NS)
    state.differs = state.differs ^ turned
    state.turning_at_ns = np.where(turning & ~turned, since, np.where(comparable, 0, state.turning_at_ns))
    return state.differs & comparable


def _leap(state: OxygenState, readings: Readings, present: Mask) -> Mask:
    """Whether the present level came by a leap and has not lasted yet, (rows,)."""
    fresh = present & (readings.sampled_at_ns > state.seen_at_ns)
    passed_s = np.maximum((readings.sampled_at_ns - state.seen_at_ns) / 1e9, 1.0)
    known = fresh & (state.seen_at_ns > 0) & (readings.sampled_at_ns - state.seen_at_ns <= HOLD_NS)
    moved = known & (np.abs(readings.spo2_pct - state.steady_pct) > LEAP_PCT_PER_S * passed_s)
    lasting = readings.sampled_at_ns - state.leapt_at_ns >= SETTLED_NS
    leapt = np.where(moved, readings.sampled_at_ns, np.where(fresh & (~known | lasting), 0, state.leapt_at_ns))
    state.leapt_at_ns = leapt.astype(np.int64)
    state.steady_pct = np.where(fresh, readings.spo2_pct, state.steady_pct)
    state.seen_at_ns = np.where(fresh, readings.sampled_at_ns, state.seen_at_ns)
    return np.asarray(present & (state.leapt_at_ns > 0))
