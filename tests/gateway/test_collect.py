"""Collecting: what is urgent, what is joined, what is refused, and what is bounded."""

from __future__ import annotations

import pytest

from gateway import collect
from gateway.collect import Collector, HeardDevice
from gateway.devices.driver import Heard, HeardSample, HeardWave
from vitals.model import Reason, Vital, Waveform
from vitals.wire import MAX_SAMPLES

S = 1_000_000_000


def spo2(at_s: float, value: float | None, reason: Reason = Reason.PRESENT, *, stored: bool = False) -> Heard:
    return Heard((HeardSample(Vital.SPO2, int(at_s * S), value, reason, stored=stored),))


def wave(start: int, count: int, *, waveform: Waveform = Waveform.PPG_RED, late_s: float = 0.0) -> Heard:
    samples = b"".join(n.to_bytes(4, "little") for n in range(start, start + count))
    return Heard(waves=(HeardWave(waveform, int((start / 50 + late_s) * S), 50.0, samples),))


@pytest.mark.parametrize(
    ("said", "urgent"),
    [
        ([(97, Reason.PRESENT)], False),
        ([(88, Reason.PRESENT)], True),  # low from the start
        ([(None, Reason.PROBE_OFF)], True),
        ([(97, Reason.PRESENT), (98, Reason.PRESENT)], False),
        ([(97, Reason.PRESENT), (93, Reason.PRESENT)], True),  # leaves the calm band
        ([(100, Reason.PRESENT), (97, Reason.PRESENT)], True),  # jumps
        ([(93, Reason.PRESENT), (94, Reason.PRESENT)], True),  # comes back
        ([(93, Reason.PRESENT), (92, Reason.PRESENT)], True),  # gets worse
        ([(93, Reason.PRESENT), (93, Reason.PRESENT)], False),
        ([(97, Reason.PRESENT), (None, Reason.PROBE_OFF)], True),
        ([(None, Reason.PROBE_OFF), (None, Reason.PROBE_OFF)], False),
        ([(None, Reason.PROBE_OFF), (None, Reason.SEARCHING)], True),
        ([(None, Reason.SEARCHING), (97, Reason.PRESENT)], True),
    ],
)
def test_what_is_urgent(said: list[tuple[float | None, Reason]], urgent: bool) -> None:
    collector = Collector()
    answers = [collector.hear("ox", spo2(at, value, reason)) for at, (value, reason) in enumerate(said)]
    assert answers[-1] is urgent


def test_what_a_device_stored_is_never_urgent() -> None:
    collector = Collector()
    assert not collector.hear("ox", spo2(1, 70, stored=True))
    assert collector.newest("ox", Vital.SPO2) is None


def test_readings_keep_their_order_and_are_taken_once() -> None:
    collector = Collector()
    for at in (1, 2, 3):
        collector.hear("ox", spo2(at, 97), rssi_dbm=-60)
    (taken,) = collector.take()
    assert [s.at_monotonic_ns for s in taken.samples] == [S, 2 * S, 3 * S]
    assert taken.rssi_dbm == -60
    assert collector.take() == ()


def test_what_came_before_is_refused() -> None:
    collector = Collector()
    collector.hear("ox", spo2(1, 97))
    collector.take()
    collector.hear("ox", spo2(1, 97))
    collector.hear("other", spo2(1, 97))
    assert [d.device for d in collector.take()] == ["other"]
    assert collector.counts["duplicates"] == 1


def test_pieces_of_a_signal_become_one_block() -> None:
    collector = Collector()
    for start in range(0, 50, 10):
        collector.hear("ox", wave(start, 10, late_s=0.002))
    (taken,) = collector.take()
    (block,) = taken.waves
    assert [int.from_bytes(block.samples[i : i + 4], "little") for i in range(0, 200, 4)] == list(range(50))
    assert block.at_monotonic_ns == 2_000_000


def test_a_gap_splits_the_block_and_streams_stay_apart() -> None:
    collector = Collector()
    for heard in (wave(0, 10), wave(20, 10), wave(0, 10, waveform=Waveform.PPG_INFRARED)):
        collector.hear("ox", heard)
    (taken,) = collector.take()
    assert sorted((w.waveform, w.at_monotonic_ns, len(w.samples) // 4) for w in taken.waves) == [
        (Waveform.PPG_INFRARED, 0, 10),
        (Waveform.PPG_RED, 0, 10),
        (Waveform.PPG_RED, S * 2 // 5, 10),
    ]


def test_an_urgent_take_leaves_signals_for_the_whole_second() -> None:
    collector = Collector()
    collector.hear("ox", wave(0, 10))
    collector.hear("ox", spo2(0, 80))
    assert collector.take(whole_second=False)[0].waves == ()
    collector.hear("ox", wave(10, 10))
    (taken,) = collector.take()
    assert [len(w.samples) // 4 for w in taken.waves] == [20]


def test_a_stored_file_goes_in_parts_and_its_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "MAX_WAITING", 2_000)
    collector = Collector()
    samples = tuple(HeardSample(Vital.SPO2, at * S, 97.0, stored=True) for at in range(-100, 2_400))
    collector.hear("ring", Heard(samples))
    taken: list[HeardDevice] = []
    while part := collector.take():
        assert all(len(d.samples) <= MAX_SAMPLES for d in part)
        taken += part
    assert [s for d in taken for s in d.samples] == list(samples[-2_000:])
    assert collector.counts["dropped samples"] == 500
    assert not collector.backed_up


def test_a_device_that_sends_gaps_only_is_bounded() -> None:
    collector = Collector()
    for start in range(0, 40_000, 20):
        collector.hear("ox", wave(start, 1))
    assert sum(len(d.waves) for _ in range(10) for d in collector.take()) <= collect.MAX_BLOCKS + 1
    assert collector.counts["dropped waves"] > 0
