"""The shipped scenarios through the real ingest pipeline and alarm engine, on simulated time.

No server, no file, no waiting: what `wardlight demo` shows in minutes is judged here in a second or two.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

import pytest

from alerts.engine import Arrival, Engine
from alerts.events import AlarmEvent, Transition
from alerts.limits import decode_preset
from alerts.view import Doubt, Origin
from ingest.pipeline import Pipeline
from ingest.signals.analyst import Analyst
from ingest.source import Incoming
from simulators import gateway
from simulators.gateway import GatewayState
from simulators.scenario import shipped_scenario
from simulators.story import Scenario, demo_ward
from simulators.timeline import Expectation, Network, expectations
from vitals.columns import RecordKind, SampleBlock, decode_block
from vitals.control import decode_status, encode_status
from vitals.derived import is_virtual
from vitals.model import GatewayBatch, GatewayStatus, Presence, Quality, Vital
from vitals.topics import Topic
from vitals.wire import encode

START_NS = 1_700_000_000_000_000_000
_NS = 1_000_000_000
_EPOCH = 7


class Chain:
    """A ward on simulated time: gateways with a spool in memory, pipeline, analyst, engine.

    `derived`: what the analyst told.
    """

    def __init__(self, scenario: Scenario) -> None:
        preset = decode_preset((resources.files("alerts") / "presets" / "adult.toml").read_bytes())
        ward = demo_ward(scenario)
        self._site = scenario.site
        self.pipeline = Pipeline(ward.patient_of())
        self._analyst = Analyst()
        self.engine = Engine(ward, preset, START_NS)
        self.derived: list[SampleBlock] = []
        self._spools: dict[str, list[GatewayBatch]] = {}
        self._sent: dict[str, int] = {}
        self._online: set[str] = set()
        self._position = 0

    def run(self, states: tuple[GatewayState, ...], seconds: int) -> list[AlarmEvent]:
        events: list[AlarmEvent] = []
        for _ in range(seconds):
            messages: list[Incoming] = []
            stepped = [gateway.step(state) for state in states]
            states = tuple(state for state, _ in stepped)
            now_ns = stepped[0][1].due_ns
            for _, second in stepped:
                self._spools.setdefault(second.batch.gateway, []).append(second.batch)
                messages += self._uplink(second.batch.gateway, now_ns, second.network)
            effects = self.pipeline.feed(messages)
            assert not effects.poison
            arrivals: list[Arrival] = [(now_ns, _arrival(kind, payload)) for kind, payload in effects.records]
            found = self._analyst.feed([a for _, a in arrivals if isinstance(a, SampleBlock)])
            if len(found.rows):
                self.derived.append(found)
                arrivals.append((now_ns, self.with_best(found)))
            self._position += len(arrivals)
            events += self.engine.step(arrivals, self._position, now_ns)
        return events

    def with_best(self, found: SampleBlock) -> SampleBlock:
        """What the analyst told, with the best values it makes."""
        return self.pipeline.best.choose(found)

    def _uplink(self, name: str, now_ns: int, network: Network) -> list[Incoming]:
        """What the server gets of a gateway in this second: its will, or its return and all that waited."""
        if network is not Network.UP:
            gone = name in self._online
            self._online.discard(name)
            return [self._status(name, Presence.LOST, now_ns)] if gone else []
        back = [] if name in self._online else [self._status(name, Presence.ONLINE, now_ns)]
        self._online.add(name)
        waiting, self._spools[name] = self._spools[name], []
        return back + [self._message(name, batch, now_ns) for batch in waiting]

    def _message(self, name: str, batch: GatewayBatch, now_ns: int) -> Incoming:
        sequence = self._sent[name] = self._sent.get(name, 0) + 1
        payload = encode(replace(batch, epoch=_EPOCH, sequence=sequence, oldest=1))
        return Incoming(str(Topic(self._site, name, "batch")), payload, now_ns, lambda: None)

    def _status(self, name: str, presence: Presence, now_ns: int) -> Incoming:
        payload = encode_status(GatewayStatus(name, presence, now_ns))
        return Incoming(str(Topic(self._site, name, "status")), payload, now_ns, lambda: None)


def _arrival(kind: int, payload: bytes) -> SampleBlock | GatewayStatus:
    return decode_block(payload) if kind == RecordKind.SAMPLES else decode_status(payload)


def opened(scenario: Scenario, seconds: int, *, seed: int = 1, chain: Chain | None = None) -> list[AlarmEvent]:
    events = (chain or Chain(scenario)).run(gateway.start(scenario, start_ns=START_NS, seed=seed), seconds)
    return [e for e in events if e.transition in (Transition.RAISED, Transition.ESCALATED)]


def alarmed(events: list[AlarmEvent]) -> set[tuple[str, str]]:
    return {(e.patient or e.gateway, e.condition) for e in events}


def answered(expected: Expectation, events: list[AlarmEvent]) -> bool:
    return any(
        expected.met_by(e.patient or e.gateway, e.condition, e.priority.name.lower(), e.decided_at_ns) for e in events
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_scripted_event_of_the_demo_is_alarmed_within_forty_seconds(seed: int) -> None:
    demo = shipped_scenario("demo")
    events = opened(demo, 40, seed=seed)
    missed = [(e.subject, e.event) for e in expectations(demo, START_NS, 40) if not answered(e, events)]
    assert missed == []
    assert (events[0].decided_at_ns - START_NS) / _NS < 20
    assert alarmed(events) == {(e.subject, e.expect.condition) for e in expectations(demo, START_NS, 40)}


def test_a_pulse_that_movement_makes_wrong_calls_nobody_and_makes_its_saturation_doubtful() -> None:
    demo = shipped_scenario("demo")
    chain = Chain(demo)
    events = opened(demo, 35, chain=chain)
    assert "P-0004" not in {e.patient for e in events}
    (tile,) = chain.engine.tiles(START_NS + 35 * _NS, frozenset({"P-0004"}))
    rate = next(v for v in tile.vitals if v.vital is Vital.HEART_RATE)
    spo2 = next(v for v in tile.vitals if v.vital is Vital.SPO2)
    assert rate.origin is Origin.STRAP
    assert (spo2.origin, spo2.doubt) == (Origin.OXIMETER, Doubt.PULSE_DISAGREES)
    assert rate.value is not None
    assert rate.value < 90
    assert 164.0 in {s.value for s in tile.sources}


def test_when_best_values_fail_everything_scripted_is_alarmed_and_people_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    demo = shipped_scenario("demo")
    chain = Chain(demo)
    states = gateway.start(demo, start_ns=START_NS, seed=1)
    heard = 0

    def broken(block: SampleBlock) -> SampleBlock:
        nonlocal heard
        heard += 1
        if heard > 5:
            raise RuntimeError("a fault of our own")
        return chosen(block)

    chosen = chain.pipeline.best.choose
    monkeypatch.setattr(chain.pipeline.best, "choose", broken)
    monkeypatch.setattr(chain, "with_best", lambda block: block)
    events = [e for e in chain.run(states, 40) if e.transition in (Transition.RAISED, Transition.ESCALATED)]
    assert [e.subject for e in expectations(demo, START_NS, 40) if not answered(e, events)] == []
    (told,) = [e for e in events if e.condition == "judge_down"]
    assert (told.decided_at_ns - START_NS) / _NS < 20
    assert "3-03" in told.detail


def test_without_best_values_every_device_alarms_as_in_the_release_before(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = shipped_scenario("demo")
    chain = Chain(demo)
    monkeypatch.setattr(chain.pipeline.best, "choose", lambda block: block)
    events = opened(demo, 40, chain=chain)
    assert [e.subject for e in expectations(demo, START_NS, 40) if not answered(e, events)] == []
    assert alarmed(events) >= {("P-0003", "heart_rate_high"), ("P-0003", "pulse_rate_high")}
    assert ("", "judge_down") not in alarmed(events)


def test_the_story_repeats_with_calm_in_between() -> None:
    """Two rounds: everything is alarmed in both, nobody else is, and the last half minute of a round is quiet."""
    demo = shipped_scenario("demo")
    events = opened(demo, 2 * int(demo.repeat_every_s))
    expected = list(expectations(demo, START_NS, 2 * demo.repeat_every_s))
    assert [(e.subject, e.event) for e in expected if not answered(e, events)] == []
    assert alarmed(events) == {(e.subject, e.expect.condition) for e in expected}
    rounds_s = [(e.decided_at_ns - START_NS) / _NS % demo.repeat_every_s for e in events]
    assert max(rounds_s) < demo.repeat_every_s - 30


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_alarms_on_the_calm_ward(seed: int) -> None:
    assert opened(shipped_scenario("calm"), 300, seed=seed) == []


def test_oximeter_beds_of_the_calm_ward_show_a_respiratory_rate_from_the_pulse_wave() -> None:
    calm = shipped_scenario("calm")
    chain = Chain(calm)
    assert chain.run(gateway.start(calm, start_ns=START_NS, seed=1), 120) == []
    shown = [v for tile in chain.engine.tiles(START_NS + 120 * _NS) for v in tile.vitals if is_virtual(v.device)]
    assert len(shown) >= 2
    assert {v.vital for v in shown} == {Vital.RESP_RATE}
    assert {v.quality for v in shown} <= {Quality.USABLE, Quality.DOUBTFUL}
    assert all(v.value is not None and 10 <= v.value <= 20 for v in shown)
    assert len(chain.derived) >= 80
