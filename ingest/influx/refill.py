"""From the embedded store to lines: backfill, what a target owes, and rollups.

All of it is idempotent: the keys are those of the live path, so sending anything twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np

from ingest.influx.config import Kind, Target
from ingest.influx.line_protocol import Lines, in_bodies, joined, vitals_lines
from ingest.influx.rollup_lines import MINUTES, QUARTER_NS, QUARTERS, quarters_of, rollup_line, rollups_of
from ingest.influx.wave_lines import WAVES, Moment, wave_body
from ingest.store.answers import Samples
from ingest.store.reader import StoreReader
from vitals.columns import SAMPLE_DTYPE, SampleBlock

HOUR_NS: Final = 3_600 * 10**9  # read at once: of one patient some 40,000 readings, 5 MB of lines
_LONGEST_BLOCK_NS: Final = 5 * 10**9  # of a wave; a wearable sends one a second
_SNIPPET_BYTES: Final = 256 << 10  # some 3,000 lines in one POST: an alarm's
_COLUMNS: Final = ("sampled_at_ns", "received_at_ns", "raw", "value", "device", "sequence", "vital", "reason")


@dataclass(frozen=True, slots=True)
class Refill:
    """What the embedded store holds, as lines for one target."""

    reader: StoreReader
    target: Target
    site: str

    def readings(self, patient: str, start_ns: int, end_ns: int, *, oldest_ns: int = 0) -> Lines:
        """The readings of one patient in the interval, half open."""
        samples = self.reader.samples(patient, None, start_ns, end_ns)
        return vitals_lines([block_of(samples, patient)], self.site, self.target.precision, oldest_ns=oldest_ns)

    def rollups(self, patient: str, start_ns: int, end_ns: int, *, oldest_ns: int = 0) -> tuple[bytes, ...]:
        """Bodies with the minutes of one patient in the interval, and the quarters of an hour that it touches.

        VictoriaMetrics would keep every version of a quarter that is not over: it gets one at its end.
        """
        first, last = start_ns // QUARTER_NS * QUARTER_NS, -(-end_ns // QUARTER_NS) * QUARTER_NS
        found = list(rollups_of(self.reader.all_minutes(patient, first, last)))
        minutes = (m for m in found if start_ns <= m.start_ns < end_ns)
        growing = self.target.kind is not Kind.VICTORIAMETRICS
        quarters = (q for q in quarters_of(iter(found)) if growing or q.start_ns + QUARTER_NS <= end_ns)
        wanted = chain(((MINUTES, m) for m in minutes), ((QUARTERS, q) for q in quarters))
        lines = [
            rollup_line(measurement, rollup, patient, self.site, self.target.precision)
            for measurement, rollup in wanted
            if rollup.start_ns >= oldest_ns
        ]
        return tuple(in_bodies(lines))

    def snippets(self, moments: Iterable[Moment], *, oldest_ns: int = 0) -> Iterator[bytes]:
        """Bodies with the pulse waves around `moments`, made one at a time; nothing of who wears no such device."""
        wanted = (moment for moment in moments if moment.at_ns >= oldest_ns)
        yield from joined((body for moment in wanted for body in self._snippet(moment)), _SNIPPET_BYTES)

    def _snippet(self, moment: Moment) -> Iterator[bytes]:
        start_ns, end_ns = moment.span_ns
        for waveform, name in WAVES.items():
            for wave in self.reader.waveforms(moment.patient, waveform, start_ns - _LONGEST_BLOCK_NS, end_ns):
                yield wave_body(wave, name, moment, self.site, self.target.precision)


def hours(start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    """The interval cut at whole hours, half open."""
    while start_ns < end_ns:
        stop_ns = min(end_ns, (start_ns // HOUR_NS + 1) * HOUR_NS)
        yield start_ns, stop_ns
        start_ns = stop_ns


def block_of(samples: Samples, patient: str) -> SampleBlock:
    """Stored samples in the form in which they were journalled."""
    rows = np.zeros(len(samples), SAMPLE_DTYPE)
    for name in (*_COLUMNS, "quality", "clock", "uncertainty_ms"):
        rows[name] = getattr(samples, name)
    devices = samples.devices
    rows["source"] = samples.source
    return SampleBlock(devices, (patient,) * len(devices), ("",) * len(devices), rows)
