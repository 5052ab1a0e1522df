"""What the embedded store answers: frozen columns. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.store.rollup import Minutes as MinuteRows
from ingest.store.rows import Rows
from ingest.store.waveform_blobs import StoredBlock
from vitals.derived import is_best

Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SeriesName:
    """One stream of one device: `stream` is a `Vital` or a `Waveform`."""

    device: str
    stream: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one patient, ordered by `sampled_at_ns`, then device, vital and `sequence`.

    Columns of shape (n,); see `vitals.columns.SAMPLE_DTYPE` for their types and meaning. `received_at_ns` is kept in
    whole milliseconds. `device`, `source`: indices into `devices`; the source is the device itself, but for a best
    value the one that measured it.
    """

    devices: tuple[str, ...]
    device: Column
    source: Column
    vital: Column
    sampled_at_ns: Column
    received_at_ns: Column
    sequence: Column
    raw: Column
    value: Column
    reason: Column
    quality: Column
    clock: Column
    uncertainty_ms: Column

    def __len__(self) -> int:
        return int(self.sampled_at_ns.size)


@dataclass(frozen=True, slots=True)
class Minutes:
    """One-minute rollups of one vital of one patient, ordered by `minute_ns`, then device.

    Columns of shape (n,); see `ingest.store.rollup.MINUTE_DTYPE`. `device`: index into `devices`.
    """

    devices: tuple[str, ...]
    device: Column
    minute_ns: Column
    count: Column
    covered_s: Column
    minimum: Column
    maximum: Column
    mean: Column
    missing: Column
    reason: Column

    def __len__(self) -> int:
        return int(self.minute_ns.size)


@dataclass(frozen=True, slots=True)
class StoredWaveform:
    """One block. `counts`: as the sensor counted, int16 or int32, shape (n,). `filtered`: float32, (n,) or (0,)."""

    device: str
    started_at_ns: int
    received_at_ns: int
    sample_rate_hz: float
    quality: int
    counts: Column
    filtered: Column


@dataclass(frozen=True, slots=True)
class Totals:
    """How much the store holds, each key counted once."""

    samples: int
    waveforms: int  # blocks
    patients: int
    series: int


def samples_of(rows: Rows, names: dict[int, SeriesName], sources: dict[int, str]) -> Samples:
    """`rows` with the names of their series and of the `sources` of best values, in the order that `Samples` promises.

    They come series by series in the order of `names`, which is by device and vital, and by time within.
    """
    at = rows["sampled_at_ns"]
    if (at[1:] < at[:-1]).any():
        rows = rows[np.argsort(at, kind="stable")]
    devices = tuple(sorted({name.device for name in names.values()}))
    device, vital = _named(rows["series"], names, devices)
    sequence, source = rows["sequence"].copy(), device.copy()
    best = np.isin(device, [place for place, name in enumerate(devices) if is_best(name)])
    places = {name: place for place, name in enumerate(devices)}
    for number in np.unique(sequence[best]).tolist():
        if number in sources:
            source[best & (sequence == number)] = places.setdefault(sources[number], len(places))
    sequence[best] = 0
    columns = {name: rows[name] for name in rows.dtype.names or () if name not in ("series", "patient", "sequence")}
    return Samples(tuple(places), device, source, vital, sequence=sequence, **columns)


def minutes_named(rows: MinuteRows, names: dict[int, SeriesName]) -> Minutes:
    """`rows` with the names of their series, in the order that `Minutes` promises."""
    devices = tuple(sorted({name.device for name in names.values()}))
    device, _ = _named(rows["series"], names, devices)
    order = np.lexsort((device, rows["minute_ns"]))
    rows = rows[order]
    columns = {name: rows[name] for name in rows.dtype.names or () if name not in ("series", "patient")}
    return Minutes(devices, device[order], **columns)


def shown(block: StoredBlock, device: str) -> StoredWaveform:
    """A stored block with its numbers as arrays."""
    return StoredWaveform(
        device,
        block.started_at_ns,
        block.received_at_ns,
        block.sample_rate_hz,
        block.quality,
        np.frombuffer(block.samples, f"<i{block.width_bytes}"),
        np.frombuffer(block.filtered, "<f4"),
    )


def _named(series: Column, names: dict[int, SeriesName], devices: tuple[str, ...]) -> tuple[Column, Column]:
    """The device (index into `devices`) and the stream of each row."""
    if not names:
        return np.empty(0, np.uint32), np.empty(0, np.uint8)
    numbers = np.array(sorted(names))
    place = np.searchsorted(numbers, series)
    device = np.array([devices.index(names[number].device) for number in numbers.tolist()], np.uint32)
    stream = np.array([names[number].stream for number in numbers.tolist()], np.uint8)
    return device[place], stream[place]
