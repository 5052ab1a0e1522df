"""Frames of vendors' protocols: published or captured where the test says so, constructed from the layout elsewhere."""

from __future__ import annotations

import calendar
import json
import os
from pathlib import Path
from typing import Final

import pytest

from gateway.gatt.bci import BciPacket
from gateway.gatt.berrymed import BerryFrame, BerryStatus, BerryVersion, decode_berry
from gateway.gatt.creative import READING, CreativeFrame, CreativeReading
from gateway.gatt.frame import FrameError
from gateway.gatt.jumper import JumperReading, is_reading
from gateway.gatt.nonin import DeviceError, DeviceStatus, Oximetry, PulseIntervals, Status
from gateway.gatt.polar import DataFrame, Measurement, PulseInterval
from gateway.gatt.polar_control import ControlRequest, ControlResponse, Opcode, Setting, factor_bits
from gateway.gatt.polar_control import Status as PolarStatus
from gateway.gatt.viatom import Charging, Command, Live, LiveWave, Reply, Request
from gateway.gatt.viatom_file import ViatomInfo
from vitals.model import Quality, Reason

DATA: Final = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).parents[3] / "shared" / "data"))
CAPTURES: Final = DATA / "ble_payloads" / "captures.jsonl"


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


# -- captured from real devices ----------------------------------------------------------------------------------------


def test_a_captured_frame_says_what_the_device_showed() -> None:
    if not CAPTURES.is_file():
        pytest.skip(f"{CAPTURES} is absent: set WARDLIGHT_DATA to the folder with the recordings")
    lines = {line["id"]: line for line in map(json.loads, CAPTURES.read_text(encoding="utf-8").splitlines())}
    line = lines["pc60nw-1"]
    frame = CreativeFrame.decode(bytes.fromhex(line["hex"]))
    said = CreativeReading.decode(frame.content)
    assert frame.kind == READING
    assert {"spo2": said.spo2_pct, "pulse": said.pulse_rate, "pi": (said.perfusion or 0) / 10} == {
        name: line["expect"][name] for name in ("spo2", "pulse", "pi")
    }
    assert CreativeFrame(frame.kind, said.encode()).encode().hex() == line["hex"]


# -- Nonin -------------------------------------------------------------------------------------------------------------


def test_nonin_measures() -> None:
    said = Oximetry.decode(hexed("0A 14 1E 01 2C 00 05 61 00 48"))
    assert said == Oximetry(97, 72, 300, 5, 30, Status.SMART_POINT | Status.PLACED)
    assert said.quality is Quality.USABLE


def test_nonin_searches() -> None:
    said = Oximetry.decode(hexed("0A 08 1E 00 00 00 06 7F 01 FF"))
    assert (said.spo2_pct, said.pulse_rate, said.reason) == (None, None, Reason.SEARCHING)


@pytest.mark.parametrize(
    ("status", "reason", "quality"),
    [
        (Status.PLACED, Reason.NO_READING, Quality.UNKNOWN),
        (Status.PLACED | Status.WEAK_SIGNAL, Reason.NO_READING, Quality.DOUBTFUL),
        (Status.SMART_POINT, Reason.PROBE_OFF, Quality.DOUBTFUL),
        (Status(0), Reason.PROBE_OFF, Quality.DOUBTFUL),
    ],
)
def test_nonin_status_becomes_reason_and_quality(status: Status, reason: Reason, quality: Quality) -> None:
    said = Oximetry(None, None, 0, 0, 30, status)
    assert (said.reason, said.quality) == (reason, quality)


def test_nonin_bad_pulses_are_marked() -> None:
    said = PulseIntervals.decode(hexed("0C 00 07 00 01 2C 1F 40 81 2C 20 00"))
    assert [(pulse.interval, pulse.amplitude, pulse.bad) for pulse in said.pulses] == [
        (8000, 300, False),
        (8192, 300, True),
    ]


def test_nonin_device_status() -> None:
    assert DeviceStatus.decode(hexed("07 01 05 1E 55 00 01")) == DeviceStatus(1, DeviceError.SENSOR_FAULT, 30, 85, 1)
    assert DeviceStatus.decode(hexed("07 01 09 1E 55 00 01")).error is None


# -- BerryMed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("85 32 07 48 61", BciPacket(97, 72, 50, 5, 7)),
        ("C5 32 47 48 61", BciPacket(97, 200, 50, 5, 7, beat=True)),
        ("90 00 50 7F 7F", BciPacket(None, None, None, 0, 0, no_signal=True, no_finger=True)),
        ("9F 00 00 00 00", BciPacket(None, None, None, None, 0, no_signal=True)),
        ("A0 01 20 01 01", BciPacket(1, 1, 1, 0, 0, unplugged=True, searching=True)),
    ],
)
def test_bci_packets(text: str, expected: BciPacket) -> None:
    assert BciPacket.decode(hexed(text)) == expected
    assert BciPacket.decode(expected.encode()) == expected


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (BciPacket(97, 72, 50), Reason.PRESENT),
        (BciPacket(97, 72, 50, no_finger=True, searching=True), Reason.PROBE_OFF),
        (BciPacket(97, 72, 50, unplugged=True), Reason.PROBE_OFF),
        (BciPacket(97, 72, 50, searching=True, no_signal=True), Reason.SEARCHING),
        (BciPacket(97, 72, 50, no_signal=True), Reason.POOR_SIGNAL),
    ],
)
def test_bci_complaints(packet: BciPacket, reason: Reason) -> None:
    assert packet.reason is reason


def test_berry_versions_from_the_vendor() -> None:
    software = hexed("ff aa 53 56 31 2e 30 34 2e 30 30 2e 33 36 00 00 00 00 00 3a")
    hardware = hexed("ff aa 48 56 32 2e 30 00 00 00 00 00 00 00 00 00 00 00 00 d7")
    assert decode_berry(software) == BerryVersion("software", "V1.04.00.36")
    assert decode_berry(hardware) == BerryVersion("hardware", "V2.0")


def test_berry_frame() -> None:
    frame = hexed("ff aa 01 00 61 61 48 48 a6 00 19 19 32 c0 1d fe ff 55 64 99")
    expected = BerryFrame(1, BerryStatus(0), 97, 97, 72, 72, 830, 25, 25, 50, -123456, 85, 100)
    assert decode_berry(frame) == expected
    assert expected.encode() == frame


def test_a_berry_frame_whose_index_is_a_letter_is_no_version() -> None:
    frame = BerryFrame(0x53, BerryStatus.BEAT, 97, 97, 72, 72, 830, 25, 25, 50, 0, 85, 100)
    assert decode_berry(frame.encode()) == frame


# -- Viatom ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (Command.LIVE, "aa 17 e8 00 00 00 00 1b"),  # published
        (Command.INFO, "aa 14 eb 00 00 00 00 c6"),
        (Command.PING, "aa 15 ea 00 00 00 00 8d"),
        (Command.LIVE_WAVE, "aa 1b e4 00 00 00 00 66"),
    ],
)
def test_viatom_requests(command: Command, text: str) -> None:
    assert Request(command).encode() == hexed(text)
    assert Request.decode(hexed(text)) == Request(command)


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [  # the first three from a real device
        ("62 42 00 00 00 00 00 61 00 92 0a 01 00", Live(98, 66, 97, True, 146, 10), Reason.NO_READING),
        ("ff ff ff 00 00 00 00 60 00 05 00 00 00", Live(None, None, 96, False, 5), Reason.PROBE_OFF),
        (
            "ff ff ff 00 00 00 00 62 01 00 00 00 00",
            Live(None, None, 98, False, charging=Charging.YES),
            Reason.PROBE_OFF,
        ),
        ("00 00 00 00 00 00 00 62 00 00 00 01 00", Live(None, None, 98, True), Reason.SEARCHING),
    ],
)
def test_viatom_live(text: str, expected: Live, reason: Reason) -> None:
    said = Live.decode(hexed(text))
    assert said == expected
    assert said.reason is reason


def test_viatom_reply() -> None:
    reply = Reply.decode(hexed("55 00 ff 00 00 0d 00 62 42 00 00 00 00 00 61 00 92 0a 01 00 2f"))
    assert (reply.status, reply.block, Live.decode(reply.payload).spo2_pct) == (0, 0, 98)


@pytest.mark.parametrize("raw", [b"\xff\x00", b"\xff\xff", b"\x00\x00"])
def test_viatom_pulse_rates_that_are_none(raw: bytes) -> None:
    assert LiveWave.decode(b"\x62" + raw + bytes([97, 0, 10, 1, 0, 0, 0, 0, 0])).pulse_rate is None


def test_viatom_wave_marks_are_no_samples() -> None:
    said = LiveWave(98, 66, 97, worn=True, samples=(1, None, 255))
    assert LiveWave.decode(said.encode()) == said
    assert said.encode()[-3:] == bytes([1, 156, 255])


def test_viatom_info_with_zeros_at_its_end_and_strange_fields() -> None:
    told = b'{"Model":"O2Ring","SN":17,"CurTIME":"2025-03-07,23:43:18","FileList":"b.vld,a.vld,,a.vld,\\u001b"}\0\0'
    said = ViatomInfo.decode(told)
    assert (said.model, said.serial, said.files) == ("O2Ring", "", ("a.vld", "b.vld"))
    assert said.clock_s == calendar.timegm((2025, 3, 7, 23, 43, 18))


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b"[" * 10_000, b'{"a":'])
def test_viatom_info_that_is_none(payload: bytes) -> None:
    with pytest.raises(FrameError):
        ViatomInfo.decode(payload)


def test_a_request_is_written_in_pieces_of_twenty_bytes() -> None:
    request = Request(Command.OPEN, payload=b"20250307234318.vld\0")
    assert [len(piece) for piece in request.pieces()] == [20, 7]
    assert b"".join(request.pieces()) == request.encode()


# -- Polar -------------------------------------------------------------------------------------------------------------

HEADER: Final = "00 00 00 00 00 00 00 00"


def test_polar_ecg() -> None:
    said = DataFrame.decode(hexed("00 00 94 35 77 00 00 00 00 00 02 80 FF 02 80 00"))
    assert said == DataFrame(Measurement.ECG, 2_000_000_000, rows=((-32766,), (32770,)))


def test_polar_acceleration() -> None:
    said = DataFrame.decode(hexed("02 00 94 35 77 00 00 00 00 01 F7 FF FF FF E7 03 F8 FF FE FF E5 03"))
    assert said.rows == ((-9, -1, 999), (-8, -2, 997))


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("01 02 03 04 05 06 FF FF 7F 00 00 00", (197121, 394500, 8388607, 0)),
        ("FF FF FF 0F EF EF 00 00 80 0F EF EF", (-1, -1052913, -8388608, -1052913)),
    ],
)
def test_polar_ppg(text: str, row: tuple[int, ...]) -> None:
    assert DataFrame.decode(hexed(f"01 {HEADER} 00 {text}")).rows == (row,)


def test_polar_pulse_intervals() -> None:
    said = DataFrame.decode(hexed(f"03 {HEADER} 00 80 80 80 80 80 FF 00 01 00 01 00 00"))
    blocked = PulseInterval(32896, 32896, 128, blocked=True, contact=True)
    assert said.intervals == (blocked, PulseInterval(1, 1))
    assert [each.reason for each in said.intervals] == [Reason.POOR_SIGNAL, Reason.PRESENT]


def test_polar_pulse_intervals_without_contact_are_none() -> None:
    assert PulseInterval(800, 10, contact=False).reason is Reason.PROBE_OFF
    assert PulseInterval(800, 10, contact=None).reason is Reason.PRESENT
    assert PulseInterval(800, 50).quality is Quality.DOUBTFUL


def test_polar_compressed_acceleration() -> None:
    body = "71 07 F0 6A 9E 8D 0A 01 BE 5C BE 3A"  # the first two samples of the frame in Polar's own test
    said = DataFrame.decode(hexed(f"02 {HEADER} 81 {body}"))
    assert said.rows == ((1905, 27376, -29282), (1905 + 190, 27376 - 105, -29282 - 85))


@pytest.mark.parametrize(
    "body",
    [
        "71 07 F0 6A 9E",  # no whole reference
        "71 07 F0 6A 9E 8D 0A",  # half a block's head
        "71 07 F0 6A 9E 8D 0A 02 BE 5C BE 3A",  # two samples announced, one there
        "71 07 F0 6A 9E 8D 21 01" + " 00" * 13,  # 33 bits
        "71 07 F0 6A 9E 8D" + " 00 FF" * 9,  # thousands of samples out of nothing
        "71 07 F0 6A 9E 8D 20 02" + " FF FF FF 7F" * 6,  # out of 32 bits
    ],
)
def test_polar_compressed_nonsense(body: str) -> None:
    with pytest.raises(FrameError):
        DataFrame.decode(hexed(f"02 {HEADER} 81 {body}"))


def test_polar_settings() -> None:
    """The settings from Polar's own test."""
    tail = "00 01 34 00 01 01 10 00 02 04 F5 00 F4 01 E8 03 D0 07 04 01 03"
    said = ControlResponse.decode(hexed(f"F0 01 02 00 00 {tail}"))
    assert dict(said.settings) == {
        Setting.RATE_HZ: (52,),
        Setting.RESOLUTION_BITS: (16,),
        Setting.RANGE: (245, 500, 1000, 2000),
        Setting.CHANNELS: (3,),
    }


def test_polar_start_and_its_factor() -> None:
    request = ControlRequest(Opcode.START, Measurement.ACCELERATION, {Setting.RATE_HZ: 52, Setting.CHANNELS: 3})
    assert request.encode() == hexed("02 02 00 01 34 00 04 01 03")
    settings = {Setting.FACTOR: (factor_bits(0.244),)}
    response = ControlResponse(Opcode.START, Measurement.ACCELERATION, PolarStatus.SUCCESS, settings=settings)
    assert ControlResponse.decode(response.encode()).factor == pytest.approx(0.244)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_that_cannot_be_is_none(factor: float) -> None:
    settings = {Setting.FACTOR: (factor_bits(factor),)}
    assert ControlResponse(Opcode.START, Measurement.PPG, PolarStatus.SUCCESS, settings=settings).factor == 1.0


# -- Jumper ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("81 38 63 44", JumperReading(99, 56, 68)),
        ("81 FF 7F 00", JumperReading(None, None, None)),
        ("81 00 00 00", JumperReading(None, None, None)),
    ],
)
def test_jumper(text: str, expected: JumperReading) -> None:
    assert JumperReading.decode(hexed(text)) == expected


def test_a_pulse_wave_of_jumper_is_no_reading() -> None:
    assert not is_reading(hexed("80 38 63 44"))
    with pytest.raises(FrameError):
        JumperReading.decode(hexed("80 38 63 44"))
