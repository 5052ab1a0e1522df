"""What a patient's values do over time: SpO2 that falls fast, its area below the limit, a slow trend. Pure.

Two ways lead through a block. Almost all streams are quiet: they are looked at every five seconds, as arrays
(`alerts.looks`). A sample of SpO2 that is as low as a fall would be, and every one while something is going on, is
taken one by one (`alerts.falls`); `StreamTable.heed` keeps those out of the fast path.

Like all conditions these are followed of every stream, and only that speaks for the patient votes. What another open
alarm tells already is no second one (`alerts.causes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from alerts.conditions import MOST_COVER_NS, covered_ns
from alerts.events import SPO2_DEFICIT, SPO2_FALLING, TREND, Priority
from alerts.falls import Area, Fall, follow_area, follow_fall
from alerts.looks import Looks, Numbers
from alerts.measure_settings import TREND_VITALS, Measures, Trend
from alerts.measure_votes import Found, MeasureVotes
from alerts.screening import Screened
from alerts.streams import JUDGED, Bools, Indices, StreamTable, is_calm_sample
from vitals.model import VITALS, Quality, Reason, Vital

_INERT: Final = -np.inf  # no value of the stream is of interest
_AWAKE: Final = np.inf  # all of them are


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of some streams that need care: those with a value and in order, parallel; `cover_ns`: what each covers.

    `looks`: whether a row is the first of its cell. `turn`: how many looks of its stream came before, itself included.
    """

    streams: Indices
    at_ns: Indices
    values: Numbers
    trusted: Bools
    cover_ns: Indices
    looks: Bools
    turn: Indices


class MeasureWatch:
    """`falls`, `areas`: of streams where there is something; `trends`: stream → −1 below, +1 above its baseline."""

    def __init__(self, table: StreamTable, votes: MeasureVotes, preset: Measures, own: Mapping[str, Measures]) -> None:
        self._table = table
        self._votes = votes
        self._preset = preset
        self._own = own
        self.looks = Looks(table)
        self.falls: dict[int, Fall] = {}
        self.areas: dict[int, Area] = {}
        self.trends: dict[int, int] = {}
        self._points: Numbers = np.zeros(0)
        self._trend_low: Numbers = np.zeros(0)
        self._trend_high: Numbers = np.zeros(0)
        self._counts_area: Bools = np.zeros(0, np.bool_)
        self._found: list[Found] = []
        self._minute_over: list[int] = []

    def fit(self) -> None:
        """Make room for streams that are new in the table."""
        new = self.looks.fit()
        if (more := len(self.looks.kept) - len(self._points)) > 0:
            self._points = np.concatenate([self._points, np.full(more, np.inf)])
            self._trend_low = np.concatenate([self._trend_low, np.full(more, np.inf)])
            self._trend_high = np.concatenate([self._trend_high, np.full(more, np.inf)])
            self._counts_area = np.concatenate([self._counts_area, np.zeros(more, np.bool_)])
        if new:
            self._set(np.arange(new.start, new.stop), self._preset)
        for stream in new if self._own else ():
            if (settings := self.settings(stream)) is not self._preset:
                self._set(np.array([stream]), settings)

    def _set(self, streams: Indices, settings: Measures) -> None:
        """Let settings hold for streams."""
        vitals = self._table.state["vital"][streams]
        spo2 = streams[vitals == Vital.SPO2]
        self._points[spo2] = settings.falling.points if settings.falling.on else np.inf
        self._counts_area[spo2] = settings.deficit.on
        for vital, judged in JUDGED.items():
            if (name := VITALS[Vital(judged)].name) in TREND_VITALS:
                trend = getattr(settings.trend, name) if settings.trend.on else Trend()
                told = streams[vitals == vital]
                self._trend_low[told] = np.inf if trend.below is None else trend.below
                self._trend_high[told] = np.inf if trend.above is None else trend.above

    def settings(self, stream: int) -> Measures:
        """What holds for the patient of a stream."""
        return self._own.get(self._table.slots[int(self._table.state["slot"][stream])][0], self._preset)

    # -- what comes in -----------------------------------------------------------------------------------------------

    def take(self, screened: Screened) -> None:
        """Take a block, before the table takes note of it; what is found waits for `tell`."""
        self.fit()
        ends = screened.ends
        streams = screened.streams[ends]
        due = screened.times[ends] >= self.looks.next_ns[streams]
        single = due & screened.calm & (screened.starts == ends)
        if single.any():
            rows = ends[single]
            values, trusted = screened.rows["value"][rows], np.ones(len(rows), np.bool_)
            self._look(screened.streams[rows], screened.times[rows], values, trusted)
        careful = (~screened.calm | (due & ~single)) & self.looks.is_measured(streams)
        if careful.any():
            self._take_carefully(screened, careful)

    def tell(self, now_ns: int) -> list[int]:
        """Vote on what was found in the last block; the streams whose patients' minute is over."""
        self._votes.vote(self._found, self.falls, now_ns)
        over, self._found, self._minute_over = self._minute_over, [], []
        return over

    def tick(self, now_ns: int, silence_ns: int) -> None:
        """Drop what a silent stream holds while another one measures the same: that speaks now."""
        for stream in [*self.falls, *self.areas, *self.trends]:
            if self._votes.is_replaced(stream, now_ns, silence_ns):
                self.drop(stream, now_ns)

    def drop(self, stream: int, now_ns: int) -> None:
        """Let nothing be going on in a stream."""
        for kept in (self.falls, self.areas, self.trends):
            kept.pop(stream, None)
        self._votes.withdraw(stream, now_ns)
        self._watch(np.array([stream]))

    def refresh(self) -> None:
        """Let the table know what is of interest, after a restart."""
        self.fit()
        spo2 = np.flatnonzero(self.looks.is_spo2[: self.looks.size])
        if spo2.size:
            self._watch(spo2)

    # -- looks, as arrays --------------------------------------------------------------------------------------------

    def _look(self, streams: Indices, at_ns: Indices, values: Numbers, trusted: Bools) -> None:
        ended, over = self.looks.look(streams, at_ns, values, trusted)
        self._minute_over += streams[over].tolist()
        spo2 = streams[self.looks.is_spo2[streams]]
        if spo2.size:
            self._watch(spo2)
        if ended.any():
            self._judge_trends(streams[ended], at_ns[ended])

    def _watch(self, streams: Indices) -> None:
        """Say from which value of SpO2 on a sample is of interest."""
        highest = self.looks.highest(streams, self._preset.falling.within_s)
        edges = np.where(highest > 0, highest - self._points[streams], _INERT)
        if awake := self.falls.keys() | self.areas.keys():
            edges[[stream in awake for stream in streams.tolist()]] = _AWAKE
        self._table.heed(streams, edges)

    def _judge_trends(self, streams: Indices, at_ns: Indices) -> None:
        recent, baseline = self.looks.trend(streams)
        low, high = self._trend_low[streams], self._trend_high[streams]
        apart = recent - baseline
        beyond = np.where(apart <= -low, -1, np.where(apart >= high, 1, 0))
        held = np.array([self.trends.get(s, 0) for s in streams.tolist()]) if self.trends else np.zeros_like(beyond)
        for i in np.flatnonzero((beyond != 0) | (held != 0)).tolist():
            stream, side = int(streams[i]), int(beyond[i])
            if side == 0 and not np.isnan(apart[i]):
                distance = -apart[i] / low[i] if held[i] < 0 else apart[i] / high[i]
                side = int(held[i]) if distance > 1 / 2 else 0
            elif side == 0:
                continue  # not known: neither begun nor over
            self.trends[stream] = side
            if not side:
                del self.trends[stream]
            name = VITALS[Vital(JUDGED[int(self._table.state["vital"][stream])])].name
            level = Priority.LOW if side else 0
            self._found.append(
                Found(stream, f"{name}_{TREND}", level, int(at_ns[i]), float(recent[i]), float(baseline[i]))
            )

    # -- one by one --------------------------------------------------------------------------------------------------

    def _take_carefully(self, screened: Screened, chosen: Bools) -> None:
        """Take groups in turns: all their first looks at once, what is of interest up to their second, and so on."""
        part = self._part(screened, chosen)
        if not len(part.streams):
            return
        starts = np.flatnonzero(np.concatenate(([True], np.diff(part.streams) != 0)) | part.looks)
        ends = np.append(starts[1:], len(part.streams))
        lowest = np.minimum.reduceat(part.values, starts)
        turns = part.turn[starts]
        for turn in range(int(turns.max()) + 1):
            mine = np.flatnonzero(turns == turn)
            seen = starts[mine[part.looks[starts[mine]]]]
            if seen.size:
                self._look(part.streams[seen], part.at_ns[seen], part.values[seen], part.trusted[seen])
            streams = part.streams[starts[mine]]
            interest = self.looks.is_spo2[streams] & (lowest[mine] <= self._interest(streams))
            for i in mine[interest].tolist():
                self._follow(part, int(starts[i]), int(ends[i]))

    def _interest(self, streams: Indices) -> Numbers:
        """The highest value that is of interest, of streams of SpO2: below the limit it is, where areas are counted."""
        counted = np.where(self._counts_area[streams], self._table.rule_low[streams], _INERT)
        found: Numbers = np.maximum(self._table.heeded[streams], counted)
        return found

    def _part(self, screened: Screened, chosen: Bools) -> _Part:
        rows = np.flatnonzero(np.repeat(chosen, screened.ends - screened.starts + 1))
        streams, times = screened.streams[rows], screened.times[rows]
        state, found = self._table.state, screened.rows[rows]
        kept = _in_order(streams, times, state["newest_at_ns"][streams])
        kept &= (found["reason"] == Reason.PRESENT) & ~np.isnan(found["value"])
        kept &= (found["quality"] != Quality.UNUSABLE) & (found["quality"] != Quality.TEST)
        streams, times, found = streams[kept], times[kept], found[kept]
        first = np.concatenate((np.ones(min(1, len(streams)), np.bool_), np.diff(streams) != 0))
        cells = self.looks.cells(streams, times)
        looks = np.where(first, times >= self.looks.next_ns[streams], np.diff(cells, prepend=0) != 0)
        count = np.cumsum(looks)
        turn = count - np.repeat((count - looks)[first], np.diff(np.append(np.flatnonzero(first), len(streams))))
        cover = _covers(times, first, state["valid_at_ns"][streams], state["gap_ns"][streams])
        return _Part(streams, times, found["value"], is_calm_sample(found), cover, looks, turn)

    def _follow(self, part: _Part, start: int, end: int) -> None:
        """Take the samples of one stream up to its next look."""
        stream = int(part.streams[start])
        settings = self.settings(stream)
        level_pct = float(self.looks.highest(np.array([stream]), self._preset.falling.within_s)[0])
        low_pct = float(self._table.rule_low[stream])
        fall = self.falls.setdefault(stream, Fall()) if settings.falling.on else None
        area = self.areas.setdefault(stream, Area()) if settings.deficit.on else None
        rows = (part.at_ns, part.values, part.trusted, part.cover_ns)
        for at_ns, value, trusted, cover_ns in zip(*(column[start:end].tolist() for column in rows), strict=True):
            if (
                fall is not None
                and trusted
                and (follow_fall(fall, settings.falling, value, cover_ns, level_pct=level_pct) or fall.is_present)
            ):
                level = Priority[settings.falling.priority.upper()] if fall.is_present else 0
                self._found.append(Found(stream, SPO2_FALLING, level, at_ns, value, fall.from_pct))
            if area is not None and (
                follow_area(area, settings.deficit, value, cover_ns, low_pct=low_pct, doubtful=not trusted)
                or area.present
            ):
                level = Priority.MEDIUM if area.present else 0
                self._found.append(Found(stream, SPO2_DEFICIT, level, at_ns, value, low_pct))
        if fall is not None and fall.is_idle:
            del self.falls[stream]
        if area is not None and not area.pct_s:
            del self.areas[stream]
        self._watch(np.array([stream]))


def _in_order(streams: Indices, times: Indices, newest_ns: Indices) -> Bools:
    """Which rows, sorted by stream, are newer than all before them of their stream."""
    first = np.concatenate((np.ones(min(1, len(streams)), np.bool_), np.diff(streams) != 0))
    before = np.where(first, newest_ns, np.concatenate((times[:1], times[:-1])))
    fresh: Bools = times > before
    for stream in np.unique(streams[~fresh]).tolist():
        own = np.flatnonzero(streams == stream)
        reached = np.maximum.accumulate(np.concatenate((newest_ns[own[:1]], times[own])))
        fresh[own] = times[own] > reached[:-1]
    return fresh


def _covers(times: Indices, first: Bools, valid_ns: Indices, gap_ns: Indices) -> Indices:
    """The measurement time that each sample stands for, as `covered_ns` says it, of rows sorted by stream."""
    found = np.zeros(len(times), np.int64)
    before, gap = 0, 0
    columns = (times.tolist(), first.tolist(), valid_ns.tolist(), gap_ns.tolist())
    for i, (at_ns, begins, valid, kept_gap) in enumerate(zip(*columns, strict=True)):
        if begins:
            before, gap = valid, kept_gap
        found[i] = covered_ns(at_ns, before, gap)
        if before > 0 and at_ns - before <= MOST_COVER_NS:
            gap = at_ns - before
        before = at_ns
    return found
