"""Desaturation events of many oximeters at once: how deep, how long, what area, and how many an hour.

    events = watch(state, now_ns, spo2_pct)      once per reading round; a list of the events that just ended

An event is a fall of at least 3 points below the baseline that lasts 10 s or more (AASM manual 2.6, hypopnoea rule
1A; ODI of 3 %). The baseline is the 90th percentile of the usable values of the last two minutes, frozen at
the onset, which is the last reading within one point of it. It ends with the first reading back within
one point; with a gap of 30 s, as seen until then; and after 5 minutes, because then the lower level is the baseline.
Give only usable values: what is doubtful or missing is NaN and neither begins nor ends an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.streams import Indices, Mask, Times

Floats: TypeAlias = npt.NDArray[np.float64]

FALL_PCT: Final = 3.0
BACK_PCT: Final = 1.0
LEAST_NS: Final = 10_000_000_000
MOST_NS: Final = 300_000_000_000
GAP_NS: Final = 30_000_000_000

_BASELINE_NS: Final = 120_000_000_000
_PLACES: Final = 120  # readings remembered: two minutes at 1 Hz, of which a slower oximeter fills a part
_PERCENTILE: Final = 90.0
_LEAST_READINGS: Final = 8  # of a baseline: half a minute of an oximeter that sends every 4 s


@dataclass(frozen=True, slots=True)
class Desaturation:
    """One event. `row`: of the oximeter. `area_pct_s`: baseline minus value, summed over time, in %·s.

    `complete`: ended by recovery, not by a gap or by its length.
    """

    row: int
    started_at_ns: int
    ended_at_ns: int
    baseline_pct: float
    nadir_pct: float
    area_pct_s: float
    complete: bool

    @property
    def depth_pct(self) -> float:
        return self.baseline_pct - self.nadir_pct

    @property
    def duration_s(self) -> float:
        return (self.ended_at_ns - self.started_at_ns) / 1e9


@dataclass(slots=True)
class DesaturationState:
    """Plain arrays, one row per oximeter, about 2 kB each; a time of 0 means none.

    `recent_pct`, `recent_ns`: (rows, 120) ring of readings with `place` the next one's. The others (rows,): `most_pct`
    none of the recent is higher; `last_ns` last reading, `near_ns` the last near the baseline, `area_pct_s` since
    then; of a running event its start, baseline and nadir.
    """

    recent_pct: npt.NDArray[np.float32]
    recent_ns: Times
    most_pct: Floats
    place: npt.NDArray[np.int64]
    last_ns: Times
    near_ns: Times
    area_pct_s: Floats
    began_ns: Times
    baseline_pct: Floats
    nadir_pct: Floats

    @classmethod
    def of(cls, rows: int) -> DesaturationState:
        """Nothing known of `rows` oximeters."""
        numbers = [np.full(rows, np.nan) for _ in range(2)]
        times = [np.zeros(rows, np.int64) for _ in range(4)]
        return cls(
            recent_pct=np.full((rows, _PLACES), np.nan, np.float32),
            recent_ns=np.zeros((rows, _PLACES), np.int64),
            most_pct=np.full(rows, -np.inf),
            place=times[0],
            last_ns=times[1],
            near_ns=times[2],
            area_pct_s=np.zeros(rows),
            began_ns=times[3],
            baseline_pct=numbers[0],
            nadir_pct=numbers[1],
        )

    def clear(self, rows: Indices) -> None:
        """Forget these oximeters."""
        fresh = DesaturationState.of(len(rows))
        for name in self.__slots__:
            getattr(self, name)[rows] = getattr(fresh, name)


def watch(state: DesaturationState, now_ns: int, spo2_pct: Floats) -> list[Desaturation]:
    """Take the readings of all oximeters at `now_ns`, (rows,), NaN for none; the events that end with them."""
    rows = np.flatnonzero(np.isfinite(spo2_pct))
    value = spo2_pct[rows]
    since_ns = now_ns - state.last_ns[rows]
    lapsed = (state.last_ns[rows] > 0) & (since_ns > GAP_NS)
    ended = [
        _event(state, row, int(state.last_ns[row]), complete=False) for row in rows[lapsed & _running(state, rows)]
    ]
    _end(state, rows[lapsed], new_baseline=True)

    running = _running(state, rows)
    reference = np.where(running, state.baseline_pct[rows], value)
    fallen = _fallen(state, rows, np.flatnonzero(~running), value, now_ns)
    reference[fallen] = _baseline(state, rows[fallen], now_ns)  # of the others, the baseline is near in any case
    below = np.where(np.isnan(reference), 0.0, np.maximum(reference - value, 0.0))
    known = (state.last_ns[rows] > 0) & ~lapsed
    state.area_pct_s[rows] += np.where(known, below * since_ns / 1e9, 0.0)
    near = ~running & ~(below > BACK_PCT)
    state.near_ns[rows[near]] = now_ns
    state.area_pct_s[rows[near]] = 0.0
    _begin(state, rows, ~running & (below >= FALL_PCT) & (state.near_ns[rows] > 0), reference)
    running = _running(state, rows)
    state.nadir_pct[rows[running]] = np.minimum(state.nadir_pct[rows[running]], value[running])

    back = running & (below <= BACK_PCT)
    over = running & ~back & (now_ns - state.began_ns[rows] >= MOST_NS)
    ended += [_event(state, row, now_ns, complete=True) for row in rows[back]]
    ended += [_event(state, row, now_ns, complete=False) for row in rows[over]]
    _end(state, rows[back], new_baseline=False)
    _end(state, rows[over], new_baseline=True)
    state.near_ns[rows[back]] = now_ns
    _remember(state, rows, now_ns, value)
    return [event for event in ended if event.ended_at_ns - event.started_at_ns >= LEAST_NS]


def events_per_hour(events: Sequence[Desaturation], covered_s: float) -> float:
    """The oxygen desaturation index over `covered_s` of usable readings; NaN below ten minutes, which tell none."""
    return len(events) / covered_s * 3600 if covered_s >= 600 else float("nan")


def _running(state: DesaturationState, rows: Indices) -> Mask:
    return np.asarray(state.began_ns[rows] > 0)


def _fallen(state: DesaturationState, rows: Indices, among: Indices, value: Floats, now_ns: int) -> Indices:
    """Which of `among`, places in `rows`, are below what makes their baseline; most are so plainly not that one number
    a row tells it, which is put right where it does not."""
    maybe = among[value[among] < state.most_pct[rows[among]] - BACK_PCT]
    state.most_pct[rows[maybe]] = _highest(state, rows[maybe], now_ns)
    return maybe[value[maybe] < state.most_pct[rows[maybe]] - BACK_PCT]


def _highest(state: DesaturationState, rows: Indices, now_ns: int) -> Floats:
    """The highest of the readings that make the baseline, (len(rows),); minus infinity without any."""
    valid = (now_ns - state.recent_ns[rows] <= _BASELINE_NS) & ~np.isnan(state.recent_pct[rows])
    return np.asarray(np.where(valid, state.recent_pct[rows], -np.inf).max(axis=1, initial=-np.inf), np.float64)


def _baseline(state: DesaturationState, rows: Indices, now_ns: int) -> Floats:
    """The level before this reading, (len(rows),); NaN where too few readings tell it."""
    valid = now_ns - state.recent_ns[rows] <= _BASELINE_NS
    recent = np.where(valid, state.recent_pct[rows], np.nan)
    count = np.count_nonzero(np.isfinite(recent), axis=1)
    ordered = np.sort(recent, axis=1)  # NaN sorts last
    place = np.round(np.maximum(count - 1, 0) * _PERCENTILE / 100).astype(np.intp)
    level = ordered[np.arange(len(rows)), place].astype(np.float64)
    return np.where(count >= _LEAST_READINGS, level, np.nan)


def _begin(state: DesaturationState, rows: Indices, begins: Mask, reference: Floats) -> None:
    started = rows[begins]
    state.began_ns[started] = state.near_ns[started]
    state.baseline_pct[started] = reference[begins]
    state.nadir_pct[started] = np.inf


def _event(state: DesaturationState, row: int, ended_at_ns: int, *, complete: bool) -> Desaturation:
    return Desaturation(
        row=int(row),
        started_at_ns=int(state.began_ns[row]),
        ended_at_ns=ended_at_ns,
        baseline_pct=float(state.baseline_pct[row]),
        nadir_pct=float(state.nadir_pct[row]),
        area_pct_s=float(state.area_pct_s[row]),
        complete=complete,
    )


def _end(state: DesaturationState, rows: Indices, *, new_baseline: bool) -> None:
    """End what runs, and learn the baseline anew where what came before no longer counts."""
    state.began_ns[rows] = state.near_ns[rows] = 0
    state.area_pct_s[rows] = 0.0
    if new_baseline:
        state.recent_pct[rows] = np.nan


def _remember(state: DesaturationState, rows: Indices, now_ns: int, value: Floats) -> None:
    place = state.place[rows]
    state.recent_pct[rows, place] = value
    state.recent_ns[rows, place] = now_ns
    state.most_pct[rows] = np.maximum(state.most_pct[rows], state.recent_pct[rows, place])
    state.place[rows] = (place + 1) % _PLACES
    state.last_ns[rows] = now_ns
