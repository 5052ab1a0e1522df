"""Compares what a store holds with what the gateways of the story produced, reading by reading."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from chaos_story import Story

from ingest.store.answers import Samples
from ingest.store.reader import StoreReader
from vitals.model import DeviceBatch, Vital, Waveform

Key = tuple[int, int, int]  # vital, sampled_at_ns, sequence
_END_NS = 1 << 62


@dataclass(slots=True)
class Verdict:
    """Counts over all streams; everything but the first four must be 0."""

    readings: int = 0  # produced
    stored: int = 0
    waveforms: int = 0  # blocks produced
    late: int = 0  # readings that arrived after a younger one of their stream: allowed, unless in order
    missing: int = 0
    doubled: int = 0
    altered: int = 0
    invented: int = 0
    out_of_order: int = 0
    miscounted: int = 0  # difference between the minutes' counts and the readings

    @property
    def exact(self) -> bool:
        """Whether every reading is there once, unchanged and in order."""
        wrong = self.missing + self.doubled + self.altered + self.invented + self.out_of_order + self.miscounted
        return wrong == 0 and self.readings > 0


def judge(store: Path, story: Story, newest: dict[str, int], *, in_order: bool) -> Verdict:
    """The verdict on a store, `newest` being the last second each gateway produced.

    `in_order`: whether readings also have to have arrived in order. They do from gateways that send the oldest first;
    else live data go before a backlog (docs/decisions/0007).
    """
    verdict = Verdict()
    with StoreReader(store) as reader:
        for gateway, device, patient in story.worn():
            place = int(device.rpartition("-")[2])
            said = [story.device_second(place, device, second) for second in range(1, newest[gateway] + 1)]
            samples = reader.samples(patient, None, 0, _END_NS)
            own = samples.device == samples.devices.index(device) if device in samples.devices else np.zeros(0, bool)
            _compare_samples(verdict, said, samples, own)
            _compare_waveforms(verdict, said, reader, patient)
            verdict.miscounted += abs(_counted(reader, patient, device) - int(own.sum()))
    if in_order:
        verdict.out_of_order += verdict.late
    return verdict


def _counted(reader: StoreReader, patient: str, device: str) -> int:
    """What the minutes of the device say that there was, with a value or without."""
    total = 0
    for vital in _value_vitals():
        minutes = reader.minutes(patient, vital, 0, _END_NS)
        if device in minutes.devices:
            own = minutes.device == minutes.devices.index(device)
            total += int(minutes.count[own].sum()) + int(minutes.missing[own].sum())
    return total


def _value_vitals() -> tuple[Vital, ...]:
    return (Vital.PULSE_RATE, Vital.SPO2, Vital.RR_INTERVAL)


def _compare_samples(verdict: Verdict, said: list[DeviceBatch], found: Samples, own: npt.NDArray[np.bool_]) -> None:
    """Compare what the device said with its `own` rows: what the server makes of them stands beside."""
    expected = {
        (int(s.vital), s.sampled_at_ns, s.sequence): (s.value, int(s.reason)) for batch in said for s in batch.samples
    }
    columns = (found.vital, found.sampled_at_ns, found.sequence, found.raw, found.reason, found.received_at_ns)
    rows = list(zip(*(column[own].tolist() for column in columns), strict=True))
    seen: Counter[Key] = Counter()
    last: dict[int, tuple[int, int, int]] = {}
    for vital, at_ns, sequence, raw, reason, received_ns in rows:
        key = (vital, at_ns, sequence)
        seen[key] += 1
        value, why = expected.get(key, (math.inf, 0))
        verdict.invented += value == math.inf
        got = None if math.isnan(raw) else raw
        verdict.altered += value != math.inf and (got, reason) != (value, why)
        before_ns, before_sequence, before_received_ns = last.get(vital, (0, 0, 0))
        verdict.out_of_order += (at_ns, sequence) <= (before_ns, before_sequence)
        verdict.late += received_ns < before_received_ns
        last[vital] = (at_ns, sequence, max(received_ns, before_received_ns))
    verdict.readings += len(expected)
    verdict.stored += len(rows)
    verdict.missing += len(expected.keys() - seen.keys())
    verdict.doubled += sum(count - 1 for count in seen.values())


def _compare_waveforms(verdict: Verdict, said: list[DeviceBatch], reader: StoreReader, patient: str) -> None:
    expected = {w.started_at_ns: w.samples for batch in said for w in batch.waveforms}
    blocks = reader.waveforms(patient, Waveform.PPG_GREEN, 0, _END_NS)
    found = Counter(block.started_at_ns for block in blocks)
    verdict.waveforms += len(expected)
    verdict.missing += len(expected.keys() - found.keys())
    verdict.doubled += sum(count - 1 for count in found.values())
    verdict.invented += len(found.keys() - expected.keys())
    verdict.altered += sum(
        not np.array_equal(block.counts, np.frombuffer(expected[block.started_at_ns], "<i2"))
        for block in blocks
        if block.started_at_ns in expected
    )
