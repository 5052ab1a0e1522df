"""The hash chain: whatever is changed in a journal's file shows, and what was trimmed in order does not."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from vitals.chain import START, Verdict, verify
from vitals.journal import Bounds, Journal
from vitals.journal_schema import CHAIN_BASE, JOURNAL

T0 = 1_790_000_000_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal(tmp_path / "alarms.db", chained=True) as journal:
        for number in range(5):
            journal.append([(1, b"raised %d" % number), (2, b"delivered")], now_ns=T0 + number)
    return tmp_path / "alarms.db"


def look(path: Path, expected: bytes | None = None) -> Verdict:
    with Journal(path, read_only=True) as journal:
        return verify(journal.linked(), journal.mark(CHAIN_BASE) or START, expected=expected)


def change(path: Path, sql: str) -> None:
    db = apsw.Connection(str(path))
    db.execute(sql)
    assert db.changes()
    db.close()


def test_what_was_written_holds_across_restarts(path: Path) -> None:
    with Journal(path, chained=True) as journal:
        journal.append([(1, b"after a restart")], now_ns=T0 + 9)
    assert (look(path).records, look(path).first, look(path).broken_at) == (11, 1, None)


@pytest.mark.parametrize(
    ("sql", "broken_at"),
    [
        ("UPDATE record SET payload=x'00' WHERE sequence=4", 4),
        ("UPDATE record SET appended_at_ns=appended_at_ns+1 WHERE sequence=7", 7),
        ("UPDATE record SET kind=9 WHERE sequence=1", 1),
        ("DELETE FROM record WHERE sequence=6", 7),
        ("DELETE FROM record WHERE sequence<=2", 3),
        ("UPDATE record SET link=NULL WHERE sequence=5", 5),
        ("UPDATE record SET link=NULL WHERE sequence=1", 2),
        ("UPDATE record SET sequence=99 WHERE sequence=10", 99),
    ],
)
def test_every_change_shows(path: Path, sql: str, broken_at: int) -> None:
    change(path, sql)
    assert look(path).broken_at == broken_at


def test_a_journal_cut_at_its_end_no_longer_leads_through_the_link_noted_elsewhere(path: Path) -> None:
    noted = bytes.fromhex(look(path).head)
    assert look(path, noted).found is True
    change(path, "DELETE FROM record WHERE sequence>8")
    assert (look(path, noted).broken_at, look(path, noted).found) == (None, False)


def test_trimming_in_order_keeps_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "alarms.db"
    with Journal(path, bounds=Bounds(max_bytes=1 << 20, keep_read_s=0.0), chained=True) as journal:
        for number in range(20):
            journal.append([(1, b"%d" % number)], now_ns=T0)
        journal.move("reader", 12)
        journal.trim(now_ns=T0 + 1)
        assert journal.oldest == 13
    assert (look(path).records, look(path).first, look(path).broken_at) == (8, 13, None)


def test_entries_of_an_older_release_carry_no_links_and_the_chain_begins_after_them(path: Path) -> None:
    change(path, "UPDATE record SET link=NULL")
    with Journal(path, chained=True) as journal:
        journal.append([(1, b"new"), (1, b"newer")], now_ns=T0 + 9)
    assert (look(path).records, look(path).first, look(path).broken_at) == (2, 11, None)


def test_the_schema_is_the_one_that_is_read_beside_the_service(path: Path) -> None:
    assert len(JOURNAL.migrations) == 2
    assert look(path).records == 10
