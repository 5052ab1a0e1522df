"""`wardlight limits`, as an operator calls it, on real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alerts.limit_journal import read_history
from vitals.errors import ConfigurationError
from vitals.journal import Journal
from wardlight.layout import DataFolder
from wardlight.limits import end_ns, parse
from wardlight.main import app, known_error

WARD = """
site = "north"
time_zone = "Europe/Berlin"

[[patients]]
patient = "P-0001"
bed = "3-01"
devices = ["ox-17"]

[patients.limits.spo2]
low = 87

[[patients]]
patient = "P-0002"
bed = "3-02"
"""
WHO = ("--by", "ward doctor", "--why", "COPD, 88-92")


class Ward:
    """A ward file and a data folder."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ward.toml"
        self.file.write_text(WARD)
        self.data = DataFolder(folder / "data")
        self.data.create()

    def call(self, command: str, *more: str) -> str:
        """What the command says; raises what it raises."""
        arguments = ["limits", command, *more, "--ward", str(self.file), "--data", str(self.data.root)]
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None:
            raise result.exception
        return result.output

    def records(self, command: str, *more: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.call(command, *more, "--json").splitlines()]


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def test_a_limit_is_set_shown_reset_and_remembered(ward: Ward) -> None:
    said = ward.call("set", "3-02", "spo2.low=86", "spo2.low_delay_s=20", *WHO)
    assert "Bed 3-02: SpO₂ low changed from 88 % to 86 %: COPD, 88-92\n" in said
    assert "within two seconds" in said
    (low,) = [record for record in ward.records("show", "P-0002") if (record["setting"]) == "low" and
              record["vital"] == "spo2"]  # fmt: skip
    assert (low["value"], low["from"], low["by"], low["why"]) == (86, "changed", "ward doctor", "COPD, 88-92")
    assert [(r["bed"], r["setting"], r["from"]) for r in ward.records("show")] == [
        ("3-01", "low", "ward file"),
        ("3-02", "low", "changed"),
        ("3-02", "low_delay_s", "changed"),
    ]
    assert "SpO₂ low changed from 86 % to 88 %: recovered" in ward.call(
        "reset", "3-02", "spo2.low", "--by", "AB", "--why", "recovered"
    )
    assert [(r["settings"], r["by"]) for r in ward.records("history", "3-02")] == [
        ({"spo2.low": 86, "spo2.low_delay_s": 20}, "ward doctor"),
        ({"spo2.low": None}, "AB"),
    ]
    assert ward.records("history", "3-01") == []


def test_tables_say_who_when_and_why_in_the_wards_time(ward: Ward) -> None:
    ward.call("set", "3-02", "spo2.low=86", "--until", "2099-01-02T07:00", *WHO)
    shown = ward.call("show")
    assert "times in Europe/Berlin" in shown
    assert "until 2099-01-02 07:00: COPD, 88-92" in shown
    assert "ward file" in shown
    history = ward.call("history")
    assert "86 %, until 2099-01-02 07:00" in history
    assert "ward doctor" in history


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("3-02", "spo2.low=79", *WHO),
            "bed 3-02: refused, nothing was changed: patient P-0002: .*severe_low 80",
        ),
        (("3-09", "spo2.low=86", *WHO), "'3-09' is neither a bed nor a patient of the ward file; its beds are 3-01, 3"),
        (("3-02", "spo2.lo=86", *WHO), "spo2.lo: write one of hysteresis, low, "),
        (("3-02", "low=86", *WHO), "write VITAL.SETTING, such as spo2.low"),
        (("3-02", "spo2.low", *WHO), "write VITAL.SETTING=NUMBER, such as"),
        (("3-02", "spo2.low=8x", *WHO), "'8x' is not a number"),
        (("3-02", "spo2.low=nan", *WHO), "nan is outside of what can be measured"),
        (("3-02", "spo2.low=86", "--by", "AB", "--why", ""), "--why '': say it in words"),
        (("3-02", "spo2.low=86", "--by", "", "--why", "x"), "--by '': say it in words"),
        (("3-02", "spo2.low=86", "--until", "2020-01-01T00:00", *WHO), "--until is over already"),
        (("3-02", "spo2.low=86", "--until", "soon", *WHO), "--until 'soon' is not a time"),
    ],
)
def test_a_refused_change_says_what_to_write_and_changes_nothing(
    ward: Ward, arguments: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        ward.call("set", *arguments)
    assert isinstance(known_error(refused.value), ConfigurationError), "exit code 2"
    assert read_history(ward.data.limits).entries == []


def test_who_and_why_are_not_optional(ward: Ward) -> None:
    with pytest.raises(SystemExit) as refused:
        ward.call("set", "3-02", "spo2.low=86", "--by", "AB")
    assert refused.value.code == 2


def test_a_wrong_data_folder_is_not_made(ward: Ward, tmp_path: Path) -> None:
    ward.data = DataFolder(tmp_path / "elsewhere")
    for command in (("set", "3-02", "spo2.low=86", *WHO), ("show",), ("history",)):
        with pytest.raises(ConfigurationError, match="name the server's data folder with --data"):
            ward.call(*command)
    assert not ward.data.root.exists()


def test_a_change_is_checked_against_the_preset_that_is_named(ward: Ward, tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "alerts" / "presets" / "adult.toml"
    text = shipped.read_text().replace("severe_low = 80", "severe_low = 87").replace('name = "adult"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(text)
    alerts = tmp_path / "alerts.toml"
    alerts.write_text('preset = "mine.toml"\n')
    with pytest.raises(ConfigurationError, match="severe_low 87 is above low 86"):
        ward.call("set", "3-02", "spo2.low=86", "--alerts", str(alerts), *WHO)
    assert "mine revision 1" in ward.call("show", "--alerts", str(alerts))


def test_what_it_writes_is_chained(ward: Ward) -> None:
    ward.call("set", "3-02", "spo2.low=86", *WHO)
    ward.call("set", "3-02", "spo2.low=85", *WHO)
    verify = ["journal", "verify", "limits", "--data", str(ward.data.root)]
    assert "2 entries from 1 on are as they were written" in CliRunner().invoke(app, verify).output


def test_it_says_so_when_the_file_stays_in_use(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardlight.limits.WAIT_S", 0.1)
    with Journal(ward.data.limits, chained=True), pytest.raises(ConfigurationError, match="in use by another process"):
        ward.call("set", "3-02", "spo2.low=86", *WHO)


def test_a_time_of_day_is_the_next_one_in_the_ward() -> None:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    berlin = ZoneInfo("Europe/Berlin")
    night = datetime(2026, 10, 24, 22, 30, tzinfo=berlin)  # the clock goes back in this night
    at_ns = round(night.timestamp()) * 10**9
    assert datetime.fromtimestamp(end_ns("07:00", berlin, at_ns) / 1e9, berlin) == datetime(
        2026, 10, 25, 7, tzinfo=berlin
    )
    assert datetime.fromtimestamp(end_ns("23:00", berlin, at_ns) / 1e9, berlin).day == 24
    assert end_ns("2026-10-25T07:00", berlin, at_ns) == end_ns("07:00", berlin, at_ns)


def test_a_setting_is_read() -> None:
    setting = parse("spo2.low=86.5")
    assert (setting.vital, setting.field, setting.value) == ("spo2", "low", 86.5)
