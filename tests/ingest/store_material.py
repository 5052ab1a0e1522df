"""What the tests of the store share: readings in words and as blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.store.rows import BUCKET_NS
from vitals.columns import SAMPLE_DTYPE, SampleBlock, WaveformRow
from vitals.model import Reason, Vital

SECOND_NS = 10**9
START_NS = 1_767_225_600 * SECOND_NS  # 2026-01-01, the beginning of a bucket
assert START_NS % BUCKET_NS == 0


@dataclass(frozen=True)
class Reading:
    """One row, in words. `value` is `None` when missing."""

    device: str
    vital: int
    sampled_at_ns: int
    sequence: int
    value: float | None
    patient: str = "P-0001"
    raw: float = 1.0
    reason: int = int(Reason.PRESENT)
    source: str = ""

    @property
    def key(self) -> tuple[str, int, int, int]:
        return self.device, self.vital, self.sampled_at_ns, self.sequence


def reading(at_s: float, value: float | None = 80.0, **others: object) -> Reading:
    """A pulse rate of the one device, `at_s` seconds after `START_NS`."""
    settings = {"device": "ox-1", "vital": int(Vital.PULSE_RATE), "sequence": 0, **others}
    settings.setdefault("reason", int(Reason.PROBE_OFF if value is None else Reason.PRESENT))
    settings.setdefault("raw", float("nan") if value is None else value)
    return Reading(sampled_at_ns=START_NS + round(at_s * SECOND_NS), value=value, **settings)


def block(readings: Sequence[Reading], waveforms: Iterable[tuple[str, str, WaveformRow]] = ()) -> SampleBlock:
    """Readings, and waveforms with their device and patient, as the pipeline hands them over."""
    found = list(waveforms)
    wearers = list(
        dict.fromkeys(
            [(name, r.patient) for r in readings for name in (r.device, r.source) if name]
            + [(d, p) for d, p, _ in found]
        )
    )
    rows = np.zeros(len(readings), SAMPLE_DTYPE)
    for index, r in enumerate(readings):
        rows[index] = (
            r.sampled_at_ns,
            r.sampled_at_ns + 123_456_789,
            r.raw,
            np.nan if r.value is None else r.value,
            50.0,
            wearers.index((r.device, r.patient)),
            wearers.index((r.source or r.device, r.patient)),
            r.sequence,
            r.vital,
            r.reason,
            1,
            0,
        )
    return SampleBlock(
        tuple(device for device, _ in wearers),
        tuple(patient for _, patient in wearers),
        ("gw-1",) * len(wearers),
        rows,
        tuple(_on(w, wearers.index((d, p))) for d, p, w in found),
    )


def _on(row: WaveformRow, device: int) -> WaveformRow:
    fields = (getattr(row, name) for name in row.__dataclass_fields__ if name != "device")
    return WaveformRow(device, *fields)
