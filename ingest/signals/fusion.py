"""One best value of a vital from several sources, and where it came from.

    best = fuse(state, Candidates(...), now_ns)   ─▶ value, source, quality and age of every patient, once a second

A strap, an oximeter and the pulse wave of a wrist band each tell a heart rate. They are never averaged, because a
wrong one would pull the others along: one is chosen per patient, and the value says which.

- *Eligible* is a source with a fresh value (`MAX_AGE_NS`) that is not unusable or a test.
- *Better* is, in this order: the better quality; the lower rank number, which the caller gives by method (for a heart
  rate: ECG before oximeter before motion-tolerant PPG). Of equals the lower source number.
- *No flapping*: a source that is present stays until another has been better for `TAKE_OVER_NS` on end. One that is no
  longer eligible is left at once, since a wrong or old number helps nobody. So is one that has become doubtful
  while another is usable, after `LEAVE_DOUBT_NS`.
- *Disagreement*: when another usable source has differed by more than the caller's tolerance for `APART_NS`, the value
  is doubtful and says so. Which of them is right is for a person to find out. The delay is for sources that average:
  an oximeter follows a quick change some seconds after the strap, and such a change is no reason for doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from vitals.model import Quality, Reason, Vital, Waveform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.streams import Indices, Mask, Times

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.uint8]

NO_SOURCE: Final = -1
MAX_AGE_NS: Final = 10_000_000_000  # an oximeter that sends every 4 s may miss one message
TAKE_OVER_NS: Final = 10_000_000_000
LEAVE_DOUBT_NS: Final = 3_000_000_000
APART_NS: Final = 5_000_000_000

#: Order of `Quality`, best first, by its number. Unknown is as good as usable: most straps have no quality indicator,
#: and an oximeter that vouches for itself while it counts an artefact must not be believed before an ECG.
_STANDING: Final = np.array([0, 0, 1, 9, 9])
_NOT_ELIGIBLE: Final = 1_000_000_000
_MOST_RANKS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the sources of every patient say, all (patients, sources); NaN where a source has no value.

    `sampled_at_ns`: 0 for never. `reasons`: why a source has no value. `ranks` orders methods, 0 best, below 1,000.
    `tolerance`: the difference, in the vital's unit, that two sources may show without doubt, (patients, sources),
    (patients, 1) or a number.
    """

    values: Floats
    sampled_at_ns: Times
    quality: Codes
    reasons: Codes
    ranks: Indices
    tolerance: Floats | float


@dataclass(frozen=True, slots=True)
class Source:
    """A device and which of its streams a candidate comes from."""

    device: str
    stream: Vital | Waveform


@dataclass(frozen=True, slots=True)
class Provenance:
    """What stands beside a fused value: who measured it, how good it is, and its age in seconds."""

    device: str
    stream: Vital | Waveform
    quality: Quality
    age_s: float


@dataclass(slots=True)
class FusionState:
    """Of every patient, all (patients,): the source in use, its challenger with the time it has been better since, and
    since when another source contradicts; a time of 0 means none."""

    source: Indices
    challenger: Indices
    since_ns: Times
    apart_ns: Times

    @classmethod
    def of(cls, patients: int) -> FusionState:
        """No source chosen yet."""
        none = np.full(patients, NO_SOURCE, np.intp)
        return cls(none, none.copy(), np.zeros(patients, np.int64), np.zeros(patients, np.int64))

    def clear(self, patients: Indices) -> None:
        """Forget these patients, as when their sources were assigned anew."""
        self.source[patients] = self.challenger[patients] = NO_SOURCE
        self.since_ns[patients] = self.apart_ns[patients] = 0


@dataclass(frozen=True, slots=True)
class Best:
    """The value of every patient with its provenance, all (patients,).

    `source`: number of the source, `NO_SOURCE` with a NaN value and a `reason`. `changed`: another than last time.
    `disagrees`: a usable source says something else; the quality is then at most `DOUBTFUL`.
    """

    value: Floats
    source: Indices
    age_ns: Times
    quality: Codes
    reason: Codes
    changed: Mask
    disagrees: Mask

    def provenance(self, patient: int, sources: Sequence[Source]) -> Provenance | None:
        """Where the value of this patient comes from, `sources` being theirs by number; `None` without a value."""
        number = int(self.source[patient])
        if number == NO_SOURCE:
            return None
        source = sources[number]
        return Provenance(
            source.device, source.stream, Quality(int(self.quality[patient])), float(self.age_ns[patient] / 1e9)
        )


def fuse(state: FusionState, candidates: Candidates, now_ns: int | Times) -> Best:
    """Choose at `now_ns`, one for all or (patients,); `state` moves on."""
    now = np.broadcast_to(np.asarray(now_ns, np.int64), state.source.shape)
    fresh = (candidates.sampled_at_ns > 0) & (now[:, None] - candidates.sampled_at_ns <= MAX_AGE_NS)
    standing = _standing(candidates, fresh)
    chosen = _choose(state, standing, now)
    rows = np.arange(len(chosen))
    known = chosen != NO_SOURCE
    value = np.where(known, candidates.values[rows, chosen], np.nan)
    changed = chosen != state.source
    state.source = chosen
    disagrees = known & _contradicted(state, _apart(candidates, standing, value, chosen), now)
    quality = np.where(known, candidates.quality[rows, chosen], np.uint8(Quality.UNUSABLE))
    return Best(
        value=value,
        source=chosen,
        age_ns=np.where(known, now - candidates.sampled_at_ns[rows, chosen], 0),
        quality=np.where(disagrees, np.uint8(Quality.DOUBTFUL), quality).astype(np.uint8),
        reason=np.where(known, np.uint8(Reason.PRESENT), _why_none(candidates, fresh)).astype(np.uint8),
        changed=changed,
        disagrees=disagrees,
    )


def _standing(candidates: Candidates, fresh: Mask) -> npt.NDArray[np.int64]:
    """A number per source, lower is better, `_NOT_ELIGIBLE` for what must not be used, (patients, sources)."""
    step = _STANDING[np.minimum(candidates.quality, len(_STANDING) - 1)]
    eligible = fresh & ~np.isnan(candidates.values) & (step < _STANDING.max())
    return np.asarray(np.where(eligible, step * _MOST_RANKS + candidates.ranks, _NOT_ELIGIBLE), np.int64)


def _choose(state: FusionState, standing: npt.NDArray[np.int64], now_ns: Times) -> Indices:
    """The source of every patient from now on; `challenger` and `since_ns` move on."""
    rows = np.arange(len(standing))
    first = np.argmin(standing, axis=1)
    first_standing = standing[rows, first]
    own_standing = np.where(state.source == NO_SOURCE, _NOT_ELIGIBLE, standing[rows, state.source])
    better = (first_standing < own_standing) & (own_standing < _NOT_ELIGIBLE)
    since_ns = np.where(better & (state.challenger == first) & (state.since_ns > 0), state.since_ns, now_ns)
    in_doubt = own_standing // _MOST_RANKS > first_standing // _MOST_RANKS
    patience_ns = np.where(in_doubt, LEAVE_DOUBT_NS, TAKE_OVER_NS)
    takes_over = (own_standing == _NOT_ELIGIBLE) | (better & (now_ns - since_ns >= patience_ns))
    chosen = np.where(takes_over, first, state.source)
    waits = better & ~takes_over
    state.challenger = np.where(waits, first, NO_SOURCE)
    state.since_ns = np.where(waits, since_ns, 0)
    return np.asarray(np.where(first_standing == _NOT_ELIGIBLE, NO_SOURCE, chosen), np.intp)


def _apart(candidates: Candidates, standing: npt.NDArray[np.int64], value: Floats, chosen: Indices) -> Mask:
    """Whether a usable source other than the chosen one differs by more than the tolerance, (patients,)."""
    others = (standing < _MOST_RANKS) & (np.arange(standing.shape[1]) != chosen[:, None])
    apart = np.abs(candidates.values - value[:, None]) > candidates.tolerance
    return np.asarray((others & apart).any(axis=1))


def _contradicted(state: FusionState, apart: Mask, now_ns: Times) -> Mask:
    """Whether that has lasted, (patients,); `apart_ns` moves on."""
    since_ns = np.where(apart & (state.apart_ns > 0), state.apart_ns, now_ns)
    state.apart_ns = np.where(apart, since_ns, 0)
    return np.asarray(apart & (now_ns - since_ns >= APART_NS))


def _why_none(candidates: Candidates, fresh: Mask) -> Codes:
    """The reason for no value, (patients,): that of the best method that speaks now, or never seen, or silent."""
    best = np.argmin(np.where(fresh, candidates.ranks, _NOT_ELIGIBLE), axis=1)
    told = candidates.reasons[np.arange(len(best)), best]
    silent = np.where((candidates.sampled_at_ns > 0).any(axis=1), Reason.NO_READING, Reason.NEVER_SEEN)
    lacking = np.isnan(candidates.values[np.arange(len(best)), best])
    untold = np.where(lacking, Reason.NO_READING, Reason.POOR_SIGNAL)  # the latter: a value that is not good enough
    return np.where(fresh.any(axis=1), np.where(told == Reason.PRESENT, untold, told), silent).astype(np.uint8)
