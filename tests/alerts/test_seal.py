"""Sealed tokens and tickets: they come back as they went out, or not at all."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.events import Priority
from alerts.notify.message import Message
from alerts.notify.receipts import (
    MOST_CALLS,
    PATH,
    VALID_NS,
    Receipt,
    Said,
    TicketOffice,
    decode_receipt,
    encode_receipt,
    message_id,
)
from alerts.notify.seal import KEY_BYTES, MAX_TOKEN, ExpiredError, ForgedError, Seal
from vitals.errors import MalformedMessageError

S = 1_000_000_000
SEAL = Seal(b"k" * KEY_BYTES)
CONTENTS = st.binary(max_size=200)
SECONDS = st.integers(0, 2**40)


@given(CONTENTS, SECONDS)
def test_a_token_gives_its_content_back_until_it_expires(content: bytes, expires_s: int) -> None:
    token = SEAL.close("receipt", content, expires_s * S)
    assert token == SEAL.close("receipt", content, expires_s * S)
    assert SEAL.open("receipt", token, expires_s * S) == content
    with pytest.raises(ExpiredError):
        SEAL.open("receipt", token, (expires_s + 1) * S)


@given(CONTENTS, st.data())
def test_no_changed_token_is_taken(content: bytes, data: st.DataObject) -> None:
    token = SEAL.close("receipt", content, 10 * S)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=300).filter(lambda c: c != token[at]))
    exchanged = token[:at] + other + token[at + 1 :]
    for changed in (exchanged, token[:at], token + other, token + "=", token[: at + 1] + token):
        with pytest.raises(ForgedError):
            SEAL.open("receipt", changed, 0)


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda b: b.decode("latin-1"))))
def test_nothing_else_is_a_token(text: str) -> None:
    with pytest.raises(ForgedError):
        SEAL.open("receipt", text, 0)


def test_a_token_is_for_one_purpose_and_one_server() -> None:
    token = SEAL.close("invite", b"ward", 10 * S)
    with pytest.raises(ForgedError):
        SEAL.open("receipt", token, 0)
    with pytest.raises(ForgedError):
        Seal(b"o" * KEY_BYTES).open("invite", token, 0)
    with pytest.raises(ForgedError):
        SEAL.open("invite", "A" * (MAX_TOKEN + 1), 0)
    with pytest.raises(ValueError, match="guessed"):
        Seal(b"short")


NAMES = st.text("abcdefghij-0123456789", min_size=1, max_size=30)
MESSAGES = st.builds(
    Message,
    title=st.just("t"),
    body=st.just("b"),
    priority=st.sampled_from(Priority),
    numbers=st.lists(st.integers(0, 10**9), max_size=20).map(tuple),
    decided_at_ns=st.integers(0, 2**62),
    alarms=st.lists(st.tuples(NAMES, st.sampled_from(Priority)), max_size=12).map(tuple),
    calls=st.lists(NAMES.map(lambda n: f"{n}-ward"), max_size=40).map(tuple),
)


@given(MESSAGES, NAMES)
def test_a_ticket_says_what_its_message_was_about(message: Message, phone: str) -> None:
    office = TicketOffice(SEAL, "https://ward.example/")
    path = office.path(message, "ward", phone)
    assert office.url(message, "ward").startswith("https://ward.example/receipts/")
    ticket = office.read(path.removeprefix(PATH), message.decided_at_ns)
    assert (ticket.channel, ticket.phone, ticket.calls) == ("ward", phone, message.calls[:MOST_CALLS])
    assert ticket.alarms == message.alarms
    assert ticket.message_id == message_id(message, "ward")
    with pytest.raises(ExpiredError):
        office.read(path.removeprefix(PATH), message.decided_at_ns + VALID_NS + S)


def test_a_ticket_that_is_written_otherwise_is_none() -> None:
    token = SEAL.close("receipt", msgspec.msgpack.encode(["ward"]), 10 * S)
    with pytest.raises(ForgedError):
        TicketOffice(SEAL).read(token, 0)


RECEIPTS = st.builds(
    Receipt,
    channel=NAMES,
    message_id=NAMES,
    said=st.sampled_from(Said),
    at_ns=st.integers(0, 2**62),
    calls=st.lists(NAMES).map(tuple),
    alarms=st.lists(NAMES).map(tuple),
    actor=NAMES,
    phone=NAMES,
)


@given(RECEIPTS)
def test_a_receipt_comes_back_from_the_journal_as_it_was(receipt: Receipt) -> None:
    payload = encode_receipt(receipt)
    assert decode_receipt(payload) == receipt
    for length in range(len(payload)):
        with pytest.raises(MalformedMessageError):
            decode_receipt(payload[:length])


@given(st.binary(max_size=100))
def test_nothing_else_is_a_receipt(payload: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_receipt(payload)


def test_a_receipt_of_a_later_version_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="version 2"):
        decode_receipt(encode_receipt(Receipt("ward", "m", Said.SEEN, 1, version=2)))
