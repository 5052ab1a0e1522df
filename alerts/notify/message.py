"""A notification: what, value, since when, trend, where, and what to do, in the language of whoever reads it. Pure.

A bed says where; neither a name nor the patient's pseudonym leaves the house, nor does what a device is called. The
words themselves are in `alerts/notify/texts/`; docs/notification-texts.md shows what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from alerts.causes import COUNTED_WITH
from alerts.chatter import COMES_AND_GOES
from alerts.events import (
    CHANNEL_DOWN,
    DATABASE_DOWN,
    EARLY_WARNING,
    ENGINE_DOWN,
    FELL_FROM,
    GATEWAY_DOWN,
    LIMITS_STUCK,
    SPO2_FALLING,
    TREND,
    AlarmEvent,
    Kind,
    Priority,
    Transition,
)
from alerts.notify.catalogue import ENGLISH, Texts
from alerts.notify.wording import Privacy, Wording, first_line, is_held_against_a_level

MARKERS: Final = {Priority.HIGH: "***", Priority.MEDIUM: "**", Priority.LOW: "*"}
MOST_LISTED: Final = 12  # alarms or beds named in one message; the rest is counted
_BEGINS: Final = (Transition.RAISED, Transition.NOTED, Transition.ANNOTATED)  # `at_ns` is when it began
_STILL: Final = (Transition.RESUMED, Transition.REMINDED)  # nothing new was measured: the value is of before
_NOT_OF_SCORE: Final = ("", COMES_AND_GOES, *COUNTED_WITH.values())  # other details name what a score misses
_OF_BED: Final = "bed "  # so the detail of `LIMITS_STUCK` begins when it is about one


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel hands over. `title`: one line of less than 120 characters, which tells the most by itself.

    `numbers`: of the alarm events it tells (`AlarmEvent.number`); `decided_at_ns`: of the oldest of them.
    `alarms`: those that it lists and that can be acknowledged, each with the priority it is told with.
    `calls`: those that it answers (`Call.call_id`).
    """

    title: str
    body: str
    priority: Priority
    numbers: tuple[int, ...]
    decided_at_ns: int
    alarms: tuple[tuple[str, Priority], ...] = ()
    calls: tuple[str, ...] = ()


def condition_name(condition: str) -> str:
    """What people call a condition in English: `spo2_low` → "SpO₂ low"."""
    return ENGLISH.condition(condition)


def message_for(event: AlarmEvent, wording: Wording, now_ns: int) -> Message:
    """The message about one alarm, told at `now_ns`."""
    if wording.privacy is Privacy.WARD:
        return _of_ward((event,), wording)
    sentences = [_measured(event, wording), _since(event, wording, now_ns), *_circumstances(event, wording.texts)]
    if event.transition is not Transition.ENDED:
        sentences.append(_action(event, wording.texts))
    body = " ".join(sentence for sentence in sentences if sentence)
    title = _title(event, wording)
    return Message(title, body, event.priority, (event.number,), event.decided_at_ns, _open_among([event]))


def summary_for(events: Sequence[AlarmEvent], wording: Wording, now_ns: int) -> Message:
    """One message about several open alarms, the worst first. `events`: the latest of each, not empty."""
    ordered = sorted(events, key=lambda e: (-e.priority, e.at_ns))
    if wording.privacy is Privacy.WARD:
        return _of_ward(ordered, wording)
    texts, worst = wording.texts, ordered[0]
    lines = [f"{MARKERS[e.priority]} {_line(e, wording, now_ns)}" for e in ordered[:MOST_LISTED]]
    if len(ordered) > MOST_LISTED:
        lines.append(texts.lists.more.format(count=len(ordered) - MOST_LISTED))
    lines.append(texts.actions["summary"])

    def compose(name: str, number: str) -> str:
        what = _headline(worst, wording, name, number)
        return f"{MARKERS[worst.priority]} {texts.first_lines.summary.format(count=len(ordered), what=what)}"

    return Message(
        title=first_line(compose, _subject(worst, wording)[1], _number(worst, wording)),
        body="\n".join(lines),
        priority=worst.priority,
        numbers=tuple(e.number for e in ordered),
        decided_at_ns=min(e.decided_at_ns for e in ordered),
        alarms=_open_among(ordered[:MOST_LISTED]),
    )


def told_late(message: Message, texts: Texts) -> Message:
    """The same, saying that it was kept from getting through."""
    return replace(message, body=f"{texts.calls.late}\n{message.body}".rstrip())


def message_of_test(names: Sequence[str], texts: Texts, at_ns: int) -> Message:
    """What proves that the channels of these names reach whoever asked for it."""
    title = first_line(lambda name, _: texts.first_lines.test.format(name=name), ", ".join(names), "")
    return Message(title, texts.tests.body, Priority.LOW, (), at_ns)


def _open_among(events: Sequence[AlarmEvent]) -> tuple[tuple[str, Priority], ...]:
    return tuple((e.alarm_id, e.priority) for e in events if e.alarm_id and e.transition is not Transition.ENDED)


def _of_ward(events: Sequence[AlarmEvent], wording: Wording) -> Message:
    """What says no more than that something is there, the worst first. Nobody acknowledges what was not told."""
    lines, worst = wording.texts.first_lines, events[0]
    several = lines.ward_only if len(events) == 1 else lines.ward_only_summary
    what = several.format(count=len(events), priority=wording.priority(worst.priority))
    template = wording.texts.subjects.ward
    title = first_line(
        lambda name, _: _framed(worst, lines.ended, template.format(name=name, what=what)), wording.ward, ""
    )
    numbers, decided_ns = tuple(e.number for e in events), min(e.decided_at_ns for e in events)
    return Message(title, wording.texts.actions["ward_only"], worst.priority, numbers, decided_ns)


# -- the first line ---------------------------------------------------------------------------------------------------


def _title(event: AlarmEvent, wording: Wording) -> str:
    lines = wording.texts.first_lines

    def compose(name: str, number: str) -> str:
        what = _headline(event, wording, name, number)
        if event.transition is Transition.ESCALATED:
            what = lines.risen.format(what=what, priority=wording.priority(event.priority))
        elif event.transition in _STILL:
            what = lines.still.format(what=what)
        return _framed(event, lines.ended, what)

    return first_line(compose, _subject(event, wording)[1], _number(event, wording))


def _framed(event: AlarmEvent, ended: str, what: str) -> str:
    if event.transition is Transition.ENDED:
        return ended.format(what=what)
    return f"{MARKERS[event.priority]} {what}"


def _headline(event: AlarmEvent, wording: Wording, name: str, number: str) -> str:
    """Where and what, and the number if there is one."""
    texts = wording.texts
    what = texts.condition(event.condition)
    if event.condition == GATEWAY_DOWN and event.beds:
        lines = texts.first_lines
        what = lines.one_bed if len(event.beds) == 1 else lines.beds.format(count=len(event.beds))
    if number:
        what = texts.first_lines.number.format(what=what, value=number)
    return _subject(event, wording)[0].format(name=name, what=what)


def _subject(event: AlarmEvent, wording: Wording) -> tuple[str, str]:
    """What an alarm is about: the frame that its name goes into, and the name."""
    subjects = wording.texts.subjects
    if event.bed:
        return subjects.bed, event.bed
    if event.gateway:
        return subjects.gateway, event.gateway
    if event.condition == CHANNEL_DOWN:
        return subjects.channel, event.detail
    if event.condition == DATABASE_DOWN:
        return subjects.database, event.detail
    if event.condition == LIMITS_STUCK and event.detail.startswith(_OF_BED):
        return subjects.bed, event.detail.removeprefix(_OF_BED)
    return subjects.ward, wording.ward


def _number(event: AlarmEvent, wording: Wording) -> str:
    if event.value is None or event.transition is Transition.ENDED or event.transition in _STILL:
        return ""
    return wording.number(event.condition, event.value)


# -- the text below it ------------------------------------------------------------------------------------------------


def _measured(event: AlarmEvent, wording: Wording) -> str:
    if event.value is None or event.limit is None:
        return ""
    value = wording.number(event.condition, event.value)
    if not value:
        return ""
    measured, limit, before = wording.texts.measured, wording.limit(event.condition, event.limit), ""
    if event.condition == EARLY_WARNING:
        said = measured.score if event.detail in _NOT_OF_SCORE else measured.score_in_part
    elif event.condition == SPO2_FALLING:
        said = measured.fall
    elif event.condition.endswith(f"_{TREND}"):
        said = measured.trend
    elif event.before is None or event.transition in _STILL:
        said = measured.limit
    else:
        said, before = measured.limit_and_before, wording.number(event.condition, event.before)
    sentence = said.format(value=value, limit=limit, before=before)
    return measured.last.format(measured=sentence) if event.transition in _STILL else sentence


def _since(event: AlarmEvent, wording: Wording, now_ns: int) -> str:
    times = wording.texts.times
    if event.transition is Transition.ENDED:
        return times.ended.format(time=wording.clock(event.at_ns, now_ns))
    if event.condition == ENGINE_DOWN:
        began, ended = wording.clock(event.at_ns, now_ns), wording.clock(event.decided_at_ns, now_ns)
        return times.unwatched.format(time=began, until=ended) if began != ended else ""
    began_ns = _began_ns(event)
    return times.since.format(time=wording.clock(began_ns, now_ns)) if began_ns else ""


def _began_ns(event: AlarmEvent) -> int:
    """When the condition became true; 0 in events of journals that did not keep it."""
    return event.at_ns if event.transition in _BEGINS else event.raised_at_ns


def _circumstances(event: AlarmEvent, texts: Texts) -> list[str]:
    """What happened to it, why, and which beds it is about."""
    comes = texts.happened.comes_and_goes if event.detail == COMES_AND_GOES else ""
    counted = texts.happened.counted if event.detail in COUNTED_WITH.values() else ""
    happened = str(getattr(texts.happened, event.transition.value, ""))
    reason = str(getattr(texts.reasons, event.reason.name.lower(), ""))
    level = event.detail.removeprefix(FELL_FROM)
    fell = texts.happened.fell.format(level=level) if level != event.detail else ""
    return [fell, happened, comes, counted, reason, _beds(event, texts)]


def _beds(event: AlarmEvent, texts: Texts) -> str:
    if event.bed or not event.beds:
        return ""
    named, more = ", ".join(event.beds[:MOST_LISTED]), len(event.beds) - MOST_LISTED
    if more > 0:
        return texts.lists.beds_and_more.format(beds=named, count=more)
    return (texts.lists.bed if len(event.beds) == 1 else texts.lists.beds).format(beds=named)


def _action(event: AlarmEvent, texts: Texts) -> str:
    if event.kind is Kind.PHYSIOLOGICAL and event.priority is Priority.HIGH:
        return texts.actions["patient_high"]
    return texts.actions.get(event.condition) or texts.actions["patient"]


def _line(event: AlarmEvent, wording: Wording, now_ns: int) -> str:
    """One alarm of several."""
    lists, began_ns, number = wording.texts.lists, _began_ns(event), _number(event, wording)
    what = first_line(lambda name, value: _headline(event, wording, name, value), _subject(event, wording)[1], number)
    if not began_ns:
        return what
    time = wording.clock(began_ns, now_ns)
    if not number or event.limit is None or is_held_against_a_level(event.condition):
        return lists.line.format(what=what, time=time)
    return lists.line_value.format(what=what, limit=wording.limit(event.condition, event.limit), time=time)
