"""Both machines at once, as Hypothesis likes to drive them: patients, people, time and restarts in any order."""

from __future__ import annotations

from alert_world import T0, S, block, preset, second, ward
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from alerts.alarm_signals import SignalState, is_audible, is_paused
from alerts.engine import Engine
from alerts.events import ALARMS_PAUSED, AlarmEvent, Priority, Transition
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from vitals.model import GatewayStatus, Presence

PRESET = structs.replace(preset(), latching=("spo2_low",))
WARD = ward(2)
patients = st.sampled_from(["P-0", "P-1"])
values = st.sampled_from([97.0, 97.0, 87.0, 85.0, 75.0])


class Ward(RuleBasedStateMachine):
    """Two patients with two devices each. `self.log`: what the alarm journal would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine(WARD, PRESET, T0)
        self.now_s = 0
        self.position = 0
        self.log: list[AlarmEvent] = []
        self.snapshot = encode_snapshot(self.engine, T0)
        self.steps: list[tuple[str, tuple[object, ...]]] = []  # since the snapshot

    @property
    def now_ns(self) -> int:
        return T0 + self.now_s * S

    def _do(self, what: str, *arguments: object) -> None:
        self.steps.append((what, arguments))
        self.log += apply(self.engine, what, arguments)

    @rule(first=values, second_=values, seconds=st.sampled_from([1, 5, 20]), silent=st.sampled_from(["", "d-0", "0"]))
    def measure(self, first: float, second_: float, seconds: int, silent: str) -> None:
        for _ in range(seconds):
            self.now_s += 1
            self.position += 1
            rows = [
                row
                for i, spo2 in enumerate((first, second_))
                for device in (f"d-{i}", f"e-{i}")
                if not (silent and device.endswith(silent))
                for row in second(self.now_s, device, spo2=spo2)
            ]
            self._do("step", ((self.now_ns, block(rows)),), self.position, self.now_ns)

    @rule(seconds=st.sampled_from([1, 10, 31, 130, 700]), status=st.booleans())
    def wait(self, seconds: int, status: bool) -> None:
        self.now_s += seconds
        self.position += 1
        told = ((self.now_ns, GatewayStatus("gw-1", Presence.ONLINE, self.now_ns)),) if status else ()
        self._do("step", told, self.position, self.now_ns)

    @rule(number=st.integers(0, 5), sound=st.booleans())
    def take_notice(self, number: int, sound: bool) -> None:
        for alarm in self.engine.alarms()[number : number + 1]:
            self._do("pause_audio" if sound else "acknowledge", alarm.alarm_id, "AB", self.now_ns)

    @rule(patient=patients, length_s=st.sampled_from([1, 60, 120, 121]))
    def pause(self, patient: str, length_s: int) -> None:
        self._do("pause_alarms", patient, "AB", "care", length_s, self.now_ns)

    @rule(patient=patients)
    def resume(self, patient: str) -> None:
        self._do("resume_alarms", patient, "AB", self.now_ns)

    @rule()
    def save(self) -> None:
        self.snapshot, self.steps = encode_snapshot(self.engine, self.now_ns), []

    @rule()
    def crash(self) -> None:
        """From the snapshot, the same steps lead to the same state."""
        again = restore(decode_snapshot(self.snapshot), WARD, PRESET)
        for what, arguments in self.steps:
            apply(again, what, arguments)
        assert again.book.state() == self.engine.book.state()
        assert again.tiles(self.now_ns) == self.engine.tiles(self.now_ns)
        self.engine = again

    @invariant()
    def who_is_in_danger_is_called_for_unless_a_person_decided_otherwise(self) -> None:
        for alarm in self.engine.book.open.values():
            if alarm.priority is not Priority.HIGH or not alarm.votes:
                continue
            if is_paused(alarm.signal):
                assert alarm.paused_by
                assert self.now_ns < alarm.paused_until_ns <= self.now_ns + 120 * S
            elif alarm.signal is SignalState.ACKNOWLEDGED:
                assert alarm.acknowledged_by
                assert alarm.acknowledged_at_ns is not None
                assert self.now_ns - alarm.acknowledged_at_ns < PRESET.signals.reminder_ns(Priority.HIGH)
            else:
                assert is_audible(alarm.signal)

    @invariant()
    def no_signal_outlives_its_reason_and_no_pause_its_time(self) -> None:
        for alarm in self.engine.book.open.values():
            latched = alarm.signal in (SignalState.LATCHED, SignalState.LATCHED_PAUSED)
            assert alarm.votes or latched
            assert alarm.signal is not SignalState.OFF
        assert all(self.now_ns < pause.until_ns for pause in self.engine.book.pauses.values())

    @invariant()
    def the_log_tells_what_is_open(self) -> None:
        opened: set[str] = set()
        for event in self.log:
            if event.transition is Transition.RAISED:
                assert event.alarm_id not in opened, "raised twice"
                opened.add(event.alarm_id)
            elif event.transition is Transition.ENDED:
                opened.remove(event.alarm_id)
            elif event.condition != ALARMS_PAUSED and event.transition is not Transition.ACKNOWLEDGED:
                assert event.alarm_id
        assert opened == {alarm.alarm_id for alarm in self.engine.book.open.values() if alarm.votes}
        assert [event.number for event in self.log] == list(range(1, len(self.log) + 1))

    @invariant()
    def symptoms_are_told_by_their_cause_or_by_themselves(self) -> None:
        """Whose tile shows nothing for long is part of an alarm."""
        for tile in self.engine.tiles(self.now_ns):
            times = [v.sampled_at_ns for v in tile.vitals]
            silent = times and all(at is not None and self.now_ns - at > 120 * S for at in times)
            if silent:
                assert tile.priority is not None


def apply(engine: Engine, what: str, arguments: tuple[object, ...]) -> tuple[AlarmEvent, ...]:
    """One step or command."""
    found = getattr(engine, what)(*arguments)
    events: tuple[AlarmEvent, ...] = found if what == "step" else found[1]
    return events


TestWard = Ward.TestCase
TestWard.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
