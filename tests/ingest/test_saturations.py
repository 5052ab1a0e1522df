"""Desaturation events of the best values: one set of readings at the end of each, of the patient's own device."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.signals.saturations import FIRST, Saturations
from vitals.columns import SAMPLE_DTYPE, SampleBlock
from vitals.model import Quality, Vital

NS = 1_000_000_000
T0 = 1_700_000_000


def second(at_s: int, *spo2: float, quality: Quality = Quality.USABLE, best: bool = True) -> SampleBlock:
    rows = np.zeros(len(spo2), SAMPLE_DTYPE)
    rows["device"] = rows["source"] = np.arange(len(spo2))
    rows["vital"], rows["raw"], rows["value"], rows["quality"] = Vital.SPO2, spo2, spo2, quality
    rows["sampled_at_ns"] = (T0 + at_s) * NS + 300_000_000
    rows["received_at_ns"] = rows["sampled_at_ns"] + NS
    patients = tuple(f"P-{n}" for n in range(len(spo2)))
    devices = tuple(f"{p}:best" if best else f"ox-{p}" for p in patients)
    return SampleBlock(devices, patients, ("",) * len(spo2), rows)


def night(at_s: int) -> float:
    return 90.0 if 120 <= at_s < 150 else 97.0


def test_an_event_is_told_once_at_its_end_of_the_patient_it_is_of() -> None:
    watched = Saturations()
    found = [watched.feed([second(s, night(s), 96.0)]) for s in range(300)]
    (told,) = [block for block in found if len(block.rows)]
    assert (told.devices, told.patients) == (("P-0:best",), ("P-0",))
    values = dict(zip(told.rows["vital"].tolist(), told.rows["value"].tolist(), strict=True))
    assert values[Vital.DESATURATION_DEPTH] == 7
    assert abs(values[Vital.DESATURATION_DURATION] - 31) <= 1
    assert abs(values[Vital.DESATURATION_AREA] - 210) <= 7
    assert set(told.rows["sampled_at_ns"]) == {(T0 + 150) * NS}
    assert set(told.rows["quality"]) == {Quality.USABLE}


def test_a_device_alone_speaks_for_its_patient_and_not_beside_a_best_value() -> None:
    lone = Saturations().feed([second(s, night(s), best=False) for s in range(200)])
    assert (lone.devices, len(lone.rows)) == (("P-0:best",), 3)
    beside = Saturations()
    for s in range(200):
        assert not len(beside.feed([second(s, night(s), best=False), second(s, 97.0)]).rows)


@given(cut=st.integers(0, 199), low=st.floats(70, 96), whole=st.booleans())
def test_saved_and_restored_it_tells_bit_for_bit_the_same(cut: int, low: float, whole: bool) -> None:
    seconds = [second(s, low if 120 <= s < 150 else 97.0, 96.0, best=whole) for s in range(200)]
    through = Saturations()
    for each in seconds[:cut]:
        through.feed([each])
    again = pickle.loads(pickle.dumps(through))
    for each in seconds[cut:]:
        assert through.feed([each]).rows.tobytes() == again.feed([each]).rows.tobytes()


def test_grouping_changes_nothing_and_what_is_in_doubt_begins_no_event() -> None:
    seconds = [second(s, night(s)) for s in range(200)]
    one, grouped = Saturations(), Saturations()
    single = [block.rows.tobytes() for s in seconds if len((block := one.feed([s])).rows)]
    assert single == [grouped.feed(seconds).rows.tobytes()]
    doubted = [second(s, night(s), quality=Quality.DOUBTFUL if night(s) < 95 else Quality.USABLE) for s in range(200)]
    assert not len(Saturations().feed(doubted).rows)


def test_more_patients_than_there_is_room_for_at_once() -> None:
    watched = Saturations()
    found = [watched.feed([second(s, *[night(s)] * (2 * FIRST + 3))]) for s in range(200)]
    (told,) = [block for block in found if len(block.rows)]
    assert len(told.rows) == 3 * (2 * FIRST + 3)
