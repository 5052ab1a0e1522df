"""The decisions without a network: what an answer means, which part is next, what is settled, what is due."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from influx_world import SECOND_NS, START_NS, second

from ingest.influx.delivery import Delivery
from ingest.influx.rollups import touched_by
from ingest.influx.settling import Settling
from ingest.influx.touched import GRACE_NS, QUIET_NS, Touch, Touched
from ingest.influx.verdicts import (
    LONGEST_RETRY_AFTER_S,
    LONGEST_RETRY_S,
    STOPPED_RETRY_S,
    Action,
    Answer,
    Backoff,
    NoAnswer,
    Verdict,
    judge,
    retry_after_s,
)
from ingest.store.rows import BUCKET_NS
from vitals.columns import RecordKind, encode_block
from vitals.journal import Record

NOW_NS = 1_767_225_600_000_000_000


@pytest.mark.parametrize(
    ("status", "action"),
    [
        *((status, Action.DONE) for status in (200, 204)),
        *((status, Action.HALVE) for status in (400, 413, 422)),
        *((status, Action.WAIT) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((status, Action.STOP) for status in (301, 307, 401, 403, 404, 405, 418)),
        (NoAnswer.RESET, Action.WAIT),
        (NoAnswer.TIMEOUT, Action.WAIT),
        (NoAnswer.TLS, Action.STOP),
    ],
)
def test_what_an_answer_means(status: int | NoAnswer, action: Action) -> None:
    verdict = judge(Answer(status, "words"), NOW_NS)
    assert verdict.action is action
    assert bool(verdict.advice) is (action is Action.STOP)
    assert "words" in verdict.reason


@given(st.integers(100, 999), st.text(), st.none() | st.text())
def test_every_answer_means_something_and_moves_no_cursor(status: int, message: str, header: str | None) -> None:
    verdict = judge(Answer(status, message, header), NOW_NS)
    assert verdict.reason.isprintable()
    assert 0 <= verdict.retry_after_s <= LONGEST_RETRY_AFTER_S


def test_only_too_large_and_too_slow_make_bodies_smaller() -> None:
    shrinking = [s for s in (400, 413, 422, 429, 503, *NoAnswer) if judge(Answer(s), NOW_NS).shrink]
    assert shrinking == [413, NoAnswer.TIMEOUT]


def test_retry_after_as_seconds_and_as_a_date() -> None:
    later = format_datetime(datetime.fromtimestamp(NOW_NS / 1e9, UTC) + timedelta(seconds=40), usegmt=True)
    assert retry_after_s("7", NOW_NS) == 7.0
    assert retry_after_s(later, NOW_NS) == 40.0
    assert retry_after_s("86400", NOW_NS) == LONGEST_RETRY_AFTER_S
    for nonsense in (None, "", "soon", "-1", "١٢", "Mon, 99 Foo"):
        assert retry_after_s(nonsense, NOW_NS) == 0.0


def test_delays_double_to_their_bound_and_respect_the_server() -> None:
    waiting, backoff, delays = Verdict(Action.WAIT, "503"), Backoff(), []
    for _ in range(40):
        delays.append(backoff.delay_s(waiting, 1.0))
        backoff = backoff.next()
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(delays) == LONGEST_RETRY_S
    assert backoff.delay_s(waiting, 0.0) == LONGEST_RETRY_S / 2
    assert Backoff().delay_s(Verdict(Action.WAIT, "429", retry_after_s=9.0), 0.0) == 9.0
    assert Backoff().delay_s(Verdict(Action.STOP, "401"), 0.0) == STOPPED_RETRY_S


@given(st.integers(1, 200), st.sets(st.integers(0, 199)))
def test_bisection_condemns_exactly_the_bad_lines(count: int, bad: set[int]) -> None:
    lines = [f"line {number}\n".encode() for number in range(count)]
    bad_lines = {lines[number] for number in bad if number < count}
    delivery, posts, taken = Delivery.of(b"".join(lines)), 0, set[bytes]()
    while (part := delivery.part) is not None:
        posts += 1
        several = part.splitlines(keepends=True)
        if not bad_lines.intersection(several):
            delivery.accept()
            taken.update(several)
        elif delivery.single:
            delivery.condemn("bad")
        else:
            delivery.halve()
    assert {line for line, _ in delivery.poison} == bad_lines
    assert taken == set(lines) - bad_lines
    assert delivery.accepted == count - len(bad_lines)
    assert posts <= 1 + len(bad_lines) * 2 * (math.ceil(math.log2(count)) + 1)


def test_a_field_that_is_refused_costs_few_requests_however_many_lines_have_it() -> None:
    names = ("heart_rate", "spo2", "spo2_reason", "resp_rate", "pulse_rate")
    lines = [f"vitals,patient=P\\ {n} {names[n % 5]}=1.0,x=2.0 {n}\n".encode() for n in range(5_000)]
    bad_lines = {line for line in lines if b" spo2=" in line}
    delivery, posts = Delivery.of(b"".join(lines)), 0
    while (part := delivery.part) is not None:
        posts += 1
        dropped = len(bad_lines.intersection(part.splitlines(keepends=True)))
        if not dropped:
            delivery.accept()
        elif delivery.condemns_all(dropped):
            delivery.condemn("field type conflict", dropped)
        else:
            delivery.halve()
    assert {line for line, _ in delivery.poison} == bad_lines
    assert delivery.accepted == 4_000
    assert posts < 10


def test_how_many_were_dropped_is_read_from_what_influxdb_says() -> None:
    said = (
        'partial write: field type conflict: input field "spo2" on measurement "vitals" is type float, '
        "already exists as type integer dropped=1515"
    )
    assert [judge(Answer(status, said), NOW_NS).dropped for status in (400, 422, 503)] == [1_515, 1_515, 0]
    assert judge(Answer(400, "unable to parse 'vitals dropped=3'"), NOW_NS).dropped == 0


def test_illegal_steps_of_a_delivery_change_nothing() -> None:
    delivery = Delivery.of(b"a\nb\n")
    with pytest.raises(ValueError, match="halve it first"):
        delivery.condemn("bad")
    assert delivery.part == b"a\nb\n"
    delivery.halve()
    with pytest.raises(ValueError, match="condemn it"):
        delivery.halve()
    assert delivery.part == b"a\n"
    assert Delivery.of(b"").part is None


def test_without_a_delay_an_answer_is_settled() -> None:
    settling = Settling(5)
    settling.answered(9, 1.0)
    assert (settling.settled, settling.sent) == (9, 9)


def test_an_answer_settles_after_the_delay_without_a_restart() -> None:
    settling = Settling(0, 60.0)
    assert settling.alive("one", 0.0)
    settling.answered(10, 1.0)
    settling.answered(20, 50.0)
    assert settling.alive("one", 60.9)
    assert (settling.settled, settling.sent) == (0, 20)
    assert settling.alive("one", 61.0)
    assert (settling.settled, settling.sent) == (10, 20)
    assert not settling.alive("two", 200.0)
    assert (settling.settled, settling.sent) == (10, 10)
    assert settling.alive("two", 201.0)


def test_what_was_sent_before_the_life_was_known_is_sent_again() -> None:
    settling = Settling(3, 60.0)
    settling.answered(10, 1.0)
    assert not settling.alive("one", 2.0)
    assert settling.sent == 3


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
def test_nothing_settles_before_its_delay(steps: list[tuple[float, bool]]) -> None:
    settling, now_s, answered, life = Settling(0, 30.0), 0.0, dict[int, float](), 0
    settling.alive("0", now_s)
    for position, (later_s, restart) in enumerate(steps, start=1):
        now_s += later_s
        settling.answered(position, now_s)
        answered[position] = now_s
        life += restart
        assert settling.alive(str(life), now_s) is not restart
        assert settling.settled == 0 or now_s - answered[settling.settled] >= 30.0
        assert len(settling._sent) <= 66


def test_a_bucket_is_due_when_it_is_over_and_quiet() -> None:
    touched, end_ns = Touched(), BUCKET_NS
    touched.note(7, {0: Touch(7, {"P-0001"})}, now_ns=end_ns - 10)
    assert touched.ripe(end_ns + GRACE_NS - 1) == []
    assert touched.ripe(end_ns + GRACE_NS) == [0]
    assert touched.holds_from() == 6
    bucket = touched.take(0)
    assert bucket.patients == {"P-0001"}
    assert touched.holds_from() == 7


def test_late_readings_make_a_bucket_due_again_once() -> None:
    touched, now_ns = Touched(), 100 * BUCKET_NS
    for position in range(1, 200):
        touched.note(position, {3: Touch(position, {"P-0001", "P-0002"})}, now_ns)
    assert touched.ripe(now_ns + QUIET_NS - 1) == []
    assert touched.ripe(now_ns + QUIET_NS) == [3]
    assert touched.take(3).patients == {"P-0001", "P-0002"}
    assert touched.ripe(now_ns + QUIET_NS) == []


def test_too_many_patients_are_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.influx.touched.MOST_PAIRS", 5)
    touched = Touched()
    patients = {f"P-{n}" for n in range(4)}
    touched.note(1, {1: Touch(1, set(patients)), 2: Touch(1, set(patients))}, 0)
    assert touched.buckets[1].patients is None
    assert touched.buckets[2].patients == patients


def test_what_records_touched_is_found_whatever_else_stands_between_them() -> None:
    boundary_s = BUCKET_NS // SECOND_NS
    payloads = [encode_block(second(boundary_s - 1, 2)), b"garbage", encode_block(second(boundary_s, 3))]
    records = [Record(7 + n, RecordKind.SAMPLES, START_NS, payload) for n, payload in enumerate(payloads)]
    found = touched_by([Record(6, RecordKind.STATUS, START_NS, b"{}"), *records])
    first = START_NS // BUCKET_NS
    assert found == {
        first: Touch(7, {"P-0000", "P-0001"}),
        first + 1: Touch(9, {"P-0000", "P-0001", "P-0002"}),
    }
