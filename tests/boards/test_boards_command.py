"""`wardlight boards` as its users call it, from its own environment, against a double of Grafana."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from board_files import ROOT
from grafana_double import TOKEN, GrafanaDouble
from typer.testing import CliRunner

from vitals.errors import ConfigurationError
from wardlight.boards_grafana import Grafana
from wardlight.main import app

PROGRAM = ROOT / ".venv-boards" / "bin" / "wardlight"
WARD = "wardlight-ward"
Call = Callable[..., subprocess.CompletedProcess[str]]
needs_environment = pytest.mark.skipif(not PROGRAM.exists(), reason="no .venv-boards: `make boards` makes it")


@pytest.fixture
def grafana() -> Iterator[GrafanaDouble]:
    with GrafanaDouble() as double:
        yield double


@pytest.fixture
def boards(grafana: GrafanaDouble, tmp_path: Path) -> Call:
    """Call a command; what it said is in `stdout`."""
    (tmp_path / "token").write_text(TOKEN + "\n")

    def call(command: str, *options: str) -> subprocess.CompletedProcess[str]:
        words = [PROGRAM, "boards", command, "--url", grafana.url, "--token-file", tmp_path / "token", *options]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)

    return call


@needs_environment
@pytest.mark.slow
def test_installing_twice_changes_nothing_the_second_time(grafana: GrafanaDouble, boards: Call) -> None:
    first = boards("install", "--yes", "--station", "https://ward-server:8080/")
    assert first.returncode == 0, first.stdout + first.stderr
    assert len(grafana.boards) == 5
    assert set(grafana.sources) == {"wardlight-readings", "wardlight-rollups"}
    assert set(grafana.rules) == {"wardlight-heartbeat"}
    grafana.writes.clear()
    assert boards("install", "--yes", "--station", "https://ward-server:8080").returncode == 0
    assert grafana.writes == []
    assert boards("diff", "--station", "https://ward-server:8080").returncode == 0
    assert boards("remove", "--yes").returncode == 0
    assert (grafana.boards, grafana.rules) == ({}, {})


@needs_environment
@pytest.mark.slow
def test_what_a_person_changed_stays_until_it_is_asked_for(grafana: GrafanaDouble, boards: Call) -> None:
    boards("install", "--yes")
    grafana.boards[WARD]["dashboard"]["panels"][0]["title"] = "Ours"
    told = boards("install", "--yes")
    assert told.returncode == 1
    assert "edited by a person" in told.stdout
    assert "panels[Ours]" in told.stdout
    assert grafana.boards[WARD]["dashboard"]["panels"][0]["title"] == "Ours"
    assert boards("remove", "--yes").returncode == 1
    assert set(grafana.boards) == {WARD}
    assert boards("install", "--yes", "--overwrite-edits").returncode == 0
    assert grafana.boards[WARD]["dashboard"]["panels"][0]["title"] != "Ours"


@needs_environment
@pytest.mark.slow
def test_what_the_account_may_not_do_is_said_before_anything_is_done(grafana: GrafanaDouble, boards: Call) -> None:
    del grafana.granted["datasources:create"]
    told = boards("install", "--yes")
    assert told.returncode == 2
    assert "lacks datasources:create" in told.stderr
    assert grafana.writes == []


@needs_environment
@pytest.mark.slow
def test_a_wrong_token_says_what_to_do(grafana: GrafanaDouble, boards: Call, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("glsa_wrong")
    told = boards("diff")
    assert told.returncode != 0
    assert "make a new one" in told.stderr
    assert "glsa_wrong" not in told.stdout + told.stderr


def test_without_the_library_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="make boards"):
        Grafana("http://127.0.0.1:1", tmp_path / "token")


def test_the_group_is_listed_without_the_library() -> None:
    assert "install" in CliRunner().invoke(app, ["boards", "--help"]).stdout
