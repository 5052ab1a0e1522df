"""Every text that people may get: short, legible, in both languages, with no code and no identity."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from alert_world import T0, S
from hypothesis import example as case
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.causes import COUNTED_WITH
from alerts.chatter import COMES_AND_GOES
from alerts.events import FELL_FROM, INTAKE_DOWN, AlarmEvent, Priority, Transition
from alerts.heartbeat import Page, Step
from alerts.heartbeat_words import page, proof
from alerts.notify.catalogue import ENGLISH, SHIPPED, shipped
from alerts.notify.message import MARKERS, Message, message_for, message_of_test, summary_for, told_late
from alerts.notify.texts_table import example
from alerts.notify.wording import Privacy, Wording, condition_vital, shortened
from vitals.model import VITALS, Reason, Vital

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {name: shipped(name) for name in SHIPPED}
BERLIN = ZoneInfo("Europe/Berlin")
ENGLISH_NORTH = Wording(ENGLISH, BERLIN, "north")
GERMAN_NORTH = Wording(LANGUAGES["de"], BERLIN, "north")
CONDITIONS = tuple(ENGLISH.conditions)
TOLD = (
    Transition.RAISED,
    Transition.CONFIRMED,
    Transition.ESCALATED,
    Transition.WIDENED,
    Transition.RESUMED,
    Transition.REMINDED,
    Transition.ENDED,
    Transition.NOTED,
)
STILL = (Transition.RESUMED, Transition.REMINDED, Transition.ENDED)  # no number in the first line: it would be old
PSEUDONYM, DEVICE = "P-4711", "oxi-4711"

LETTERS = st.sampled_from("ABCXYZabcxyz0123456789.-:")
NAMES = st.text(LETTERS, min_size=1, max_size=64)  # a gateway, channel or site (`vitals.topics.NAME_PATTERN`)
BEDS = st.text(st.sampled_from("ABCÄÖÜabcß0123456789 -/.\n\t"), min_size=1, max_size=32)
PRIVACY = st.sampled_from(Privacy)


@st.composite
def events(draw: st.DrawFn) -> AlarmEvent:
    """Any alarm that may be told, with names and numbers of any permitted length."""
    condition = draw(st.sampled_from(CONDITIONS))
    event = example(condition, priority=draw(st.sampled_from(Priority)), transition=draw(st.sampled_from(TOLD)))
    vital = condition_vital(event.condition)
    info = VITALS[vital] if vital is not None else VITALS[Vital.SPO2]
    numbers = st.floats(info.low, info.high) if event.condition != "early_warning" else st.integers(0, 20).map(float)
    return replace(
        event,
        patient=PSEUDONYM if event.patient else "",
        device=DEVICE,
        bed=draw(BEDS) if event.bed else "",
        gateway=draw(NAMES) if event.gateway else "",
        detail=f"bed {draw(BEDS)}" if event.condition == "limits_stuck" else draw(NAMES) if event.detail else "",
        beds=tuple(draw(st.lists(BEDS, max_size=30))) if event.beds else (),
        value=None if event.value is None else draw(numbers),
        limit=None if event.limit is None else draw(numbers),
        before=draw(st.none() | numbers),
        reason=draw(st.sampled_from(Reason)),
        at_ns=T0 - draw(st.integers(0, 10**6)) * S,
        raised_at_ns=T0 - draw(st.integers(0, 10**6)) * S,
    )


wordings = st.builds(Wording, st.sampled_from(tuple(LANGUAGES.values())), st.just(BERLIN), NAMES, PRIVACY)


def _names(event: AlarmEvent, wording: Wording) -> list[str]:
    return [event.bed, event.gateway, event.detail.removeprefix("bed "), wording.ward]


def require_legible(message: Message) -> None:
    assert len(message.title) < 120
    assert message.title.isprintable()
    text = f"{message.title}\n{message.body}"
    assert "_" not in text
    assert not {"{", "}"} & set(text)
    assert PSEUDONYM not in text
    assert DEVICE not in text


@pytest.mark.parametrize("language", SHIPPED)
@settings(max_examples=400)
@given(told=events(), ward=NAMES, privacy=PRIVACY)
def test_whatever_is_told_fits_names_where_and_says_what_to_do(
    language: str, told: AlarmEvent, ward: str, privacy: Privacy
) -> None:
    wording = Wording(LANGUAGES[language], BERLIN, ward, privacy)
    message = message_for(told, wording, T0)
    require_legible(message)
    ended = told.transition is Transition.ENDED
    assert message.title.startswith(MARKERS[told.priority] + " ") is not ended
    beginnings = {" ".join(name.split())[:6] for name in _names(told, wording) if name}
    assert any(name in message.title for name in beginnings)
    if not ended:
        assert message.body.endswith(tuple(wording.texts.actions.values()))
    if privacy is Privacy.WARD:
        assert message.title.count(":") - ward.count(":") <= 1 + ended
        assert not re.search(r"[%°]|/min", message.title + message.body)


LONG = "north-building-third-floor-corridor-east-gateway-number-two-of.x"


@pytest.mark.parametrize("language", SHIPPED)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_priority_and_transition_with_the_longest_names(condition: str, language: str) -> None:
    assert len(LONG) == 64
    wording = Wording(LANGUAGES[language], BERLIN, LONG)
    for priority, transition in product(Priority, TOLD):
        event = example(condition, priority=priority, transition=transition)
        event = replace(event, bed=LONG[:32] if event.bed else "", gateway=LONG if event.gateway else "")
        detail = f"bed {LONG[:32]}" if condition == "limits_stuck" else LONG if event.detail else ""
        message = message_for(replace(event, detail=detail), wording, T0)
        require_legible(message)
        if event.value is not None and transition not in STILL:
            assert wording.number(condition, event.value) in message.title
        assert "north-" in message.title
        assert "…" in message.title or LONG[:32] in message.title


@given(told=st.lists(events(), min_size=1, max_size=30), wording=wordings)
def test_a_summary_is_legible_too(told: list[AlarmEvent], wording: Wording) -> None:
    message = told_late(summary_for(told, wording, T0), wording.texts)
    require_legible(message)
    first, *lines = message.body.splitlines()
    assert first == wording.texts.calls.late
    assert lines[-1] in (wording.texts.actions["summary"], wording.texts.actions["ward_only"])
    if wording.privacy is Privacy.WARD:
        assert (len(lines), message.alarms) == (1, ())


@given(name=st.text(max_size=80), most=st.integers(1, 80))
def test_a_shortened_name_fits_and_keeps_both_ends(name: str, most: int) -> None:
    short = shortened(name, most)
    assert len(short) <= most
    if len(name) <= most:
        assert short == name
    else:
        begin, end = short.split("…", 1) if name.count("…") == 0 else (short[:0], "")
        assert name.startswith(begin)
        assert name.endswith(end)


@given(wording=wordings, names=st.lists(NAMES, min_size=1, max_size=9))
@case(wording=Wording(LANGUAGES["de"], BERLIN, "n" * 64), names=["n" * 64])
def test_tests_and_the_heartbeat_are_legible(wording: Wording, names: list[str]) -> None:
    found = [message_of_test(names, wording.texts, T0), page(Page.BACK, Step.HANDED_OVER, T0, wording)]
    found += [page(Page.LOST, step, T0, wording) for step in Step]
    found.append(proof(Message("", "", Priority.LOW, (1,), T0), wording))
    for message in found:
        require_legible(message)
        assert message.body


def test_a_nurse_reads_german() -> None:
    message = message_for(example("body_temperature_high"), GERMAN_NORTH, example("x").at_ns)
    assert message.title == "*** Bett 3-01: Temperatur hoch, 39,2 °C"
    assert message.body == (
        "39,2 °C (Grenze 38,5), vor zehn Minuten 38,1 °C. Seit 14:03:10 Uhr. "
        "Bitte sofort nach der Patientin oder dem Patienten sehen."
    )


def test_an_alarm_that_calls_again_says_since_when_it_is_open_and_no_old_number_in_the_first_line() -> None:
    raised = example("spo2_low")
    reminded = replace(raised, transition=Transition.REMINDED, at_ns=raised.at_ns + 120 * S)
    message = message_for(reminded, ENGLISH_NORTH, reminded.at_ns)
    assert message.title == "*** Still: Bed 3-01: SpO₂ low"
    assert message.body.startswith("Last recorded: 79 % (limit 80). Since 14:03:10. Acknowledged, and still present.")
    of_older_journal = replace(reminded, raised_at_ns=0)
    assert "Since" not in message_for(of_older_journal, ENGLISH_NORTH, reminded.at_ns).body


def test_what_is_not_of_today_has_its_date() -> None:
    event = example("probe_off")
    tomorrow = event.at_ns + 86_400 * S
    assert "Since 2026-05-04 14:03:10." in message_for(event, ENGLISH_NORTH, tomorrow).body
    assert "Seit 04.05.2026, 14:03:10 Uhr." in message_for(event, GERMAN_NORTH, tomorrow).body


def test_an_alarm_that_comes_and_goes_says_so() -> None:
    assert "It comes and goes." in message_for(example("spo2_low", detail=COMES_AND_GOES), ENGLISH_NORTH, T0).body


def test_a_score_says_when_it_is_one_in_part() -> None:
    of_all = message_for(example("early_warning"), ENGLISH_NORTH, T0).body
    in_part = message_for(example("early_warning", detail="5 to 9, missing: temperature"), ENGLISH_NORTH, T0).body
    assert of_all.startswith("5 points (limit 5). ")
    assert in_part.startswith("At least 5 points (limit 5): not every vital sign of the score is measured. ")
    assert "temperature" not in in_part


def test_an_alarm_that_tells_of_a_fall_too_says_from_where() -> None:
    assert "It fell from 97 %." in message_for(example("spo2_low", detail=f"{FELL_FROM}97 %"), ENGLISH_NORTH, T0).body


def test_a_number_without_sense_is_left_out_rather_than_cut() -> None:
    message = message_for(example("spo2_low", value=1e200), ENGLISH_NORTH, T0)
    assert message.title == "*** Bed 3-01: SpO₂ low"


def test_an_alarm_that_another_one_tells_of_now_is_not_simply_over() -> None:
    ended = example("gateway_down", transition=Transition.ENDED, detail=COUNTED_WITH[INTAKE_DOWN])
    assert "It is part of another alarm now." in message_for(ended, ENGLISH_NORTH, T0).body
