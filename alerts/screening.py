"""The fast path: find the samples that need no thought, and take note of them all at once.

Almost every sample is normal, on time, and of a stream without any condition. Those are judged here as arrays; only the
rest is walked through one by one. Both ways leave the same state behind (a test holds this).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from alerts.conditions import MOST_COVER_NS
from alerts.streams import Indices, StreamTable, event_times, is_calm_sample
from vitals.columns import Rows
from vitals.model import Reason

LONG_GAP_NS: Final = 30_000_000_000  # what comes late into a longer silence is walked apart from the live samples


@dataclass(frozen=True, slots=True)
class Screened:
    """A block sorted by stream; arrival order is kept within each.

    `rows`, `times`, `streams`: parallel, sorted. `starts`, `ends`: of each stream's group. `calm`: per group, whether
    nothing in it needs thought. `plain`: whether all of it is newer than what came before, without a long gap inside.
    """

    rows: Rows
    times: Indices
    streams: Indices
    starts: Indices
    ends: Indices
    calm: np.ndarray[tuple[int], np.dtype[np.bool_]]
    plain: np.ndarray[tuple[int], np.dtype[np.bool_]]


def screen(table: StreamTable, rows: Rows, streams: Indices) -> Screened:
    """Sort the rows of known streams and find the groups that need no thought. `rows` is not empty."""
    order = np.argsort(streams, kind="stable")
    rows, streams = rows[order], streams[order]
    times = event_times(rows)
    first = np.empty(len(rows), np.bool_)
    first[0] = True
    np.not_equal(streams[1:], streams[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(rows)) - 1
    before = np.empty_like(times)
    before[1:] = times[:-1]
    before[starts] = table.state["newest_at_ns"][streams[starts]]
    value = rows["value"]
    later, gap = times > before, times - before
    plain = np.logical_and.reduceat(later & (first | (gap <= LONG_GAP_NS)), starts)
    fine = later & is_calm_sample(rows)
    fine &= (value >= table.low[streams]) & (value <= table.high[streams]) & table.quiet[streams]
    fine &= first | (gap <= MOST_COVER_NS)  # a gap inside a group: the walk knows which period to keep
    calm = np.logical_and.reduceat(fine, starts)
    return Screened(rows, times, streams, starts, ends, calm, plain)


def take_note(table: StreamTable, screened: Screened, gateways: Indices, sources: Indices) -> None:
    """Bring the streams of the calm groups up to date. `gateways`, `sources`: parallel to the sorted rows."""
    ends = screened.ends[screened.calm]
    starts = screened.starts[screened.calm]
    streams, times = screened.streams[ends], screened.times[ends]
    state = table.state
    before = np.where(ends > starts, screened.times[np.maximum(ends - 1, 0)], state["valid_at_ns"][streams])
    gap = times - before
    state["gap_ns"][streams] = np.where((before > 0) & (gap <= MOST_COVER_NS), gap, state["gap_ns"][streams])
    for name in ("newest_at_ns", "fresh_at_ns", "valid_at_ns"):
        state[name][streams] = times
    state["value"][streams] = screened.rows["value"][ends]
    state["reason"][streams] = Reason.PRESENT
    state["quality"][streams] = screened.rows["quality"][ends]
    state["gateway"][streams] = gateways[ends]
    state["source"][streams] = sources[ends]
