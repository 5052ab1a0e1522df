"""Receipts: what is contiguous, what came ahead, what came twice, and what never will."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import receipts
from ingest.receipts import MAX_EPOCHS, MAX_RANGES, Epoch, ReceiptLedger
from vitals.errors import JournalCorruptError
from vitals.model import Receipt


def receive(ledger: ReceiptLedger, sequence: int, *, oldest: int = 1, epoch: int = 9, gateway: str = "gw") -> bool:
    change = ledger.begin()
    new, _ = change.receive(gateway, epoch, sequence, oldest)
    ledger.apply(change)
    return new


def through(ledger: ReceiptLedger, epoch: int = 9, gateway: str = "gw") -> int:
    return next(e.through for e in ledger.epochs(gateway) if e.epoch == epoch)


def test_the_receipt_covers_only_what_is_contiguous() -> None:
    ledger = ReceiptLedger()
    seen = []
    for sequence in (1, 2, 4, 5, 3, 7, 6):
        assert receive(ledger, sequence)
        seen.append(through(ledger))
    assert seen == [1, 2, 2, 2, 5, 5, 7]


@given(st.lists(st.integers(1, 40), max_size=120))
def test_new_is_what_was_never_received_and_through_is_the_contiguous_prefix(sequences: list[int]) -> None:
    ledger, received = ReceiptLedger(), set[int]()
    for sequence in sequences:
        assert receive(ledger, sequence) is (sequence not in received)
        received.add(sequence)
        expected = next(n for n in range(1, 42) if n not in received) - 1
        assert through(ledger) == expected


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=80))
def test_every_message_is_received_or_given_up_exactly_once(messages: list[tuple[int, int]]) -> None:
    """The model: a set of sequences that came, and a set that the gateway gave up before they came."""
    ledger, came, given_up = ReceiptLedger(), set[int](), set[int]()
    for sequence, oldest in messages:
        change = ledger.begin()
        new, lost = change.receive("gw", 9, sequence, oldest)
        ledger.apply(change)
        gone = set(range(1, min(oldest, sequence))) - came - given_up
        assert lost == len(gone)
        given_up |= gone
        assert new is (sequence not in came | given_up)
        came.add(sequence)
        assert through(ledger) == next(n for n in range(1, 62) if n not in came | given_up) - 1


def test_what_a_gateway_gave_up_moves_the_receipt_on() -> None:
    ledger = ReceiptLedger()
    receive(ledger, 1)
    change = ledger.begin()
    assert change.receive("gw", 9, 10, 8) == (True, 6)  # 2 to 7
    ledger.apply(change)
    assert through(ledger) == 7
    assert receive(ledger, 8)
    assert receive(ledger, 9)
    assert through(ledger) == 10


def test_oldest_beyond_its_own_message_gives_up_no_more_than_lies_before_it() -> None:
    change = ReceiptLedger().begin()
    assert change.receive("gw", 9, 3, 1_000) == (True, 2)
    assert change.receipts() == [Receipt("gw", 9, 3)]


def test_epoch_zero_has_no_receipt_and_no_memory() -> None:
    ledger = ReceiptLedger()
    change = ledger.begin()
    assert [change.receive("gw", 0, 5, 1) for _ in range(2)] == [(True, 0), (True, 0)]
    assert change.receipts() == []
    assert change.marks() == {}


def test_a_message_that_came_again_is_receipted_again() -> None:
    ledger = ReceiptLedger()
    receive(ledger, 1)
    change = ledger.begin()
    assert change.receive("gw", 9, 1, 1) == (False, 0)
    assert change.receipts() == [Receipt("gw", 9, 1)]


def test_ranges_ahead_are_bounded_and_what_does_not_fit_may_come_again() -> None:
    ledger = ReceiptLedger()
    spaced = [3 + 2 * n for n in range(MAX_RANGES)]
    for sequence in spaced:
        assert receive(ledger, sequence)
    beyond = spaced[-1] + 2
    assert receive(ledger, beyond)
    assert receive(ledger, beyond)  # not remembered: taken again rather than lost
    assert not receive(ledger, spaced[-1])
    for sequence in range(1, beyond):
        receive(ledger, sequence)
    assert through(ledger) == beyond - 1


def test_old_epochs_are_forgotten_by_recency_of_use() -> None:
    ledger = ReceiptLedger()
    for epoch in range(1, MAX_EPOCHS + 1):
        receive(ledger, 1, epoch=epoch)
    receive(ledger, 2, epoch=1)
    receive(ledger, 1, epoch=99)
    assert [e.epoch for e in ledger.epochs("gw")] == [*range(3, MAX_EPOCHS + 1), 1, 99]


def test_gateways_are_forgotten_by_recency_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "MAX_GATEWAYS", 2)
    ledger = ReceiptLedger()
    for gateway in ("a", "b", "a", "c"):
        receive(ledger, 1, gateway=gateway)
    assert [bool(list(ledger.epochs(gateway))) for gateway in "abc"] == [True, False, True]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 30)), max_size=60))
def test_marks_restore_the_ledger(messages: list[tuple[str, int, int]]) -> None:
    ledger, marks = ReceiptLedger(), dict[str, bytes]()
    for gateway, epoch, sequence in messages:
        change = ledger.begin()
        change.receive(gateway, epoch, sequence, 1)
        marks |= change.marks()
        ledger.apply(change)
    restored = ReceiptLedger(marks)
    assert [restored.epochs(g) for g in "ab"] == [ledger.epochs(g) for g in "ab"]


def test_a_change_that_is_not_applied_leaves_no_trace() -> None:
    ledger = ReceiptLedger()
    change = ledger.begin()
    change.receive("gw", 9, 1, 1)
    assert list(ledger.epochs("gw")) == []
    assert receive(ledger, 1)


def test_an_unreadable_mark_is_named() -> None:
    with pytest.raises(JournalCorruptError, match="receipt:gw-1"):
        ReceiptLedger({"receipt:gw-1": b"\xc1"})


def test_missing_counts_only_what_is_not_there() -> None:
    epoch = Epoch(1, 3, ((6, 7), (10, 10)))
    assert [epoch.missing(below) for below in (1, 4, 5, 8, 11, 12)] == [0, 0, 1, 2, 4, 5]


def test_a_receipt_tells_what_came_ahead_and_two_spools_of_one_gateway_have_one_each() -> None:
    ledger = ReceiptLedger()
    change = ledger.begin()
    for epoch, sequence in ((7, 1), (7, 5), (7, 6), (8, 3)):
        change.receive("gw", epoch, sequence, 1)
    assert change.receipts() == [Receipt("gw", 7, 1, ((5, 6),)), Receipt("gw", 8, 0, ((3, 3),))]
    ledger.apply(change)
    assert ledger.receipts() == [Receipt("gw", 8, 0, ((3, 3),))]
