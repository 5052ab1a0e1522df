"""Streams in arrays: slots, runs, and the judgement of arrivals against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.streams import RECENT_KEYS, ArrivalState, Runs, Slots, judge_arrivals


def test_slots_are_kept_by_name_and_new_ones_are_told() -> None:
    slots = Slots(4)
    first, new = slots.place(["a", "b", "a"])
    assert first[0] == first[2] != first[1]
    assert set(new.tolist()) == set(first.tolist())
    again, new = slots.place(["b", "c"])
    assert again[0] == first[1]
    assert new.tolist() == [again[1]]


def test_the_least_recently_used_slot_is_given_away_and_told_as_new() -> None:
    slots = Slots(2)
    (a, b), _ = slots.place(["a", "b"])
    slots.place(["a"])
    (c,), new = slots.place(["c"])
    assert c == b
    assert new.tolist() == [c]
    assert slots.place(["a"])[0].tolist() == [a]
    assert len(slots) == 2


def test_a_commit_never_takes_a_slot_from_itself() -> None:
    slots = Slots(16)
    slots.place([f"old-{n}" for n in range(16)])
    placed, new = slots.place([f"new-{n}" for n in range(16)])
    assert sorted(placed.tolist()) == list(range(16))
    assert len(new) == 16


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 4))
def test_runs_lay_each_stream_behind_its_history(streams: list[int], depth: int) -> None:
    runs = Runs.of(np.array(streams), 2).with_depth(depth)
    history = -np.arange(5 * depth).reshape(5, depth) - 1
    fresh = np.arange(len(streams))
    laid = runs.lay(history, fresh)
    expected: list[int] = []
    for stream in sorted(set(streams)):
        expected += history[stream].tolist() + [n for n, s in enumerate(streams) if s == stream]
    assert laid.tolist() == expected
    assert laid[runs.places].tolist() == fresh[runs.order].tolist()
    assert runs.tails(laid).shape == (len(set(streams)), depth)


arrivals = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12), st.integers(0, 1), st.booleans()), max_size=80)


@given(arrivals)
def test_arrivals_are_judged_one_after_the_other_however_they_are_grouped(
    rows: list[tuple[int, int, int, bool]],
) -> None:
    state, commit = ArrivalState(3), []
    judged: list[tuple[bool, bool]] = []
    for stream, at, sequence, ends in [*rows, (0, 1, 0, True)]:
        commit.append((stream, at, sequence))
        if ends:
            streams, times, sequences = (np.array(column) for column in zip(*commit, strict=True))
            result = judge_arrivals(state, streams, times, sequences.astype(np.uint16))
            result.keep(state)
            judged += zip(result.duplicate.tolist(), result.late.tolist(), strict=True)
            commit = []
    assert judged == _reference([*rows, (0, 1, 0, True)])


def _reference(rows: list[tuple[int, int, int, bool]]) -> list[tuple[bool, bool]]:
    recent: dict[int, list[tuple[int, int]]] = {}
    newest: dict[int, int] = {}
    judged = []
    for stream, at, sequence, _ in rows:
        keys = recent.setdefault(stream, [])
        duplicate = (at, sequence) in keys[-RECENT_KEYS:]
        judged.append((duplicate, at < newest.get(stream, 0) and not duplicate))
        keys.append((at, sequence))
        newest[stream] = max(newest.get(stream, 0), at)
    return judged


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_are_no_special_case(rows: int) -> None:
    state = ArrivalState(1)
    result = judge_arrivals(state, np.zeros(rows, np.intp), np.ones(rows, np.int64), np.zeros(rows, np.uint16))
    result.keep(state)
    assert len(result.late) == rows
