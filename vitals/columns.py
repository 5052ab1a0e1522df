"""Readings as columns: the form in which they are journalled, stored and judged.

One `SampleBlock` holds what one group commit brought, for many devices. Work across devices is then work on arrays,
and a journal record decodes without touching a single reading. Encode and decode are a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from vitals.errors import MalformedMessageError

_VERSION: Final = 2
_UNSOURCED_VERSION: Final = 1  # of releases before there were best values; still read

SAMPLE_DTYPE: Final = np.dtype(
    [
        ("sampled_at_ns", "<i8"),  # when the body produced it, UTC
        ("received_at_ns", "<i8"),  # when ingest got it, UTC
        ("raw", "<f8"),  # as received; NaN where nothing was
        ("value", "<f8"),  # validated and filtered; NaN where missing, with the reason
        ("uncertainty_ms", "<f4"),  # of sampled_at_ns
        ("device", "<u4"),  # index into SampleBlock.devices
        ("source", "<u4"),  # the same of the device that measured it: another one for a best value, else `device`
        ("sequence", "<u2"),
        ("vital", "u1"),
        ("reason", "u1"),
        ("quality", "u1"),
        ("clock", "u1"),  # ClockSource
    ]
)
Rows: TypeAlias = npt.NDArray[Any]  # structured, SAMPLE_DTYPE
_UNSOURCED_DTYPE: Final = np.dtype(
    [(name, SAMPLE_DTYPE[name]) for name in SAMPLE_DTYPE.names or () if name != "source"]
)


class RecordKind(IntEnum):
    """What a record of the ingest journal holds."""

    SAMPLES = 1  # `encode_block`
    STATUS = 2  # `vitals.control.encode_status`: a gateway came, went or reported
    SELF_TEST = 3  # `encode_block`: readings of the synthetic patient (`vitals.self_test`)


@dataclass(frozen=True, slots=True)
class WaveformRow:
    """One waveform block as received, and its band-passed form where the stream has one.

    `device`: index into `SampleBlock.devices`. `samples`: little-endian integers of `width_bytes`. `filtered`:
    little-endian float32 of the same number of samples, or empty.
    """

    device: int
    waveform: int
    started_at_ns: int
    received_at_ns: int
    sample_rate_hz: float
    width_bytes: int
    quality: int
    samples: bytes
    filtered: bytes = b""


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Readings of many devices in arrival order.

    `devices`, `patients`, `gateways`: parallel; who wears the device (a pseudonym, `""` when nobody is assigned) and
    which gateway heard it (`""` for virtual devices of `vitals.derived` that no single one stands for). `rows`: shape
    (n,), `SAMPLE_DTYPE`.
    """

    devices: tuple[str, ...]
    patients: tuple[str, ...]
    gateways: tuple[str, ...]
    rows: Rows
    waveforms: tuple[WaveformRow, ...] = field(default=())


def encode_block(block: SampleBlock) -> bytes:
    """The journal form of `block`."""
    return msgspec.msgpack.encode(
        [
            _VERSION,
            block.devices,
            block.patients,
            block.gateways,
            block.rows.tobytes(),
            [
                (
                    w.device,
                    w.waveform,
                    w.started_at_ns,
                    w.received_at_ns,
                    w.sample_rate_hz,
                    w.width_bytes,
                    w.quality,
                    w.samples,
                    w.filtered,
                )
                for w in block.waveforms
            ],
        ]
    )


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    version: int
    devices: tuple[str, ...]
    patients: tuple[str, ...]
    gateways: tuple[str, ...]
    rows: bytes
    waveforms: list[tuple[int, int, int, int, float, int, int, bytes, bytes]]


_DECODER: Final = msgspec.msgpack.Decoder(_Stored)


def decode_block(payload: bytes) -> SampleBlock:
    """Read a journal record; raises `MalformedMessageError` for anything that `encode_block` did not write."""
    try:
        stored = _DECODER.decode(payload)
        if stored.version not in (_VERSION, _UNSOURCED_VERSION):
            raise MalformedMessageError(
                "unknown_version",
                "version",
                f"a sample block of version {stored.version} cannot be read here",
            )
        rows = _rows(stored)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise MalformedMessageError("truncated", "", f"not a sample block: {error}") from error
    devices = len(stored.devices)
    if len(stored.patients) != devices or len(stored.gateways) != devices:
        raise MalformedMessageError("type", "patients", "devices, patients and gateways differ in length")
    listed = not rows.size or max(int(rows["device"].max()), int(rows["source"].max())) < devices
    if not listed or any(not 0 <= w[0] < devices for w in stored.waveforms):
        raise MalformedMessageError("type", "rows", "a row names a device that the block does not list")
    return SampleBlock(
        stored.devices,
        stored.patients,
        stored.gateways,
        rows,
        tuple(WaveformRow(*w) for w in stored.waveforms),
    )


def _rows(stored: _Stored) -> Rows:
    if stored.version == _VERSION:
        return np.frombuffer(stored.rows, dtype=SAMPLE_DTYPE)
    unsourced = np.frombuffer(stored.rows, dtype=_UNSOURCED_DTYPE)
    rows = np.empty(unsourced.size, SAMPLE_DTYPE)
    for name in _UNSOURCED_DTYPE.names or ():
        rows[name] = unsourced[name]
    rows["source"] = rows["device"]
    return rows


def part_of(block: SampleBlock, wanted: npt.NDArray[np.bool_]) -> SampleBlock:
    """The readings of the devices that `wanted`, (devices,), marks; `source` must be among them."""
    index = (np.cumsum(wanted) - 1).astype(np.uint32)
    rows = block.rows[wanted[block.rows["device"]]]
    rows["device"], rows["source"] = index[rows["device"]], index[rows["source"]]
    devices, patients, gateways = (
        tuple(name for name, kept in zip(names, wanted.tolist(), strict=True) if kept)
        for names in (block.devices, block.patients, block.gateways)
    )
    waveforms = tuple(_moved(w, int(index[w.device])) for w in block.waveforms if wanted[w.device])
    return SampleBlock(devices, patients, gateways, rows, waveforms)


def concatenate(blocks: Sequence[SampleBlock]) -> SampleBlock:
    """One block with the rows of all, in order; a device that several blocks list gets one index."""
    if len(blocks) == 1:
        return blocks[0]
    index: dict[tuple[str, str, str], int] = {}
    rows: list[Rows] = []
    waveforms: list[WaveformRow] = []
    for block in blocks:
        keys = zip(block.devices, block.patients, block.gateways, strict=True)
        moved = np.array([index.setdefault(key, len(index)) for key in keys], dtype=np.uint32)
        part = block.rows.copy()
        if part.size:
            part["device"], part["source"] = moved[part["device"]], moved[part["source"]]
        rows.append(part)
        waveforms.extend(_moved(w, int(moved[w.device])) for w in block.waveforms)
    devices, patients, gateways = zip(*index, strict=True) if index else ((), (), ())
    joined = np.concatenate(rows) if rows else np.empty(0, SAMPLE_DTYPE)
    return SampleBlock(devices, patients, gateways, joined, tuple(waveforms))


def _moved(row: WaveformRow, device: int) -> WaveformRow:
    return WaveformRow(
        device,
        row.waveform,
        row.started_at_ns,
        row.received_at_ns,
        row.sample_rate_hz,
        row.width_bytes,
        row.quality,
        row.samples,
        row.filtered,
    )
