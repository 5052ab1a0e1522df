"""The words of notifications in one language, as they stand in a TOML file (`alerts/notify/texts/en.toml`). Pure.

English is the reference: a translation has the same entries, each with the same placeholders, or it is refused.
Lengths are bounded so that the first line of every message fits (`alerts.notify.wording.MOST_TITLE`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from string import Formatter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from vitals.errors import ConfigurationError

SHIPPED: Final = ("en", "de")

# The parts of a first line; together with marker and number they leave some of it to the name of a bed or gateway.
MOST_NAME: Final = 40  # characters of what a condition is called
MOST_SENTENCE: Final = 240
Name = Annotated[str, Meta(min_length=1, max_length=MOST_NAME)]
Beginning = Annotated[str, Meta(min_length=1, max_length=26)]  # {name} and {what} included
Frame = Annotated[str, Meta(min_length=1, max_length=38)]
Sentence = Annotated[str, Meta(min_length=1, max_length=MOST_SENTENCE)]
Clock = Annotated[str, Meta(min_length=2, max_length=32, pattern=r"^([^%]|%[YmdHMS])+\Z")]


class Priorities(Struct, frozen=True, forbid_unknown_fields=True):
    """How high a priority is."""

    high: Annotated[str, Meta(min_length=1, max_length=10)]
    medium: Annotated[str, Meta(min_length=1, max_length=10)]
    low: Annotated[str, Meta(min_length=1, max_length=10)]


class Subjects(Struct, frozen=True, forbid_unknown_fields=True):
    """Where it is."""

    bed: Beginning
    gateway: Beginning
    channel: Beginning
    database: Beginning
    ward: Beginning


class FirstLines(Struct, frozen=True, forbid_unknown_fields=True):
    """What the first line is put together from."""

    number: Annotated[str, Meta(max_length=19)]
    points: Annotated[str, Meta(max_length=18)]
    risen: Frame
    still: Annotated[str, Meta(max_length=20)]
    ended: Annotated[str, Meta(max_length=20)]
    one_bed: Name
    beds: Name
    summary: Frame
    ward_only: Name
    ward_only_summary: Annotated[str, Meta(max_length=50)]
    test: Beginning


class Measured(Struct, frozen=True, forbid_unknown_fields=True):
    """The value, and what it is held against."""

    limit: Sentence
    limit_and_before: Sentence
    fall: Sentence
    trend: Sentence
    score: Sentence
    score_in_part: Sentence
    last: Sentence


class Times(Struct, frozen=True, forbid_unknown_fields=True):
    """Since when."""

    since: Sentence
    ended: Sentence
    unwatched: Sentence


class Happened(Struct, frozen=True, forbid_unknown_fields=True):
    """What happened to the alarm, other than that it came, rose or ended."""

    confirmed: Sentence
    widened: Sentence
    resumed: Sentence
    reminded: Sentence
    fell: Sentence
    counted: Sentence
    comes_and_goes: Sentence


class Reasons(Struct, frozen=True, forbid_unknown_fields=True):
    """Why there are no data."""

    radio_lost: Sentence
    battery_empty: Sentence
    never_seen: Sentence
    broker_down: Sentence
    store_down: Sentence


class Lists(Struct, frozen=True, forbid_unknown_fields=True):
    """Several beds, and several alarms."""

    bed: Sentence
    beds: Sentence
    beds_and_more: Sentence
    line: Sentence
    line_value: Sentence
    more: Sentence


class Calls(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a person is called, and that it is late."""

    not_acknowledged: Sentence
    not_reached: Sentence
    reminder: Sentence
    hand_over: Sentence
    late: Sentence


class Tests(Struct, frozen=True, forbid_unknown_fields=True):
    """What a channel's test and the heartbeat tell."""

    heartbeat: Beginning
    body: Sentence
    lost: Name
    lost_body: Sentence
    back: Name
    back_body: Sentence
    proof: Name
    proof_body: Sentence


class Stuck(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a self-test came (`alerts.heartbeat.Step`), and where to look first."""

    begun: Sentence
    accepted: Sentence
    committed: Sentence
    judged: Sentence
    journalled: Sentence


class Texts(Struct, frozen=True, forbid_unknown_fields=True):
    """One language. `conditions`, `actions`: by condition (`alerts.events`); the patient's actions by priority."""

    language: Annotated[str, Meta(min_length=1, max_length=40)]
    decimal_mark: Literal[".", ","]
    time: Clock
    date_and_time: Clock
    priorities: Priorities
    subjects: Subjects
    first_lines: FirstLines
    conditions: dict[str, str]
    actions: dict[str, str]
    measured: Measured
    times: Times
    happened: Happened
    reasons: Reasons
    lists: Lists
    calls: Calls
    tests: Tests
    stuck: Stuck

    def condition(self, condition: str) -> str:
        """What people call a condition: `spo2_low` → "SpO₂ low". One that has no words yet is at least legible."""
        return self.conditions.get(condition) or condition.replace("_", " ")


def decode_texts(payload: bytes, where: str) -> Texts:
    """Read and check a translation; raises `ConfigurationError` that names the file and the entry."""
    texts = _decode(payload, where)
    _check_like(_entries(texts, where), _entries(ENGLISH, where), where)
    return texts


def shipped(language: str) -> Texts:
    """A language that comes with the package; one of `SHIPPED`."""
    return ENGLISH if language == "en" else decode_texts(_packaged(language), f"{language}.toml")


def _decode(payload: bytes, where: str) -> Texts:
    try:
        texts = msgspec.toml.decode(payload, type=Texts)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{where}: {error}") from error
    bounds = {"conditions": (texts.conditions, MOST_NAME), "actions": (texts.actions, MOST_SENTENCE)}
    for table, (entries, most) in bounds.items():  # msgspec would not say which entry of a table it is
        for key, text in entries.items():
            if not 0 < len(text) <= most:
                raise ConfigurationError(f"{where}: {table}.{key} has {len(text)} characters; write 1 to {most}")
    return texts


def _check_like(found: Mapping[str, frozenset[str]], wanted: Mapping[str, frozenset[str]], where: str) -> None:
    for entry in [*wanted, *found]:
        if entry not in found:
            raise ConfigurationError(f"{where}: {entry} is missing; translate it from en.toml")
        if entry not in wanted:
            raise ConfigurationError(f"{where}: {entry} is no entry of en.toml; remove it, or correct its name")
        if found[entry] != wanted[entry]:
            needed = ", ".join(f"{{{name}}}" for name in sorted(wanted[entry])) or "nothing in braces"
            raise ConfigurationError(f"{where}: {entry} needs {needed}, as in en.toml")


def _entries(texts: Texts, where: str) -> dict[str, frozenset[str]]:
    """Each entry by its path, such as `measured.limit`, and the names in its braces."""
    return dict(_placeholders(msgspec.to_builtins(texts), where))


def _placeholders(tree: Mapping[str, Any], where: str, path: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    for key, value in tree.items():
        entry = f"{path}{key}"
        if isinstance(value, dict):
            yield from _placeholders(value, where, f"{entry}.")
        else:
            yield entry, _names_in(value, f"{where}: {entry}")


def _names_in(text: str, where: str) -> frozenset[str]:
    if not text.isprintable():
        raise ConfigurationError(f"{where}: a line break or other control character; write one line")
    try:
        parts = [(name, form, how) for _, name, form, how in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ConfigurationError(f"{where}: braces that do not match ({error}); write {{time}}, say") from error
    if any(form or how or not re.fullmatch("[a-z]+", name) for name, form, how in parts):
        raise ConfigurationError(f"{where}: nothing but a name may stand in braces, such as {{time}}")
    return frozenset(name for name, _, _ in parts)


def _packaged(language: str) -> bytes:
    return files("alerts").joinpath(f"notify/texts/{language}.toml").read_bytes()


ENGLISH: Final = _decode(_packaged("en"), "en.toml")  # a part of the package, as constant as its code
