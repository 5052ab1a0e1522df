"""The doctor: each judgement on its own, the probes on real files and sockets, and the command as people call it."""

from __future__ import annotations

import re
import socket
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import apsw
import msgspec
import pytest
import typer
from typer.testing import CliRunner

from ingest.store.writer import StoreWriter
from vitals.journal import Bounds, Journal, WhenFull
from wardlight import findings, probes
from wardlight.doctor import doctor_command
from wardlight.findings import Finding, Folder, JournalState, Severity

ROOT = Path(__file__).resolve().parents[2]
GB = 1_000_000_000
GOOD_FOLDER = Folder("/data", exists=True, free_bytes=50 * GB, fsync_ms=1.0, file_system="ext4")

app = typer.Typer()
app.command()(doctor_command)


@pytest.mark.parametrize(
    ("finding", "severity"),
    [
        (findings.python((3, 11, 0)), Severity.OK),
        (findings.python((3, 10, 13)), Severity.FAILURE),
        (findings.sqlite("3.51.3"), Severity.OK),
        (findings.sqlite("3.51.2"), Severity.FAILURE),
        (findings.sqlite("3.40.1"), Severity.FAILURE),
        (findings.part("server", []), Severity.OK),
        (findings.part("server", ["scipy"]), Severity.NOTE),
        (findings.journal("journal", None), Severity.NOTE),
        (findings.journal("journal", JournalState(10, 100, (("store", 0),))), Severity.OK),
        (findings.journal("journal", JournalState(5_000, 100, (("store", 4_000),))), Severity.WARNING),
        (findings.journal("journal", JournalState(10, 100, (("store", 0),), dropped=3)), Severity.WARNING),
        (findings.journal("poison", JournalState(10, 100, dropped=3)), Severity.OK),
        (findings.journal("journal", None, "damaged"), Severity.FAILURE),
        (findings.clock(None, 0.0), Severity.NOTE),
        (findings.clock(synchronised=True, uncertainty_ms=12.0), Severity.OK),
        (findings.clock(synchronised=False, uncertainty_ms=16_000.0), Severity.WARNING),
        (findings.port("gateways", 1883, free=True, serving=False), Severity.OK),
        (findings.port("gateways", 1883, free=False, serving=True), Severity.OK),
        (findings.port("gateways", 1883, free=False, serving=False), Severity.FAILURE),
        (findings.mosquitto("2.0.11"), Severity.OK),
        (findings.mosquitto(""), Severity.NOTE),
        (findings.ward("", ""), Severity.NOTE),
        (findings.ward("w.toml", "ward: bed '1' stands twice"), Severity.FAILURE),
        (findings.ward("w.toml", "", patients=0), Severity.WARNING),
        (findings.ward("w.toml", "", patients=2, devices=3, time_zone="UTC"), Severity.WARNING),
        (findings.ward("w.toml", "", patients=2, devices=3, time_zone="Europe/Berlin"), Severity.OK),
        (findings.store("", exists=False), Severity.NOTE),
        (findings.store("", patients=3), Severity.OK),
        (findings.store("not a readable store"), Severity.FAILURE),
        (findings.channels(""), Severity.NOTE),
        (findings.channels("alerts.toml"), Severity.WARNING),
        (findings.channels("alerts.toml", names=["ward-phone"]), Severity.WARNING),
        (findings.channels("alerts.toml", names=["ward-phone"], second="operator"), Severity.OK),
        (findings.channels("alerts.toml", "alerts: channel 'x' stands twice"), Severity.FAILURE),
        (findings.open_files(1024), Severity.WARNING),
        (findings.open_files(65_536), Severity.OK),
    ],
)
def test_each_fact_is_judged(finding: Finding, severity: Severity) -> None:
    assert finding.severity is severity
    if severity in (Severity.WARNING, Severity.FAILURE):
        assert finding.remedy, "a finding that troubles somebody says what to do"


@pytest.mark.parametrize(
    ("folder", "worst"),
    [
        (GOOD_FOLDER, Severity.OK),
        (Folder("/data", exists=False), Severity.NOTE),
        (Folder("/data", exists=True, error="cannot be written: Permission denied"), Severity.FAILURE),
        (Folder("/data", exists=True, free_bytes=500_000_000, fsync_ms=1.0), Severity.WARNING),
        (Folder("/data", exists=True, free_bytes=1_000, fsync_ms=1.0), Severity.FAILURE),
        (Folder("/data", exists=True, free_bytes=50 * GB, fsync_ms=200.0), Severity.WARNING),
        (Folder("/data", exists=True, free_bytes=50 * GB), Severity.FAILURE),
        (Folder("/data", exists=True, free_bytes=50 * GB, fsync_ms=1.0, file_system="nfs4"), Severity.FAILURE),
        (Folder("/data", exists=True, free_bytes=50 * GB, fsync_ms=1.0, file_system="tmpfs"), Severity.WARNING),
        (Folder("/data", exists=True, free_bytes=50 * GB, fsync_ms=1.0, ours=False), Severity.NOTE),
    ],
)
def test_the_data_folder_is_as_good_as_its_worst_side(folder: Folder, worst: Severity) -> None:
    order = list(Severity)
    assert max((f.severity for f in findings.data_folder(folder)), key=order.index) is worst


def test_only_a_failure_fails() -> None:
    ok, warning = Finding("a", Severity.OK, ""), Finding("b", Severity.WARNING, "")
    assert findings.exit_code([ok, warning]) == 0
    assert findings.exit_code([ok, Finding("c", Severity.FAILURE, "")]) == 1


def test_the_doctor_tries_every_library_that_pyproject_declares() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert probes.LIBRARIES.keys() == extras.keys() - {"boards"}, "which must not be installed here"
    providers = packages_distributions()
    for extra, modules in probes.LIBRARIES.items():
        declared = {re.split(r"[<>=!~\[; ]", line)[0].lower() for line in extras[extra]}
        tried = {name.lower().replace("_", "-") for module in modules for name in providers[module.partition(".")[0]]}
        assert tried == declared


def test_a_library_that_is_not_there_is_named() -> None:
    assert probes.broken(["json", "no_such_library.part"]) == ["no_such_library"]


def test_a_good_folder_is_measured(tmp_path: Path) -> None:
    folder = probes.look_at_folder(tmp_path)
    assert folder.exists
    assert folder.ours
    assert not folder.error
    assert folder.fsync_ms is not None
    assert folder.free_bytes > 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert probes.look_at_folder(path).error


def test_the_file_system_is_that_of_the_nearest_mount() -> None:
    mounts = "a / ext4 rw 0 0\nb /srv nfs4 rw 0 0\nc /srv/fast xfs rw 0 0\n"
    assert probes.file_system_of(Path("/srv/data"), mounts) == "nfs4"
    assert probes.file_system_of(Path("/srv/fast/data"), mounts) == "xfs"
    assert probes.file_system_of(Path("/srvx"), mounts) == "ext4"


def test_a_running_service_is_seen_by_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    assert not probes.is_owned(path)
    with Journal(path):
        assert probes.is_owned(path)
    assert not probes.is_owned(path)


def test_a_journal_in_use_is_read_beside_its_writer(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        journal.append([(1, b"x")] * 3, now_ns=1, cursors={"store": 1})
        finding = probes.look_at_journal(tmp_path / "journal.db")
    assert finding.severity is Severity.OK
    assert "3 records" in finding.detail


def test_dropped_records_are_told(tmp_path: Path) -> None:
    bounds = Bounds(max_bytes=20, when_full=WhenFull.DROP_OLDEST)
    with Journal(tmp_path / "alarms.db", bounds=bounds) as journal:
        for now_ns in range(5):
            journal.append([(1, b"0123456789")], now_ns=now_ns, cursors={"slow": 0})
    finding = probes.look_at_journal(tmp_path / "alarms.db")
    assert finding.severity is Severity.WARNING
    assert finding.detail.startswith("3 records")


def test_a_damaged_journal_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database at all" * 100)
    assert probes.look_at_journal(path).severity is Severity.FAILURE


def test_a_file_of_another_program_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "poison.db"
    with apsw.Connection(str(path)) as other:
        other.execute("CREATE TABLE theirs(x)")
    assert probes.look_at_journal(path).severity is Severity.FAILURE


def test_the_kernel_answers_about_its_clock() -> None:
    synchronised, uncertainty_ms = probes.kernel_clock()
    assert synchronised in (True, False, None)
    assert uncertainty_ms >= 0


def test_a_taken_port_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not probes.is_free(port)
    assert probes.is_free(port)


def test_a_ward_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "ward.toml"
    assert probes.look_at_ward(path).severity is Severity.FAILURE
    path.write_text('site = "north"\ntime_zone = "Europe/Berlin"\n[[patients]]\npatient = "P-0001"\nbed = "3-01"\n')
    assert probes.look_at_ward(path).severity is Severity.OK
    path.write_text('site = "north"\ntime_zone = "Mars/Crater"\n')
    assert "Mars/Crater" in probes.look_at_ward(path).detail


def test_a_store_is_read_beside_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "vitals.db"
    assert probes.look_at_store(path).severity is Severity.NOTE
    with StoreWriter(path):
        assert probes.look_at_store(path).severity is Severity.OK
    path.write_bytes(b"rubbish" * 1000)
    assert probes.look_at_store(path).severity is Severity.FAILURE


def test_an_alerts_file_is_checked_with_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alerts.toml"
    assert probes.look_at_alerts(path).severity is Severity.FAILURE
    book = '[[channels]]\nname = "book"\nrecord_file = "book"\n'
    path.write_text(
        book + '[[channels]]\nname = "phone"\nurl_env = "TEST_PHONE"\n[heartbeat]\nsecond_channel = "phone"\n'
    )
    assert "TEST_PHONE" in probes.look_at_alerts(path).detail
    monkeypatch.setenv("TEST_PHONE", "json://127.0.0.1:1/very-secret")
    finding = probes.look_at_alerts(path)
    assert finding.severity is Severity.OK
    assert "very-secret" not in str(finding)


def test_the_command_prints_a_table_and_fails_on_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardlight.doctor._PORTS", ())  # which ports this computer uses now is not the matter
    (tmp_path / "journal.db").write_bytes(b"rubbish" * 1000)
    result = CliRunner().invoke(app, ["--data", str(tmp_path)], terminal_width=200)
    assert result.exit_code == 1
    assert "Journal journal" in result.stdout
    assert "1 failed" in result.stdout


def test_the_command_prints_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--data", str(tmp_path), "--json"])
    found = msgspec.json.decode(result.stdout, type=list[Finding])
    assert {"Python", "SQLite", "Clock", "Disk space", "Ward"} <= {finding.check for finding in found}
