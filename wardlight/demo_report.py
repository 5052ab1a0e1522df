"""What a demo run proved, as one JSON object: was anything lost, and was every scripted event alarmed and nothing else.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from alerts.events import AlarmEvent, Transition
from simulators.timeline import Expectation
from simulators.truth import Difference

_OPENS = (Transition.RAISED, Transition.ESCALATED, Transition.CONFIRMED)


class Readings(Struct, frozen=True):
    """Readings produced by the wearables against readings in the store, key by key and value by value."""

    produced: int
    stored: int
    lost: int
    doubled: int
    changed: int
    example: str


class Messages(Struct, frozen=True):
    """Messages between gateways and ingest."""

    sent: int
    resent: int
    received: int
    duplicates_refused: int
    rejected: int
    given_up_by_spools: int


class AlarmCount(Struct, frozen=True):
    """Alarms of one condition and priority. Delays: seconds from its own time to the message handed to a channel."""

    condition: str
    kind: str
    priority: str
    count: int
    delay_median_s: float | None
    delay_worst_s: float | None


class ScriptedEvent(Struct, frozen=True):
    """An event of the scenario and the alarm that answered it.

    `announced_after_s`: from the event to the alarm's message handed to a channel, `None` when none was in time.
    """

    subject: str
    event: str
    expected: str
    within_s: float
    announced_after_s: float | None


class DemoReport(Struct, frozen=True):
    """The whole result; `ok` decides the exit code."""

    ok: bool
    scenario: str
    transport: str
    duration_s: float
    readings: Readings
    messages: Messages
    gaps: int
    alarms: list[AlarmCount]
    events: list[ScriptedEvent]
    unexpected_alarms: list[str]


def compile_report(
    *,
    scenario: str,
    transport: str,
    duration_s: float,
    difference: Difference,
    messages: Messages,
    gaps: int,
    expected: Sequence[Expectation],
    alarm_events: Sequence[AlarmEvent],
    handed_over_ns: Mapping[int, int],
) -> DemoReport:
    """Judge a run. `handed_over_ns`: number of an alarm event → when its message was handed to a channel (UTC)."""
    opened = [e for e in alarm_events if e.transition in _OPENS]
    scripted = [_answer(expectation, opened, handed_over_ns) for expectation in expected]
    readings = Readings(
        difference.produced,
        difference.stored,
        difference.missing,
        difference.extra,
        difference.changed,
        difference.example,
    )
    unexpected = list(_unexpected(opened, expected))
    arrived = difference.exact and difference.produced > 0 and not gaps and not messages.given_up_by_spools
    alarmed = all(event.announced_after_s is not None for event in scripted)
    return DemoReport(
        ok=arrived and alarmed and not unexpected,
        scenario=scenario,
        transport=transport,
        duration_s=round(duration_s, 1),
        readings=readings,
        messages=messages,
        gaps=gaps,
        alarms=list(_counts(opened, handed_over_ns)),
        events=scripted,
        unexpected_alarms=unexpected,
    )


def subject_of(event: AlarmEvent) -> str:
    """Whom an alarm is about: a patient, or the gateway of a technical alarm."""
    return event.patient or event.gateway


def _answer(expectation: Expectation, opened: Sequence[AlarmEvent], handed_over_ns: Mapping[int, int]) -> ScriptedEvent:
    told = [(e, handed_over_ns[e.number]) for e in opened if e.number in handed_over_ns]
    met = [at for e, at in told if expectation.met_by(subject_of(e), e.condition, e.priority.name.lower(), at)]
    return ScriptedEvent(
        subject=expectation.subject,
        event=expectation.event,
        expected=f"{expectation.expect.condition} ({expectation.expect.priority})",
        within_s=expectation.expect.within_s,
        announced_after_s=round((min(met) - expectation.from_ns) / 1e9, 1) if met else None,
    )


def _counts(opened: Sequence[AlarmEvent], handed_over_ns: Mapping[int, int]) -> Iterable[AlarmCount]:
    groups: dict[tuple[str, str, str], list[AlarmEvent]] = {}
    for event in opened:
        groups.setdefault((event.condition, event.kind.value, event.priority.name.lower()), []).append(event)
    for (condition, kind, priority), events in sorted(groups.items()):
        delays = [(handed_over_ns[e.number] - e.at_ns) / 1e9 for e in events if e.number in handed_over_ns]
        yield AlarmCount(
            condition,
            kind,
            priority,
            len(events),
            round(median(delays), 3) if delays else None,
            round(max(delays), 3) if delays else None,
        )


def _unexpected(opened: Sequence[AlarmEvent], expected: Sequence[Expectation]) -> Iterable[str]:
    """Alarms that no script asked for; a milder step on the way to an expected alarm is not one of them."""
    asked = {(e.subject, e.expect.condition) for e in expected}
    for event in opened:
        if (subject_of(event), event.condition) not in asked:
            yield f"{event.condition} ({event.priority.name.lower()}) of {subject_of(event)}"
