"""`wardlight export` and `wardlight alarms`: the files and lists an operator gets, beside a running server."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from alerts.events import AlarmEvent, AlarmRecordKind, Kind, Priority, Transition, encode_event
from ingest.store.writer import StoreWriter
from vitals.columns import SAMPLE_DTYPE, SampleBlock
from vitals.journal import Journal
from vitals.model import Reason, Vital
from wardlight.main import app

S = 1_000_000_000
T0 = 1_790_000_000 * S  # 2026-09-21 14:13:20 UTC, 16:13:20 in Berlin
WARD = """
site = "north"
time_zone = "Europe/Berlin"
[[patients]]
patient = "P-0001"
bed = "3-01"
devices = ["ox-1"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with five readings, one of them missing, and an alarm from its start to its end."""
    rows = np.zeros(5, SAMPLE_DTYPE)
    rows["sampled_at_ns"] = rows["received_at_ns"] = T0 + np.arange(5) * S
    rows["vital"], rows["raw"] = Vital.SPO2, [97, 96, np.nan, 84, 83]
    rows["value"] = rows["raw"]
    rows["reason"][2] = Reason.PROBE_OFF
    (tmp_path / "ward.toml").write_text(WARD)
    with StoreWriter(tmp_path / "vitals.db") as store, Journal(tmp_path / "alarms.db") as alarms:
        store.write([SampleBlock(("ox-1",), ("P-0001",), ("gw-1",), rows)], position=1)
        events = [alarm(1, 3, Transition.RAISED), alarm(2, 9, Transition.ACKNOWLEDGED), alarm(3, 20, Transition.ENDED)]
        records = [(int(AlarmRecordKind.EVENT), encode_event(event)) for event in events]
        alarms.append(records, now_ns=T0)
    return tmp_path


def alarm(number: int, at_s: int, transition: Transition) -> AlarmEvent:
    return AlarmEvent(
        number=number,
        alarm_id="a-1",
        patient="P-0001",
        bed="3-01",
        kind=Kind.PHYSIOLOGICAL,
        condition="spo2_low",
        priority=Priority.HIGH,
        transition=transition,
        at_ns=T0 + at_s * S,
        decided_at_ns=T0 + at_s * S,
        position=1,
        value=84.0,
        limit=88.0,
        actor="station" if transition is Transition.ACKNOWLEDGED else "",
    )


def run(folder: Path, *arguments: str) -> Result:
    where = ["--data", str(folder), "--ward", str(folder / "ward.toml")]
    return CliRunner().invoke(app, [*arguments, *where], env={"COLUMNS": "200"})


def test_csv_has_every_reading_with_the_reason_of_the_missing_one(folder: Path) -> None:
    assert run(folder, "export", "P-0001", "--out", str(folder / "out")).exit_code == 0
    with (folder / "out" / "P-0001-vitals.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == ["97", "96", "", "84", "83"]
    assert [row["reason"] for row in rows] == ["present", "present", "probe_off", "present", "present"]
    assert rows[0]["sampled_at"].startswith("2026-09-21T14:13:20")
    assert rows[0]["sampled_at_local"].startswith("2026-09-21T16:13:20")
    with (folder / "out" / "P-0001-alarms.csv").open(encoding="utf-8") as file:
        assert [row["transition"] for row in csv.DictReader(file)] == ["raised", "acknowledged", "ended"]


def test_parquet_keeps_the_types(folder: Path) -> None:
    result = run(folder, "export", "P-0001", "--format", "parquet", "--out", str(folder / "out"))
    assert result.exit_code == 0
    table = pq.read_table(folder / "out" / "P-0001-vitals.parquet")
    assert table.num_rows == 5
    assert table["value"].null_count == 1
    assert str(table.schema.field("sampled_at").type) == "timestamp[ns, tz=UTC]"


def test_a_part_is_chosen_in_the_ward_s_own_time(folder: Path) -> None:
    result = run(
        folder, "export", "P-0001", "--from", "2026-09-21T16:13:22", "--to", "2026-09-21T16:13:24", "--out", str(folder)
    )
    assert result.exit_code == 0
    with (folder / "P-0001-vitals.csv").open(encoding="utf-8") as file:
        assert [row["value"] for row in csv.DictReader(file)] == ["", "84"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("export", "P-0404"), "P-0001"), (("export", "P-0001", "--from", "yesterday"), "2026-11-22T14:00")],
)
def test_a_wrong_argument_says_what_to_write(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    result = run(folder, *arguments, "--out", str(folder / "out"))
    assert says in str(result.exception)
    assert not (folder / "out" / f"{arguments[1]}-vitals.csv").exists()


def test_alarms_are_listed_in_the_ward_s_time(folder: Path) -> None:
    listed = run(folder, "alarms").stdout
    assert "2026-09-21 16:13:23" in listed
    assert "spo2 low" in listed
    assert "station" in listed


def test_alarms_as_json_can_be_narrowed_to_what_began(folder: Path) -> None:
    lines = run(folder, "alarms", "--json", "--opened").stdout.splitlines()
    assert [json.loads(line)["transition"] for line in lines] == ["raised"]
    assert run(folder, "alarms", "--json", "--patient", "P-0002").stdout == ""
