"""`wardlight decode`: what a person sees of a frame, and what of a frame that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.devices.driver import Heard, HeardWave
from gateway.devices.heart_rate import HeartRateDriver
from gateway.gatt.frame import FrameError
from gateway.gatt.heart_rate import HeartRateFlags
from gateway.gatt.reader import Field
from gateway.gatt.sfloat import SFLOAT, decode
from vitals.errors import ConfigurationError
from vitals.model import Waveform
from wardlight.decode import MAX_BYTES, as_record, frame_bytes
from wardlight.explain.frames import FrameKind
from wardlight.explain.standard import STANDARD_FRAMES
from wardlight.explain.table import FRAMES, frame_kind
from wardlight.explain.words import ADVICE, error_words, explain, meaning
from wardlight.main import app


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["decode", *arguments])


def record(*arguments: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(call(*arguments, "--json").stdout)
    return parsed


def test_a_strap_is_explained_field_by_field() -> None:
    done = call("2A37", "16", "4d", "16", "03")
    assert done.exit_code == 0
    told = [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]
    assert "flags 16 contact, contact supported, rr present" in told
    assert "heart rate 4d 77 /min" in told
    assert "RR interval 16 03 790 /1024 s" in told
    assert "Heart rate 77 /min usable on arrival" in told
    assert "RR interval 771.484 ms usable on arrival" in told


def test_json_says_the_same() -> None:
    said = record("0x2a5f", "1C 5F 00 5A 00 20 00 22 00 00 57 F0")
    assert said["frame"] == "PLX Continuous Measurement"
    assert said["usable"] is True
    assert said["error"] is None
    assert said["fields"][4] == {
        "name": "device and sensor status",
        "bytes": "220000",
        "meaning": "equipment malfunction, low perfusion",
    }
    assert said["readings"][0] == {
        "vital": "spo2",
        "value": None,
        "unit": "%",
        "reason": "device_fault",
        "quality": "unusable",
        "relative_ms": 0.0,
        "stored": False,
    }


def test_a_number_that_no_body_shows_is_said_to_be_none() -> None:
    assert "103 % (out of range)" in call("2A5F", "00 67 00 5A 00").stdout


def test_the_earlier_intervals_are_told_apart() -> None:
    assert "0.500 s earlier" in call("2A37", "10 3C 00 04 00 02").stdout


@pytest.mark.parametrize(
    ("char", "frame", "sentences"),
    [
        ("2A37", "17 01 01", ["field RR interval", "2 bytes needed, 0 left", "copy the whole value"]),
        ("2A1C", "02 B0 0E 00 FE DC 07 0D 05 0B 32 1B", ["field time", "2012-13-05", "does not exist"]),
        ("2A52", "09 00", ["field opcode", "known are 1, 2, 3, 4, 5, 6"]),
        ("2A19", "64 64", ["1 bytes more", "only one frame"]),
    ],
)
def test_a_frame_that_cannot_be_used(char: str, frame: str, sentences: list[str]) -> None:
    done = call(char, frame)
    assert done.exit_code == 2
    assert [sentence for sentence in sentences if sentence not in done.stderr] == []
    failed = call(char, frame, "--json")
    assert failed.exit_code == 2
    said = json.loads(failed.stdout)
    assert said["usable"] is False
    assert said["readings"] == []
    assert said["error"]["message"] in done.stderr


def test_what_could_be_read_before_the_fault_is_shown() -> None:
    done = call("2A52", "06 00 01 63 77")
    assert [field["name"] for field in record("2A52", "06 00 01 63 77")["fields"]][:2] == ["opcode", "operator"]
    assert "not read" in done.stdout


def test_bytes_after_the_last_field_are_said() -> None:
    done = call("2A37", "00 55 01 02")
    assert done.exit_code == 0
    assert "2 bytes after the last field" in done.stdout


class Pleth(HeartRateDriver):
    """A driver that hears a signal in every frame."""

    def feed(self, state: Any, uuid: str, data: bytes, at_monotonic_ns: int) -> tuple[Any, Heard]:
        return state, Heard(waves=(HeardWave(Waveform.PPG_RED, 0, 75.0, bytes.fromhex("0100FFFF"), 2),))


def test_a_signal_is_told_sample_by_sample() -> None:
    kind = FrameKind(("pleth",), "Pleth", "", lambda reader: reader.rest("samples"), Pleth())
    explained = explain(kind, b"\x01")
    assert explained.usable
    assert as_record(kind, b"\x01", explained)["waves"] == [
        {"waveform": "ppg_red", "sample_rate_hz": 75.0, "samples": [1, -1]}
    ]


def test_a_frame_of_which_no_reading_is_made() -> None:
    done = call("2A35", "00 8A 00 58 00 78 00")
    assert done.exit_code == 0
    assert "no reading of this frame alone" in done.stdout


@pytest.mark.parametrize(
    "text",
    ["164d1603", "16 4d 16 03", "16:4D:16:03", "0x16 0x4d 0x16 0x03", "0x164d1603", "16-4d-16-03", "16, 4d;1603"],
)
def test_hexadecimal_as_people_write_it(text: str) -> None:
    assert frame_bytes(text) == bytes.fromhex("164d1603")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("16 4g", "'g' as digit 4"),
        ("16 4", "'4', which is not whole bytes"),
        ("1 64 d", "'1', which is not whole bytes"),
        ("00" * (MAX_BYTES + 1), "give one frame"),
    ],
)
def test_what_is_not_hexadecimal_says_where(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        frame_bytes(text)


@pytest.mark.parametrize(
    "text", ["2A37", "2a37", "0x2A37", "00002A37-0000-1000-8000-00805F9B34FB", " 2a37 ", "heart-rate", "Heart-Rate"]
)
def test_a_characteristic_as_people_name_it(text: str) -> None:
    assert frame_kind(text).title == "Heart Rate Measurement"


@pytest.mark.parametrize("text", ["2AFF", "toaster", "", "00002aff-0000-1000-8000-00805f9b34fb"])
def test_what_is_not_known_lists_what_is(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"2A37, heart-rate +Heart Rate Measurement"):
        frame_kind(text)


def test_the_operator_gets_one_sentence_and_exit_code_2() -> None:
    command = [sys.executable, "-m", "wardlight", "decode", "2A37", "zz"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("wardlight: HEX has 'z' as digit 1")
    assert "Traceback" not in done.stderr


def test_names_are_unique_and_every_one_finds_its_frame() -> None:
    names = [name for kind in FRAMES for name in kind.names]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() for name in names)
    assert [frame_kind(name) for kind in FRAMES for name in kind.names] == [k for k in FRAMES for _ in k.names]


@pytest.mark.parametrize("kind", FRAMES, ids=lambda kind: kind.names[0])
@given(data=st.binary(max_size=40))
def test_any_bytes_can_be_explained(kind: FrameKind, data: bytes) -> None:
    explained = explain(kind, data)
    json.dumps(as_record(kind, data, explained))
    assert explained.error is None or explained.error.reason in ADVICE


@pytest.mark.parametrize("kind", STANDARD_FRAMES, ids=lambda kind: kind.names[0])
@given(data=st.binary(max_size=40))
def test_no_byte_of_a_standard_frame_is_passed_over(kind: FrameKind, data: bytes) -> None:
    explained = explain(kind, data)
    shown = b"".join(field.raw for field in explained.fields)
    assert data.startswith(shown)
    assert explained.error is not None or shown == data


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (Field("x", b"", HeartRateFlags(0)), "nothing set"),
        (Field("x", b"", HeartRateFlags(0xA1)), "heart rate 16 bit, reserved bit 5, reserved bit 7"),
        (Field("x", b"", decode(b"\xff\x07", SFLOAT), "%"), "no value: not a number"),
        (Field("x", b"", decode(b"\x02\x10", SFLOAT), "%"), "20 %"),
        (Field("x", b"", b"\x01\x02"), "2 bytes without a meaning here"),
        (Field("x", b"", "H10"), "H10"),
    ],
)
def test_the_words_for_a_field(field: Field, words: str) -> None:
    assert meaning(field) == words


def test_every_error_says_what_to_do() -> None:
    assert "What to do: " in error_words(FrameError("truncated", "", "too short"))
    assert "What to do: " in error_words(FrameError("of a later release", "flags", "odd"))
