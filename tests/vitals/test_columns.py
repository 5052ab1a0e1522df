"""Sample blocks: one pair of encode and decode, and blocks joined without losing who a row belongs to."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.columns import SAMPLE_DTYPE, SampleBlock, WaveformRow, concatenate, decode_block, encode_block
from vitals.errors import MalformedMessageError

_DEVICES = [("a", "P-1", "gw-1"), ("b", "", "gw-1"), ("a", "P-1", "gw-2"), ("a", "P-2", "gw-1")]


@st.composite
def blocks(draw: st.DrawFn) -> SampleBlock:
    owners = draw(st.lists(st.sampled_from(_DEVICES), unique=True, max_size=4))
    devices, patients, gateways = zip(*owners, strict=True) if owners else ((), (), ())
    numbers = draw(st.lists(st.integers(0, 2**15), max_size=6)) if owners else []
    rows = np.zeros(len(numbers), SAMPLE_DTYPE)
    for row, number in zip(rows, numbers, strict=True):
        row["device"], row["sampled_at_ns"], row["sequence"] = number % len(owners), number * 10**12, number
        row["source"] = number // 4 % len(owners)
        row["raw"], row["value"], row["vital"] = number / 7, np.nan if number % 3 else number, number % 8 + 1
    waveforms = tuple(
        WaveformRow(n % len(owners), 64, n, n + 1, 50.0, 2, 0, bytes(n % 5 * 2), bytes(n % 5 * 4)) for n in numbers[:2]
    )
    return SampleBlock(devices, patients, gateways, rows, waveforms)


def told(block: SampleBlock) -> tuple[list[object], list[object]]:
    """Rows and waveforms with names instead of indices."""
    names = list(zip(block.devices, block.patients, block.gateways, strict=True))
    rows = block.rows.copy()
    rows["device"] = rows["source"] = 0
    owners = [(names[device], names[source]) for device, source in block.rows[["device", "source"]].tolist()]
    return (
        [(owner, row.tobytes()) for owner, row in zip(owners, rows, strict=True)],
        [(names[w.device], w.started_at_ns, w.samples, w.filtered) for w in block.waveforms],
    )


@given(blocks())
def test_what_is_encoded_is_what_is_decoded(block: SampleBlock) -> None:
    decoded = decode_block(encode_block(block))
    assert (decoded.devices, decoded.patients, decoded.gateways) == (block.devices, block.patients, block.gateways)
    assert decoded.rows.tobytes() == block.rows.tobytes()
    assert decoded.waveforms == block.waveforms


@given(st.lists(blocks(), max_size=4))
def test_joined_blocks_keep_every_row_and_its_owner_in_order(parts: list[SampleBlock]) -> None:
    joined = concatenate(parts)
    each = [told(part) for part in parts]
    assert told(joined) == ([row for rows, _ in each for row in rows], [wave for _, waves in each for wave in waves])
    assert joined is parts[0] if len(parts) == 1 else len(set(told_owners(joined))) == len(joined.devices)


def told_owners(block: SampleBlock) -> list[tuple[str, str, str]]:
    return list(zip(block.devices, block.patients, block.gateways, strict=True))


def example() -> SampleBlock:
    rows = np.zeros(2, SAMPLE_DTYPE)
    rows["device"] = [0, 1]
    waveforms = (WaveformRow(1, 64, 5, 6, 50.0, 2, 0, b"ab", b"abcd"),)
    return SampleBlock(("a", "b"), ("P-1", ""), ("gw", "gw"), rows, waveforms)


def test_every_truncated_prefix_is_refused() -> None:
    payload = encode_block(example())
    for length in range(len(payload)):
        with pytest.raises(MalformedMessageError):
            decode_block(payload[:length])


@pytest.mark.parametrize(
    ("position", "value", "reason", "field"),
    [
        (0, 3, "unknown_version", "version"),
        (0, 1, "truncated", ""),  # rows of another size
        (1, ["a"], "type", "patients"),
        (2, ["P-1"], "type", "patients"),
        (3, [], "type", "patients"),
        (4, b"odd", "truncated", ""),
        (4, b"\xff" * SAMPLE_DTYPE.itemsize, "type", "rows"),  # device 4,294,967,295
        (5, [[9, 64, 5, 6, 50.0, 2, 0, b"", b""]], "type", "rows"),
        (5, [[-1, 64, 5, 6, 50.0, 2, 0, b"", b""]], "type", "rows"),
        (5, [[1, 64]], "truncated", ""),
    ],
)
def test_a_record_that_encode_did_not_write_is_refused(position: int, value: object, reason: str, field: str) -> None:
    stored = msgspec.msgpack.decode(encode_block(example()))
    stored[position] = value
    with pytest.raises(MalformedMessageError) as refused:
        decode_block(msgspec.msgpack.encode(stored))
    assert (refused.value.reason, refused.value.field) == (reason, field)


def test_a_row_whose_source_is_not_listed_is_refused() -> None:
    block = example()
    rows = block.rows.copy()
    rows["source"] = 2
    with pytest.raises(MalformedMessageError):
        decode_block(encode_block(SampleBlock(block.devices, block.patients, block.gateways, rows)))


def test_a_record_of_before_there_were_sources_is_read_each_row_its_own_source() -> None:
    block = example()
    old = np.dtype([(name, SAMPLE_DTYPE[name]) for name in SAMPLE_DTYPE.names or () if name != "source"])
    stored = msgspec.msgpack.decode(encode_block(block))
    stored[0], stored[4] = 1, block.rows[list(old.names or ())].astype(old).tobytes()
    rows = decode_block(msgspec.msgpack.encode(stored)).rows
    assert rows["source"].tolist() == rows["device"].tolist() == [0, 1]
    assert all((rows[name] == block.rows[name]).all() for name in old.names or ())


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_block(payload)
