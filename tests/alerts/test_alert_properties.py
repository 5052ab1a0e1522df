"""What holds for any stream of samples: however it is cut, screened, reordered or interrupted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from alert_world import T0, Row, S, block, preset, single_device_ward
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.chatter import CHATTER
from alerts.engine import Engine
from alerts.events import AlarmEvent, Key, Kind
from alerts.recall import needed_after, recall
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from alerts.streams import STATE_DTYPE
from vitals.columns import SampleBlock
from vitals.model import Quality, Reason, Vital

WARD = single_device_ward(3)
NOW = T0 + 200 * S

_values = st.sampled_from([97.0, 97.0, 97.0, 89.0, 88.0, 87.0, 85.0, 80.0, 75.0]) | st.sampled_from(
    [Reason.PROBE_OFF, Reason.POOR_SIGNAL, Reason.RADIO_LOST, Reason.DEVICE_FAULT]
)
_steps = st.sampled_from([1.0, 1.0, 1.0, 0.0, 2.0, 4.0, 9.0, 12.0, 40.0, -3.0])
_readings = st.lists(
    st.tuples(
        st.sampled_from(["d-0", "d-1", "d-2"]),
        st.sampled_from([Vital.SPO2, Vital.PULSE_RATE, Vital.BATTERY]),
        _steps,
        _values,
        st.sampled_from([Quality.UNKNOWN, Quality.UNKNOWN, Quality.DOUBTFUL, Quality.UNUSABLE, Quality.TEST]),
    ),
    max_size=60,
)
_judged_values = (
    _steps,
    st.sampled_from([97.0, 97.0, 70.0, 130.0, 160.0, Reason.PROBE_OFF]),
    st.sampled_from([Quality.USABLE, Quality.USABLE, Quality.DOUBTFUL, Quality.TEST]),
)
_judged = st.lists(
    st.tuples(
        st.sampled_from(["d-0", "e-0"]),
        st.sampled_from([Vital.HEART_RATE, Vital.PULSE_RATE, Vital.SPO2]),
        *_judged_values,
    )
    | st.tuples(  # the best value of a pulse rate is a heart rate
        st.just("p-0:best"), st.sampled_from([Vital.HEART_RATE, Vital.SPO2]), *_judged_values
    ),
    max_size=60,
)
_cuts = st.lists(st.integers(0, 60), max_size=6)


def runs(story: Sequence[tuple[str, Vital, float, float | Reason, Quality]]) -> SampleBlock:
    """A story as one block: each reading so many seconds after the one before it of its stream, repeated 8 times."""
    clock: defaultdict[tuple[str, Vital], float] = defaultdict(float)
    rows: list[Row] = []
    qualities: list[Quality] = []
    for device, vital, step, value, quality in story:
        for _ in range(8 if step == 1.0 else 1):
            clock[device, vital] += step
            rows.append((device, vital, 10 + clock[device, vital], value))
            qualities.append(quality)
    found = block(rows, received_s=200)
    found.rows["quality"] = qualities
    return found


def cut(found: SampleBlock, cuts: Sequence[int]) -> list[SampleBlock]:
    edges = [0, *sorted({min(c * 4, len(found.rows)) for c in cuts}), len(found.rows)]
    return [SampleBlock(found.devices, found.patients, found.gateways, found.rows[a:b]) for a, b in pairwise(edges)]


def essence(events: Sequence[AlarmEvent]) -> list[tuple[object, ...]]:
    """What happened to patients, apart from numbering: streams of one block are judged in no particular order.

    Without what several signals of a device tell together, which is exact to a block.
    """
    return sorted(
        (e.patient, e.condition, e.at_ns, e.transition.value, int(e.priority), e.value or 0.0, e.backlog)
        for e in events
        if e.kind is Kind.PHYSIOLOGICAL
    )


def held(engine: Engine) -> set[tuple[Key, str, int]]:
    """Which stream holds what to be present in the end."""
    votes = {(key, name, level) for key, alarm in engine.book.open.items() for name, level in alarm.votes.items()}
    return {vote for vote in votes if vote[1] != CHATTER}


def judge(blocks: Sequence[SampleBlock], *, screening: bool = True) -> tuple[Engine, list[AlarmEvent]]:
    engine = Engine(WARD, preset(), T0 + 190 * S, screening=screening)
    events: list[AlarmEvent] = []
    for position, found in enumerate(blocks, start=1):
        events += engine.step([(NOW, found)], position, NOW)
    return engine, events


def state(engine: Engine) -> bytes:
    return engine.table.state[: engine.table.size].tobytes()


@given(_readings | _judged, _cuts)
@settings(max_examples=200)
def test_screening_changes_nothing(
    story: list[tuple[str, Vital, float, float | Reason, Quality]], cuts: list[int]
) -> None:
    blocks = cut(runs(story), cuts)
    fast, slow = judge(blocks), judge(blocks, screening=False)
    assert fast[1] == slow[1]
    assert state(fast[0]) == state(slow[0])
    assert (fast[0].walk.trackers, fast[0].late) == (slow[0].walk.trackers, slow[0].late)


@given(_readings, _cuts)
@settings(max_examples=150)
def test_cutting_changes_nothing(
    story: list[tuple[str, Vital, float, float | Reason, Quality]], cuts: list[int]
) -> None:
    whole, pieces = judge([runs(story)]), judge(cut(runs(story), cuts))
    assert essence(whole[1]) == essence(pieces[1])
    assert held(whole[0]) == held(pieces[0])
    assert whole[0].late == pieces[0].late


@given(_readings | _judged, _cuts)
@settings(max_examples=100)
def test_an_engine_that_is_restored_at_any_point_goes_on_the_same(
    story: list[tuple[str, Vital, float, float | Reason, Quality]], cuts: list[int]
) -> None:
    blocks = cut(runs(story), cuts)
    _, expected = judge(blocks)
    engine = Engine(WARD, preset(), T0 + 190 * S)
    events: list[AlarmEvent] = []
    for position, found in enumerate(blocks, start=1):
        engine = restore(decode_snapshot(encode_snapshot(engine, NOW)), WARD, preset())
        after = needed_after(engine)
        recall(engine, [(NOW, known) for known in blocks[after : position - 1]])
        events += engine.step([(NOW, found)], position, NOW)
    assert events == expected


@given(_judged, _cuts)
@settings(max_examples=100)
def test_no_alarm_of_a_patient_is_open_that_nobody_holds(
    story: list[tuple[str, Vital, float, float | Reason, Quality]], cuts: list[int]
) -> None:
    """Every vote rests on a condition that is present, and what nobody overrules has its vote."""
    engine, _ = judge(cut(runs(story), cuts))
    table = engine.table
    present = {
        (rule.condition, f"{table.told_by(stream)}/{int(table.state['vital'][stream])}")
        for stream, trackers in engine.walk.trackers.items()
        for rule, tracker in zip(table.rules[stream], trackers, strict=True)
        if tracker.level
    }
    votes = {(key.condition, source) for key, alarm in engine.book.open.items() for source in alarm.votes}
    of_streams = {(condition, source) for condition, source in votes if source.count("/") == 1}
    assert of_streams <= present
    assert {vote for vote in present if ":best" in vote[1]} <= of_streams


def test_the_snapshot_of_a_large_ward_is_small() -> None:
    assert STATE_DTYPE.itemsize <= 64  # bytes per stream: 10,000 patients with five streams stay under 4 MB
