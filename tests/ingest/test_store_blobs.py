"""The codecs of sealed blobs: exact, and one documented error for anything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ingest.store.blobs import decode_rows, encode_rows, encode_runs
from ingest.store.rows import ROW_DTYPE, Rows
from ingest.store.waveform_blobs import StoredBlock, decode_blocks, decode_hot, encode_blocks, encode_hot
from vitals.errors import PermanentError


@st.composite
def any_rows(draw: st.DrawFn) -> Rows:
    """Rows of any bits at all, the arrival in whole milliseconds."""
    count = draw(st.integers(1, 40))
    rows = np.frombuffer(
        draw(st.binary(min_size=count * ROW_DTYPE.itemsize, max_size=count * ROW_DTYPE.itemsize)), ROW_DTYPE
    )
    rows = rows.copy()
    rows["received_at_ns"] = rows["received_at_ns"] // 10**12 * 10**6
    rows["sampled_at_ns"] //= 1_000  # within 300 years of 1970: differences fit
    return rows


def steady_rows(count: int = 300) -> Rows:
    rows = np.zeros(count, ROW_DTYPE)
    rows["sampled_at_ns"] = 1_767_225_600_000_000_000 + np.arange(count) * 10**9
    rows["received_at_ns"] = rows["sampled_at_ns"] + 40_000_000
    rows["raw"] = rows["value"] = 80 + np.arange(count) % 3
    rows["uncertainty_ms"], rows["series"], rows["patient"] = 50.0, 7, 3
    return rows


@given(any_rows())
@settings(deadline=None)
def test_rows_come_back_bit_for_bit(rows: Rows) -> None:
    assert decode_rows(encode_rows(rows)).tobytes() == rows.tobytes()


@given(st.lists(any_rows(), min_size=1, max_size=5))
@settings(deadline=None)
def test_runs_are_encoded_as_they_would_be_alone(runs: list[Rows]) -> None:
    starts = np.cumsum([0, *(run.size for run in runs[:-1])]).tolist()
    assert encode_runs(np.concatenate(runs), starts) == [encode_rows(run) for run in runs]


def test_a_steady_series_is_small() -> None:
    assert len(encode_rows(steady_rows())) < 300  # less than a byte a sample


def test_no_runs_no_blobs() -> None:
    assert encode_runs(np.empty(0, ROW_DTYPE), []) == []


@given(st.binary(max_size=200))
def test_rubbish_is_refused(blob: bytes) -> None:
    with pytest.raises(PermanentError):
        decode_rows(blob)


def test_every_truncated_prefix_is_refused() -> None:
    blob = encode_rows(steady_rows(20))
    for length in range(len(blob)):
        with pytest.raises(PermanentError):
            decode_rows(blob[:length])


def test_a_wrong_count_is_refused() -> None:
    blob = encode_rows(steady_rows(20))
    with pytest.raises(PermanentError, match="damaged"):
        decode_rows(blob[:1] + (19).to_bytes(4, "little") + blob[5:])
    with pytest.raises(PermanentError):
        decode_rows(blob[:1] + (1 << 31).to_bytes(4, "little") + blob[5:])
    with pytest.raises(PermanentError, match="version 9"):
        decode_rows(b"\x09" + blob[1:])


@st.composite
def any_block(draw: st.DrawFn) -> StoredBlock:
    width = draw(st.sampled_from([2, 4]))
    samples = draw(arrays.arrays(f"<i{width}", st.integers(0, 30)))
    filtered = draw(st.booleans())
    smooth = draw(arrays.arrays("<f4", samples.size)) if filtered else np.empty(0, "<f4")
    numbers = st.integers(0, 2**62)
    return StoredBlock(
        draw(numbers), draw(numbers), draw(st.integers(0, 9)), 125.0, 1, width, samples.tobytes(), smooth.tobytes()
    )


@given(st.lists(any_block(), max_size=6))
@settings(deadline=None)
def test_waveform_blocks_come_back_bit_for_bit(blocks: list[StoredBlock]) -> None:
    assert decode_blocks(encode_blocks(blocks)) == blocks
    assert [decode_hot(encode_hot(block)) for block in blocks] == blocks


def test_every_truncated_prefix_of_waveforms_is_refused() -> None:
    block = StoredBlock(1, 2, 3, 125.0, 0, 4, np.arange(50, dtype="<i4").tobytes(), np.ones(50, "<f4").tobytes())
    sealed, hot = encode_blocks([block, block]), encode_hot(block)
    for blob, decode in ((sealed, decode_blocks), (hot, decode_hot)):
        for length in range(len(blob)):
            with pytest.raises(PermanentError):
                decode(blob[:length])
