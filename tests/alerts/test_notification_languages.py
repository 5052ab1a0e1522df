"""The languages that messages are written in: complete, of the right length, chosen by channel, and one's own."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from alert_world import T0, preset
from hypothesis import given
from hypothesis import strategies as st

import alerts.events
from alerts.config import decode_config, open_channels
from alerts.events import ADVISORIES, Kind, Transition
from alerts.limits import TECHNICAL
from alerts.measure_settings import TREND_VITALS
from alerts.notify.catalogue import ENGLISH, MOST_NAME, SHIPPED, Texts, decode_texts, shipped
from alerts.notify.message import message_for, summary_for
from alerts.notify.texts_table import example, table
from alerts.notify.wording import MOST_TITLE, Privacy, Wording
from vitals.errors import ConfigurationError
from vitals.model import VITALS, Vital

ROOT = Path(__file__).resolve().parents[2]
GERMAN = (ROOT / "alerts" / "notify" / "texts" / "de.toml").read_text()
LANGUAGES = {name: shipped(name) for name in SHIPPED}
CONDITIONS = tuple(ENGLISH.conditions)
BERLIN = ZoneInfo("Europe/Berlin")


def test_every_condition_has_words() -> None:
    named = {value for name, value in vars(alerts.events).items() if name.isupper() and isinstance(value, str)}
    technical = {name for name in named if re.fullmatch(r"[a-z0-9_]+", name)}
    limited = {f"{name}_{side}" for name in preset().vitals for side in ("low", "high")}
    trends = {f"{vital}_trend" for vital in TREND_VITALS}
    wanted = (technical - {"trend"}) | limited | trends | ADVISORIES | set(TECHNICAL)
    assert wanted - ENGLISH.conditions.keys() == set()
    without_patient = {c for c in CONDITIONS if example(c).kind is Kind.TECHNICAL}
    assert without_patient - ENGLISH.actions.keys() == set()


def test_every_vital_that_may_have_limits_has_words() -> None:
    for vital in (Vital.HEART_RATE, Vital.PULSE_RATE, Vital.SPO2, Vital.RESP_RATE, Vital.PERFUSION_INDEX):
        assert {f"{VITALS[vital].name}_low", f"{VITALS[vital].name}_high"} <= ENGLISH.conditions.keys()


@pytest.mark.parametrize("language", SHIPPED)
def test_no_text_holds_a_code_word(language: str) -> None:
    texts = msgspec.to_builtins(LANGUAGES[language])
    assert not [text for text in _leaves(texts) if "_" in re.sub(r"\{\w+\}", "", text)]


def _leaves(tree: dict[str, object]) -> list[str]:
    return [leaf for value in tree.values() for leaf in (_leaves(value) if isinstance(value, dict) else [str(value)])]


def test_english_names_are_those_of_the_vitals() -> None:
    for condition in CONDITIONS:
        name, _, side = condition.rpartition("_")
        if side in ("low", "high") and condition != "battery_low":
            assert ENGLISH.conditions[condition].casefold() == f"{_label(name)} {side}".casefold()


def _label(name: str) -> str:
    return next(info.label for info in VITALS.values() if info.name == name)


@pytest.mark.parametrize(
    ("there", "instead", "complaint"),
    [
        ('probe_off = "Sensor ab"\n', "", r"fr.toml: conditions.probe_off is missing; translate it from en.toml"),
        ('probe_off = "Sensor ab"', 'probe_of = "Sensor ab"', "conditions.probe_off is missing"),
        ('language = "Deutsch"', 'language = "Deutsch"\ncolour = "red"', "colour"),
        ("[conditions]", '[conditions]\nnew = "neu"', "conditions.new is no entry of en.toml"),
        ('still = "Weiterhin: {what}"', 'still = "Weiterhin"', r"first_lines.still needs \{what\}"),
        ('since = "Seit {time} Uhr."', 'since = "Seit {time} {when}."', r"times.since needs \{time\}"),
        ('since = "Seit {time} Uhr."', 'since = "Seit {time."', "times.since: braces that do not match"),
        ('since = "Seit {time} Uhr."', 'since = "Seit {time.zone}"', "nothing but a name may stand in braces"),
        ('since = "Seit {time} Uhr."', 'since = "Seit {time!r}"', "nothing but a name may stand in braces"),
        ('ended = "Beendet um {time} Uhr."\n', "", "ended"),
        (
            'probe_off = "Sensor ab"',
            f'probe_off = "{"Sensor ab " * 5}"',
            "conditions.probe_off has 50 characters; write 1 to 40",
        ),
        ('probe_off = "Sensor ab"', 'probe_off = "Sensor\\nab"', "conditions.probe_off: a line break"),
        ('decimal_mark = ","', 'decimal_mark = ";"', "decimal_mark"),
        ('time = "%H:%M:%S"', 'time = "%c"', r"\$.time"),
        ("[conditions]", "[conditions", "fr.toml"),
    ],
)
def test_a_translation_that_is_not_complete_is_refused(there: str, instead: str, complaint: str) -> None:
    assert there in GERMAN
    with pytest.raises(ConfigurationError, match=complaint):
        decode_texts(GERMAN.replace(there, instead).encode(), "fr.toml")


@given(st.binary(max_size=200))
def test_whatever_is_no_translation_is_refused(payload: bytes) -> None:
    with pytest.raises(ConfigurationError):
        decode_texts(payload, "fr.toml")


def test_a_first_line_of_a_translation_with_the_longest_permitted_entries_fits() -> None:
    texts = _stretched(ENGLISH)
    for condition in CONDITIONS:
        for transition in Transition:
            event = example(condition, transition=transition, bed="b" * 32, gateway="g" * 64)
            message = message_for(event, Wording(texts, BERLIN, "w" * 64), T0)
            assert len(message.title) <= MOST_TITLE
            assert "…" in message.title or "b" * 32 in message.title or "b" not in message.title
    three = [example("spo2_low", bed="b" * 32)] * 12_345
    assert len(summary_for(three, Wording(texts, BERLIN, "w" * 64), T0).title) <= MOST_TITLE


def _stretched(texts: Texts) -> Texts:
    """English with every entry as long as its type permits; each is found out by trying."""
    tree = msgspec.to_builtins(texts)
    tree["conditions"] = {name: text.rjust(MOST_NAME, "x") for name, text in tree["conditions"].items()}
    for section in ("priorities", "subjects", "first_lines"):
        for key in tree[section]:
            while True:
                longer = {**tree, section: {**tree[section], key: "x" + tree[section][key]}}
                try:
                    msgspec.convert(longer, Texts)
                except msgspec.ValidationError:
                    break
                tree = longer
    return msgspec.convert(tree, Texts)


# -- settings ---------------------------------------------------------------------------------------------------------

CHANNELS = """
[[channels]]
name = "ward-phone"
record_file = "book"
[[channels]]
name = "night-phone"
record_file = "book"
"""


def test_channels_speak_the_language_of_the_file_or_their_own(tmp_path: Path) -> None:
    (tmp_path / "fr.toml").write_text(GERMAN.replace('"Deutsch"', '"Français"'))
    text = f'language = "de"\nprivacy = "ward"\n{CHANNELS}language = "fr.toml"\nprivacy = "bed"\n'
    ward, night = (channel.subscription for channel in open_channels(decode_config(text.encode()), tmp_path, {}))
    assert (ward.texts.language, ward.privacy) == ("Deutsch", Privacy.WARD)
    assert (night.texts.language, night.privacy) == ("Français", Privacy.BED)
    plain = open_channels(decode_config(CHANNELS.encode()), tmp_path, {})[0].subscription
    assert (plain.texts.language, plain.privacy) == ("English", Privacy.BED)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('language = "fr"', "", "alerts: language 'fr' is not shipped"),
        ("", 'language = "fr"', "channel 'night-phone': language 'fr' is not shipped"),
        ("", 'language = "none.toml"', r"channel 'night-phone': language .*none.toml cannot be read"),
        ("", 'language = "bad.toml"', r"channel 'night-phone': language .*bad.toml: .*missing"),
        ("", 'privacy = "none"', "privacy|enum"),
    ],
)
def test_a_language_that_is_not_there_is_refused_and_named(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    (tmp_path / "bad.toml").write_text("language = 'x'")
    with pytest.raises(ConfigurationError, match=complaint):
        open_channels(decode_config(f"{before}\n{CHANNELS}{after}\n".encode()), tmp_path, {})


# -- the page of the documentation ------------------------------------------------------------------------------------


def test_the_table_of_the_documentation_is_that_of_the_texts() -> None:
    page = (ROOT / "docs" / "notification-texts.md").read_text()
    assert page == table(), "run: .venv/bin/python -m alerts.notify.texts_table > docs/notification-texts.md"


def test_the_table_shows_every_text() -> None:
    found = table()
    for texts in LANGUAGES.values():
        for text in _leaves(msgspec.to_builtins(texts)):
            for piece in re.split(r"\{\w+\}", text):
                wanted = piece.strip().replace("*", r"\*")
                assert "%" in wanted or wanted in found, wanted
