"""State of many streams in arrays: who owns which row, and what a commit brings as runs of one stream each.

A commit holds readings of thousands of streams, mostly one or two of each. Work on them is done on whole arrays: rows
are sorted by stream, and each stream's run is laid out behind what is remembered of it (`Runs`), so that "the four
readings before this one" is a shifted view, whether they came a second ago or in the same commit. Hence the result does
not depend on how messages are grouped into commits.

All-zero state means "nothing remembered"; state is arrays and one dictionary, a plain value.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

Indices: TypeAlias = npt.NDArray[np.intp]
Mask: TypeAlias = npt.NDArray[np.bool_]
Times: TypeAlias = npt.NDArray[np.int64]

RECENT_KEYS: Final = 8  # arrivals remembered per stream: a sender's last message, RR intervals included
_EVICTED_SHARE: Final = 8  # one in so many rows is freed at once, so that eviction is rare


class Slots:
    """Which row of the state arrays belongs to which name.

    Bounded by `capacity`; when all rows are taken the least recently used ones are given away.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._slot: dict[Hashable, int] = {}
        self._free = list(range(capacity - 1, -1, -1))
        self._used = np.zeros(capacity, np.int64)
        self._tick = 0

    def __len__(self) -> int:
        return len(self._slot)

    def place(self, names: Sequence[Hashable]) -> tuple[Indices, Indices]:
        """The rows of `names` (at most `capacity` of them), and which of those are new and must be cleared."""
        self._tick += 1
        slots = np.fromiter(map(self._slot.get, names, repeat(-1)), np.intp, len(names))
        missing = np.flatnonzero(slots < 0)
        self._used[slots[slots >= 0]] = self._tick
        for position in missing.tolist():
            slots[position] = self._take(names[position])
        return slots, slots[missing]

    def _take(self, name: Hashable) -> int:
        slot = self._slot.get(name)
        if slot is None:
            if not self._free:
                self._evict()
            slot = self._slot[name] = self._free.pop()
        self._used[slot] = self._tick
        return slot

    def _evict(self) -> None:
        share = max(1, self.capacity // _EVICTED_SHARE)
        oldest = np.argsort(self._used, kind="stable")[:share]
        gone = set(oldest[self._used[oldest] < self._tick].tolist())
        self._slot = {name: slot for name, slot in self._slot.items() if slot not in gone}
        self._free.extend(gone)


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows of a commit, sorted by stream and in arrival order within, with `depth` places of history before each run.

    `order`: (n,) row numbers in run order. `streams`: (g,) the distinct streams. `heads`: (g,) where each history
    starts in the laid-out array of length n + g·depth. `places`: (n,) where each row of `order` stands in it.
    """

    order: Indices
    streams: Indices
    counts: Indices
    heads: Indices
    places: Indices
    depth: int

    @classmethod
    def of(cls, streams: Indices, depth: int) -> Self:
        """The runs of rows whose stream numbers are `streams`, shape (n,)."""
        order = np.argsort(streams, kind="stable")
        sorted_streams = streams[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = sorted_streams[1:] != sorted_streams[:-1]
        starts = np.flatnonzero(first)
        counts = np.diff(starts, append=len(order))
        heads = starts + np.arange(len(starts)) * depth
        places = np.arange(len(order)) + np.cumsum(first) * depth
        return cls(order, sorted_streams[starts], counts, heads, places, depth)

    def with_depth(self, depth: int) -> Runs:
        """The same runs behind another depth of history."""
        group = np.arange(len(self.streams))
        places = self.places + np.repeat((group + 1) * (depth - self.depth), self.counts)
        return Runs(self.order, self.streams, self.counts, self.heads + group * (depth - self.depth), places, depth)

    def lay(self, history: npt.NDArray[Any], fresh: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`history` (every stream, depth), oldest first, and `fresh` (n,) as one array of runs."""
        laid = np.empty(len(self.order) + len(self.streams) * self.depth, history.dtype)
        laid[self.heads[:, None] + np.arange(self.depth)] = history[self.streams]
        laid[self.places] = fresh[self.order]
        return laid

    def tails(self, laid: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The last `depth` places of every run, (g, depth): the history for the next commit."""
        tails: npt.NDArray[Any] = laid[(self.heads + self.counts)[:, None] + np.arange(self.depth)]
        return tails


class ArrivalState:
    """What is remembered of every stream's arrivals: the newest time, and the last `RECENT_KEYS` keys."""

    def __init__(self, streams: int) -> None:
        self.newest_ns = np.zeros((streams, 1), np.int64)
        self.times_ns = np.zeros((streams, RECENT_KEYS), np.int64)
        self.sequences = np.zeros((streams, RECENT_KEYS), np.uint16)

    def clear(self, streams: Indices) -> None:
        """Forget these streams."""
        self.newest_ns[streams] = 0
        self.times_ns[streams] = 0
        self.sequences[streams] = 0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A judgement of n arrivals, and what is to be remembered once their commit is certain (`keep`).

    `duplicate`: the key (time, sequence) is among the stream's last `RECENT_KEYS` arrivals. `late`: older than
    the newest reading of its stream.
    """

    duplicate: Mask
    late: Mask
    _streams: Indices
    _newest_ns: Times
    _times_ns: Times
    _sequences: npt.NDArray[np.uint16]

    def keep(self, state: ArrivalState) -> None:
        """Remember these arrivals."""
        state.newest_ns[self._streams, 0] = self._newest_ns
        state.times_ns[self._streams] = self._times_ns
        state.sequences[self._streams] = self._sequences


def judge_arrivals(
    state: ArrivalState, streams: Indices, sampled_at_ns: Times, sequence: npt.NDArray[np.uint16]
) -> Arrivals:
    """Tell duplicates and late readings among rows in arrival order; `state` is read, not changed."""
    runs = Runs.of(streams, RECENT_KEYS)
    times = runs.lay(state.times_ns, sampled_at_ns)
    sequences = runs.lay(state.sequences, sequence)
    duplicate = np.zeros(len(streams), np.bool_)
    at = times[runs.places]
    for back in range(1, RECENT_KEYS + 1):
        same = np.flatnonzero(times[runs.places - back] == at)
        if len(same):
            place = runs.places[same]
            duplicate[runs.order[same]] |= sequences[place - back] == sequences[place]
    late, newest_ns = _judge_late(runs.with_depth(1), state.newest_ns, sampled_at_ns)
    return Arrivals(duplicate, late & ~duplicate, runs.streams, newest_ns, runs.tails(times), runs.tails(sequences))


def _judge_late(runs: Runs, newest_ns: Times, sampled_at_ns: Times) -> tuple[Mask, Times]:
    """Rows older than the newest before them in their run, (n,), and the newest of every run, (g,)."""
    late = np.zeros(len(runs.order), np.bool_)
    if len(runs.streams) == len(runs.order):  # one row of each stream, as in most commits
        before_ns, at_ns = newest_ns[runs.streams, 0], sampled_at_ns[runs.order]
        late[runs.order] = at_ns < before_ns
        return late, np.maximum(at_ns, before_ns)
    laid = runs.lay(newest_ns, sampled_at_ns)
    distinct, rank = np.unique(laid, return_inverse=True)
    base = np.repeat(np.arange(len(runs.streams)) * len(distinct), runs.counts + 1)
    running = np.maximum.accumulate(rank + base) - base  # a maximum within each run: ranks of later runs are higher
    late[runs.order] = rank[runs.places] < running[runs.places - 1]
    return late, distinct[running[runs.heads + runs.counts]]
