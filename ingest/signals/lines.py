"""Lines: one vital of one patient each, with what its sources said last and which of them is believed. Pure arrays.

    told = hear(lines, chosen, spoken, …)   ─▶ what each of these lines has to tell after one more reading

Time is that of the readings. A line's clock is the newest reading it heard, and ends at the time of arrival, so that a
wearable whose clock is ahead does not make all others old. What comes more than `MAX_AGE_NS` behind is history and
never heard; what comes alone, such as all that waited while a gateway was away, is heard in its own time.

A source that is overdue, by the rhythm it had, is passed over before `MAX_AGE_NS` ends: a strap that went out of
reach must not hold up the oximeter for ten seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ingest.signals.fusion import MAX_AGE_NS, NO_SOURCE, Candidates, FusionState, fuse
from vitals.model import Quality, Reason

if TYPE_CHECKING:
    from ingest.signals.fusion import Codes, Floats
    from ingest.streams import Indices, Mask, Times

PLACES: Final = (
    6  # sources of a line: two straps, two oximeters, their waves; a seventh takes the place of the quietest
)
CLOCK_SLACK_NS: Final = 1_000_000_000  # our clock is set back by less than this without that a line begins anew
LEAST_INTERVAL_NS: Final = 1_200_000_000  # of a source that speaks every second, and not to the millisecond
MOST_INTERVAL_NS: Final = 4_000_000_000  # 2.5 of them are `MAX_AGE_NS`
OVERDUE: Final = 2.5  # intervals
AGREED_AFTER_NS: Final = 60_000_000_000  # one source that was taken at its word for so long speaks for itself again
_NOBODY, _SEVERAL = 0, -1
_FADING: Final = 0.8  # of the longest interval seen, per reading
_NS: Final = 1_000_000_000

SPOKEN_DTYPE: Final = np.dtype(
    [
        ("source", "<i8"),  # who: a number of the caller's, from 1 on; 0 for nobody
        ("at_ns", "<i8"),  # when the body produced it, or when it arrived where that is earlier
        ("sampled_at_ns", "<i8"),
        ("received_at_ns", "<i8"),
        ("heard_ns", "<i8"),  # the line's clock when it came
        ("interval_ns", "<i8"),  # between its readings
        ("raw", "<f8"),
        ("value", "<f8"),  # NaN where missing, with the reason
        ("uncertainty_ms", "<f4"),
        ("rank", "<i2"),  # of the method, 0 best
        ("reason", "u1"),
        ("quality", "u1"),
        ("clock", "u1"),
    ]
)
Spoken: TypeAlias = npt.NDArray[Any]  # structured, SPOKEN_DTYPE
_S = TypeVar("_S")


@dataclass(slots=True)
class Lines:
    """State of n lines. `spoken`: (n, PLACES), `SPOKEN_DTYPE`. `clock_ns`, `told_ns`: of the newest heard and told.

    `sole`: the source of a line that has only heard one, which is most; `_NOBODY` before the first, `_SEVERAL` later.
    `differs_ns`: when a line last told something else than what it heard.
    All zero, with `NO_SOURCE`, for a line that heard nothing yet.
    """

    spoken: Spoken
    sole: Indices
    clock_ns: Times
    told_ns: Times
    differs_ns: Times
    fusion: FusionState

    @classmethod
    def of(cls, count: int) -> Lines:
        """Lines that heard nothing."""
        sole, clock, told, differs = (np.zeros(count, np.int64) for _ in range(4))
        return cls(np.zeros((count, PLACES), SPOKEN_DTYPE), sole, clock, told, differs, FusionState.of(count))

    def clear(self, lines: Indices) -> None:
        """Forget these lines."""
        self.spoken[lines] = np.zeros((), SPOKEN_DTYPE)
        self.sole[lines] = self.clock_ns[lines] = self.told_ns[lines] = self.differs_ns[lines] = 0
        self.fusion.clear(lines)


@dataclass(frozen=True, slots=True)
class Told:
    """What lines tell after a reading, (n,): where `news`, a best value, or that there is none and why.

    `adds`: whether that says more than the reading itself; a lone source that is taken at its word speaks for itself.

    `spoken`: the reading chosen, or the one that came where there is no value; `quality`, `reason`: of what is told.
    """

    news: Mask
    adds: Mask
    spoken: Spoken
    quality: Codes
    reason: Codes


def taken(state: _S, rows: Indices) -> _S:
    """A copy of these rows of a state whose fields are arrays of rows, or states again."""
    return type(state)(**{name: _each(part, rows) for name, part in _parts(state)})


def put_back(state: object, rows: Indices, part: object) -> None:
    """Write rows that were `taken` back."""
    for (_, whole), (_, rest) in zip(_parts(state), _parts(part), strict=True):
        if isinstance(whole, np.ndarray):
            put_rows(whole, rows, rest)
        else:
            put_back(whole, rows, rest)


def put_rows(whole: npt.NDArray[Any], rows: Indices, part: npt.NDArray[Any]) -> None:
    """`whole[rows] = part`, both contiguous; structured rows as plain bytes, which numpy copies ten times as fast."""
    if whole.dtype.names is None:
        whole[rows] = part
    else:
        as_bytes = np.dtype((np.void, whole.dtype.itemsize))
        whole.view(as_bytes)[rows] = part.view(as_bytes)


def timely(lines: Lines, chosen: Indices, spoken: Spoken) -> Mask:
    """Which readings are news to their lines, (n,): not older than their source's last, and not history."""
    last_ns = np.where(lines.sole[chosen] == spoken["source"], lines.spoken["at_ns"][chosen, 0], 0)
    among = np.flatnonzero(lines.sole[chosen] == _SEVERAL)
    if len(among):
        heard = lines.spoken.take(chosen[among], axis=0)
        last_ns[among] = np.where(_own(heard, spoken[among]), heard["at_ns"], 0).max(axis=1)
    clock_ns = lines.clock_ns[chosen]
    fresh = (spoken["at_ns"] > last_ns) & (spoken["at_ns"] >= clock_ns - MAX_AGE_NS)
    return np.asarray(fresh | _set_back(clock_ns, spoken))


def has_heard(lines: Lines, chosen: Indices, spoken: Spoken) -> Mask:
    """Whether lines know the sources of these readings, (n,)."""
    return np.asarray(_own(lines.spoken.take(chosen, axis=0), spoken).any(axis=1))


def hear(lines: Lines, chosen: Indices, spoken: Spoken, said: Spoken, tolerance: Floats) -> Told:
    """Let each line of `chosen`, (n,) and each once, hear one reading that is `timely`; `lines` move on.

    `said`: the readings as they came; `spoken`: as they are judged, maybe an older one in its place. `tolerance`: by
    how much sources may differ without doubt, at least, and as a share of the lowest value, (n, 2).
    """
    gone = chosen[_set_back(lines.clock_ns[chosen], spoken)]
    if len(gone):
        lines.clear(gone)
    sole = lines.sole[chosen]
    lines.sole[chosen] = np.where((sole == _NOBODY) | (sole == spoken["source"]), spoken["source"], _SEVERAL)
    lines.clock_ns[chosen] = np.maximum(lines.clock_ns[chosen], said["at_ns"])
    told, (quality, reason) = spoken, _alone(lines, chosen, spoken, sole == _NOBODY)
    among = np.flatnonzero(lines.sole[chosen] == _SEVERAL)
    if len(among):
        part, told = taken(lines, chosen[among]), spoken.copy()
        told[among], quality[among], reason[among] = _among(part, spoken[among], tolerance[among])
        put_back(lines, chosen[among], part)
    told_ns = lines.told_ns[chosen]
    news = told["at_ns"] // _NS > told_ns // _NS
    lines.told_ns[chosen] = np.where(news, told["at_ns"], told_ns)
    return Told(news, _adds(lines, chosen, said, quality, reason), told, quality, reason)


def _adds(lines: Lines, chosen: Indices, said: Spoken, quality: Codes, reason: Codes) -> Mask:
    """Which lines heard several sources, or have told something else than was said a moment ago; `lines` move on."""
    known, was_known = reason == Reason.PRESENT, ~np.isnan(said["value"])
    differs = (known != was_known) | (known & (quality != said["quality"]))
    differs |= ~known & (reason != said["reason"])
    clock_ns = lines.clock_ns[chosen]
    lines.differs_ns[chosen] = np.where(differs, clock_ns, lines.differs_ns[chosen])
    lately = clock_ns - lines.differs_ns[chosen] <= AGREED_AFTER_NS
    return np.asarray((lines.sole[chosen] == _SEVERAL) | lately)


def _alone(lines: Lines, chosen: Indices, spoken: Spoken, new: Mask) -> tuple[Codes, Codes]:
    """Quality and reason of what lines with one source tell: what it said, if it may be believed; `spoken` is entered.

    The lines with several get an answer too, which does not count, and remember nothing of it.
    """
    before = lines.spoken.take(chosen * PLACES)
    _enter_times(spoken, before, lines.clock_ns[chosen], ~new)
    recent = lines.clock_ns[chosen] - spoken["at_ns"] <= MAX_AGE_NS
    lacking = np.isnan(spoken["value"])
    known = recent & ~lacking & (spoken["quality"] <= Quality.DOUBTFUL)
    alone = lines.sole[chosen] != _SEVERAL
    whole = bool(alone.all())
    own = chosen if whole else chosen[alone]
    put_rows(lines.spoken.reshape(-1), own * PLACES, spoken if whole else spoken[alone])
    lines.fusion.source[own] = np.where(known if whole else known[alone], 0, NO_SOURCE)
    untold = np.where(spoken["reason"] > 0, spoken["reason"], np.where(lacking, Reason.NO_READING, Reason.POOR_SIGNAL))
    quality = np.where(known, spoken["quality"], np.uint8(Quality.UNUSABLE))
    return quality, np.where(known, Reason.PRESENT, untold).astype(np.uint8)


def _among(part: Lines, spoken: Spoken, tolerance: Floats) -> tuple[Spoken, Codes, Codes]:
    """What lines with several sources tell after one of them spoke; `part` moves on."""
    _enter(part, spoken)
    best = fuse(part.fusion, _candidates(part, tolerance), part.clock_ns)
    known = best.source != NO_SOURCE
    chosen = part.spoken[np.arange(len(spoken)), best.source]
    return np.where(known, chosen, spoken), best.quality, best.reason


def _candidates(part: Lines, tolerance: Floats) -> Candidates:
    heard = part.spoken
    overdue = part.clock_ns[:, None] - heard["heard_ns"] > OVERDUE * heard["interval_ns"]
    values = np.where(overdue, np.nan, heard["value"])
    lowest = np.fmin.reduce(values, axis=1)
    apart = np.fmax(tolerance[:, 0], tolerance[:, 1] * lowest)
    return Candidates(
        values=values,
        sampled_at_ns=np.ascontiguousarray(heard["at_ns"]),
        quality=heard["quality"],
        reasons=heard["reason"],
        ranks=heard["rank"].astype(np.int64),
        tolerance=apart[:, None],
    )


def _enter(part: Lines, spoken: Spoken) -> None:
    """Put what was spoken in its source's place, or a new source in that of the quietest which is not in use."""
    rows = np.arange(len(spoken))
    own = _own(part.spoken, spoken)
    known = own.any(axis=1)
    quiet = part.spoken["heard_ns"].copy()
    in_use = part.fusion.source != NO_SOURCE
    quiet[rows[in_use], part.fusion.source[in_use]] = np.iinfo(np.int64).max
    place = np.where(known, own.argmax(axis=1), quiet.argmin(axis=1))
    _enter_times(spoken, part.spoken[rows, place], part.clock_ns, np.asarray(known))
    part.spoken[rows, place] = spoken


def _enter_times(spoken: Spoken, before: Spoken, clock_ns: Times, known: Mask) -> None:
    """Fill in when and how often its source speaks, `before` being what is remembered of those that are `known`."""
    gap_ns = np.maximum(spoken["at_ns"] - before["at_ns"], _FADING * before["interval_ns"])
    gap_ns = np.minimum(np.maximum(gap_ns, LEAST_INTERVAL_NS), MOST_INTERVAL_NS)
    spoken["interval_ns"] = np.where(known, gap_ns, MOST_INTERVAL_NS)
    spoken["heard_ns"] = clock_ns


def _own(heard: Spoken, spoken: Spoken) -> Mask:
    """Which place of `heard`, (n, PLACES), is that of the source of `spoken`, (n,)."""
    return np.asarray(heard["source"] == spoken["source"][:, None])


def _set_back(clock_ns: Times, spoken: Spoken) -> Mask:
    """Whether our clock was set back since: what a line remembers is then of a time that has not come yet."""
    return np.asarray(clock_ns > spoken["received_at_ns"] + CLOCK_SLACK_NS)


def _parts(state: object) -> list[tuple[str, Any]]:
    return [(field.name, getattr(state, field.name)) for field in fields(state)]  # type: ignore[arg-type] # dataclasses


def _each(part: Any, rows: Indices) -> Any:
    return part.take(rows, axis=0) if isinstance(part, np.ndarray) else taken(part, rows)
