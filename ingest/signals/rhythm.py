"""Intervals between beats that no sinus beat made: found and corrected in stored series, flagged in live ones.

    stored: correct(rr_ms)   ─▶ Corrected: the kind of every interval, and the normal-to-normal series
    live:   live_flags(state, streams, times_ns, rr_ms)   ─▶ flags at once, without looking ahead
    split(times_ns, rr_ms)   ─▶ the uninterrupted pieces of a series: a gap splits it and is never bridged

**Stored**: the beat classification of Lipponen & Tarvainen (J Med Eng Technol 43(3):173–181, 2019). The differences
dRR and the deviations mRR from the median of 11 beats are divided by 5.2 quartile deviations over 91 beats, and the
patterns in them tell ectopic, missed, extra, long and short beats apart; detection is repeated on the corrected series
until it finds no more. The quartile deviation is that of the signed series: for a normal distribution 5.2 of them cover
the 99.95 % for which the authors chose the factor. Three additions, because a rhythm with many ectopic beats
sets its own thresholds (in bigeminy the plain method finds a third of them):

- thresholds stay between 10 % and 25 % of the mean interval around: the range in which published relative rules lie;
- what departs less than 6 % from that mean is no artefact itself, whatever its neighbours do. The mean of 31
  intervals holds the place of the sinus rhythm, since a premature beat and its pause add up to two sinus intervals;
- an ectopic beat spoils two intervals: both are marked.

Where `irregularity` suspects fibrillation there is no sinus rhythm to tell from, and the upper bound is lifted: the
authors' own thresholds hold, which grow with the irregularity. What is left there is no normal-to-normal series
(`Corrected.irregular`), and HRV refuses it.

**Live**: outside 300–2000 ms, or more than 20 % from the interval before (Malik) **and** more than 15 % from the mean
of the last nine. The second half keeps the first normal interval after a pause from being flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ingest.signals.irregularity import SEGMENT, Advisory, advisories
from ingest.streams import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.streams import Indices, Mask, Times

Floats: TypeAlias = npt.NDArray[np.float64]
Kinds: TypeAlias = npt.NDArray[np.int8]

RANGE_MS: Final = (300.0, 2000.0)
MAX_LAPSE_NS: Final = 3_000_000_000  # beyond the interval itself: notifications come a second apart

_QUARTILE_DEVIATIONS: Final = 5.2
_SPREAD_BEATS: Final = 91
_MEDIAN_BEATS: Final = 11
_MEAN_BEATS: Final = 31
_SLOPE, _OFFSET = 0.13, 0.17  # of the borders between normal and ectopic in the authors' subspace
_FAR: Final = 3.0  # thresholds of mRR that make an interval long or short on its own
_BOUNDS: Final = (0.10, 0.25)  # of the thresholds, as a share of the mean interval around
_UNBOUNDED: Final = (0.10, np.inf)
_OWN_DEPARTURE: Final = 0.06
_MAX_PASSES: Final = 6  # the count of findings falls; it reached its end after 2 or 3 on all recordings
_CHUNK: Final = 8_192  # windows sorted at once: a day of beats must not ask for gigabytes


class Kind(IntEnum):
    """What an interval is taken for."""

    NORMAL = 0
    ECTOPIC = 1  # next to a beat that came early or late
    MISSED = 2  # holds a beat that was not detected
    EXTRA = 3  # ends or begins with a detection that was no beat
    LONG = 4
    SHORT = 5


@dataclass(frozen=True, slots=True)
class Corrected:
    """A stored series after correction.

    `kinds`: (n,) of the intervals as given. `nn_ms`: (m,) normal-to-normal intervals, where a missed beat makes two
    of one and an extra one makes one of two. `replaced`: (m,) those that correction made up. `advisories`: where an
    irregular rhythm is suspected, and why.
    """

    kinds: Kinds
    nn_ms: Floats
    replaced: Mask
    advisories: tuple[Advisory, ...]

    @property
    def irregular(self) -> Mask:
        """The intervals as given, (n,), that lie in a segment with a suspicion."""
        return _irregular(self.advisories, len(self.kinds))

    @property
    def corrected_share(self) -> float:
        """Share of the intervals as given that were corrected, 0 to 1."""
        return float(np.count_nonzero(self.kinds) / len(self.kinds)) if len(self.kinds) else 0.0


def split(times_ns: Times, rr_ms: Floats) -> list[slice]:
    """The uninterrupted pieces of intervals received at `times_ns`, both (n,): a lapse or a NaN ends a piece."""
    good = np.isfinite(rr_ms)
    lapse_ns = np.diff(times_ns) - np.nan_to_num(rr_ms[1:]) * 1e6
    breaks = np.flatnonzero((lapse_ns > MAX_LAPSE_NS) | (good[1:] != good[:-1])) + 1
    borders = [0, *breaks.tolist(), len(rr_ms)]
    return [slice(a, b) for a, b in pairwise(borders) if b > a and good[a]]


# -- stored ------------------------------------------------------------------------------------------------------------


def correct(rr_ms: Floats) -> Corrected:
    """Classify and correct one uninterrupted series of RR intervals in ms, (n,).

    Fewer than 11 intervals tell no rhythm: only those out of range are marked. An interval that is NaN counts as
    `LONG`. Where nothing normal is left, the series comes back as it is, all marked.
    """
    rr = np.asarray(rr_ms, np.float64)
    bad = ~np.isfinite(rr)
    kinds = np.where(bad, Kind.LONG, Kind.NORMAL).astype(np.int8)
    found: list[Advisory] = []
    if len(rr) >= _MEDIAN_BEATS and not bad.all():
        bounded = _classified(rr, kinds, _BOUNDS)
        found = advisories(rr, bounded == Kind.NORMAL)
        irregular = _irregular(found, len(rr))
        kinds = np.where(irregular, _classified(rr, kinds, _UNBOUNDED), bounded) if irregular.any() else bounded
    in_range = (rr >= RANGE_MS[0]) & (rr <= RANGE_MS[1])
    outside = (kinds == Kind.NORMAL) & ~in_range
    kinds[outside] = np.where(rr[outside] > RANGE_MS[1], Kind.LONG, Kind.SHORT)
    return _rebuilt(rr, kinds, found)


def _irregular(found: Iterable[Advisory], count: int) -> Mask:
    irregular = np.zeros(count, np.bool_)
    for advisory in found:
        irregular[advisory.first : advisory.first + SEGMENT] |= advisory.suspected
    return irregular


def _classified(rr: Floats, before: Kinds, bounds: tuple[float, float]) -> Kinds:
    """`before`, filled pass after pass on the series as corrected so far, while the passes find less and less."""
    kinds, found = before.copy(), len(rr) + 1
    for _ in range(_MAX_PASSES):
        fresh = np.where(kinds == Kind.NORMAL, _patterns(_interpolated(rr, kinds), bounds), Kind.NORMAL).astype(np.int8)
        count = int(np.count_nonzero(fresh))
        if not 0 < count < found or np.count_nonzero(kinds) + count == len(rr):
            break
        kinds[fresh > 0] = fresh[fresh > 0]
        found = count
    return kinds


def _patterns(rr: Floats, bounds: tuple[float, float]) -> Kinds:
    """The kind of every interval by the patterns of dRR and mRR around it (figure 1 of the paper)."""
    mean = _windows(rr, _MEAN_BEATS).mean(axis=1)
    median = np.median(_windows(rr, _MEDIAN_BEATS), axis=1)
    difference = np.diff(rr, prepend=rr[0])
    deviation = rr - median
    deviation = np.where(deviation < 0, 2 * deviation, deviation)
    low, high = bounds
    threshold = np.clip(_spread(deviation), low * mean, high * mean)
    d = difference / np.clip(_spread(difference), low * mean, high * mean)
    longer, shorter = rr > (1 + _OWN_DEPARTURE) * mean, rr < (1 - _OWN_DEPARTURE) * mean

    before, after, second = np.pad(d, 2)[1:-3], np.pad(d, 2)[3:-1], np.pad(d, 2)[4:]
    late = (d > 1) & longer & (np.maximum(before, after) < -_SLOPE * d - _OFFSET)
    early = (d < -1) & shorter & (np.minimum(before, after) > -_SLOPE * d + _OFFSET)
    rises = (d > 1) & longer & (np.minimum(after, second) < -1)
    falls = (d < -1) & shorter & (np.maximum(after, second) > 1)
    far = np.abs(deviation) > _FAR * threshold
    missed = rises & (np.abs(rr / 2 - median) < threshold)
    extra = falls & (np.abs(rr + np.append(rr[1:], np.inf) - median) < threshold)

    kinds = np.full(len(rr), Kind.NORMAL, np.int8)
    kinds[1:][(rises & (after >= -1))[:-1] & longer[1:]] = Kind.LONG  # two long ones before the fall
    kinds[1:][(falls & (after <= 1))[:-1] & shorter[1:]] = Kind.SHORT
    kinds[rises | (far & (deviation > 0))] = Kind.LONG
    kinds[falls | (far & (deviation < 0))] = Kind.SHORT
    kinds[missed] = Kind.MISSED
    kinds[extra] = Kind.EXTRA
    kinds[1:][extra[:-1] & shorter[1:]] = Kind.EXTRA
    kinds[:-1][(late[1:] & shorter[:-1]) | (early[1:] & longer[:-1])] = Kind.ECTOPIC
    kinds[late | early] = Kind.ECTOPIC
    return kinds


def _spread(values: Floats) -> Floats:
    """5.2 quartile deviations of the 91 values around each, (n,)."""
    windows = _windows(values, _SPREAD_BEATS)
    quartiles = [np.percentile(windows[i : i + _CHUNK], (25, 75), axis=1) for i in range(0, len(values), _CHUNK)]
    low, high = np.concatenate(quartiles, axis=1)
    return np.asarray(_QUARTILE_DEVIATIONS * (high - low) / 2, np.float64)


def _windows(values: Floats, beats: int) -> Floats:
    """The `beats` (odd) values around each, (n, beats), mirrored at the ends."""
    return sliding_window_view(np.pad(values, beats // 2, mode="reflect"), beats)


def _interpolated(rr: Floats, kinds: Kinds) -> Floats:
    """The series with every marked interval on the line between its normal neighbours."""
    places = np.arange(len(rr))
    normal = kinds == Kind.NORMAL
    return np.interp(places, places[normal], rr[normal]) if normal.any() else rr


def _rebuilt(rr: Floats, kinds: Kinds, found: list[Advisory]) -> Corrected:
    """The NN series: extra detections merged away, missed beats put back, everything else interpolated."""
    filled = _interpolated(rr, kinds)
    copies = np.ones(len(rr), np.intp)
    copies[kinds == Kind.MISSED] = 2
    pair = (kinds[:-1] == Kind.EXTRA) & (kinds[1:] == Kind.EXTRA) & (np.arange(len(rr) - 1) % 2 == _parity(kinds))
    copies[1:][pair] = 0
    return Corrected(kinds, np.repeat(filled, copies), np.repeat(kinds != Kind.NORMAL, copies), tuple(found))


def _parity(kinds: Kinds) -> npt.NDArray[np.intp]:
    """For every interval but the last, the parity of the place where its run of equal kinds began."""
    starts = np.append(True, kinds[1:] != kinds[:-1])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(kinds)), 0))
    return first[:-1] % 2


# -- live --------------------------------------------------------------------------------------------------------------

_HISTORY: Final = 9
_FROM_PREVIOUS: Final = 0.20
_FROM_MEAN: Final = 0.15


class LiveState:
    """The last nine intervals of every stream, oldest first, and when they came; a time of 0 means none."""

    def __init__(self, streams: int) -> None:
        self.times_ns = np.zeros((streams, _HISTORY), np.int64)
        self.rr_ms = np.full((streams, _HISTORY), np.nan)

    def clear(self, streams: Indices) -> None:
        """Forget these streams."""
        self.times_ns[streams] = 0
        self.rr_ms[streams] = np.nan


@dataclass(frozen=True, slots=True)
class LiveFlags:
    """`flags`, (n,): intervals that no sinus beat made; and what is to be remembered once their commit is certain."""

    flags: Mask
    _streams: Indices
    _times_ns: Times
    _rr_ms: Floats

    def keep(self, state: LiveState) -> None:
        """Remember these intervals."""
        state.times_ns[self._streams] = self._times_ns
        state.rr_ms[self._streams] = self._rr_ms


def live_flags(state: LiveState, streams: Indices, times_ns: Times, rr_ms: Floats) -> LiveFlags:
    """Flag intervals in arrival order, all (n,), of any streams. A lapse starts a stream afresh; NaN is flagged."""
    if not len(streams):  # most commits bring none
        nothing = np.zeros((0, _HISTORY))
        return LiveFlags(np.zeros(0, np.bool_), streams, nothing.astype(np.int64), nothing)
    runs = Runs.of(streams, _HISTORY)
    times, raw = runs.lay(state.times_ns, times_ns), runs.lay(state.rr_ms, rr_ms)
    inside = (raw >= RANGE_MS[0]) & (raw <= RANGE_MS[1])
    lapse_ns = np.diff(times, prepend=0) - np.nan_to_num(raw) * 1e6
    starts = (times == 0) | (lapse_ns > MAX_LAPSE_NS)
    starts[runs.heads] = True
    first = np.maximum.accumulate(np.where(starts, np.arange(len(raw)), 0))

    places = runs.places
    back = places[:, None] - np.arange(1, _HISTORY + 1)
    known = (back >= first[places][:, None]) & inside[back]
    count = np.count_nonzero(known, axis=1)
    mean = np.where(known, raw[back], 0.0).sum(axis=1) / np.maximum(count, 1)
    previous = np.where(known[:, 0], raw[places - 1], mean)
    now = raw[places]
    leaps = np.abs(now - previous) > _FROM_PREVIOUS * previous
    departs = np.abs(now - mean) > _FROM_MEAN * mean
    flags = np.empty(len(rr_ms), np.bool_)
    flags[runs.order] = ~inside[places] | ((count > 0) & leaps & departs)
    return LiveFlags(flags, runs.streams, runs.tails(times), runs.tails(raw))
