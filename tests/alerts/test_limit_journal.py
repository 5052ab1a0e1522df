"""The journal of limits on a disk that fails it: whatever is damaged, one documented error says what to do."""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest
from alert_world import T0

from alerts.limit_changes import LimitChange, Setting
from alerts.limit_journal import LimitHistory, append, read_history, writing
from vitals.errors import JournalCorruptError, WardlightError
from vitals.journal import Journal

DAMAGES = 150


def fill(path: Path, count: int) -> None:
    with writing(path) as journal:
        for number in range(count):
            setting = Setting("spo2", "low", 86.0)
            append(journal, LimitChange("P-0", (setting,), "AB", "COPD " * 30, T0 + number))


def test_no_journal_is_no_changes(tmp_path: Path) -> None:
    assert read_history(tmp_path / "limits.db").entries == []


def test_damage_anywhere_is_told_or_harmless(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201  shown when the test fails, to repeat it
    chance, path = random.Random(seed), tmp_path / "limits.db"
    fill(path, 40)
    whole, entries, refused = path.read_bytes(), read_history(path).entries, 0
    for _ in range(DAMAGES):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 3, 40])):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        for part in tmp_path.glob("limits.db*"):
            part.unlink()
        path.write_bytes(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])])
        try:
            assert read_history(path).entries == entries
        except WardlightError:
            refused += 1
    assert refused > DAMAGES / 4


def test_an_entry_that_somebody_changed_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    fill(path, 2)
    db = apsw.Connection(str(path))
    db.execute("UPDATE record SET payload=(SELECT payload FROM record WHERE sequence=1) WHERE sequence=2")
    db.close()
    with pytest.raises(JournalCorruptError, match="entry 2: the record, or one before it, is not what was written"):
        read_history(path)


def test_fewer_entries_than_before_are_no_continuation(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    fill(path, 2)
    history = LimitHistory(position=3)
    with Journal(path, read_only=True) as journal, pytest.raises(JournalCorruptError, match="entries are missing"):
        history.read_on(journal)
