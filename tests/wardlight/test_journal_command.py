"""`wardlight journal` beside a writer: what it shows, filters and exports."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ingest.poison import PoisonStore
from ingest.validate import Poison
from vitals.errors import ConfigurationError
from vitals.journal import Bounds, Journal, WhenFull
from wardlight.journal import app, local, printable, read_state

T0 = 1_790_000_000_000_000_000  # 2026-09-21 14:13:20 UTC
SECOND = 1_000_000_000


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), terminal_width=240, env={"COLUMNS": "240"})


@pytest.fixture
def poison(tmp_path: Path) -> Iterator[Journal]:
    """A poison journal with three entries, still open in its writer."""
    with Journal(tmp_path / "poison.db") as journal:
        found = [
            Poison(T0, "wardlight/v1/n/gw-1/batch", "gw-1", "truncated", "", "not readable", b"\x93\x00\x1b[2J", 6),
            Poison(T0 + SECOND, "wardlight/v1/n/gw-2/batch", "gw-2", "type", "devices[0].device", "no name", b"{}", 2),
            Poison(T0 + SECOND, "wardlight/v1/n/gw-2/batch", "gw-2", "range", "devices[1].samples[0]", "400 /min"),
        ]
        PoisonStore(journal).keep(found, now_ns=T0 + SECOND)
        yield journal


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    path = tmp_path / "ward.toml"
    path.write_text('site = "north"\ntime_zone = "Europe/Berlin"\n')
    return path


@pytest.mark.usefixtures("poison")
def test_poison_is_listed_with_reason_and_field_in_the_wards_time(tmp_path: Path, ward: Path) -> None:
    result = _run("poison", "--data", str(tmp_path), "--ward", str(ward))
    assert result.exit_code == 0
    assert "devices[0].device" in result.stdout
    assert "Europe/Berlin" in result.stdout
    assert "2026-09-21 16:13:20+02:00" in result.stdout
    assert "\x1b[2J" not in result.stdout, "a payload must not reach the terminal raw"


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ((), [1, 2, 3]),
        (("--gateway", "gw-2"), [2, 3]),
        (("--reason", "truncated"), [1]),
        (("--gateway", "gw-1", "--reason", "type"), []),
        (("--limit", "1"), [3]),
    ],
)
def test_poison_can_be_filtered(tmp_path: Path, filters: tuple[str, ...], ids: list[int]) -> None:
    result = _run("poison", "--data", str(tmp_path), "--json", *filters)
    assert [entry["id"] for entry in msgspec.json.decode(result.stdout)] == ids


@pytest.mark.usefixtures("poison")
def test_the_bytes_come_back_as_received_and_overwrite_nothing(tmp_path: Path) -> None:
    output = tmp_path / "message.bin"
    arguments = ("poison", "--data", str(tmp_path), "--export", "1", "--output", str(output))
    assert _run(*arguments).exit_code == 0
    assert output.read_bytes() == b"\x93\x00\x1b[2J"
    again = _run(*arguments)
    assert isinstance(again.exception, ConfigurationError)


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--export", "99", "--output", "x"), "no entry 99"),
        (("--export", "3", "--output", "x"), "carries no bytes"),
        (("--export", "1"), "--output"),
    ],
)
def test_an_export_that_cannot_be_says_why(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = _run("poison", "--data", str(tmp_path), *arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert said in str(result.exception)


def test_nothing_set_aside_is_said(tmp_path: Path) -> None:
    Journal(tmp_path / "poison.db").close()
    assert "Nothing was set aside" in _run("poison", "--data", str(tmp_path)).stdout


@pytest.mark.parametrize("command", ["poison", "show"])
def test_a_wrong_folder_is_named(tmp_path: Path, command: str) -> None:
    result = _run(command, "--data", str(tmp_path / "nowhere"))
    assert isinstance(result.exception, ConfigurationError)
    assert "nowhere" in str(result.exception)


def test_a_state_has_positions_lags_and_gaps(tmp_path: Path) -> None:
    bounds = Bounds(max_bytes=30, when_full=WhenFull.DROP_OLDEST)
    with Journal(tmp_path / "journal.db", bounds=bounds) as journal:
        for second in range(5):
            journal.append([(1, b"0123456789")], now_ns=T0 + second * SECOND, cursors={"store": 0})
        journal.move("alerts", 5)
        journal.move("store", 3)
        state = read_state("journal", journal.path, T0 + 10 * SECOND)
    assert (state.oldest, state.newest) == (3, 5)
    assert (state.oldest_at_ns, state.newest_at_ns) == (T0 + 2 * SECOND, T0 + 4 * SECOND)
    assert {(c.name, c.position, c.lag, c.behind_s) for c in state.cursors} == {
        ("alerts", 5, 0, 0.0),
        ("store", 3, 2, 7.0),
    }
    assert [(gap.first, gap.last) for gap in state.gaps] == [(1, 2)]


def test_show_prints_every_journal_that_is_there(tmp_path: Path, ward: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal, Journal(tmp_path / "alarms.db"):
        journal.append([(1, b"x")] * 2, now_ns=T0, cursors={"store": 1})
        result = _run("show", "--data", str(tmp_path), "--ward", str(ward))
        as_json = _run("show", "--data", str(tmp_path), "--json")
    assert "store at 1: 1 records" in result.stdout
    assert "2026-09-21 16:13:20+02:00" in result.stdout
    assert [state["name"] for state in msgspec.json.decode(as_json.stdout)] == ["journal", "alarms"]


def test_an_empty_journal_has_no_times(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        state = read_state("journal", journal.path, T0)
    assert (state.newest, state.oldest_at_ns, state.newest_at_ns) == (0, 0, 0)


def test_an_excerpt_is_one_harmless_line() -> None:
    assert printable(b"a\nb\x1b[31m\xff") == "a\\nb\\x1b[31m\\xff"
    assert printable(b"x" * 100) == "x" * 60 + "…"


def test_times_for_people_carry_their_offset() -> None:
    assert local(T0, UTC) == "2026-09-21 14:13:20+00:00"
    assert local(T0, ZoneInfo("Europe/Berlin")) == "2026-09-21 16:13:20+02:00"
