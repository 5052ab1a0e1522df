"""The MIT annotation format: hand-made bytes, cut-off bytes, strange bytes, and the real files."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.mit_annotations import BEAT_LETTERS, decode_annotations, read_annotations
from simulators.recordings import RecordingError

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).parents[3] / "shared" / "data"))
RECORDS = DATA / "mitdb_rr"


def word(kind: int, count: int) -> bytes:
    return struct.pack("<H", kind << 10 | count)


RHYTHM = word(28, 18) + word(63, 5) + b"(AFIB\0"
FAR = word(59, 0) + struct.pack("<HH", 1, 2) + word(5, 0)  # 65,538 samples on: upper half first
BYTES = RHYTHM + word(1, 77) + word(60, 3) + word(61, 1) + word(62, 1) + FAR + word(8, 1023) + word(0, 0)


def test_every_kind_of_word() -> None:
    assert decode_annotations(BYTES) == [(18, 28, "(AFIB"), (95, 1, ""), (65_633, 5, ""), (66_656, 8, "")]


def test_a_skip_may_go_back() -> None:
    back = word(59, 0) + struct.pack("<HH", 0xFFFF, 0xFFF6)
    assert decode_annotations(word(1, 100) + back + word(1, 0) + word(0, 0)) == [(100, 1, ""), (90, 1, "")]


@pytest.mark.parametrize("length", range(len(BYTES)))
def test_every_truncated_prefix_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="cut off"):
        decode_annotations(BYTES[:length])


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise_the_one_error(payload: bytes) -> None:
    try:
        marks = decode_annotations(payload)
    except ValueError:
        return
    assert all(0 < kind < 59 or kind == 0 for _, kind, _ in marks)


def test_letters_are_those_of_wfdb() -> None:
    assert [BEAT_LETTERS[kind] for kind in (1, 5, 6, 8, 12, 13, 34, 38)] == list("NVFA/Qef")


def test_a_file_with_its_header(tmp_path: Path) -> None:
    (tmp_path / "7.hea").write_text("7 2 360 650000\n")
    (tmp_path / "7.atr").write_bytes(BYTES)
    found = read_annotations(tmp_path / "7.atr")
    assert found.letters.tolist() == ["N", "V", "A"]
    assert found.beats_ms == pytest.approx([95 / 0.36, 65_633 / 0.36, 66_656 / 0.36])
    assert found.rhythms == ((50.0, "AFIB"),)


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"8\.hea"):
        read_annotations(tmp_path / "8.atr")
    (tmp_path / "8.hea").write_text("8 2 360 650000\n")
    with pytest.raises(RecordingError, match=r"8\.atr"):
        read_annotations(tmp_path / "8.atr")
    (tmp_path / "8.atr").write_bytes(BYTES[:-1])
    with pytest.raises(RecordingError, match="cut off"):
        read_annotations(tmp_path / "8.atr")
    (tmp_path / "8.hea").write_text("8\n")
    with pytest.raises(RecordingError, match="sampling rate"):
        read_annotations(tmp_path / "8.atr")


@pytest.mark.slow
@pytest.mark.skipif(not RECORDS.is_dir(), reason=f"no recordings in {RECORDS}; set WARDLIGHT_DATA")
def test_a_real_record() -> None:
    found = read_annotations(RECORDS / "100.atr")
    assert (len(found.letters), np.count_nonzero(found.letters == "A")) == (2273, 33)
    assert found.rhythms[0][1] == "N"
