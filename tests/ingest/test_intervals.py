"""Numbers from RR intervals as journalled: once a minute, comparable, honest, and alike after a restart."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.signals.intervals import Intervals
from vitals.columns import SAMPLE_DTYPE, SampleBlock
from vitals.model import Quality, Reason, Vital

NS = 1_000_000_000
T0 = 1_700_000_000 * NS


def blocks(rr_ms: np.ndarray, *, device: str = "strap-1", quality: Quality = Quality.USABLE) -> list[SampleBlock]:
    """Intervals as they come, one a block."""
    found = []
    for at_ms, interval in zip(np.cumsum(rr_ms), rr_ms, strict=True):
        rows = np.zeros(1, SAMPLE_DTYPE)
        rows["vital"], rows["raw"], rows["value"] = Vital.RR_INTERVAL, interval, interval
        rows["quality"], rows["sampled_at_ns"] = quality, T0 + int(at_ms * 1e6)
        rows["received_at_ns"] = rows["sampled_at_ns"] + NS
        found.append(SampleBlock((device,), ("P-1",), ("gw",), rows))
    return found


def sinus(beats: int) -> np.ndarray:
    """A calm rhythm of 60 /min that breathes."""
    number = np.arange(beats)
    return 1_000 + 30 * np.sin(2 * np.pi * number / 4) + 20 * np.sin(2 * np.pi * number / 12)


def told(found: SampleBlock, vital: Vital) -> np.ndarray:
    return found.rows[found.rows["vital"] == vital]


def test_a_calm_rhythm_has_its_variability_once_five_minutes_are_covered() -> None:
    found = Intervals().feed(blocks(sinus(600)))
    assert set(found.devices) == {"strap-1:rr"}
    sdnn = told(found, Vital.HRV_SDNN)
    assert (sdnn["sampled_at_ns"][0] - T0) / NS > 270
    assert 4 <= len(sdnn) <= 6, "once a minute"
    assert np.abs(sdnn["value"] - sinus(600).std()).max() < 2
    assert (told(found, Vital.HRV_CORRECTED)["value"] < 1).all()
    assert (told(found, Vital.HRV_LF_HF)["value"] > 0).all()
    assert (told(found, Vital.IRREGULARITY)["value"] == 0).all()
    assert set(found.rows["quality"]) == {Quality.USABLE}


def test_an_irregular_rhythm_is_told_and_has_no_variability() -> None:
    found = Intervals().feed(blocks(np.random.default_rng(1).uniform(450, 1100, 700)))
    assert told(found, Vital.IRREGULARITY)["value"][-1] > 50
    sdnn = told(found, Vital.HRV_SDNN)[-1]
    assert (np.isnan(sdnn["value"]), sdnn["reason"]) == (True, Reason.POOR_SIGNAL)


def test_the_same_is_told_whatever_the_grouping_and_after_a_restart() -> None:
    given = blocks(sinus(900))
    through, single = Intervals(), Intervals()
    once = through.feed(given)
    one_by_one = [found.rows for block in given if len((found := single.feed([block])).rows)]
    assert np.concatenate(one_by_one).tobytes() == once.rows.tobytes()
    restarted = Intervals()
    restarted.feed(given[500:810])
    later = once.rows["sampled_at_ns"] >= given[809].rows["sampled_at_ns"][0]
    assert restarted.feed(given[810:]).rows.tobytes() == once.rows[later].tobytes()


def test_test_mode_missing_and_late_intervals_and_another_wearer_bring_nothing() -> None:
    assert len(Intervals().feed(blocks(sinus(600), quality=Quality.TEST)).rows) == 0
    assert len(Intervals().feed(blocks(sinus(600))[::-1]).rows) == 0
    worn = Intervals()
    worn.feed(blocks(sinus(250)))
    changed = [SampleBlock(b.devices, ("P-2",), b.gateways, b.rows) for b in blocks(sinus(400))[250:]]
    assert not len(told(worn.feed(changed), Vital.HRV_SDNN))
    assert len(Intervals().feed(blocks(sinus(600), device="x" * 63)).rows) == 0


@given(cut=st.integers(0, 599), seed=st.integers(0, 2**16))
@settings(max_examples=10)
def test_saved_and_restored_it_tells_bit_for_bit_the_same(cut: int, seed: int) -> None:
    given_blocks = blocks(sinus(600) + np.random.default_rng(seed).normal(0, 40, 600))
    through = Intervals()
    through.feed(given_blocks[:cut])
    again = pickle.loads(pickle.dumps(through))
    rest = [(through.feed([each]), again.feed([each])) for each in given_blocks[cut:]]
    assert all(one.rows.tobytes() == other.rows.tobytes() for one, other in rest)
    assert any(len(one.rows) for one, _ in rest) or cut > 500
