"""Whatever a device can say survives encoding and decoding, and a stream does not depend on how it was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Protocol

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.gatt import polar_deltas
from gateway.gatt.bci import PACKET_BYTES, BciPacket
from gateway.gatt.berrymed import BerryFrame, BerryStatus, BerryVersion
from gateway.gatt.berrymed_stream import EVIDENCE, UNCERTAIN, BerryStream
from gateway.gatt.creative import (
    CreativeBattery,
    CreativeFrame,
    CreativePleth,
    CreativeReading,
    CreativeStream,
    Trouble,
)
from gateway.gatt.date_time import DateTime
from gateway.gatt.jumper import JumperReading
from gateway.gatt.nonin import DeviceError, DeviceStatus, IntervalStatus, Oximetry, Pleth, Pulse, PulseIntervals, Status
from gateway.gatt.polar import LAYOUTS, DataFrame, Measurement, PulseInterval
from gateway.gatt.polar_control import _BYTES, ControlRequest, ControlResponse, Opcode, Setting
from gateway.gatt.polar_control import Status as PolarStatus
from gateway.gatt.viatom import Charging, Command, Live, LiveWave, Reply, Request, ViatomStream
from gateway.gatt.viatom_file import Record, Recording, ViatomInfo


def maybe(low: int, high: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(low, high)


u8, u16, u32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)

bci_packets = st.builds(
    BciPacket,
    maybe(1, 126),
    maybe(1, 254),
    maybe(1, 127),
    maybe(0, 8),
    st.integers(0, 15),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
berry_frames = st.builds(
    BerryFrame,
    u8,
    st.integers(0, 15).map(BerryStatus),
    maybe(1, 100),
    maybe(1, 100),
    maybe(1, 254),
    maybe(1, 254),
    maybe(1, 0xFFFF).map(lambda units: None if units is None else 5 * units),
    maybe(1, 255),
    maybe(1, 255),
    u8,
    st.integers(-(1 << 31), (1 << 31) - 1),
    u8,
    st.sampled_from([1, 50, 100, 200]),
)
intervals = st.builds(PulseInterval, u16, u16, maybe(1, 255), st.booleans(), st.none() | st.booleans())


@st.composite
def data_frames(draw: st.DrawFn) -> DataFrame:
    kind = draw(st.sampled_from(list(LAYOUTS)))
    layout = LAYOUTS[kind]
    limit = 1 << (8 * layout.width_bytes - 1)
    row = st.tuples(*(st.integers(-limit, limit - 1) for _ in range(layout.channels)))
    rows = draw(st.lists(row, min_size=1, max_size=20))
    return DataFrame(kind[0], draw(st.integers(0, (1 << 64) - 1)), kind[1], kind[2], tuple(rows))


SAID: dict[str, st.SearchStrategy[Any]] = {
    "nonin measurement": st.builds(
        Oximetry, maybe(1, 100), maybe(1, 510), u16, u16, u8, st.integers(0, 127).map(Status)
    ),
    "nonin intervals": st.builds(
        PulseIntervals,
        u16,
        st.integers(0, 3).map(IntervalStatus),
        st.lists(st.builds(Pulse, u16, st.integers(0, 0xFFF), st.booleans()), max_size=6).map(tuple),
    ),
    "nonin pleth": st.builds(Pleth, st.lists(u16, min_size=25, max_size=25).map(tuple), u16),
    "nonin status": st.builds(DeviceStatus, u8, st.none() | st.sampled_from(DeviceError), u8, u8, u16),
    "bci": bci_packets,
    "berry": berry_frames,
    "berry version": st.builds(
        BerryVersion, st.sampled_from(["software", "hardware"]), st.text("V.0123456789", max_size=16)
    ),
    "jumper": st.builds(JumperReading, maybe(1, 126), maybe(1, 254), maybe(1, 255)),
    "creative frame": st.builds(CreativeFrame, st.tuples(u8, u8), st.binary(max_size=253)),
    "creative reading": st.builds(CreativeReading, maybe(1, 255), maybe(1, 0xFFFF), maybe(1, 255), u8.map(Trouble), u8),
    "creative pleth": st.lists(st.tuples(st.integers(0, 127), st.booleans()), min_size=5, max_size=5).map(
        lambda pairs: CreativePleth(*map(tuple, zip(*pairs, strict=True)))
    ),
    "creative battery": st.builds(CreativeBattery, st.integers(0, 3)),
    "viatom request": st.builds(Request, st.sampled_from(Command), u16, st.binary(max_size=40)),
    "viatom reply": st.builds(Reply, u8, u16, st.binary(max_size=300)),
    "viatom live": st.builds(
        Live,
        maybe(1, 100),
        maybe(1, 254),
        u8,
        st.booleans(),
        u8,
        u8,
        st.none() | st.sampled_from(Charging),
    ),
    "viatom wave": st.builds(
        LiveWave,
        maybe(1, 100),
        maybe(1, 254),
        u8,
        st.booleans(),
        u8,
        st.none() | st.sampled_from(Charging),
        st.lists(st.none() | st.integers(0, 155) | st.integers(157, 255), max_size=200).map(tuple),
    ),
    "viatom info": st.builds(
        ViatomInfo,
        st.text("O2Ring", max_size=8),
        st.text("0123456789", max_size=10),
        clock_s=st.none() | st.integers(0, 4_000_000_000),
        files=st.lists(st.text("0123456789.vld", min_size=1, max_size=18), unique=True, max_size=5).map(
            lambda names: tuple(sorted(names))
        ),
    ),
    "viatom recording": st.builds(
        Recording,
        st.just(DateTime(2025, 3, 7, 23, 43, 18)),
        st.sampled_from([2, 4]),
        st.lists(st.builds(Record, maybe(1, 254), maybe(1, 254), u8, u8), min_size=1, max_size=30).map(tuple),
        u8,
    ),
    "polar signal": data_frames(),
    "polar intervals": st.builds(
        DataFrame,
        st.just(Measurement.PULSE_INTERVALS),
        st.integers(0, (1 << 64) - 1),
        intervals=st.lists(intervals, max_size=10).map(tuple),
    ),
    "polar request": st.builds(
        ControlRequest,
        st.sampled_from(Opcode),
        st.sampled_from(Measurement),
        st.dictionaries(st.sampled_from([Setting.RATE_HZ, Setting.RESOLUTION_BITS, Setting.RANGE]), u16),
    ),
    "polar response": st.builds(
        ControlResponse,
        st.sampled_from(Opcode),
        st.sampled_from(Measurement),
        st.just(PolarStatus.SUCCESS),
        st.booleans(),
        st.fixed_dictionaries({}, optional={s: st.lists(u8, max_size=5).map(tuple) for s in _BYTES}),
    ),
    "polar refusal": st.builds(
        ControlResponse,
        st.sampled_from(Opcode),
        st.sampled_from(Measurement),
        st.none() | st.sampled_from([s for s in PolarStatus if s is not PolarStatus.SUCCESS]),
    ),
}


@pytest.mark.parametrize("name", SAID)
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_encoded_is_decoded(name: str, data: st.DataObject) -> None:
    said = data.draw(SAID[name])
    assert type(said).decode(said.encode()) == said


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(*[st.integers(-32768, 32767)] * 3), min_size=1, max_size=300),
)
def test_polar_deltas_keep_every_sample(rows: list[tuple[int, ...]]) -> None:
    assert polar_deltas.decode(polar_deltas.encode(rows, 2), 3, 2) == tuple(rows)


# -- streams -----------------------------------------------------------------------------------------------------------


class Stream(Protocol):
    """Any of the three that find frames in notifications."""

    @property
    def rest(self) -> bytes: ...

    def feed(self, data: bytes) -> tuple[Any, tuple[Any, ...], int]: ...


def fed(stream: Stream, pieces: Iterable[bytes]) -> tuple[list[Any], int, Any]:
    """What `pieces` held, how many bytes of it were none, and the stream after them."""
    found: list[Any] = []
    skipped = 0
    for piece in pieces:
        stream, new, passed = stream.feed(piece)
        found += new
        skipped += passed
        assert len(stream.rest) <= 4104 + 4, "a stream keeps no more than a frame"
    return found, skipped, stream


def pieces_of(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)]


FRAMES: dict[str, tuple[Callable[[], Stream], st.SearchStrategy[bytes]]] = {
    "berrymed": (BerryStream, (st.lists(bci_packets, max_size=8) | st.lists(berry_frames, max_size=2)).map(
        lambda said: b"".join(each.encode() for each in said)
    )),
    "creative": (CreativeStream, st.builds(CreativeFrame, st.tuples(u8, u8), st.binary(max_size=8)).map(
        lambda frame: frame.encode()
    )),
    "viatom": (ViatomStream, st.builds(Reply, u8, u16, st.binary(max_size=30)).map(lambda reply: reply.encode())),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
@settings(max_examples=60)
@given(data=st.data(), cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_a_stream_does_not_depend_on_how_it_was_cut(name: str, data: st.DataObject, cuts: list[int]) -> None:
    make, frames = FRAMES[name]
    parts = data.draw(st.lists(frames | st.binary(max_size=12), max_size=8))
    stream = b"".join(parts)
    whole = fed(make(), [stream])
    assert fed(make(), pieces_of(stream, cuts)) == whole
    assert fed(make(), [bytes([byte]) for byte in stream]) == whole


@pytest.mark.parametrize("name", FRAMES)
@settings(max_examples=60)
@given(data=st.data(), garbage=st.binary(max_size=40))
def test_a_stream_finds_its_frames_again_after_garbage(name: str, data: st.DataObject, garbage: bytes) -> None:
    make, _ = FRAMES[name]
    said: list[Any] = {
        "berrymed": data.draw(st.lists(berry_frames, min_size=3, max_size=3)),
        "creative": [CreativeFrame((0x0F, 1), bytes(6))] * 60,  # longer than any frame that garbage can announce
        "viatom": [Reply(0, 0, bytes(100))] * 60,
    }[name]
    found, _, _ = fed(make(), [garbage, *(each.encode() for each in said)])
    assert found[-1:] == [said[-1] if name != "viatom" else said[-1].encode()]


@settings(max_examples=60)
@given(
    packets=st.lists(bci_packets, min_size=5, max_size=12),
    frames=st.lists(berry_frames, min_size=1, max_size=3),
    cut=st.integers(1, 19),
)
@example(packets=[BciPacket(97, 72, 50)] * 5, frames=[], cut=3)
def test_bci_is_found_after_half_a_berry_frame(packets: list[BciPacket], frames: list[BerryFrame], cut: int) -> None:
    """The device changes its protocol in mid-stream: nothing of the old one is taken for the new one."""
    stream = b"".join(frame.encode() for frame in frames)[:-cut] + b"".join(p.encode() for p in packets)
    found, _, rest = fed(BerryStream(), [stream])
    bci = [each for each in found if isinstance(each, BciPacket)]
    assert bci == packets[len(packets) - len(bci) :]
    assert len(bci) >= len(packets) - UNCERTAIN // PACKET_BYTES
    assert len(rest.rest) < EVIDENCE


@settings(max_examples=60)
@given(frames=st.lists(berry_frames, min_size=2, max_size=6), begin=st.integers(1, 19), hurt=st.integers(0, 200))
def test_a_berry_stream_is_never_taken_for_bci(frames: list[BerryFrame], begin: int, hurt: int) -> None:
    stream = bytearray(b"".join(frame.encode() for frame in frames)[begin:])
    stream[hurt % len(stream)] ^= 0x10
    found, _, _ = fed(BerryStream(), [bytes(stream)])
    assert not [each for each in found if isinstance(each, BciPacket)]
