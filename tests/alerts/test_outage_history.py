"""What the readings of an outage show when they come at last: the alarm log as it would have been, and no call."""

from __future__ import annotations

from collections.abc import Sequence

from alert_accounts import account
from alert_world import T0, Row, S, block, preset, single_device_ward, ward
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from alerts.cells import LIVE_WINDOW_NS
from alerts.engine import Engine
from alerts.events import AlarmEvent, Priority, Transition
from alerts.measure_settings import Falling, Measures
from alerts.signal_settings import Signals
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from vitals.model import Reason, Vital

PRESET = structs.replace(
    preset(), measures=Measures(falling=Falling(on=False)), signals=Signals(chatter_within_s=0, reminder_high_s=3600)
)
WARD = single_device_ward(1)
BEFORE_S, LIVE_FIRST_S = 60, 20
_SETTLED_S = 30  # after the last reading, without another

Minute = tuple[int, float | Reason]
_minutes = st.lists(
    st.tuples(
        st.integers(1, 40),
        st.sampled_from([97.0, 97.0, 89.0, 88.5, 86.0, 85.0, 79.0, 70.0, Reason.PROBE_OFF, Reason.RADIO_LOST]),
    ),
    min_size=1,
    max_size=20,
)


class Bedside:
    """One patient with an oximeter; blocks come at a time that is told."""

    def __init__(self, values: Sequence[float | Reason]) -> None:
        self.values = values
        self.engine = Engine(WARD, PRESET, T0)
        self.events: list[AlarmEvent] = []
        self.position = 0

    def come(self, seconds: Sequence[int], now_s: float) -> None:
        """The readings of these seconds arrive."""
        rows: list[Row] = [("d-0", Vital.SPO2, float(at_s), self.values[at_s]) for at_s in seconds]
        self.position += 1
        now_ns = T0 + round(now_s * S)
        self.events += self.engine.step([(now_ns, block(rows, received_s=now_s))], self.position, now_ns)

    def wait(self, now_s: float) -> None:
        self.events += self.engine.step([], self.position, T0 + round(now_s * S))

    def told(self) -> dict[tuple[str, str], list[tuple[int, int]]]:
        """When a limit was crossed, in seconds."""
        spans = account(event for event in self.events if event.condition in ("spo2_low", "spo2_high"))
        return {key: [((a - T0) // S, (b - T0) // S) for a, b in found] for key, found in spans.items()}


def in_order(values: Sequence[float | Reason]) -> Bedside:
    world = Bedside(values)
    for at_s in range(len(values)):
        world.come([at_s], at_s + 0.1)
    return world


def after_an_outage(values: Sequence[float | Reason], back_s: int, portion: int, *, twice: bool = False) -> Bedside:
    """Nothing from `BEFORE_S` on until `back_s`; then the last seconds first, and the rest oldest first beside it."""
    world = Bedside(values)
    for at_s in range(BEFORE_S):
        world.come([at_s], at_s + 0.1)
    live_from = max(BEFORE_S, back_s - LIVE_FIRST_S)
    for at_s in range(live_from, back_s):
        world.come([at_s], back_s)
    waiting = list(range(BEFORE_S, live_from))
    for at_s in range(back_s, len(values)):
        world.come([at_s], at_s + 0.1)
        old, waiting = waiting[:portion], waiting[portion:]
        if old:
            world.come(old, at_s + 0.2)
        if old and twice:
            world.come(old, at_s + 0.3)
    assert not waiting
    world.wait(len(values) + _SETTLED_S)
    return world


def course(before: Sequence[Minute], outage: Sequence[Minute]) -> list[float | Reason]:
    """What comes before, an outage, half a minute of quiet before it is over, and quiet after it."""
    first, gone = ([value for seconds, value in run for _ in range(seconds)] for run in (before, outage))
    start = ([97.0] * BEFORE_S + first)[-BEFORE_S:]
    return start + gone + [97.0] * (LIVE_FIRST_S + 40)


@given(_minutes, _minutes, st.integers(0, 40), st.booleans())
@settings(max_examples=15)
def test_the_log_tells_the_same_as_if_all_had_come_in_order(
    before: list[Minute], outage: list[Minute], extra: int, twice: bool
) -> None:
    values = course(before, outage)
    found = after_an_outage(values, len(values) - 40, portion=20 + extra, twice=twice)
    assert found.told() == in_order(values).told()
    assert not [e for e in found.events if e.notify and e.decided_at_ns - e.at_ns > LIVE_WINDOW_NS and not e.gateway]


def test_an_hour_of_backlog_is_annotated_and_calls_nobody() -> None:
    values = course([(60, 97.0)], [(600, 97.0), (40, 85.0), (1300, 97.0), (20, 84.0), (5, 70.0), (1600, 97.0)])
    world = after_an_outage(values, len(values) - 40, portion=100)
    entries = [e for e in world.events if e.condition == "spo2_low"]
    shown = [(e.transition, e.priority, (e.at_ns - T0) // S, (e.until_ns - T0) // S, e.value) for e in entries]
    assert shown == [
        (Transition.ANNOTATED, Priority.MEDIUM, 674, 700, 85.0),
        (Transition.ANNOTATED, Priority.HIGH, 2014, 2025, 70.0),
    ]
    assert all(e.backlog and not e.notify and not e.alarm_id and e.device == "d-0" for e in entries)
    assert "spo2_low" not in [alarm.condition for alarm in world.engine.alarms()]


def test_an_episode_that_lasts_to_the_end_of_what_came_ends_there() -> None:
    world = Bedside([97.0] * 100 + [85.0] * 200 + [97.0] * 100)
    world.come(range(100), 100.1)
    for at_s in range(300, 380):
        world.come([at_s], at_s + 0.1)
    world.come(range(100, 200), 380.2)
    assert world.told() == {}, "more may come"
    world.wait(391)
    assert world.told() == {("P-0", "spo2_low"): [(114, 199)]}
    world.come(range(200, 300), 392)
    world.wait(403)
    assert world.told() == {("P-0", "spo2_low"): [(114, 199), (200, 299)]}, "the next samples are no longer remembered"


def test_what_goes_on_survives_a_restart() -> None:
    values = course([(60, 97.0)], [(60, 97.0), (90, 85.0)])
    once = Bedside(values)
    again = Bedside(values)
    for world in (once, again):
        world.come(range(60), 60.1)
        world.come(range(190, 250), 250.1)
        world.come(range(60, 150), 250.2)
    again.engine = restore(decode_snapshot(encode_snapshot(again.engine, T0 + 251 * S)), WARD, PRESET)
    for world in (once, again):
        world.come(range(150, 190), 252)
        world.wait(270)
    assert once.told() == again.told() == {("P-0", "spo2_low"): [(134, 210)]}
    assert once.events == again.events


def test_what_the_devices_say_is_not_annotated_where_the_best_value_spoke() -> None:
    engine = Engine(ward(1), PRESET, T0)
    best: list[Row] = [("p-0:best", Vital.SPO2, float(at_s), 97.0) for at_s in range(400)]
    own: list[Row] = [("d-0", Vital.SPO2, float(at_s), 80.0 if at_s >= 100 else 97.0) for at_s in range(400)]
    for at_s in range(0, 400, 10):
        rows = best[at_s : at_s + 10] + (own[at_s : at_s + 10] if not 50 <= at_s < 300 else [])
        engine.step([(T0 + at_s * S, block(rows))], at_s, T0 + (at_s + 10) * S)
    events = engine.step([(T0 + 400 * S, block(own[50:300], received_s=400))], 400, T0 + 400 * S)
    events += engine.step([], 400, T0 + 420 * S)
    assert "spo2_low" not in [e.condition for e in events]


def test_backlog_from_before_the_first_live_sample_is_history_too() -> None:
    world = Bedside([97.0] * 100 + [85.0] * 100 + [97.0] * 150)
    world.come(range(300, 320), 320)
    world.come(range(300), 321)
    world.wait(340)
    assert world.told() == {("P-0", "spo2_low"): [(114, 200)]}
