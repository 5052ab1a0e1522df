"""Samples that come out of order: the outcome is that of ordered samples, and nothing old calls anybody."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from alert_accounts import account
from alert_world import T0, Row, S, block, preset, single_device_ward
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from alerts.cells import LIVE_WINDOW_NS
from alerts.engine import Engine
from alerts.events import GATEWAY_DOWN, INTAKE_DOWN, NO_DATA, RADIO_DOWN, AlarmEvent, Kind, Transition
from alerts.measure_settings import Falling, Measures
from alerts.recall import needed_after, recall
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from vitals.columns import SampleBlock
from vitals.model import Quality, Reason, Vital

WARD = single_device_ward(2)
PRESET = structs.replace(preset(), measures=Measures(falling=Falling(on=False)))

Reading = tuple[Row, Quality]

_runs = st.tuples(
    st.sampled_from(["d-0", "d-1"]),
    st.sampled_from([Vital.SPO2, Vital.SPO2, Vital.PULSE_RATE]),
    st.integers(1, 8),  # of them in a row
    st.sampled_from([1.0, 1.0, 2.0, 4.0]),  # seconds apart
    st.sampled_from([97.0, 97.0, 89.0, 88.5, 86.0, 85.0, 81.0, 79.0, 45.0, Reason.PROBE_OFF, Reason.POOR_SIGNAL]),
    st.sampled_from([Quality.UNKNOWN, Quality.UNKNOWN, Quality.DOUBTFUL, Quality.UNUSABLE, Quality.TEST]),
)
_delays = st.lists(st.integers(0, 20), min_size=1, max_size=40)  # seconds; with a step below the live window


def story(runs: Sequence[tuple[str, Vital, int, float, float | Reason, Quality]]) -> list[Reading]:
    """At most 30 readings of each stream, each at a time of its own, in order."""
    clock: dict[tuple[str, Vital], list[float]] = {}
    found: list[Reading] = []
    for device, vital, times, step, value, quality in runs:
        used = clock.setdefault((device, vital), [10.0])
        for _ in range(min(times, 31 - len(used))):
            used.append(used[-1] + step)
            found.append(((device, vital, used[-1], value), quality))
    return sorted(found, key=lambda reading: reading[0][2])


def judge(
    arriving: Sequence[Sequence[Reading]], *, screening: bool = True, now_s: float | None = None
) -> tuple[Engine, list[AlarmEvent]]:
    """An engine that took these blocks, each at the time of the newest reading so far."""
    engine = Engine(WARD, PRESET, T0, screening=screening)
    events: list[AlarmEvent] = []
    blocks = list(filter(None, arriving))
    for position in range(1, len(blocks) + 1):
        arrived = arrival(blocks[:position], now_s)
        events += engine.step([arrived], position, arrived[0])
    return engine, events


def arrival(blocks: Sequence[Sequence[Reading]], now_s: float | None = None) -> tuple[int, SampleBlock]:
    """The last of these blocks, at the time of the newest reading so far."""
    newest_s = max(row[2] for readings in blocks for row, _ in readings)
    at_s = newest_s + 0.1 if now_s is None else now_s
    found = block([row for row, _ in blocks[-1]], received_s=at_s)
    found.rows["quality"] = [quality for _, quality in blocks[-1]]
    return T0 + round(at_s * S), found


def of_samples(condition: str) -> bool:
    """Whether a condition follows from samples, and not from when they are missed."""
    return condition not in (NO_DATA, GATEWAY_DOWN, INTAKE_DOWN, RADIO_DOWN)


def opened(engine: Engine) -> dict[object, object]:
    """The open alarms that follow from samples, with their votes."""
    return {k: alarm.votes for k, alarm in engine.book.open.items() if of_samples(k.condition) and alarm.votes}


def told(events: Sequence[AlarmEvent]) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """When what follows from samples was present.

    Without what several signals of a device tell together, such as that it is off: they are judged one after the other,
    so that its beginning and end are exact to a block. What it is in the end is compared elsewhere.
    """
    single = (event for event in events if event.kind is Kind.PHYSIOLOGICAL)
    return account(event for event in single if of_samples(event.condition))


def shuffled(readings: Sequence[Reading], delays_s: Sequence[int]) -> list[Reading]:
    """The readings as they come when each is delayed by so much, in turns."""
    delayed = [row[2] + delays_s[i % len(delays_s)] for i, (row, _) in enumerate(readings)]
    return [readings[i] for i in sorted(range(len(readings)), key=lambda i: (delayed[i], -i))]


def check_the_same(one: tuple[Engine, list[AlarmEvent]], other: tuple[Engine, list[AlarmEvent]]) -> None:
    engines = one[0], other[0]
    streams = [{e.table.told_by(s) + str(e.table.state["vital"][s]): s for s in range(e.table.size)} for e in engines]
    assert streams[0].keys() == streams[1].keys()
    for name, mine in streams[0].items():
        its = streams[1][name]
        assert engines[0].walk.trackers.get(mine) == engines[1].walk.trackers.get(its), name
        kept = ["newest_at_ns", "fresh_at_ns", "valid_at_ns", "gap_ns", "reason", "quality"]
        assert [engines[0].table.state[c][mine] for c in kept] == [engines[1].table.state[c][its] for c in kept], name
    assert opened(engines[0]) == opened(engines[1])
    assert told(one[1]) == told(other[1])


@given(st.lists(_runs, max_size=10), _delays, st.integers(1, 7))
@settings(max_examples=100)
def test_the_order_in_which_samples_come_changes_nothing(
    runs: list[tuple[str, Vital, int, float, float | Reason, Quality]], delays: list[int], size: int
) -> None:
    ordered = story(runs)
    arriving = shuffled(ordered, delays)
    blocks = [arriving[i : i + size] for i in range(0, len(arriving), size)]
    check_the_same(judge([[reading] for reading in ordered]), judge(blocks))


@given(st.lists(_runs, max_size=10), _delays, st.integers(1, 20))
@settings(max_examples=60)
def test_the_fast_path_for_late_samples_changes_nothing(
    runs: list[tuple[str, Vital, int, float, float | Reason, Quality]], delays: list[int], size: int
) -> None:
    arriving = shuffled(story(runs), delays)
    blocks = [arriving[i : i + size] for i in range(0, len(arriving), size)]
    fast, slow = judge(blocks), judge(blocks, screening=False)
    check_the_same(fast, slow)
    assert fast[1] == slow[1]
    assert fast[0].late == slow[0].late


@given(st.lists(_runs, max_size=10), _delays, st.booleans())
@settings(max_examples=60)
def test_samples_that_come_twice_change_nothing(
    runs: list[tuple[str, Vital, int, float, float | Reason, Quality]], delays: list[int], screening: bool
) -> None:
    arriving = shuffled(story(runs), delays)
    once = judge([arriving], screening=screening)
    again = [*arriving, *shuffled(arriving, delays[::-1])]
    twice = judge([arriving, again], screening=screening)
    check_the_same(once, twice)
    assert len(once[1]) == len(twice[1])


@given(
    st.lists(_runs, max_size=10),
    _delays,
    st.lists(st.integers(0, 60), max_size=5),
)
@settings(max_examples=60)
def test_cutting_what_comes_out_of_order_changes_nothing(
    runs: list[tuple[str, Vital, int, float, float | Reason, Quality]], delays: list[int], cuts: list[int]
) -> None:
    arriving = shuffled(story(runs), delays)
    edges = [0, *sorted({min(c, len(arriving)) for c in cuts}), len(arriving)]
    pieces = [arriving[a:b] for a, b in pairwise(edges)]
    check_the_same(judge([arriving], now_s=140), judge(pieces, now_s=140))


@given(st.lists(_runs, max_size=10), _delays, st.integers(1, 7), st.integers(0, 20))
@settings(max_examples=60)
def test_an_engine_that_is_restored_remembers_what_late_samples_need(
    runs: list[tuple[str, Vital, int, float, float | Reason, Quality]], delays: list[int], size: int, every: int
) -> None:
    arriving = shuffled(story(runs), delays)
    blocks = [arriving[i : i + size] for i in range(0, len(arriving), size)]
    expected = judge(blocks)
    engine = Engine(WARD, PRESET, T0)
    events: list[AlarmEvent] = []
    taken: list[tuple[int, SampleBlock]] = []
    for position in range(1, len(blocks) + 1):
        if taken and every and position % every == 0:
            engine = restore(decode_snapshot(encode_snapshot(engine, taken[-1][0])), WARD, PRESET)
            recall(engine, taken[needed_after(engine) :])
        taken.append(arrival(blocks[:position]))
        events += engine.step(taken[-1:], position, taken[-1][0])
    check_the_same(expected, (engine, events))
    assert events == expected[1]


@given(st.lists(_runs, max_size=10), _delays, st.integers(0, 90))
@settings(max_examples=60)
def test_nothing_older_than_the_live_window_calls_anybody(
    runs: list[tuple[str, Vital, int, float, float | Reason, Quality]], delays: list[int], later_s: int
) -> None:
    arriving = shuffled(story(runs), delays)
    _, events = judge([[reading] for reading in arriving], now_s=120 + later_s)
    for event in events:
        if of_samples(event.condition):
            assert not (event.notify and event.decided_at_ns - event.at_ns > LIVE_WINDOW_NS)
            assert not (event.notify and event.transition in (Transition.ANNOTATED, Transition.DISPROVED))
