"""What is stored here held against what a target holds, stream by stream: counts and values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ingest.influx.line_protocol import Precision, stamps_of
from ingest.store.answers import Samples

Stream: TypeAlias = tuple[str, int]  # device, vital
TOLERANCE: Final = 1e-12  # relative: VictoriaMetrics keeps some fifteen decimal digits


@dataclass(frozen=True, slots=True)
class Points:
    """One stream. `stamps`: (n,) ascending, unique; `values`: (n,) NaN where there is none, with a reason instead."""

    stamps: npt.NDArray[Any]
    values: npt.NDArray[Any]

    @classmethod
    def of(cls, stamps: npt.NDArray[Any], values: npt.NDArray[Any]) -> Points:
        """Points in any order; of equal stamps the last one stands."""
        order = np.argsort(stamps, kind="stable")
        stamps, values = stamps[order], values[order]
        last = np.ones(stamps.size, bool)
        last[:-1] = stamps[1:] != stamps[:-1]
        return cls(stamps[last], values[last])


@dataclass(frozen=True, slots=True)
class Difference:
    """How one stream of a patient differs in one hour."""

    patient: str
    hour_ns: int
    device: str
    vital: int
    stored: int
    found: int
    missing: int  # at the target
    extra: int  # at the target
    changed: int  # values that differ


def stored_points(samples: Samples, precision: Precision, start_ns: int, end_ns: int) -> dict[Stream, Points]:
    """The streams of `samples` whose stamps stand in the interval, as the target should hold them."""
    stamps = stamps_of(samples.sampled_at_ns, samples.sequence, precision)
    inside = (stamps >= start_ns // precision.divisor) & (stamps < end_ns // precision.divisor)
    found: dict[Stream, Points] = {}
    codes = samples.device.astype(np.int64) * 256 + samples.vital
    for code in np.unique(codes[inside]).tolist():
        mine = inside & (codes == code)
        device, vital = divmod(code, 256)
        found[samples.devices[device], vital] = Points.of(stamps[mine], samples.value[mine])
    return found


def differences(
    patient: str, hour_ns: int, stored: Mapping[Stream, Points], found: Mapping[Stream, Points]
) -> Iterator[Difference]:
    """The streams that differ, by device and vital."""
    nothing = Points(np.empty(0, np.int64), np.empty(0))
    for device, vital in sorted({*stored, *found}):
        ours, theirs = stored.get((device, vital), nothing), found.get((device, vital), nothing)
        common, mine, other = np.intersect1d(ours.stamps, theirs.stamps, assume_unique=True, return_indices=True)
        same = np.isclose(ours.values[mine], theirs.values[other], rtol=TOLERANCE, atol=0.0, equal_nan=True)
        missing, extra = ours.stamps.size - common.size, theirs.stamps.size - common.size
        changed = int(common.size - same.sum())
        if missing or extra or changed:
            sizes = (ours.stamps.size, theirs.stamps.size)
            yield Difference(patient, hour_ns, device, vital, *sizes, missing, extra, changed)
