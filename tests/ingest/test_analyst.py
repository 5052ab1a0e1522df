"""What the analyst derives from pulse waves: near the truth, only what the wearable does not send, never over a gap."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.signals.analyst import Analyst
from vitals.columns import SAMPLE_DTYPE, Rows, SampleBlock, WaveformRow
from vitals.model import Quality, Reason, Vital, Waveform

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
RATE_HZ = 50
PULSE, BREATH = 72.0, 15.0


def samples(second: int, rate_hz: int = RATE_HZ, *, pulse: float = PULSE, phase: float = 0.0) -> np.ndarray:
    """A second of a pulse wave whose intensity and rate breathe."""
    at_s = second + np.arange(rate_hz) / rate_hz + phase
    breath = np.sin(2 * np.pi * BREATH / 60 * at_s)
    turn = 2 * np.pi * pulse / 60 * at_s + 0.25 * breath
    wave = np.exp(3.0 * np.cos(turn)) + 0.25 * np.exp(3.0 * np.cos(turn - 1.9))
    return np.rint(100_000 + 60 * wave + 90 * breath)


def second_of(
    device: str,
    second: int,
    *own: Vital,
    wave: np.ndarray | None = None,
    motion: bool = False,
    quality: Quality = Quality.UNKNOWN,
) -> SampleBlock:
    """What ingest journals of one device's second."""
    at_ns = START_NS + second * NS
    rows = np.zeros(len(own), SAMPLE_DTYPE)
    rows["vital"], rows["sampled_at_ns"], rows["value"] = list(own), at_ns, 60
    counts = samples(second) if wave is None else wave
    waves = {Waveform.PPG_INFRARED: counts, Waveform.PPG_RED: counts / 2}
    if motion:
        waves |= {axis: np.full(RATE_HZ, 74.0) for axis in Waveform if axis >= Waveform.ACCELERATION_X}
    blocks = tuple(
        WaveformRow(0, kind, at_ns, at_ns + NS, len(v), 4, int(quality), v.astype("<i4").tobytes())
        for kind, v in waves.items()
    )
    return SampleBlock((device,), ("P-0001",), ("gw-1",), rows, blocks)


def told(analyst: Analyst, blocks: list[SampleBlock]) -> list[SampleBlock]:
    return [found for block in blocks if len((found := analyst.feed([block])).rows)]


def rates(analyst: Analyst, blocks: list[SampleBlock]) -> list[SampleBlock]:
    return [b for b in told(analyst, blocks) if (b.rows["vital"] != Vital.SIGNAL_QUALITY).any()]


def of(found: list[SampleBlock], vital: Vital) -> Rows:
    parts = [block.rows[block.rows["vital"] == vital] for block in found]
    return np.concatenate(parts) if parts else np.empty(0, SAMPLE_DTYPE)


def test_both_rates_of_a_wearable_that_sends_none_are_near_the_truth() -> None:
    found = told(Analyst(), [second_of("ox-1", s) for s in range(70)])
    assert {b.devices for b in found} == {("ox-1:ppg",)}
    assert {b.patients + b.gateways for b in found} == {("P-0001", "gw-1")}
    pulse, resp = of(found, Vital.PULSE_RATE), of(found, Vital.RESP_RATE)
    assert len(pulse) > 55
    assert np.abs(pulse["value"] - PULSE).max() < 2
    assert len(resp) > 30
    assert np.abs(resp["value"][-20:] - BREATH).max() < 1.5
    assert set(np.concatenate([pulse, resp])["quality"]) == {Quality.USABLE}
    assert resp["sampled_at_ns"][-1] == START_NS + 70 * NS, "the end of the second that was analysed"


def test_its_own_numbers_are_preferred_and_missed_when_they_stop() -> None:
    own = (Vital.HEART_RATE, Vital.RESP_RATE)
    analyst = Analyst()
    assert rates(analyst, [second_of("ox-1", s, *own) for s in range(60)]) == []
    found = told(analyst, [second_of("ox-1", s, Vital.RESP_RATE) for s in range(60, 100)])
    assert len(of(found, Vital.PULSE_RATE)) > 15
    assert of(found, Vital.PULSE_RATE)["sampled_at_ns"][0] > START_NS + 69 * NS
    assert len(of(found, Vital.RESP_RATE)) == 0


def test_how_good_its_wave_is_is_said_of_a_wearable_with_numbers_of_its_own_too() -> None:
    analyst, own = Analyst(), (Vital.PULSE_RATE, Vital.RESP_RATE)
    good = of(told(analyst, [second_of("ox-1", s, *own) for s in range(40)]), Vital.SIGNAL_QUALITY)
    assert (np.diff(good["sampled_at_ns"]) <= 5 * NS).all()
    assert len(good) in (7, 8)
    assert good["quality"][-1] == Quality.USABLE
    assert good["value"][-1] > 50
    noise = np.random.default_rng(1)
    wild = [second_of("ox-1", s, *own, wave=noise.integers(0, 60_000, RATE_HZ)) for s in range(40, 46)]
    doubted = of(told(analyst, wild), Vital.SIGNAL_QUALITY)
    assert doubted["quality"][-1] >= Quality.DOUBTFUL
    first = doubted[doubted["quality"] >= Quality.DOUBTFUL]["sampled_at_ns"][0]
    assert first - START_NS <= 45 * NS, "within 5 s"


def test_a_wave_that_stands_still_is_off_the_skin_within_five_seconds() -> None:
    analyst = Analyst()
    told(analyst, [second_of("ox-1", s, Vital.PULSE_RATE) for s in range(20)])
    still = of(
        told(analyst, [second_of("ox-1", s, Vital.PULSE_RATE, wave=np.full(RATE_HZ, 7.0)) for s in range(20, 25)]),
        Vital.SIGNAL_QUALITY,
    )
    assert still["reason"][-1] == Reason.PROBE_OFF
    assert np.isnan(still["value"][-1])


def test_under_motion_the_wave_is_judged_by_the_confidence_in_its_pulse() -> None:
    found = told(Analyst(), [second_of("band-1", s, Vital.PULSE_RATE, motion=True) for s in range(30)])
    assert set(of(found, Vital.SIGNAL_QUALITY)["quality"]) == {Quality.USABLE}
    assert len(of(found, Vital.PULSE_RATE)) == 0


def test_nothing_is_said_over_a_gap_in_test_mode_or_of_noise() -> None:
    analyst = Analyst()
    before = told(analyst, [second_of("ox-1", s) for s in range(20)])
    after = told(analyst, [second_of("ox-1", s) for s in range(25, 29)])
    assert before
    assert after == [], "after a gap it begins afresh"
    assert told(Analyst(), [second_of("ox-1", s, quality=Quality.TEST) for s in range(30)]) == []
    noise = np.random.default_rng(1)
    flat = [second_of("ox-1", s, wave=np.full(RATE_HZ, 7.0)) for s in range(30)]
    wild = [second_of("ox-1", s, wave=noise.integers(0, 60_000, RATE_HZ)) for s in range(30)]
    assert rates(Analyst(), flat) == rates(Analyst(), wild) == []


def test_blocks_of_any_length_and_commits_of_any_size_tell_the_same() -> None:
    whole = [second_of("ox-1", s) for s in range(45)]
    halves = []
    for block in whole:
        for part in range(2):
            cut = [
                WaveformRow(0, w.waveform, w.started_at_ns + part * NS // 2, w.received_at_ns, 50, 4, 0,
                            w.samples[part * 100 : part * 100 + 100])
                for w in block.waveforms
            ]  # fmt: skip
            halves.append(SampleBlock(block.devices, block.patients, block.gateways, block.rows, tuple(cut)))
    once = Analyst().feed(whole).rows
    assert len(once)
    for blocks in (whole, halves):
        assert np.array_equal(np.concatenate([b.rows for b in told(Analyst(), blocks)]), once)


def test_what_a_wearable_tells_does_not_depend_on_the_others() -> None:
    alone = Analyst().feed([second_of("ox-1", s) for s in range(45)]).rows
    analyst, found = Analyst(), []
    for s in range(45):
        other = [second_of("ox-2", s, wave=samples(s, 100, phase=0.3))] if s > 7 else []
        third = [second_of("ox-3", s, wave=samples(s, phase=0.7))] if s % 20 else []
        block = analyst.feed([*third, second_of("ox-1", s), *other])
        mine = [i for i, device in enumerate(block.devices) if device == "ox-1:ppg"]
        found.append(block.rows[np.isin(block.rows["device"], mine)])
    rows = np.concatenate(found)
    for name in ("sampled_at_ns", "vital", "quality"):
        assert np.array_equal(rows[name], alone[name])
    assert rows["value"] == pytest.approx(alone["value"], abs=0.11)


def test_after_a_restart_the_last_forty_seconds_are_enough() -> None:
    blocks = [second_of("ox-1", s) for s in range(130)]
    through, restarted = Analyst(), Analyst()
    through.feed(blocks[:100])
    restarted.feed(blocks[60:100])
    expected, found = through.feed(blocks[100:]).rows, restarted.feed(blocks[100:]).rows
    assert np.array_equal(found[["vital", "sampled_at_ns"]], expected[["vital", "sampled_at_ns"]])
    assert found["value"] == pytest.approx(expected["value"], abs=0.3)


def test_with_an_accelerometer_the_pulse_is_that_of_the_motion_method() -> None:
    found = told(Analyst(), [second_of("band-1", s, motion=True) for s in range(40)])
    pulse = of(found, Vital.PULSE_RATE)
    assert len(pulse) > 20
    assert np.abs(pulse["value"] - PULSE).max() < 3
    assert pulse["sampled_at_ns"][-1] == START_NS + 36 * NS, "the window ended the latency before"
    assert len(of(found, Vital.RESP_RATE)) == 0


def test_the_number_of_wearables_is_bounded_and_names_stay_names() -> None:
    analyst = Analyst(capacity=1)
    assert told(analyst, [second_of(f"ox-{s % 2}", s) for s in range(60)]) == []
    long = "x" * 61
    assert told(Analyst(), [second_of(long, s) for s in range(20)]) == []
    assert told(Analyst(), [second_of("ox-1:ppg", s) for s in range(20)]) == []
