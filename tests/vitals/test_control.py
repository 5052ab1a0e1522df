"""Status and receipt: two small JSON pairs, and the topics that all messages travel on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.control import decode_receipt, decode_status, encode_receipt, encode_status
from vitals.errors import MalformedMessageError
from vitals.model import ClockSource, ClockTrust, GatewayStatus, Presence, Receipt
from vitals.topics import Topic, valid_name

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
counts = st.integers(0, 2**63 - 1)
statuses = st.builds(
    GatewayStatus,
    names,
    st.sampled_from(Presence),
    counts,
    st.text(max_size=64),
    counts,
    counts,
    st.builds(ClockTrust, st.sampled_from(ClockSource), st.floats(0, 1e12)),
)


@given(statuses, st.builds(Receipt, names, counts, counts))
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
