"""`wardlight journal verify`, as an auditor calls it."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from typer.testing import CliRunner

from vitals.journal import Journal
from wardlight.layout import DataFolder
from wardlight.main import app

T0 = 1_790_000_000_000_000_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Journal(DataFolder(tmp_path).alarms, chained=True) as journal:
        for number in range(3):
            journal.append([(1, b"%d" % number)], now_ns=T0)
    return tmp_path


def call(data: Path, *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["journal", "verify", "--data", str(data), *more])
    return result.exit_code, result.output


def test_a_journal_that_holds(data: Path) -> None:
    code, said = call(data)
    assert code == 0
    assert "3 entries from 1 on are as they were written" in said
    head = said.split()[-1]
    assert call(data, "--head", head)[0] == 0


def test_a_changed_entry_is_named(data: Path) -> None:
    db = apsw.Connection(str(DataFolder(data).alarms))
    db.execute("UPDATE record SET payload=x'00' WHERE sequence=2")
    db.close()
    code, said = call(data)
    assert code == 1
    assert "Broken at entry 2" in said


def test_a_link_of_another_journal_is_not_found(data: Path) -> None:
    code, said = call(data, "--head", "ab" * 32)
    assert code == 1
    assert "was trimmed, or is not part of this journal" in said
