"""The fast path for late samples: those that came before, and those that are normal among normal ones. Pure.

After an interruption thousands come late at once, and almost all of them change nothing but the memory of their
stream. Those are put in their place as arrays; the rest is for `alerts.late`. Both ways leave the same behind (a test
holds this).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from alerts.conditions import MOST_COVER_NS
from alerts.history import History
from alerts.late import LateSamples
from alerts.recent import CAPACITY, Recent
from alerts.screening import LONG_GAP_NS, Screened, screen
from alerts.streams import NEVER, Bools, Indices, StreamTable, is_calm_sample
from vitals.columns import Rows
from vitals.model import Quality, Reason

_AT_ONCE: Final = 4_096  # rows whose streams' memories are looked at together: 2 MB for each of their columns


class LateCalm:
    """Takes what needs no thought out of a block."""

    def __init__(self, table: StreamTable, recent: Recent, history: History, late: LateSamples) -> None:
        self._table = table
        self._recent = recent
        self._history = history
        self._late = late

    def rest(self, screened: Screened) -> Screened | None:
        """Take groups of which every sample is late and normal; what of the block is left for others."""
        left = self._take(screened) if not screened.plain.all() else None
        if left is None or left.all():
            return screened
        return screen(self._table, screened.rows[left], screened.streams[left]) if left.any() else None

    def _take(self, screened: Screened) -> Bools:
        """Take what can be taken; which of the sorted rows are left."""
        left = np.ones(len(screened.rows), np.bool_)
        streams, times, rows, starts = screened.streams, screened.times, screened.rows, screened.starts
        late = times <= self._table.state["newest_at_ns"][streams]
        lengths = screened.ends - starts + 1
        groups = np.logical_and.reduceat(late & self._is_calm(streams, rows), starts)
        rank = np.arange(len(rows)) - np.repeat(starts, lengths)
        waiting = np.flatnonzero(np.repeat(groups, lengths))
        outages = [self._history.pass_calm(s, t) for s, t in _pairs(streams[waiting], times[waiting])]
        left[waiting[np.array(outages, np.bool_)]] = False
        waiting = waiting[left[waiting]]
        for turn in range(int(rank[waiting].max(initial=-1)) + 1):
            mine = waiting[rank[waiting] == turn]
            for some in np.split(mine, range(_AT_ONCE, len(mine), _AT_ONCE)):
                left[some[self._put(streams[some], times[some], rows[some])]] = False
        self._late.count += len(left) - int(np.count_nonzero(left))
        return left

    def _is_calm(self, streams: Indices, rows: Rows) -> Bools:
        table, value = self._table, rows["value"]
        calm: Bools = is_calm_sample(rows) & (value >= table.rule_low[streams]) & (value <= table.high[streams])
        return calm

    def _put(self, streams: Indices, times: Indices, rows: Rows) -> Bools:
        """Put one late, normal sample of each stream in its place, or find it there; where that was possible."""
        table, recent = self._table, self._recent
        grids = recent.grids(streams)
        known: Bools = (grids.at_ns == times).any(axis=0)
        begun_ns, counted = recent.older.of(streams)
        since = recent.count[streams] - counted
        is_since = np.arange(CAPACITY)[:, np.newaxis] < since
        calm = (grids.reason == Reason.PRESENT) & np.isin(grids.quality, (Quality.UNKNOWN, Quality.USABLE))
        calm &= (grids.value >= table.rule_low[streams]) & (grids.value <= table.high[streams])
        places = (is_since & (grids.at_ns > times)).sum(axis=0)
        column = np.arange(len(streams))
        after_ns = grids.at_ns[np.maximum(places - 1, 0), column]
        before_ns = np.where(places < since, grids.at_ns[np.minimum(places, CAPACITY - 1), column], begun_ns)
        fine = ~known & (since < CAPACITY) & (times > begun_ns) & (places > 0) & table.quiet[streams]
        fine &= (calm | ~is_since).all(axis=0) & ~np.isin(streams, list(recent.older.trackers))
        fine &= (before_ns != NEVER) & (after_ns - before_ns <= LONG_GAP_NS)
        gap_ns = grids.at_ns[0] - np.where(places == 1, times, grids.at_ns[1])
        border_ns, passed = recent.newer.of(streams)
        crosses = times < border_ns
        first = np.minimum(recent.count[streams] - passed, CAPACITY - 2)
        second_ns = np.where(places == first + 1, times, grids.at_ns[first + 1, column])
        border_gap_ns = border_ns - second_ns
        fine &= (gap_ns <= MOST_COVER_NS) & (~crosses | (border_gap_ns <= MOST_COVER_NS))
        recent.insert_each(streams[fine], places[fine], rows[fine], times[fine])
        table.state["gap_ns"][streams[fine]] = gap_ns[fine]
        crosses &= fine
        recent.newer.count[streams[crosses]] += 1
        recent.newer.state["gap_ns"][streams[crosses]] = border_gap_ns[crosses]
        done: Bools = known | fine
        return done


def _pairs(streams: Indices, times: Indices) -> zip[tuple[int, int]]:
    return zip(streams.tolist(), times.tolist(), strict=True)
