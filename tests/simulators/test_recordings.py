"""Readers of recordings: against small files of known content, and against the real ones, number for number."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from simulators.recordings import Recording, RecordingError, read_recording, read_recordings
from vitals.model import Vital, Waveform

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}; set WARDLIGHT_DATA")
MAT_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
HEADERS = {".npz": b"PK\x03\x04", ".csv": b"Time,Oxygen Level,Pulse Rate\n", ".mat": MAT_HEADER}
RING = "Time,Oxygen Level,Pulse Rate,Motion,O2 Reminder,PR Reminder\n"


def bidmc_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "fs": 125.0,
        "pleth": (np.arange(376) % 1024 / 1023).astype(np.float32).round(5),
        "num_t": np.arange(4.0),
        "hr": np.array([80, np.nan, 82, 83]),
        "pulse": np.array([81.0, 81, 82, 83]),
        "rr": np.array([15, 15, np.nan, np.nan]),
        "spo2": np.array([97.0, 96, 95, 94]),
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def bidmc(folder: Path, **changes: Any) -> Path:
    path = folder / "bidmc_99.npz"
    np.savez(path, **bidmc_fields(**changes))
    return path


def ring(folder: Path, *rows: str) -> Path:
    path = folder / "O2Ring_1.csv"
    path.write_text(RING + "".join(row + "\n" for row in rows))
    return path


def values(recording: Recording, vital: Vital) -> np.ndarray[Any, Any]:
    (numeric,) = (n for n in recording.numerics if n.vital is vital)
    return numeric.values


def test_bidmc_reads_number_for_number(tmp_path: Path) -> None:
    recording = read_recording(bidmc(tmp_path))
    assert (recording.name, recording.device, recording.duration_s) == ("bidmc_99", "bidmc_99", 4)
    assert np.array_equal(values(recording, Vital.HEART_RATE), [80, np.nan, 82, 83], equal_nan=True)
    assert np.array_equal(values(recording, Vital.RESP_RATE), [15, 15, np.nan, np.nan], equal_nan=True)
    assert recording.numerics[0].offsets_ns.tolist() == [0, 10**9, 2 * 10**9, 3 * 10**9]
    (pleth,) = recording.traces
    assert (pleth.waveform, pleth.sample_rate_hz) == (Waveform.PPG_INFRARED, 125.0)
    assert pleth.counts.tolist() == (np.arange(376) % 1024).tolist()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hr": None}, "hr: the field is missing"),
        ({"hr": np.zeros(3)}, "hr: expected 4 numbers"),
        ({"spo2": np.array(["a"] * 4)}, "spo2: expected 4 numbers"),
        ({"num_t": np.array([0.0, 1, 3, 4])}, "num_t: expected 0, 1, 2"),
        ({"fs": np.zeros(2)}, "fs: expected one sampling rate"),
        ({"fs": 0.0}, "fs: expected one sampling rate"),
        ({"fs": None}, "fs: expected one sampling rate"),
        ({"pleth": np.full(4, np.nan)}, "pleth: holds numbers"),
        ({"pleth": np.zeros((2, 2))}, "pleth: expected numbers"),
        ({"hr": np.array([None] * 4)}, "not a readable NumPy archive"),
    ],
)
def test_a_bidmc_file_of_another_layout_names_its_field(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(RecordingError, match=named):
        read_recording(bidmc(tmp_path, **changes))


def test_the_ring_reads_number_for_number_with_its_own_spacing(tmp_path: Path) -> None:
    recording = read_recording(
        ring(
            tmp_path,
            "23:59:56 Mar 07 2025,97,63,0,0,0",
            "00:00:00 Mar 08 2025,--,--,5,0,0",
            "00:00:10 Mar 08 2025,95,60,0,0,0",
        )
    )
    assert recording.numerics[0].offsets_ns.tolist() == [0, 4 * 10**9, 14 * 10**9]
    assert np.array_equal(values(recording, Vital.SPO2), [97, np.nan, 95], equal_nan=True)
    assert np.array_equal(values(recording, Vital.PULSE_RATE), [63, np.nan, 60], equal_nan=True)
    assert recording.duration_s == 18
    assert recording.recorded_at == "2025-03-07T23:59:56"


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([], "has no rows"),
        (["2025-03-07 23:59:56,97,63,0,0,0"], "line 2: Time: .* is not like"),
        (["23:59:56 Mar 07 2025,97%,63,0,0,0"], "line 2: Oxygen Level: '97%'"),
        (["23:59:56 Mar 07 2025,97"], "line 2: Pulse Rate: None"),
        (["23:59:56 Mar 07 2025,97,63,0,0,0"] * 2, "line 3: Time goes from"),
        (["02:59:58 Oct 26 2025,97,63,0,0,0", "02:00:02 Oct 26 2025,97,63,0,0,0"], "end of summer time"),
        (["00:00:00 Mar 07 2025,97,63,0,0,0", "00:00:00 Mar 07 2026,97,63,0,0,0"], "lasts 63,072,000 s"),
    ],
)
def test_a_ring_file_of_another_layout_names_its_line(tmp_path: Path, rows: list[str], named: str) -> None:
    with pytest.raises(RecordingError, match=named):
        read_recording(ring(tmp_path, *rows))


def test_a_ring_file_without_a_column_names_it(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("Time,Pulse Rate\n")
    with pytest.raises(RecordingError, match="Oxygen Level: the column is missing"):
        read_recording(path)


def test_spc_signals_become_the_counts_of_their_converters(tmp_path: Path) -> None:
    signals = np.zeros((6, 300))
    signals[1], signals[3] = np.arange(300) / 2, np.arange(300) * 0.0078
    savemat(tmp_path / "DATA_01.mat", {"sig": signals})
    recording = read_recording(tmp_path / "DATA_01.mat")
    assert recording.duration_s == 3
    assert recording.numerics == ()
    assert [t.waveform for t in recording.traces] == [
        Waveform.PPG_GREEN,
        Waveform.ACCELERATION_X,
        Waveform.ACCELERATION_Y,
        Waveform.ACCELERATION_Z,
    ]
    assert recording.traces[0].counts.tolist() == recording.traces[1].counts.tolist() == list(range(300))


def test_a_mat_file_of_another_layout_says_what_it_holds(tmp_path: Path) -> None:
    savemat(tmp_path / "trace.mat", {"BPM0": np.zeros((148, 1))})
    with pytest.raises(RecordingError, match=r"sig: expected 6 rows .* found BPM0 \(148, 1\)"):
        read_recording(tmp_path / "trace.mat")


@pytest.mark.parametrize("ending", [".npz", ".csv", ".mat"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400), headed=st.booleans())
def test_any_bytes_are_refused_in_words(tmp_path: Path, ending: str, content: bytes, headed: bool) -> None:
    path = tmp_path / f"rubbish{ending}"
    path.write_bytes(HEADERS[ending] + content if headed else content)
    with pytest.raises(RecordingError, match="rubbish"):
        read_recording(path)


@pytest.mark.parametrize("kept", [0, 1, 30, 200, 500, 900])
def test_a_truncated_archive_is_refused_in_words(tmp_path: Path, kept: int) -> None:
    path = bidmc(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RecordingError):
        read_recording(path)


def test_folders_are_searched_and_references_passed_over(tmp_path: Path) -> None:
    bidmc(tmp_path)
    (tmp_path / "notes.txt").write_text("no recording")
    savemat(tmp_path / "DATA_01_BPMtrace.mat", {"BPM0": np.zeros((1, 1))})
    assert [r.name for r in read_recordings([tmp_path])] == ["bidmc_99"]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(RecordingError, match="both replay as device 'bidmc_99'"):
        read_recordings([bidmc(tmp_path), bidmc(other)])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.npz", "no such file"),
        ("gone.csv", "no such file"),
        ("gone.mat", "no such file"),
        ("a.txt", "unknown ending"),
    ],
)
def test_a_path_that_is_no_recording_says_so(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(RecordingError, match=f"{name}: .*{said}"):
        read_recordings([tmp_path / name])


def test_an_empty_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no recording found"):
        read_recordings([tmp_path])


def test_a_name_that_no_topic_can_carry_is_changed_or_refused(tmp_path: Path) -> None:
    odd = bidmc(tmp_path).rename(tmp_path / "bed 3+4.npz")
    assert read_recording(odd).device == "bed-3-4"
    with pytest.raises(RecordingError, match="must begin with a letter or digit"):
        read_recording(odd.rename(tmp_path / "_x.npz"))


@needs_data
@pytest.mark.slow
def test_all_bidmc_recordings_read_as_they_are() -> None:
    missing = 0
    recordings = read_recordings([DATA / "bidmc"])
    assert len(recordings) == 20
    names = {"hr": Vital.HEART_RATE, "pulse": Vital.PULSE_RATE, "spo2": Vital.SPO2, "rr": Vital.RESP_RATE}
    for recording in recordings:
        with np.load(DATA / "bidmc" / f"{recording.name}.npz") as raw:
            for field, vital in names.items():
                assert np.array_equal(values(recording, vital), raw[field], equal_nan=True)
                missing += int(np.isnan(raw[field]).sum())
            (pleth,) = recording.traces
            assert pleth.counts.size == raw["pleth"].size
            assert np.abs(pleth.counts / 1023 - raw["pleth"]).max() < 6e-5  # the files' own rounding
        assert recording.duration_s == 481
    assert missing == sum(np.isnan(values(r, v)).sum() for r in recordings for v in names.values()) == 187


@needs_data
@pytest.mark.slow
def test_the_ring_night_reads_as_it_is() -> None:
    (recording,) = read_recordings([DATA / "o2ring"])
    (path,) = (DATA / "o2ring").glob("*.csv")
    with path.open(encoding="utf-8") as file:
        raw = [(row["Oxygen Level"], row["Pulse Rate"]) for row in csv.DictReader(file)]
    for column, vital in enumerate((Vital.SPO2, Vital.PULSE_RATE)):
        texts = ["--" if np.isnan(v) else str(int(v)) for v in values(recording, vital)]
        assert texts == [row[column] for row in raw]
        assert int(np.isnan(values(recording, vital)).sum()) == 3
    assert set(np.diff(recording.numerics[0].offsets_ns)) == {4 * 10**9}


@needs_data
@pytest.mark.slow
def test_the_spc_signals_are_exact_counts() -> None:
    recordings = read_recordings([DATA / "ieee_spc2015_train"])
    assert len(recordings) == 12
    for recording in recordings:
        raw = loadmat(DATA / "ieee_spc2015_train" / f"{recording.name}.mat")["sig"]
        assert np.array_equal(recording.traces[0].counts / 2, raw[1])
        for trace, row in zip(recording.traces[1:], raw[3:], strict=True):
            assert np.allclose(trace.counts * 0.0078, row, rtol=0, atol=1e-9)
