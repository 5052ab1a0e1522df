"""The ledger finds every kind of difference, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import truth as truth_module
from simulators.truth import TRUTH_DTYPE, Rows, Stream, Truth
from vitals.model import DeviceBatch, Reason, Sample, Vital

STREAM: Stream = ("ox-1", Vital.SPO2)


def a_truth(readings: int = 10) -> Truth:
    truth = Truth()
    for number in range(readings):
        value, reason = (None, Reason.PROBE_OFF) if number == 3 else (90.0 + number % 3, Reason.PRESENT)
        truth.add_device(DeviceBatch("ox-1", (Sample(Vital.SPO2, 1_000 * number, value, reason),)))
    return truth


def changed(rows: Rows, index: int, **fields: float) -> Rows:
    rows = rows.copy()
    for name, value in fields.items():
        rows[name][index] = value
    return rows


def test_what_was_produced_compares_as_exact_in_any_order() -> None:
    truth = a_truth()
    difference = truth.compare({STREAM: truth.rows(STREAM)[::-1]})
    assert difference.exact
    assert (difference.produced, difference.stored) == (10, 10)


def test_rows_keep_the_order_of_production_and_the_reason() -> None:
    rows = a_truth().rows(STREAM)
    assert rows["sampled_at_ns"].tolist() == [1_000 * n for n in range(10)]
    assert rows["reason"][3] == Reason.PROBE_OFF
    assert np.isnan(rows["value"]).tolist() == [n == 3 for n in range(10)]


@pytest.mark.parametrize(
    ("spoil", "counts", "words"),
    [
        (lambda r: r[1:], (1, 0, 0), "missing"),
        (lambda r: np.concatenate((r, r[:2])), (0, 2, 0), "twice"),
        (lambda r: np.concatenate((r, changed(r[:1], 0, sampled_at_ns=77))), (0, 1, 0), "not produced"),
        (lambda r: changed(r, 2, value=50.0), (0, 0, 1), "became"),
        (lambda r: changed(r, 3, reason=Reason.NO_READING), (0, 0, 1), "became"),
        (lambda r: changed(r, 3, value=1.0), (0, 0, 1), "became"),
        (lambda r: changed(r, 2, sequence=1), (1, 1, 0), "missing"),
        (lambda r: r[:0], (10, 0, 0), "missing"),
    ],
)
def test_every_difference_is_counted_and_shown(spoil, counts: tuple[int, int, int], words: str) -> None:  # type: ignore[no-untyped-def] # a lambda over rows
    truth = a_truth()
    difference = truth.compare({STREAM: spoil(truth.rows(STREAM))})
    assert (difference.missing, difference.extra, difference.changed) == counts
    assert not difference.exact
    assert "ox-1 spo2" in difference.example
    assert words in difference.example


def test_a_stream_that_nobody_produced_is_extra_and_one_that_is_not_stored_is_missing() -> None:
    truth = a_truth()
    rows = truth.rows(STREAM)
    difference = truth.compare({("ox-2", Vital.SPO2): rows})
    assert (difference.missing, difference.extra) == (10, 10)
    assert truth.compare({}).missing == 10


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=40), st.data())
def test_losses_and_duplicates_add_up(keys: list[tuple[int, int]], data: st.DataObject) -> None:
    """Produced − missing + extra = stored, whatever a store does with the rows."""
    rows = np.zeros(len(keys), TRUTH_DTYPE)
    if keys:
        rows["sampled_at_ns"], rows["sequence"] = zip(*keys, strict=True)
    truth = Truth()
    truth.add_rows(STREAM, np.unique(rows))
    picked = data.draw(st.lists(st.integers(0, len(keys) - 1), max_size=60)) if keys else []
    stored = rows[picked]
    difference = truth.compare({STREAM: stored})
    assert difference.produced - difference.missing + difference.extra == stored.size == difference.stored
    assert difference.exact == (sorted(stored.tolist()) == np.unique(rows).tolist())


def test_a_full_ledger_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth_module, "MAX_READINGS", 5)
    with pytest.raises(OverflowError, match="in parts"):
        a_truth(6)
