"""What holds for every decoder of a vendor's frames, whatever bytes it is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.gatt import viatom_file
from gateway.gatt.bci import BciPacket
from gateway.gatt.berrymed import BerryFrame, BerryVersion, Command, decode_berry
from gateway.gatt.creative import CreativeBattery, CreativeFrame, CreativePleth, CreativeReading
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import FrameError
from gateway.gatt.jumper import JumperReading
from gateway.gatt.nonin import DeviceStatus, Oximetry, Pleth, PulseIntervals
from gateway.gatt.polar import DataFrame
from gateway.gatt.polar_control import ControlRequest, ControlResponse
from gateway.gatt.viatom import Live, LiveWave, Reply, Request
from gateway.gatt.viatom_file import Record, Recording, ViatomInfo


class Codec(NamedTuple):
    """`shortens`: some prefixes of a frame are frames as well."""

    decode: Callable[[bytes], object]
    frame: bytes
    shortens: bool = False


RECORDING: Final = Recording(DateTime(2025, 3, 7, 23, 43, 18), 4, (Record(97, 63), Record(None, None, 3)))

CODECS: Final = {
    "nonin measurement": Codec(Oximetry.decode, bytes.fromhex("0A141E012C000561 0048")),
    "nonin intervals": Codec(PulseIntervals.decode, bytes.fromhex("0C 0001 00 012C 1F40 812C 1F40")),
    "nonin pleth": Codec(Pleth.decode, bytes([53, *range(50), 0, 1])),
    "nonin status": Codec(DeviceStatus.decode, bytes.fromhex("07 01 00 1E 55 0001")),
    "bci": Codec(BciPacket.decode, bytes.fromhex("85 32 07 48 61")),
    "berry": Codec(BerryFrame.decode, bytes.fromhex("ffaa010061614848a60019193 2c01dfeff556499".replace(" ", ""))),
    "berry version": Codec(BerryVersion.decode, bytes.fromhex("ffaa5356312e30342e30302e333600000000003a")),
    "berry either": Codec(decode_berry, bytes.fromhex("ffaa4856322e30000000000000000000000000d7")),
    "berry command": Codec(Command.decode, bytes([0xE0])),
    "jumper": Codec(JumperReading.decode, bytes.fromhex("81386344")),
    "creative": Codec(CreativeFrame.decode, bytes.fromhex("aa550f0801603f002d00388c")),
    "creative reading": Codec(CreativeReading.decode, bytes.fromhex("603f002d0038")),
    "creative pleth": Codec(CreativePleth.decode, bytes.fromhex("1020b04050")),
    "creative battery": Codec(CreativeBattery.decode, bytes([2])),
    "viatom request": Codec(Request.decode, bytes.fromhex("aa17e8000000001b")),
    "viatom reply": Codec(Reply.decode, bytes.fromhex("5500ff00000d0062420000000000610092 0a01002f".replace(" ", ""))),
    "viatom live": Codec(Live.decode, bytes.fromhex("62420000000000610092 0a0100".replace(" ", ""))),
    "viatom wave": Codec(LiveWave.decode, LiveWave(98, 66, 97, worn=True, samples=(1, 2, None)).encode()),
    "viatom info": Codec(ViatomInfo.decode, ViatomInfo("O2Ring", "1234", clock_s=1_700_000_000).encode()),
    "viatom recording": Codec(Recording.decode, RECORDING.encode()),
    "viatom size": Codec(viatom_file.decode_size, viatom_file.encode_size(400)),
    "viatom name": Codec(viatom_file.decode_name, viatom_file.encode_name("20250307234318.vld")),
    "polar ecg": Codec(DataFrame.decode, bytes.fromhex("009435770000000000 0002 80FF 028000".replace(" ", "")), True),
    "polar acc": Codec(
        DataFrame.decode, bytes.fromhex("029435770000000000 01F7FFFFFFE703F8FFFEFFE503".replace(" ", "")), True
    ),
    "polar ppi": Codec(DataFrame.decode, bytes.fromhex("03943577000000000000 8080808080FF".replace(" ", "")), True),
    "polar deltas": Codec(
        DataFrame.decode, bytes.fromhex("02943577000000000081 7107F06A9E8D 0A01 BE5CBEBA".replace(" ", "")), True
    ),
    "polar request": Codec(
        ControlRequest.decode, bytes.fromhex("0202 00013200 01011000 02010800".replace(" ", "")), True
    ),
    "polar response": Codec(
        ControlResponse.decode, bytes.fromhex("F0010200 00 0002 3200 6400 04 01 03".replace(" ", "")), True
    ),
}

each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


@each_codec
def test_what_was_decoded_encodes_to_the_same(codec: Codec) -> None:
    said = codec.decode(codec.frame)
    if isinstance(said, str | int) and not isinstance(said, Command):
        return  # the name and the size of a file have functions of their own
    encoded = said.encode()  # type: ignore[attr-defined]  # every frame has it
    assert codec.decode(encoded) == said
    if not isinstance(said, ViatomInfo | DataFrame):  # these may be written in several ways
        assert encoded == codec.frame


@each_codec
def test_every_prefix_is_refused_or_a_frame_of_its_own(codec: Codec) -> None:
    for length in range(len(codec.frame)):
        try:
            codec.decode(codec.frame[:length])
        except FrameError:
            continue
        assert codec.shortens, f"{length} of {len(codec.frame)} bytes were taken for a frame"


@each_codec
@settings(max_examples=25)
@given(data=st.binary(max_size=96))
def test_any_bytes_are_decoded_or_refused(codec: Codec, data: bytes) -> None:
    with suppress(FrameError):
        codec.decode(data)


@each_codec
@settings(max_examples=25)
@given(changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4), tail=st.binary(max_size=3))
def test_a_damaged_frame_is_decoded_or_refused(codec: Codec, changes: list[tuple[int, int]], tail: bytes) -> None:
    damaged = bytearray(codec.frame + tail)
    for place, byte in changes:
        damaged[place % len(damaged)] = byte
    with suppress(FrameError):
        codec.decode(bytes(damaged))


CHECKED: Final = ("berry", "berry version", "creative", "viatom request", "viatom reply")


@pytest.mark.parametrize("name", CHECKED)
def test_a_changed_bit_is_noticed(name: str) -> None:
    codec = CODECS[name]
    for place in range(len(codec.frame) * 8):
        damaged = bytearray(codec.frame)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FrameError):
            codec.decode(bytes(damaged))
