"""The synthetic patient's alarm: what its gateway sends, and what the engine makes of it. Pure; time is an argument.

Each message brings a temperature far beyond the limit and, a millisecond later, a normal one: the condition becomes
present and ends in the same step, and nothing stays open. The judgement is an `Engine`'s with a ward of its own: the
synthetic patient can be on no tile, in no figure and in no snapshot of the real ward, and cannot excuse a gateway.

A temperature, because readings of it are neither smoothed nor chosen among devices: each round is by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from alerts.engine import Engine
from alerts.events import AlarmEvent, Transition
from alerts.limits import TECHNICAL, Battery, Preset, Technical, VitalLimits
from vitals.columns import decode_block
from vitals.errors import MalformedMessageError
from vitals.model import VITALS, ClockSource, ClockTrust, DeviceBatch, GatewayBatch, Sample, Vital
from vitals.self_test import SELF_TEST
from vitals.ward import Patient, Ward

VITAL: Final = Vital.BODY_TEMPERATURE
BEYOND: Final = 44.0  # °C; within what can be measured, or ingest would set it aside
NORMAL: Final = 37.0
_LIMIT: Final = 42.0
_APART_NS: Final = 1_000_000
CONDITION: Final = f"{VITALS[VITAL].name}_high"


def readings(at_ns: int) -> GatewayBatch:
    """What the synthetic patient's gateway sends in a round that begins at `at_ns`; it expects no receipt."""
    samples = (Sample(VITAL, at_ns, BEYOND), Sample(VITAL, at_ns + _APART_NS, NORMAL))
    clock = ClockTrust(ClockSource.SYNCHRONISED, 0.0)
    return GatewayBatch(SELF_TEST, 0, 0, 0, at_ns, clock, (DeviceBatch(SELF_TEST, samples),))


class SelfTest:
    """`judged(at_ns, decided_at_ns)`: called when the alarm of the round that began at `at_ns` was decided."""

    def __init__(self, judged: Callable[[int, int], None], now_ns: int) -> None:
        ward = Ward(SELF_TEST, patients=(Patient(SELF_TEST, SELF_TEST),))
        self._engine = Engine(ward, _preset(), now_ns)
        self._judged = judged

    def step(self, payloads: Iterable[bytes], now_ns: int) -> tuple[AlarmEvent, ...]:
        """The alarm's events, out of records of kind `SELF_TEST`. One that cannot be read is a round that fails."""
        events: list[AlarmEvent] = []
        for payload in payloads:
            try:
                block = decode_block(payload)
            except MalformedMessageError:
                continue
            decided = self._engine.step([(now_ns, block)], 0, now_ns)
            events += [event for event in decided if event.condition == CONDITION]
        for event in events:
            if event.transition is Transition.RAISED:
                self._judged(event.at_ns, event.decided_at_ns)
        return tuple(events)

    def resume(self, now_ns: int) -> None:
        """Carry on after a standstill, or with a clock that was set."""
        self._engine.resume(now_ns, now_ns, "")


def _preset() -> Preset:
    limits = VitalLimits(unit=VITALS[VITAL].unit, hysteresis=0, severe_high=_LIMIT)
    return Preset(
        version=1,
        name=SELF_TEST,
        rationale="One limit without a delay, of high priority: what comes and goes at that priority is not held open.",
        vitals={VITALS[VITAL].name: limits},
        technical={name: Technical("low", 600) for name in TECHNICAL},
        battery=Battery(0, 0),
    )
