"""Status and receipt: two small JSON pairs, and the topics that all messages travel on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.control import MAX_AHEAD, decode_receipt, decode_status, encode_receipt, encode_status
from vitals.errors import MalformedMessageError
from vitals.model import (
    ClockSource,
    ClockTrust,
    GatewayHealth,
    GatewayStatus,
    Presence,
    RadioHealth,
    Receipt,
    WearableHealth,
)
from vitals.topics import Topic, valid_name

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
counts = st.integers(0, 2**63 - 1)
small = st.integers(0, 1000)
words = st.text(max_size=20)
healths = st.builds(
    GatewayHealth,
    st.lists(st.builds(WearableHealth, names, words, st.none() | small, st.none() | small), max_size=2).map(tuple),
    st.lists(st.builds(RadioHealth, words, words, small), max_size=2).map(tuple),
    st.lists(words, max_size=2).map(tuple),
    st.lists(st.tuples(words, small), max_size=2).map(tuple),
)
statuses = st.builds(
    GatewayStatus,
    names,
    st.sampled_from(Presence),
    counts,
    st.text(max_size=64),
    counts,
    counts,
    st.builds(ClockTrust, st.sampled_from(ClockSource), st.floats(0, 1e12)),
    st.none() | healths,
)
aheads = st.lists(st.tuples(counts, counts), max_size=MAX_AHEAD).map(tuple)


@given(statuses, st.builds(Receipt, names, counts, counts, aheads))
def test_what_is_encoded_is_what_is_decoded(status: GatewayStatus, receipt: Receipt) -> None:
    assert decode_status(encode_status(status)) == status
    assert decode_receipt(encode_receipt(receipt)) == receipt


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", ".a", "-a", "ä", "a b", "a\n", "x" * 65])
def test_names_that_do_not_fit_a_topic_are_refused(name: str) -> None:
    assert not valid_name(name)
    with pytest.raises(MalformedMessageError):
        Topic.parse(f"wardlight/v1/{name}/gw/batch")
    with pytest.raises(MalformedMessageError):
        decode_receipt(json.dumps({"gateway": name, "epoch": 1, "through": 1}).encode())


@given(names, names, st.sampled_from(["batch", "status", "receipt", "config"]))
def test_topics_are_read_as_written(site: str, gateway: str, name: str) -> None:
    topic = Topic(site, gateway, name)  # type: ignore[arg-type] # one of the four
    assert Topic.parse(str(topic)) == topic


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "wardlight",
        "wardlight/v1/s/g",
        "wardlight/v1/s/g/batch/",
        "wardlight/v2/s/g/batch",
        "Wardlight/v1/s/g/batch",
        "wardlight/v1/s/g/other",
        "/wardlight/v1/s/g/batch",
        "wardlight/v1/+/g/batch",
        "wardlight/v1/s/#",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(MalformedMessageError) as refused:
        Topic.parse(topic)
    assert (refused.value.reason, refused.value.field) == ("topic", "topic")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"gateway": 7}, "gateway"),
        ({"presence": "asleep"}, "presence"),
        ({"presence": "Online "}, "presence"),
        ({"clock_source": "sundial"}, "clock_source"),
        ({"at_ns": -1}, "at_ns"),
        ({"spooled": "many"}, "spooled"),
        ({"uncertainty_ms": 1e13}, "uncertainty_ms"),
    ],
)
def test_a_wrong_status_names_its_field(change: dict[str, object], field: str) -> None:
    good = json.loads(encode_status(GatewayStatus("gw-1", Presence.ONLINE, 5)))
    with pytest.raises(MalformedMessageError) as refused:
        decode_status(json.dumps(good | change).encode())
    assert (refused.value.reason, refused.value.field) == ("type", field)


@given(st.binary(max_size=40) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_any_bytes_are_refused(payload: bytes) -> None:
    for decode in (decode_status, decode_receipt):
        with pytest.raises(MalformedMessageError):
            decode(payload)


def test_a_health_of_another_release_does_not_cost_the_status() -> None:
    status = json.loads(encode_status(GatewayStatus("gw-1", Presence.LOST, 5, health=GatewayHealth(held=3))))
    status["health"] |= {"mood": "fine"}
    assert decode_status(json.dumps(status).encode()).health == GatewayHealth(held=3)
    for odd in ({"held": "many"}, 5, {"problems": ["x" * 70_000]}):
        told = decode_status(json.dumps(status | {"health": odd}).encode())
        assert (told.presence, told.health) == (Presence.LOST, None)


def test_a_receipt_tells_the_highest_ranges_and_no_more_than_it_must() -> None:
    ahead = tuple((n * 10, n * 10 + 1) for n in range(1, 31))
    assert decode_receipt(encode_receipt(Receipt("gw", 1, 2, ahead))).ahead == ahead[-MAX_AHEAD:]
    assert b"ahead" not in encode_receipt(Receipt("gw", 1, 2))
