"""Stored waveforms: a block as it is written, and five minutes of blocks as one compressed blob. Pure codec pairs.

The key of a block is (series, started_at_ns), a series being one signal of one device; the first write wins.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from vitals.errors import PermanentError

_LEVEL: Final = 1


class StoredBlock(msgspec.Struct, array_like=True, frozen=True):
    """See `vitals.columns.WaveformRow`. `patient`: the store's number of who wore the device."""

    started_at_ns: int
    received_at_ns: int
    patient: int
    sample_rate_hz: float
    quality: int
    width_bytes: int
    samples: bytes
    filtered: bytes


class _Sealed(msgspec.Struct, array_like=True, frozen=True):
    """Blocks without their bytes, the lengths of these, and the bytes of all."""

    blocks: list[StoredBlock]
    lengths: list[tuple[int, int]]
    samples: bytes
    filtered: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_BLOCK: Final = msgspec.msgpack.Decoder(StoredBlock)
_SEALED: Final = msgspec.msgpack.Decoder(_Sealed)


def encode_hot(block: StoredBlock) -> bytes:
    """The form of one block as it is written."""
    return _ENCODER.encode(block)


def decode_hot(blob: bytes) -> StoredBlock:
    """Read a written block; raises `PermanentError` for anything that `encode_hot` did not write."""
    try:
        return _BLOCK.decode(blob)
    except msgspec.DecodeError as error:
        raise _damaged(error) from error


def encode_blocks(blocks: Sequence[StoredBlock]) -> bytes:
    """The sealed form of `blocks`."""
    bare = [msgspec.structs.replace(block, samples=b"", filtered=b"") for block in blocks]
    lengths = [(len(block.samples), len(block.filtered)) for block in blocks]
    counts = b"".join(_widened(block).tobytes() for block in blocks)
    filtered = b"".join(block.filtered for block in blocks)
    return _ENCODER.encode(_Sealed(bare, lengths, _pressed(_differences(counts)), _pressed(_flips(filtered))))


def decode_blocks(blob: bytes) -> list[StoredBlock]:
    """Read sealed blocks; raises `PermanentError` for anything that `encode_blocks` did not write."""
    try:
        sealed = _SEALED.decode(blob)
        counts = np.cumsum(_unzigzag(_loosened(sealed.samples)), dtype=np.int32)
        filtered = np.bitwise_xor.accumulate(_loosened(sealed.filtered)).tobytes()
        return list(_parted(sealed, counts, filtered))
    except (msgspec.DecodeError, zlib.error, ValueError) as error:
        raise _damaged(error) from error


def _parted(sealed: _Sealed, counts: npt.NDArray[np.int32], filtered: bytes) -> Sequence[StoredBlock]:
    found: list[StoredBlock] = []
    count_at = filtered_at = 0
    for block, (sample_bytes, filtered_bytes) in zip(sealed.blocks, sealed.lengths, strict=True):
        count = sample_bytes // block.width_bytes
        part = counts[count_at : count_at + count].astype(f"<i{block.width_bytes}").tobytes()
        smooth = filtered[filtered_at : filtered_at + filtered_bytes]
        if len(part) != sample_bytes or len(smooth) != filtered_bytes:
            raise ValueError("it holds fewer samples than it says")
        found.append(msgspec.structs.replace(block, samples=part, filtered=smooth))
        count_at += count
        filtered_at += filtered_bytes
    return found


def _widened(block: StoredBlock) -> npt.NDArray[np.int32]:
    return np.frombuffer(block.samples, f"<i{block.width_bytes}").astype("<i4")


def _differences(counts: bytes) -> npt.NDArray[np.uint32]:
    """From each to the next, small numbers of either sign as small unsigned ones; wraps as 32-bit integers do."""
    change = np.diff(np.frombuffer(counts, "<i4"), prepend=np.int32(0))
    return ((change << 1) ^ (change >> 31)).view(np.uint32)


def _unzigzag(column: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    return (column >> np.uint32(1)).view(np.int32) ^ -(column & np.uint32(1)).view(np.int32)


def _flips(filtered: bytes) -> npt.NDArray[np.uint32]:
    """The bits in which each float32 differs from the one before."""
    bits = np.frombuffer(filtered, "<u4")
    flips: npt.NDArray[np.uint32] = bits ^ np.concatenate((np.zeros(min(1, bits.size), "<u4"), bits[:-1]))
    return flips


def _pressed(column: npt.NDArray[np.uint32]) -> bytes:
    """All lowest bytes, then all second ones …, compressed."""
    return zlib.compress(np.ascontiguousarray(column).view(np.uint8).reshape(-1, 4).T.tobytes(), _LEVEL)


def _loosened(blob: bytes) -> npt.NDArray[np.uint32]:
    planes = np.frombuffer(zlib.decompress(blob), np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(np.uint32)


def _damaged(error: Exception) -> PermanentError:
    return PermanentError(f"a stored waveform is damaged ({error}): restore the store from a backup")
