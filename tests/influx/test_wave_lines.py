"""Snippets of pulse waves: which samples, at which time, and what an alarm has to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from influx_world import SECOND_NS, START_NS
from test_alarm_lines import EVENT

from alerts.events import Kind, Priority, Transition
from ingest.influx.line_protocol import Precision, joined
from ingest.influx.wave_lines import AFTER_NS, BEFORE_NS, Moment, wave_body
from ingest.store.answers import StoredWaveform
from wardlight.influx_alarms import moments

MOMENT = Moment("P-0001", START_NS + 30 * SECOND_NS)


def wave(at_ns: int, counts: list[int], *, filtered: bool = True, rate_hz: float = 100.0) -> StoredWaveform:
    found = np.array(counts, "<i4")
    shown = (found / 8).astype("<f4") if filtered else np.empty(0, "<f4")
    return StoredWaveform("ox 1%", at_ns, at_ns, rate_hz, 1, found, shown)


def body(found: StoredWaveform, precision: Precision = Precision.NANOSECONDS) -> str:
    return wave_body(found, "infrared", MOMENT, "north", precision).decode()


def test_each_sample_is_a_line_at_its_time() -> None:
    assert body(wave(MOMENT.at_ns, [-5, 131_072])) == (
        "ppg,device=ox\\ 1%,patient=P-0001,site=north,wave=infrared "
        f"count=-5.0,filtered=-0.625 {MOMENT.at_ns}\n"
        "ppg,device=ox\\ 1%,patient=P-0001,site=north,wave=infrared "
        f"count=131072.0,filtered=16384 {MOMENT.at_ns + 10_000_000}\n"
    )


def test_what_was_not_filtered_has_no_such_field() -> None:
    assert "filtered" not in body(wave(MOMENT.at_ns, [1], filtered=False))
    odd = wave(MOMENT.at_ns, [1, 2])
    odd.filtered[1] = np.nan
    assert "nan" not in body(odd)


@pytest.mark.parametrize(
    ("at_ns", "samples"),
    [
        (MOMENT.at_ns - BEFORE_NS - 50_000_000, 95),
        (MOMENT.at_ns + AFTER_NS - 50_000_000, 5),
        (MOMENT.at_ns + AFTER_NS, 0),
        (MOMENT.at_ns - BEFORE_NS - SECOND_NS, 0),
    ],
)
def test_only_what_lies_around_the_alarm_is_told(at_ns: int, samples: int) -> None:
    assert body(wave(at_ns, list(range(100)))).count("\n") == samples


def test_a_database_of_milliseconds_tells_neighbours_apart() -> None:
    lines = body(wave(MOMENT.at_ns, list(range(250)), rate_hz=250.0), Precision.MILLISECONDS).splitlines()
    stamps = [int(line.rsplit(" ", 1)[1]) for line in lines]
    assert len(set(stamps)) == 250
    assert stamps[:2] == [MOMENT.at_ns // 10**6, MOMENT.at_ns // 10**6 + 4]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"transition": Transition.ESCALATED}, False),
        ({"kind": Kind.TECHNICAL}, False),
        ({"priority": Priority.LOW}, False),
    ],
)
def test_a_wave_may_explain_an_alarm_of_vitals_when_it_is_raised(changes: dict[str, object], wanted: bool) -> None:
    assert len(list(moments([replace(EVENT, **changes)]))) == wanted  # type: ignore[arg-type]  # chosen above


def test_small_bodies_are_joined() -> None:
    assert list(joined([b"a\n", b"", b"b\n", b"c\n"], 4)) == [b"a\nb\n", b"c\n"]
    assert list(joined([b"", b""], 4)) == []
