"""RR intervals of the ingest journal in, heart rate variability and the irregular-rhythm advisory out. Pure.

Of every wearable that sends intervals, once a minute, over its last `WINDOW_NS` and timed at the newest interval:
HRV (`signals.hrv`) once `hrv.Span.SHORT` is covered, which makes numbers comparable; the share of the intervals that
had to be corrected; and the share of the segments of 128 beats that look like fibrillation (`signals.irregularity`).
They are readings of `<device>:rr`. HRV that calls itself unusable is missing, with a poor signal as the reason.

The minute of a wearable begins at a second of its own, so that a thousand are not reckoned at once, and the same
intervals tell the same whatever was heard before the window, as after a restart.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numpy as np

from ingest.signals import hrv, rhythm
from vitals.columns import SAMPLE_DTYPE, Rows, SampleBlock
from vitals.derived import intervals_name
from vitals.model import Quality, Reason, Vital

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.signals.hrv import Variability
    from ingest.signals.rhythm import Corrected

CAPACITY: Final = 4_096  # wearables with intervals remembered, 10 kB each; the least recently heard goes
WINDOW_NS: Final = 300_000_000_000
EVERY_NS: Final = 60_000_000_000
_MOST: Final = 1_500  # intervals of a window: 300 a minute


@dataclass(slots=True)
class _Worn:
    """The intervals of one wearable: when they came and how long they were, oldest first."""

    patient: str
    gateway: str
    times_ns: list[int] = field(default_factory=list)
    rr_ms: list[float] = field(default_factory=list)


class Intervals:
    """See the module's text."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._worn: OrderedDict[str, _Worn] = OrderedDict()

    def feed(self, blocks: Iterable[SampleBlock]) -> SampleBlock:
        """What these blocks, in journal order, complete; a block without rows for nothing."""
        found: list[tuple[str, _Worn, Rows]] = []
        for block in blocks:
            rows = block.rows[block.rows["vital"] == Vital.RR_INTERVAL]
            rows = rows[(rows["reason"] == Reason.PRESENT) & (rows["quality"] != Quality.TEST)]
            for index in np.unique(rows["device"]).tolist():
                name, worn = intervals_name(block.devices[index]), self._remembered(block, index)
                if name is not None:
                    found += [(name, worn, told) for told in _heard(worn, name, rows[rows["device"] == index])]
        return _block(found)

    def _remembered(self, block: SampleBlock, index: int) -> _Worn:
        device, patient = block.devices[index], block.patients[index]
        worn = self._worn.get(device)
        if worn is None or worn.patient != patient:  # another wearer: begin afresh
            worn = self._worn[device] = _Worn(patient, block.gateways[index])
        self._worn.move_to_end(device)
        while len(self._worn) > self._capacity:
            self._worn.popitem(last=False)
        return worn


def _heard(worn: _Worn, name: str, rows: Rows) -> Iterator[Rows]:
    """Take intervals; what is to be told when a minute of this wearable has passed."""
    offset_ns = crc32(name.encode()) % 60 * 1_000_000_000
    for row in rows:
        at_ns = int(row["sampled_at_ns"])
        newest_ns = worn.times_ns[-1] if worn.times_ns else 0
        if at_ns < newest_ns:  # late: the series has gone on
            continue
        if newest_ns and (at_ns + offset_ns) // EVERY_NS > (newest_ns + offset_ns) // EVERY_NS:
            yield _told(worn, row)
        worn.times_ns.append(at_ns)
        worn.rr_ms.append(float(row["raw"]))
        if len(worn.times_ns) > 2 * _MOST:  # no heart beats so often: the memory is bounded all the same
            del worn.times_ns[:_MOST], worn.rr_ms[:_MOST]


def _told(worn: _Worn, row: Any) -> Rows:
    """The numbers of the window that ends with the newest interval; `row`: the interval after it, for its clock."""
    times_ns = np.array(worn.times_ns[-_MOST:], np.int64)
    first = int(np.searchsorted(times_ns, times_ns[-1] - WINDOW_NS))
    worn.times_ns, worn.rr_ms = worn.times_ns[-_MOST:][first:], worn.rr_ms[-_MOST:][first:]
    times_ns, rr_ms = times_ns[first:], np.array(worn.rr_ms)
    pieces = [rhythm.correct(rr_ms[piece]) for piece in rhythm.split(times_ns, rr_ms)]
    numbers = [*_variability(hrv.variability(pieces)), *_irregularity(pieces)]
    rows = np.zeros(len(numbers), SAMPLE_DTYPE)
    for name in ("received_at_ns", "uncertainty_ms", "clock"):
        rows[name] = row[name]
    rows["sampled_at_ns"] = times_ns[-1]
    rows["vital"], values = [vital for vital, _ in numbers], np.array([value for _, value in numbers], np.float64)
    rows["raw"] = rows["value"] = np.round(values, 2)
    rows["quality"] = np.where(np.isnan(values), Quality.UNUSABLE, Quality.USABLE)
    rows["reason"] = np.where(np.isnan(values), Reason.POOR_SIGNAL, Reason.PRESENT)
    return rows


def _variability(found: Variability) -> list[tuple[Vital, float]]:
    if found.span == hrv.Span.ULTRA_SHORT:
        return []
    numbers = [
        (Vital.HRV_SDNN, found.sdnn_ms),
        (Vital.HRV_RMSSD, found.rmssd_ms),
        (Vital.HRV_PNN50, found.pnn50_pct),
        (Vital.HRV_LF_HF, found.lf_to_hf),
    ]
    told = [(vital, value if found.usable else math.nan) for vital, value in numbers]
    return [*told, (Vital.HRV_CORRECTED, 100 * found.corrected_share)]


def _irregularity(pieces: list[Corrected]) -> list[tuple[Vital, float]]:
    verdicts = [advisory.suspected for piece in pieces for advisory in piece.advisories]
    return [(Vital.IRREGULARITY, 100 * sum(verdicts) / len(verdicts))] if verdicts else []


def _block(found: list[tuple[str, _Worn, Rows]]) -> SampleBlock:
    """The readings as a block of devices `<device>:rr`."""
    index: dict[tuple[str, str, str], int] = {}
    parts = []
    for name, worn, rows in found:
        rows["device"] = rows["source"] = index.setdefault((name, worn.patient, worn.gateway), len(index))
        parts.append(rows)
    devices, patients, gateways = zip(*index, strict=True) if index else ((), (), ())
    return SampleBlock(devices, patients, gateways, np.concatenate([np.empty(0, SAMPLE_DTYPE), *parts]))
