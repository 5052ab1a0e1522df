"""The page docs/notification-texts.md: every text of a notification, side by side in every language that is shipped.

Each is made as it is made for people, of an example. `python -m alerts.notify.texts_table > docs/notification-texts.md`
writes the page anew after a change; a test compares the two. Pure but for that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from alerts.causes import COUNTED_WITH
from alerts.chatter import COMES_AND_GOES
from alerts.escalation import Call, Why
from alerts.events import FELL_FROM, INTAKE_DOWN, AlarmEvent, Kind, Priority, Transition
from alerts.heartbeat import Page, Step
from alerts.heartbeat_words import page, proof
from alerts.notify.calls import call_due
from alerts.notify.catalogue import ENGLISH, SHIPPED, shipped
from alerts.notify.message import Message, message_for, message_of_test, summary_for, told_late
from alerts.notify.wording import Privacy, Wording, condition_vital
from vitals.model import Reason, Vital

_S: Final = 1_000_000_000
AT_NS: Final = 1_777_896_190 * _S  # 14:03:10 of a day in May, in Berlin
_Example: TypeAlias = Callable[[Wording], Message]

_INTRODUCTION: Final = """\
# Notification texts

Every text that [notifications](notifications.md) are made of, as people get it, in the languages that are shipped. The
first line of each is the title: less than 120 characters, and understandable by itself. Names of patients, pseudonyms
and devices are in none of them. Beds, numbers and times are examples.

This page is made of the program's own texts (`alerts/notify/texts/en.toml`, `alerts/notify/texts/de.toml`). After a
change of a text:

    .venv/bin/python -m alerts.notify.texts_table > docs/notification-texts.md
"""

#: Condition → value and limit of its example, and what was measured ten minutes before.
_NUMBERS: Final[dict[str, tuple[float, float, float | None]]] = {
    "heart_rate_low": (38, 40, 61),
    "heart_rate_high": (144, 140, 98),
    "heart_rate_trend": (96, 71, None),
    "pulse_rate_low": (38, 40, 61),
    "pulse_rate_high": (144, 140, 98),
    "spo2_low": (79, 80, 95),
    "spo2_high": (99, 96, 94),
    "spo2_falling": (84, 96, 95),
    "spo2_deficit": (83, 88, 93),
    "spo2_trend": (91, 96, None),
    "resp_rate_low": (7, 8, 14),
    "resp_rate_high": (27, 25, 18),
    "resp_rate_trend": (22, 15, None),
    "perfusion_index_low": (0.2, 0.3, 1.4),
    "perfusion_index_high": (21, 20, 3.5),
    "body_temperature_low": (34.8, 35, 36.2),
    "body_temperature_high": (39.2, 38.5, 38.1),
    "early_warning": (5, 5, None),
    "battery_low": (18, 20, None),
}
_OF_GATEWAY: Final = ("gateway_down", "radio_down", "clock_untrusted")
_OF_PART: Final = {
    "channel_down": "night-phone",
    "database_down": "ward-db",
    "limits_stuck": "bed 3-01",
}
_OF_LOW: Final = (
    *("heart_rate_trend", "spo2_trend", "resp_rate_trend", "irregular_rhythm", "battery_low", "probe_off"),
    *("poor_signal", "clock_untrusted", "devices_disagree", "judge_down", "engine_down"),
    *("limits_changed", "alarms_paused"),
)
_OF_WARD: Final = ("intake_down", "engine_down", "judge_down", "heartbeat_lost")
_LISTS_BEDS: Final = {"gateway_down": 12, "radio_down": 3, "intake_down": 14}


def example(condition: str, **changes: Any) -> AlarmEvent:
    """An alarm as the engine would raise it, with `changes` of its fields."""
    value, limit, before = _NUMBERS.get(condition, (None, None, None))
    gateway = "gw-2" if condition in _OF_GATEWAY else ""
    is_of_bed = not gateway and condition not in (*_OF_PART, *_OF_WARD)
    vital = condition_vital(condition)
    about_patient = (vital is not None and vital is not Vital.BATTERY) or condition == "early_warning"
    raised = AlarmEvent(
        number=7,
        alarm_id="19df2c5e0f0-7",
        patient="P-0001" if is_of_bed else "",
        bed="3-01" if is_of_bed else "",
        kind=Kind.PHYSIOLOGICAL if about_patient else Kind.TECHNICAL,
        condition=condition,
        priority=_priority(condition),
        transition=Transition.NOTED if condition == "engine_down" else Transition.RAISED,
        at_ns=AT_NS,
        decided_at_ns=AT_NS + 65 * _S,
        position=1,
        value=value,
        limit=limit,
        gateway=gateway,
        detail=_OF_PART.get(condition, ""),
        beds=tuple(f"3-{bed:02}" for bed in range(1, 1 + _LISTS_BEDS.get(condition, 0))),
        before=before,
        raised_at_ns=AT_NS,
    )
    return replace(raised, **changes)


def _priority(condition: str) -> Priority:
    if condition in _OF_LOW:
        return Priority.LOW
    return Priority.HIGH if condition.endswith(("_low", "_high")) else Priority.MEDIUM


def table() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    wordings = [Wording(shipped(language), ZoneInfo("Europe/Berlin"), "north") for language in SHIPPED]
    for heading, examples in _sections():
        lines += [f"## {heading}\n", "| | " + " | ".join(w.texts.language for w in wordings) + " |"]
        lines.append("|---" * (1 + len(wordings)) + "|")
        lines += [f"| {name} | {' | '.join(_cell(made(w)) for w in wordings)} |" for name, made in examples]
        lines.append("")
    return "\n".join(lines)


def _sections() -> Iterator[tuple[str, list[tuple[str, _Example]]]]:
    yield "What alarms", [_one(f"`{condition}`", condition) for condition in ENGLISH.conditions]
    yield "What happens to an alarm", list(_transitions())
    yield (
        "Why there are no data",
        [
            _one(r.name.lower().replace("_", " "), "no_data", reason=r)
            for r in Reason
            if hasattr(ENGLISH.reasons, r.name.lower())
        ],
    )
    yield "Why a person is called", [(why.value.replace("_", " "), _called(why)) for why in Why]
    yield "Several alarms, and what is late", list(_several())
    yield 'With privacy = "ward"', list(_of_ward())
    yield "Tests, and the heartbeat", list(_tests())


def _one(name: str, condition: str, **changes: Any) -> tuple[str, _Example]:
    return name, lambda wording: message_for(example(condition, **changes), wording, AT_NS)


def _transitions() -> Iterator[tuple[str, _Example]]:
    for transition in (
        Transition.CONFIRMED,
        Transition.ESCALATED,
        Transition.RESUMED,
        Transition.REMINDED,
        Transition.ENDED,
    ):
        value = 91.0 if transition is Transition.ENDED else 79.0
        yield _one(transition.value, "spo2_low", transition=transition, at_ns=AT_NS + 600 * _S, value=value)
    yield _one("widened", "gateway_down", transition=Transition.WIDENED)
    yield _one("ended, of a gateway", "gateway_down", transition=Transition.ENDED, beds=())
    counted = COUNTED_WITH[INTAKE_DOWN]
    yield _one("part of another alarm", "gateway_down", transition=Transition.ENDED, beds=(), detail=counted)
    yield _one("one bed", "gateway_down", beds=("3-01",))
    yield _one("fell", "spo2_low", detail=f"{FELL_FROM}97 %")
    yield _one("comes and goes", "resp_rate_high", priority=Priority.MEDIUM, detail=COMES_AND_GOES)
    yield _one("medium priority", "spo2_low", priority=Priority.MEDIUM, value=86.0, limit=88.0)
    yield _one("a score in part", "early_warning", detail="missing")
    yield _one("since yesterday", "no_data", raised_at_ns=AT_NS - 86_400 * _S, transition=Transition.REMINDED)


def _called(why: Why) -> _Example:
    def made(wording: Wording) -> Message:
        call = Call("7-0-19df2c5e0f0-night-phone", "night-phone", "night", 0, why, example("spo2_low"), AT_NS)
        due = call_due("night-phone", [(1, call)], wording, AT_NS)
        assert due is not None
        assert due.message is not None
        return due.message

    return made


def _several() -> Iterator[tuple[str, _Example]]:
    events = [example("spo2_low"), example("no_data", bed="3-02", value=None), example("spo2_falling", bed="3-05")]
    many = [example("probe_off", bed=f"3-{bed:02}", priority=Priority.LOW) for bed in range(1, 15)]
    yield "three", lambda wording: summary_for(events, wording, AT_NS)
    yield "more than a message lists", lambda wording: summary_for(many, wording, AT_NS)
    yield "late", lambda wording: told_late(message_for(events[0], wording, AT_NS), wording.texts)


def _of_ward() -> Iterator[tuple[str, _Example]]:
    def private(wording: Wording) -> Wording:
        return replace(wording, privacy=Privacy.WARD)

    def told(priority: Priority) -> _Example:
        return lambda wording: message_for(example("no_data", priority=priority), private(wording), AT_NS)

    events = [example("spo2_low"), example("no_data", bed="3-02")]
    ended = replace(events[0], transition=Transition.ENDED)
    for priority in reversed(Priority):
        yield f"{priority.name.lower()} priority", told(priority)
    yield "ended", lambda wording: message_for(ended, private(wording), AT_NS)
    yield "several", lambda wording: summary_for(events, private(wording), AT_NS)


def _tests() -> Iterator[tuple[str, _Example]]:
    yield "test of a channel", lambda wording: message_of_test(["night-phone"], wording.texts, AT_NS)
    of = Message("", "", Priority.LOW, (7,), AT_NS)
    yield "heartbeat", lambda wording: proof(of, wording)
    for step in Step:
        if hasattr(ENGLISH.stuck, step.name.lower()):
            yield f"heartbeat lost, {step.name.lower()}", _lost(step)
    yield "heartbeat back", lambda wording: page(Page.BACK, Step.HANDED_OVER, AT_NS, wording)


def _lost(step: Step) -> _Example:
    return lambda wording: page(Page.LOST, step, AT_NS, wording)


def _cell(message: Message) -> str:
    escaped = f"{message.title}\n{message.body}".replace("*", r"\*").replace("|", r"\|")
    return escaped.replace("\n", "<br>")


if __name__ == "__main__":
    sys.stdout.write(table())
