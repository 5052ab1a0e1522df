"""Kept poison: what is kept, how much of it, and how it is listed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from ingest.poison import BOUNDS, KEPT_PER_MINUTE, KEPT_PER_MINUTE_IN_ALL, PoisonStore, newest_first
from ingest.validate import Poison
from vitals.errors import JournalFullError
from vitals.journal import Journal

MINUTE = 60_000_000_000
T0 = 29_000_000 * MINUTE


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "poison.db", bounds=BOUNDS) as journal:
        yield journal


def poison(number: int = 0, *, gateway: str = "gw-1", reason: str = "clock", excerpt: bytes = b"") -> Poison:
    field = f"devices[{number}].samples[0].value"
    topic = f"wardlight/v1/north/{gateway}/batch"
    return Poison(T0 + number, topic, gateway, reason, field, "a sentence", excerpt, len(excerpt))


def test_what_is_kept_is_listed_newest_first_as_it_was(journal: Journal) -> None:
    found = [poison(n, excerpt=bytes([n])) for n in range(3)]
    PoisonStore(journal).keep(found, now_ns=T0)
    assert list(newest_first(journal)) == found[::-1]


def test_the_list_can_be_of_one_gateway_or_one_reason_and_of_any_length(journal: Journal) -> None:
    store = PoisonStore(journal)
    for number in range(8):
        gateway, reason = f"gw-{number % 2}", "type" if number < 4 else "clock"
        store.keep([poison(number, gateway=gateway, reason=reason)], now_ns=T0)
    assert [p.received_at_ns - T0 for p in newest_first(journal, gateway="gw-1")] == [7, 5, 3, 1]
    assert [p.received_at_ns - T0 for p in newest_first(journal, gateway="gw-0", reason="type")] == [2, 0]
    assert len(list(islice(newest_first(journal), 3))) == 3


def test_nothing_kept_is_an_empty_list(journal: Journal) -> None:
    PoisonStore(journal).keep([], now_ns=T0)
    assert list(newest_first(journal)) == []


def test_the_list_is_complete_beyond_one_page_and_beyond_one_read(journal: Journal) -> None:
    entries = [poison(number, gateway=f"gw-{number // 50}", excerpt=bytes(64 << 10)) for number in range(600)]
    PoisonStore(journal).keep(entries, now_ns=T0)
    assert [p.received_at_ns - T0 for p in newest_first(journal)] == list(reversed(range(600)))


def test_a_storm_is_counted_and_its_count_is_kept_when_the_minute_is_over(journal: Journal) -> None:
    store = PoisonStore(journal)
    store.keep([poison(n) for n in range(200)], now_ns=T0)
    store.keep([poison(n) for n in range(200, 1_200)], now_ns=T0 + 1)
    store.keep([poison(gateway="gw-2")], now_ns=T0 + 2)
    assert len(list(newest_first(journal))) == KEPT_PER_MINUTE + 1
    store.keep([poison(5_000)], now_ns=T0 + MINUTE)
    newest, summary = islice(newest_first(journal), 2)
    assert newest.received_at_ns == T0 + 5_000
    assert (summary.reason, summary.gateway) == ("suppressed", "gw-1")
    assert f"{1_200 - KEPT_PER_MINUTE:,} more" in summary.message


def test_many_gateways_together_have_a_bound_too(journal: Journal) -> None:
    store = PoisonStore(journal)
    store.keep([poison(n, gateway=f"gw-{n}") for n in range(KEPT_PER_MINUTE_IN_ALL + 500)], now_ns=T0)
    assert len(list(newest_first(journal))) == KEPT_PER_MINUTE_IN_ALL


def test_a_full_disk_changes_nothing_and_the_same_call_keeps_all(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PoisonStore(journal)
    append = journal.append

    def refuse(*_: object, **__: object) -> int:
        raise JournalFullError("disk full")

    found = [poison(n) for n in range(KEPT_PER_MINUTE + 5)]
    store.keep(found[:1], now_ns=T0)
    monkeypatch.setattr(journal, "append", refuse)
    with pytest.raises(JournalFullError):
        store.keep(found[1:], now_ns=T0)
    monkeypatch.setattr(journal, "append", append)
    store.keep(found[1:], now_ns=T0)
    assert len(list(newest_first(journal))) == KEPT_PER_MINUTE


def test_another_process_can_list_while_the_worker_writes(journal: Journal) -> None:
    PoisonStore(journal).keep([poison()], now_ns=T0)
    with Journal(journal.path, read_only=True) as reader:
        assert len(list(newest_first(reader))) == 1
