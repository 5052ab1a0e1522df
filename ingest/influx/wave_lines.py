"""Snippets of pulse waves around alarms as line protocol. Pure.

    ppg,device=ox-17,patient=P-0001,site=north,wave=infrared count=131072.0,filtered=-12.5 1767225600000000000

One line per sample: `count` as the sensor counted, `filtered` as ingest band-passed it, left out where it did not.
Whole waves stay in the embedded store: a day of one wearable would be nine million lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np

from ingest.influx.line_protocol import UNASSIGNED, Precision, head_of
from ingest.store.answers import StoredWaveform
from vitals.model import Waveform

MEASUREMENT: Final = "ppg"
WAVES: Final = {Waveform.PPG_INFRARED: "infrared", Waveform.PPG_RED: "red", Waveform.PPG_GREEN: "green"}
BEFORE_NS: Final = 15 * 10**9  # an alarm is raised some 15 s after what it is about began
AFTER_NS: Final = 5 * 10**9


@dataclass(frozen=True, slots=True)
class Moment:
    """When an alarm of a patient was raised."""

    patient: str
    at_ns: int

    @property
    def span_ns(self) -> tuple[int, int]:
        """What of a wave is worth a look, half open."""
        return self.at_ns - BEFORE_NS, self.at_ns + AFTER_NS


def wave_body(wave: StoredWaveform, name: str, moment: Moment, site: str, precision: Precision) -> bytes:
    """The lines of one block, as far as it lies in the moment's span; one second of it, as wearables send them."""
    start_ns, end_ns = moment.span_ns
    steps = np.arange(wave.counts.size) * (10**9 / wave.sample_rate_hz)
    at_ns = wave.started_at_ns + steps.astype(np.int64)
    inside = (at_ns >= start_ns) & (at_ns < end_ns)
    if not inside.any():
        return b""
    tags = {"device": wave.device, "patient": moment.patient or UNASSIGNED, "site": site, "wave": name}
    stamps = (at_ns[inside] // precision.divisor).tolist()
    counts = wave.counts[inside].tolist()
    head = head_of(MEASUREMENT, tags).replace("%", "%%")
    if wave.filtered.size and np.isfinite(wave.filtered).all():
        return _filled(f"{head}count=%d.0,filtered=%.6g %d\n", counts, wave.filtered[inside].tolist(), stamps)
    return _filled(f"{head}count=%d.0 %d\n", counts, stamps)


def _filled(template: str, *columns: list[float]) -> bytes:
    return (template * len(columns[0]) % tuple(chain.from_iterable(zip(*columns, strict=True)))).encode()
