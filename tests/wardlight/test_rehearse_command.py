"""`wardlight rehearse`: recorded and stored days through today's and proposed settings, as an operator calls it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ingest.store.writer import StoreWriter
from vitals.columns import SAMPLE_DTYPE, SampleBlock
from vitals.errors import ConfigurationError
from vitals.model import Vital
from wardlight.layout import now_ns
from wardlight.main import app

S = 1_000_000_000
DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).parents[3] / "shared" / "data"))
LIMITS = ("spo2.low=84,88,90", "spo2.low_delay_s=0,15")
WARD = """
site = "north"
time_zone = "Europe/Berlin"
[[patients]]
patient = "P-0001"
bed = "3-01"
devices = ["ox-1"]
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["rehearse", *map(str, arguments)])


def told(*arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """The beats of a heart that is calm, races for seven seconds, is calm, and races for two minutes."""
    rr_ms = [800.0] * 200 + [480.0] * 14 + [800.0] * 200 + [480.0] * 250 + [800.0] * 200
    folder = tmp_path / "recordings"
    folder.mkdir()
    np.savetxt(folder / "runner.txt", rr_ms)
    return folder


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A server's data folder: an hour ago SpO2 was low for two minutes."""
    seconds = 600
    rows = np.zeros(seconds, SAMPLE_DTYPE)
    rows["sampled_at_ns"] = rows["received_at_ns"] = now_ns() - 3_600 * S + np.arange(seconds) * S
    rows["vital"], rows["raw"] = Vital.SPO2, 97
    rows["raw"][200:320] = 84
    rows["value"] = rows["raw"]
    (tmp_path / "ward.toml").write_text(WARD)
    with StoreWriter(tmp_path / "vitals.db") as store:
        store.write([SampleBlock(("ox-1",), ("P-0001",), ("gw-1",), rows)], position=1)
    return tmp_path


def test_recordings_through_todays_and_proposed_settings(recordings: Path) -> None:
    record = told("--data", recordings, "--settings", "adult-mild-waits")
    plain, today, proposed = record["settings"]
    assert [plain["name"], today["name"], proposed["name"]] == ["plain thresholds", "today", "adult-mild-waits"]
    assert (plain["alarms"], today["alarms"], proposed["alarms"]) == (2, 1, 1)
    assert today["change_share"] == -0.5
    assert plain["episodes"] == today["episodes"] == {"caught": 1, "late": 0, "missed": 0}
    (episode,) = record["episodes"]
    assert (episode["vital"], episode["side"]) == ("heart_rate", "high")
    assert episode["delay_s"]["today"] <= episode["delay_s"]["adult-mild-waits"]


def test_a_file_of_ones_own_is_a_proposal(recordings: Path, tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "alerts" / "presets" / "adult.toml"
    own = tmp_path / "calm.toml"
    own.write_text(
        shipped.read_text().replace("severe_high = 140", "severe_high = 190").replace("\nhigh = 120", "\nhigh = 180")
    )
    record = told("--data", recordings, "--settings", own)
    assert record["settings"][-1]["name"] == "calm"
    assert record["settings"][-1]["episodes"] == {"caught": 0, "late": 0, "missed": 1}


def test_a_grid_sweeps_every_combination(recordings: Path) -> None:
    record = told("--data", recordings, "--grid", "heart_rate.high=120,160", "--grid", "heart_rate.high_delay_s=0,15")
    found = {setting["name"]: setting["alarms"] for setting in record["settings"]}
    assert found == {
        "plain thresholds": 2,
        "heart_rate.high 120, heart_rate.high_delay_s 0": 2,
        "heart_rate.high 120, heart_rate.high_delay_s 15": 1,
        "heart_rate.high 160, heart_rate.high_delay_s 0": 0,
        "heart_rate.high 160, heart_rate.high_delay_s 15": 0,
    }


def test_stored_days_and_the_patients_own_limits(stored: Path) -> None:
    arguments = ("--from", "2h", "--data-dir", stored, "--ward", stored / "ward.toml")
    record = told(*arguments)
    assert [setting["episodes"]["caught"] for setting in record["settings"]] == [1, 1]
    (stored / "ward.toml").write_text(WARD + "[patients.limits.spo2]\nlow = 80\nsevere_low = 75\n")
    assert told(*arguments)["settings"][1]["episodes"]["missed"] == 1


def test_the_table_and_the_picture(recordings: Path, tmp_path: Path) -> None:
    picture = tmp_path / "week.svg"
    result = run("--data", recordings, "--picture", picture)
    assert result.exit_code == 0
    assert "-50%" in result.stdout
    assert picture.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--data FOLDER"),
        (["--data", "x", "--from", "7d"], "--data FOLDER"),
        (["--data", "nowhere"], "nowhere"),
        (["--from", "7d", "--shift", "spo2=-5"], "--shift"),
        (["--data", "x", "--shift", "pulse"], "--shift"),
        (["--data", "x", "--grid", "spo2=85"], "--grid"),
        (["--data", "x", "--grid", "spo2.low=1.2.3"], "--grid"),
        (["--data", "x", "--settings", "missing.toml"], "missing.toml"),
    ],
)
def test_what_cannot_be_rehearsed_is_said(arguments: list[str], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        CliRunner().invoke(app, ["rehearse", *arguments], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}; set WARDLIGHT_DATA")
def test_delays_and_limits_have_the_published_shape_on_recordings(tmp_path: Path) -> None:
    """Limits and delays over real fluctuation, 5 points lower: as recorded nobody here desaturates."""
    grid = [argument for axis in LIMITS for argument in ("--grid", axis)]
    for folder in ("bidmc", "o2ring"):
        for file in (DATA / folder).iterdir():
            (tmp_path / file.name).symlink_to(file.resolve())
    record = told("--data", tmp_path, "--shift", "spo2=-5", *grid)
    alarms = {s["name"]: s["alarms"] for s in record["settings"]}
    at_once, waited = (
        [alarms[f"spo2.low {low}, spo2.low_delay_s {delay_s}"] for low in (90, 88, 84)] for delay_s in (0, 15)
    )
    assert at_once == sorted(at_once, reverse=True)
    assert waited == sorted(waited, reverse=True)
    assert waited[0] <= at_once[0] / 2, "15 s at 90 % take away at least half"
    assert waited[1] < waited[0], "88 % more"
    missed = {s["name"]: s["episodes"]["missed"] + s["episodes"]["late"] for s in record["settings"]}
    assert missed["spo2.low 84, spo2.low_delay_s 15"] > missed["spo2.low 90, spo2.low_delay_s 15"], "and what it costs"
