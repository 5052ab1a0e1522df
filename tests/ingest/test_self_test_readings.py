"""Readings of the synthetic patient: through the same checks as all others, and into records of their own."""

from __future__ import annotations

import numpy as np

from ingest.pipeline import Pipeline
from ingest.source import Incoming
from vitals.columns import RecordKind, SampleBlock, decode_block, part_of
from vitals.model import ClockSource, ClockTrust, DeviceBatch, GatewayBatch, Sample, Vital, Waveform, WaveformBlock
from vitals.self_test import SELF_TEST
from vitals.wire import encode

SECOND = 1_000_000_000
NOW = 1_750_000_000 * SECOND


def message(gateway: str, *devices: str, value: float = 43.0, at_ns: int = NOW) -> Incoming:
    wave = WaveformBlock(Waveform.PPG_RED, at_ns, 50.0, np.arange(50, dtype="<i4").tobytes())
    batches = tuple(DeviceBatch(d, (Sample(Vital.BODY_TEMPERATURE, at_ns, value),), (wave,)) for d in devices)
    batch = GatewayBatch(gateway, 0, 0, 0, at_ns, ClockTrust(ClockSource.SYNCHRONISED, 5.0), batches)
    return Incoming(f"wardlight/v1/north/{gateway}/batch", encode(batch), NOW, lambda: None)


def journalled(*messages: Incoming) -> list[tuple[int, SampleBlock]]:
    records = Pipeline({"ox-1": "P-1"}, site="north").feed(messages).records
    return [(kind, decode_block(payload)) for kind, payload in records]


def test_they_are_journalled_apart_from_the_ward_in_the_same_commit() -> None:
    found = journalled(message("gw-1", "ox-1", value=37.0), message(SELF_TEST, SELF_TEST), message("gw-2", "ox-2"))
    (ward_kind, ward), (test_kind, test) = found
    assert (ward_kind, test_kind) == (RecordKind.SAMPLES, RecordKind.SELF_TEST)
    assert (ward.devices, ward.gateways) == (("ox-1", "ox-2"), ("gw-1", "gw-2"))
    assert [(ward.devices[w.device], len(w.samples)) for w in ward.waveforms] == [("ox-1", 200), ("ox-2", 200)]
    assert (test.devices, test.patients, test.gateways) == ((SELF_TEST,), (SELF_TEST,), (SELF_TEST,))
    assert test.rows["value"].tolist() == [43.0]


def test_a_commit_of_them_alone_brings_nothing_of_the_ward() -> None:
    assert [kind for kind, _ in journalled(message(SELF_TEST, SELF_TEST))] == [RecordKind.SELF_TEST]


def test_they_are_judged_as_all_others() -> None:
    assert journalled(message(SELF_TEST, SELF_TEST, at_ns=NOW + 60 * SECOND)) == [], "a time that cannot be"


def test_a_name_alone_hides_no_wearable() -> None:
    """A wearable that happens to be called so, or a gateway: what it says is stored as ever."""
    found = journalled(message("gw-1", SELF_TEST), message(SELF_TEST, "ox-1"))
    assert [(kind, block.devices) for kind, block in found] == [(RecordKind.SAMPLES, (SELF_TEST, "ox-1"))]


def test_a_part_of_a_block_keeps_what_belongs_together() -> None:
    rows = journalled(message("gw-1", "a"), message("gw-1", "b"), message("gw-1", "c"))[0][1]
    part = part_of(rows, np.array([False, True, True]))
    assert part.devices == ("b", "c")
    assert part.rows["device"].tolist() == part.rows["source"].tolist() == [0, 1]
    assert [w.device for w in part.waveforms] == [0, 1]
