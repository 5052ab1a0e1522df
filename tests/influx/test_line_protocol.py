"""Lines: their form, what is never in them, and that nothing of a reading is lost on the way."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.influx.line_protocol import (
    Precision,
    fields_of,
    in_bodies,
    line,
    probe_line,
    vital_name,
    vitals_lines,
)
from vitals.columns import SAMPLE_DTYPE, SampleBlock
from vitals.model import Quality, Reason, Vital

START_NS = 1_767_225_600_000_000_000
_TAG = r"(?:[^,= \\\n]|\\.)+"
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_LINE = re.compile(rf"\w+(?:,\w+={_TAG})+ \w+={_NUMBER}(?:,\w+={_NUMBER})* \d+\n", re.ASCII)


def block(*rows: tuple[str, str, int, float, Reason, int, int]) -> SampleBlock:
    """Rows of device, patient, vital, value, reason, milliseconds after the start, sequence."""
    found = np.zeros(len(rows), SAMPLE_DTYPE)
    for index, (_, _, vital, value, reason, at_ms, sequence) in enumerate(rows):
        found[index]["device"], found[index]["vital"], found[index]["value"] = index, vital, value
        found[index]["reason"], found[index]["sequence"] = reason, sequence
        found[index]["sampled_at_ns"] = START_NS + at_ms * 10**6
    found["source"] = found["device"]
    found["quality"] = Quality.USABLE
    return SampleBlock(tuple(r[0] for r in rows), tuple(r[1] for r in rows), ("gw",) * len(rows), found)


def text_of(*blocks: SampleBlock, precision: Precision = Precision.NANOSECONDS, **others: int) -> str:
    return b"".join(vitals_lines(blocks, "north", precision, **others).bodies).decode()


def test_a_reading_and_a_missing_one() -> None:
    there = ("ox-1", "P-0001", Vital.SPO2, 97.0, Reason.PRESENT, 0, 0)
    gone = ("ox-1", "P-0001", Vital.SPO2, math.nan, Reason.PROBE_OFF, 1_000, 0)
    assert text_of(block(there), block(gone)) == (
        "vitals,device=ox-1,patient=P-0001,site=north spo2=97.0,spo2_reason=0.0,spo2_quality=1.0 1767225600000000000\n"
        "vitals,device=ox-1,patient=P-0001,site=north spo2_reason=2.0,spo2_quality=1.0 1767225601000000000\n"
    )


def test_an_unknown_quality_is_left_out() -> None:
    found = block(("ox-1", "P-0001", Vital.SPO2, 97.0, Reason.PRESENT, 0, 0))
    found.rows["quality"] = Quality.UNKNOWN
    assert "quality" not in text_of(found)


def test_beats_that_share_a_moment_stand_apart() -> None:
    beats = [("strap", "P-0001", Vital.RR_INTERVAL, 800.0 + n, Reason.PRESENT, 0, n) for n in range(3)]
    lines = text_of(block(*beats)).splitlines()
    assert [found.split()[1].split(",")[0] for found in lines] == ["ms=800.0", "ms=801.0", "ms=802.0"]
    assert len({found.split()[2] for found in lines}) == 3
    assert all(found.startswith("rr_interval,") for found in lines)


def test_milliseconds_for_a_database_that_keeps_no_finer_time() -> None:
    beats = [("strap", "P-0001", Vital.RR_INTERVAL, 800.0, Reason.PRESENT, 5, n) for n in range(2)]
    stamps = [found.split()[2] for found in text_of(block(*beats), precision=Precision.MILLISECONDS).splitlines()]
    assert stamps == ["1767225600005", "1767225600006"]


def test_nobodys_device_has_a_patient_tag_all_the_same() -> None:
    assert ",patient=(unassigned)," in text_of(block(("ox-1", "", Vital.SPO2, 97.0, Reason.PRESENT, 0, 0)))


def test_a_vital_of_a_newer_version_keeps_its_number() -> None:
    assert vital_name(63) == "vital_63"
    assert " vital_63=1.5," in text_of(block(("x", "P-0001", 63, 1.5, Reason.PRESENT, 0, 0)))


def test_a_number_without_sense_is_never_written() -> None:
    for value in (math.nan, math.inf, -math.inf):
        found = text_of(block(("ox-1", "P-0001", Vital.SPO2, value, Reason.PRESENT, 0, 0)))
        assert found.split()[1] == f"spo2_reason={int(Reason.NOT_A_NUMBER)}.0,spo2_quality=1.0"


def test_what_the_target_no_longer_keeps_is_left_out_and_counted() -> None:
    rows = [("ox-1", "P-0001", Vital.SPO2, 97.0, Reason.PRESENT, at_ms, 0) for at_ms in (0, 1_000, 2_000)]
    lines = vitals_lines([block(*rows)], "north", Precision.NANOSECONDS, oldest_ns=START_NS + 10**9)
    assert (lines.count, lines.expired, b"".join(lines.bodies).count(b"\n")) == (2, 1, 2)


def test_bodies_are_bounded() -> None:
    rows = [("ox-1", "P-0001", Vital.SPO2, 97.0, Reason.PRESENT, at_ms, 0) for at_ms in range(25)]
    lines = vitals_lines([block(*rows[:12]), block(*rows[12:])], "north", Precision.NANOSECONDS, lines_per_body=10)
    assert [body.count(b"\n") for body in lines.bodies] == [10, 10, 5]


def test_nothing_makes_no_lines() -> None:
    assert vitals_lines([], "north", Precision.NANOSECONDS).bodies == ()
    assert vitals_lines([block()], "north", Precision.NANOSECONDS).count == 0


_NAME = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs", "Cc")), max_size=12)


@given(
    st.lists(
        st.tuples(
            _NAME,
            _NAME,
            st.integers(0, 63),
            st.floats(),
            st.sampled_from(Reason),
            st.integers(0, 10**6),
            st.integers(0, 9),
        ),
        max_size=12,
    )
)
def test_whatever_is_in_a_row_its_line_is_well_formed_and_exact(
    rows: list[tuple[str, str, int, float, Reason, int, int]],
) -> None:
    lines = text_of(block(*rows)).split("\n")[:-1]
    assert len(lines) == len(rows)
    for found, (_, _, vital, value, _, at_ms, sequence) in zip(lines, rows, strict=True):
        assert _LINE.fullmatch(found + "\n"), found
        fields, stamp = found.rsplit(" ", 2)[1:]
        assert int(stamp) == START_NS + at_ms * 10**6 + sequence
        numbers = dict(field.split("=") for field in fields.split(","))
        if math.isfinite(value):
            assert float(numbers[fields_of(vital).value]) == value
        else:
            assert fields_of(vital).value not in numbers
            assert float(numbers[fields_of(vital).reason]) > 0


@given(_NAME, st.text(max_size=20))
def test_one_line_stays_one_line(tag: str, text: str) -> None:
    found = line("alarm", {"condition": tag, "site": "north"}, {"note": text, "number": 1}, 5)
    assert found.count(b"\n") == 1
    assert b"=," not in found.replace(b"\\=,", b"")


def test_a_line_needs_a_field() -> None:
    with pytest.raises(ValueError, match="needs a field"):
        line("alarm", {}, {"value": None}, 5)


def test_text_is_quoted() -> None:
    assert line("alarm", {"a": "x y,z=1"}, {"by": 'a "b" \\'}, 5) == b'alarm,a=x\\ y\\,z\\=1 by="a \\"b\\" \\\\" 5\n'


def test_lines_become_bodies() -> None:
    assert list(in_bodies([b"a\n", b"b\n", b"c\n"], 2)) == [b"a\nb\n", b"c\n"]


def test_the_probe_is_a_line() -> None:
    assert probe_line("north", START_NS, Precision.MILLISECONDS) == b"wardlight_probe,site=north ok=1.0 1767225600000\n"
