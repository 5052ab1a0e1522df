"""The session as a pure machine: bytes and time in, events and bytes out. No socket, no sleep."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.mqtt import v311
from ingest.mqtt.admission import Door
from ingest.mqtt.events import Closed, Event, Message, Opened, SessionBounds, Subscribed, Unsubscribed
from ingest.mqtt.session import Phase, Session
from vitals.wire import MAX_PAYLOAD_BYTES

BATCH = "wardlight/v1/north/gw-1/batch"
STATUS = "wardlight/v1/north/gw-1/status"
RECEIPT = "wardlight/v1/north/gw-1/receipt"
CONFIG = "wardlight/v1/north/gw-1/config"
BOUNDS = SessionBounds()
WILL = mqtt5.Will(STATUS, payload=b"lost", qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True)
Write = Callable[[mqtt5.Packet], bytes]


def write5(packet: mqtt5.Packet) -> bytes:
    return packet.write()


VERSIONS = pytest.mark.parametrize("write", [write5, v311.write], ids=["5", "311"])


def publish(payload: bytes = b"x", *, topic: str = BATCH, packet_id: int | None = 1) -> mqtt5.PublishPacket:
    qos = mqtt5.QoS(0 if packet_id is None else 1)
    return mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=packet_id)


def session(bounds: SessionBounds = BOUNDS, door: Door | None = None) -> Session:
    return Session(bounds, door or Door("unnamed-1"), 0.0)


def connected(
    write: Write = write5, bounds: SessionBounds = BOUNDS, door: Door | None = None, **settings: object
) -> Session:
    fields = {"clean_start": True, "keep_alive": 60, **settings}
    made = session(bounds, door)
    events = made.receive(write(mqtt5.ConnectPacket("client", **fields)), 0.0)  # type: ignore[arg-type] # test shorthand
    assert [type(event) for event in events] == [Opened]
    made.take_output()
    return made


def answers(made: Session, write: Write = write5) -> list[mqtt5.Packet]:
    """What the session wrote, decoded."""
    output, packets = made.take_output(), []
    while output:
        packet, length = mqtt5.read(memoryview(output)) if write is write5 else v311.read(output)
        packets.append(packet)
        output = output[length:]
    return packets


def closed_with(events: list[Event]) -> str:
    assert isinstance(events[-1], Closed)
    return events[-1].reason


# -- connecting ------------------------------------------------------------------------------------------------------


@VERSIONS
def test_connect_and_orderly_disconnect(write: Write) -> None:
    made = session()
    assert made.receive(write(mqtt5.ConnectPacket("gw", clean_start=True, will=WILL)), 0.0) == [Opened("gw", "gw-1")]
    (connack,) = answers(made, write)
    assert isinstance(connack, mqtt5.ConnAckPacket)
    assert connack.reason_code == 0
    assert made.receive(write(mqtt5.DisconnectPacket()), 1.0) == [Closed("", "")]
    assert made.phase is Phase.CLOSED
    assert made.lost() == []
    assert made.receive(write(publish()), 2.0) == []


def test_connack_says_what_is_not_offered() -> None:
    made = session()
    made.receive(mqtt5.ConnectPacket("", keep_alive=0, session_expiry_interval=9).write(), 0.0)
    (connack,) = answers(made)
    assert connack == mqtt5.ConnAckPacket(
        session_expiry_interval=0,
        assigned_client_id="unnamed-1",
        server_keep_alive=BOUNDS.max_keep_alive_s,
        receive_max=BOUNDS.receive_max,
        max_qos=mqtt5.QoS.AT_LEAST_ONCE,
        max_packet_size=BOUNDS.max_packet_bytes,
        wildcard_subscription_available=False,
        subscription_id_available=False,
        shared_subscription_available=False,
    )
    assert BOUNDS.max_packet_bytes > MAX_PAYLOAD_BYTES


def only_gw1(username: str | None, password: bytes | None, certificate_cn: str | None) -> str | None:
    return "gw-1" if (username, password) == ("gw-1", b"secret") or certificate_cn == "gw-1" else None


GUARDED = Door("unnamed-1", authenticate=only_gw1)
REFUSALS: dict[str, tuple[Door, mqtt5.ConnectPacket, int, int | None]] = {
    "no user": (GUARDED, mqtt5.ConnectPacket("c", clean_start=True), 0x86, 4),
    "wrong password": (GUARDED, mqtt5.ConnectPacket("c", username="gw-1", password=b"no"), 0x86, 4),
    "full": (Door("u", accepting=False), mqtt5.ConnectPacket("c"), 0x89, 3),
    "long client id": (Door("u"), mqtt5.ConnectPacket("c" * 257), 0x85, 2),
    "foreign will": (
        replace(GUARDED, certificate_cn="gw-1"),
        mqtt5.ConnectPacket("c", will=mqtt5.Will("wardlight/v1/north/gw-2/status")),
        0x87,
        5,
    ),
    "will outside our topics": (Door("u"), mqtt5.ConnectPacket("c", will=mqtt5.Will("a/b")), 0x90, 5),
}


@VERSIONS
@pytest.mark.parametrize("case", REFUSALS)
def test_refused_connections(case: str, write: Write) -> None:
    door, packet, code, return_code = REFUSALS[case]
    made = session(door=door)
    assert closed_with(made.receive(write(packet), 0.0))
    output = made.take_output()
    assert (output[3] == code) if write is write5 else (output == bytes((0x20, 2, 0, return_code or 0)))


def test_refusals_that_only_mqtt5_knows() -> None:
    for packet, code in (
        (mqtt5.ConnectPacket("c", authentication_method="SCRAM"), 0x8C),
        (mqtt5.ConnectPacket("c", will=mqtt5.Will(STATUS, qos=mqtt5.QoS.EXACTLY_ONCE)), 0x9B),
    ):
        made = session()
        assert closed_with(made.receive(packet.write(), 0.0))
        assert made.take_output()[3] == code


def test_311_needs_a_client_id_for_a_session() -> None:
    made = session()
    assert closed_with(made.receive(v311.write(mqtt5.ConnectPacket("", clean_start=False)), 0.0))
    assert made.take_output() == b"\x20\x02\x00\x02"
    assert session().receive(v311.write(mqtt5.ConnectPacket("", clean_start=True)), 0.0) == [Opened("unnamed-1", None)]


@pytest.mark.parametrize("door", [replace(GUARDED, certificate_cn="gw-1"), GUARDED], ids=["certificate", "password"])
def test_an_authenticated_client_is_its_gateway(door: Door) -> None:
    packet = mqtt5.ConnectPacket("c", username="gw-1", password=b"secret")
    assert session(door=door).receive(packet.write(), 0.0) == [Opened("c", "gw-1")]


@pytest.mark.parametrize(
    ("first", "reason", "output"),
    [
        (b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01a", "protocol_error", b"\x20\x02\x00\x01"),
        (b"GET / HTTP/1.1\r\nHost: ingest.example\r\nUser-Agent: x" + b"y" * 60, "protocol_error", b""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600), "protocol_error", b""),
        (b"\xc0\x00", "protocol_error", b""),
        (publish().write(), "protocol_error", b""),
        (b"\x10\xff\xff\xff\x7f", "packet_too_large", b""),
        (b"\x30\xff\xff\xff\x7f", "packet_too_large", b""),
        (b"\x10\xff\xff\xff\xff\x01", "malformed_packet", b""),
    ],
    ids=["MQTT 3.1", "HTTP", "TLS", "PINGREQ", "PUBLISH", "huge CONNECT", "huge PUBLISH", "length"],
)
def test_strangers_before_connect(first: bytes, reason: str, output: bytes) -> None:
    made = session()
    assert closed_with(made.receive(first, 0.0)) == reason
    assert made.take_output() == output


def test_malformed_mqtt5_connect_is_told_so() -> None:
    written = bytearray(mqtt5.ConnectPacket("client").write())
    written[-1] = 0xFF
    made = session()
    assert closed_with(made.receive(bytes(written), 0.0)) == "malformed_packet"
    (connack,) = answers(made)
    assert isinstance(connack, mqtt5.ConnAckPacket)
    assert connack.reason_code == 0x81


# -- publishing ------------------------------------------------------------------------------------------------------


@VERSIONS
def test_puback_follows_the_commit_in_order(write: Write) -> None:
    made = connected(write)
    events = made.receive(b"".join(write(publish(bytes((n,)), packet_id=n)) for n in (7, 8, 9)), 0.0)
    messages = [event for event in events if isinstance(event, Message)]
    assert [m.payload for m in messages] == [b"\x07", b"\x08", b"\x09"]
    assert made.take_output() == b""
    made.acknowledge(messages[1])
    made.acknowledge(messages[2])
    assert made.take_output() == b""
    made.acknowledge(messages[0])
    assert answers(made, write) == [mqtt5.PubAckPacket(n) for n in (7, 8, 9)]


@VERSIONS
def test_qos_0_gets_no_answer(write: Write) -> None:
    made = connected(write)
    (message,) = made.receive(write(publish(packet_id=None)), 0.0)
    assert isinstance(message, Message)
    made.acknowledge(message)
    assert made.take_output() == b""


def test_bytes_may_come_one_at_a_time() -> None:
    made, events = connected(), []
    for byte in publish(b"a" * 300).write() + publish(b"b", packet_id=2).write():
        events += made.receive(bytes((byte,)), 0.0)
    assert [event.payload for event in events if isinstance(event, Message)] == [b"a" * 300, b"b"]
    assert made.held_bytes == 0


def test_publish_with_properties() -> None:
    made = connected()
    packet = mqtt5.PublishPacket(BATCH, b"x", content_type="application/msgpack", user_properties=[("a", "b")])
    (message,) = made.receive(packet.write(), 0.0)
    assert isinstance(message, Message)
    assert (message.route.topic, message.payload) == (BATCH, b"x")


REFUSED_TOPICS = {
    "wardlight/v1/north/gw-2/batch": ("not_authorised", 0x87),
    RECEIPT: ("not_authorised", 0x87),
    "wardlight/v2/north/gw-1/batch": ("topic", 0x90),
    "wardlight/v1/north/gw-1/batch/more": ("topic", 0x90),
    "$SYS/broker": ("topic", 0x90),
    "+/#": ("topic", 0x90),
    "": ("topic", 0x90),
}


@VERSIONS
@pytest.mark.parametrize("topic", REFUSED_TOPICS)
def test_a_wrong_topic_is_set_aside_and_the_connection_goes_on(topic: str, write: Write) -> None:
    reason, code = REFUSED_TOPICS[topic]
    made = connected(write, will=WILL)
    body = len(topic.encode()).to_bytes(2) + topic.encode() + b"\x00\x05" + (b"\0" if write is write5 else b"") + b"x"
    (message,) = made.receive(bytes((0x32, len(body))) + body, 0.0)
    assert isinstance(message, Message)
    assert (message.route.reason, message.route.topic, message.payload) == (reason, topic, b"x")
    made.acknowledge(message)
    (puback,) = answers(made, write)
    assert isinstance(puback, mqtt5.PubAckPacket)
    assert puback.reason_code == (code if write is write5 else 0)
    (good,) = made.receive(write(publish()), 0.0)
    assert isinstance(good, Message)
    assert not good.route.reason


def test_the_first_topic_binds_an_open_connection() -> None:
    made = connected()
    assert made.gateway is None
    made.receive(publish().write(), 0.0)
    assert made.gateway == "gw-1"
    (foreign,) = made.receive(publish(topic="wardlight/v1/north/gw-2/batch", packet_id=2).write(), 0.0)
    assert isinstance(foreign, Message)
    assert foreign.route.reason == "not_authorised"


def test_many_topics_do_not_fill_the_memory() -> None:
    made = connected()
    for number in range(500):
        made.receive(publish(topic=f"rubbish/{number}", packet_id=None).write(), 0.0)
    assert len(made._routes) <= 32


def test_the_beginning_of_an_oversized_message_is_set_aside() -> None:
    made = connected(will=WILL)
    written = publish(b"y" * 10_000_000).write()
    events = made.receive(written[:65_536], 0.0)
    assert isinstance(events[0], Message)
    assert (events[0].route.reason, events[0].route.topic, len(events[0].payload)) == ("too_large", BATCH, 256)
    assert closed_with(events) == "packet_too_large"
    (disconnect,) = answers(made)
    assert isinstance(disconnect, mqtt5.DisconnectPacket)
    assert disconnect.reason_code == 0x95


# -- violations: each closes this connection with its reason ---------------------------------------------------------

RAW_VIOLATIONS: dict[str, tuple[bytes, int]] = {
    "second CONNECT": (mqtt5.ConnectPacket("client").write(), 0x82),
    "CONNACK": (mqtt5.ConnAckPacket().write(), 0x82),
    "PUBACK": (mqtt5.PubAckPacket(1).write(), 0x82),
    "PUBREL": (mqtt5.PubRelPacket(1).write(), 0x82),
    "SUBACK": (mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode(0)]).write(), 0x82),
    "PINGRESP": (mqtt5.PingRespPacket().write(), 0x82),
    "AUTH": (mqtt5.AuthPacket(authentication_method="a").write(), 0x82),
    "QoS 2": (mqtt5.PublishPacket(BATCH, b"", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1).write(), 0x9B),
    "QoS 3": (b"\x36\x06\x00\x01a\x00\x01\x00", 0x81),
    "duplicate of QoS 0": (b"\x38\x04\x00\x01a\x00", 0x81),
    "packet identifier 0": (b"\x32\x06\x00\x01a\x00\x00\x00", 0x82),
    "topic alias": (mqtt5.PublishPacket(BATCH, b"", topic_alias=1).write(), 0x94),
    "subscription identifier": (mqtt5.PublishPacket(BATCH, b"", subscription_ids=[1]).write(), 0x82),
    "topic beyond the packet": (b"\x30\x04\x00\x09abc", 0x81),
    "empty PUBLISH": (b"\x30\x00", 0x81),
    "ill-formed topic": (b"\x30\x05\x00\x02\xff\xfe\x00", 0x81),
    "U+0000 in a topic": (b"\x30\x05\x00\x02a\x00\x00", 0x81),
    "type 0": (b"\x00\x00", 0x81),
    "flags of PINGREQ": (b"\xc1\x00", 0x81),
    "PINGREQ with a body": (b"\xc0\x01\x00", 0x81),
    "SUBSCRIBE to nothing": (b"\x82\x03\x00\x01\x00", 0x82),
    "SUBSCRIBE without identifier": (b"\x82\x07\x00\x00\x00\x00\x01a\x00", 0x82),
    "UNSUBSCRIBE from nothing": (b"\xa2\x03\x00\x01\x00", 0x82),
    "five length bytes": (b"\xc0\xff\xff\xff\xff\x01", 0x81),
    "huge PUBLISH": (b"\x30\xff\xff\xff\x7f", 0x95),
    "huge SUBSCRIBE": (b"\x82\xff\xff\xff\x7f", 0x95),
}


@pytest.mark.parametrize("case", RAW_VIOLATIONS)
def test_violations_mqtt5(case: str) -> None:
    packet, code = RAW_VIOLATIONS[case]
    made = connected(will=WILL)
    events = made.receive(packet + publish().write(), 0.0)
    assert closed_with(events) == mqtt5.DisconnectReasonCode(code).name.lower()
    wills = [event.payload for event in events if isinstance(event, Message) and not event.route.reason]
    assert wills == [b"lost"]  # and not the message behind the violation
    (disconnect,) = answers(made)
    assert isinstance(disconnect, mqtt5.DisconnectPacket)
    assert disconnect.reason_code == code
    assert disconnect.reason_str


@pytest.mark.parametrize(
    "packet",
    [
        v311.write(mqtt5.ConnectPacket("client")),
        v311.write(mqtt5.PublishPacket(BATCH, b"", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1)),
        b"\xf0\x00",
        b"\x30\x00",
        b"\x30\xff\xff\xff\x7f",
    ],
)
def test_violations_311_just_close(packet: bytes) -> None:
    made = connected(v311.write)
    assert closed_with(made.receive(packet, 0.0))
    assert made.take_output() == b""


# -- subscriptions ---------------------------------------------------------------------------------------------------


@VERSIONS
def test_subscriptions(write: Write) -> None:
    made = connected(write, will=WILL)
    wanted = {
        RECEIPT: 0x00,
        CONFIG: 0x00,
        BATCH: 0x87,
        "wardlight/v1/north/gw-2/receipt": 0x87,
        "#": 0xA2,
        "wardlight/v1/north/gw-1/+": 0xA2,
        "$share/all/" + RECEIPT: 0x9E,
    }
    events = made.receive(write(mqtt5.SubscribePacket(5, [mqtt5.TopicFilter(t) for t in wanted])), 0.0)
    assert events == [Subscribed(RECEIPT), Subscribed(CONFIG)]
    (suback,) = answers(made, write)
    assert isinstance(suback, mqtt5.SubAckPacket)
    expected = [code if write is write5 else min(code, 0x80) for code in wanted.values()]
    assert [int(code) for code in suback.reason_codes] == expected
    assert made.receive(write(mqtt5.UnsubscribePacket(6, [RECEIPT, "x"])), 0.0) == [Unsubscribed(RECEIPT)]
    (unsuback,) = answers(made, write)
    assert isinstance(unsuback, mqtt5.UnsubAckPacket)
    assert [int(code) for code in unsuback.reason_codes] == ([0, 17] if write is write5 else [])
    assert Unsubscribed(CONFIG) in made.lost()


def test_subscription_bounds() -> None:
    made = connected(bounds=replace(BOUNDS, max_subscriptions=1))
    made.receive(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(RECEIPT), mqtt5.TopicFilter(CONFIG)]).write(), 0.0)
    made.receive(mqtt5.SubscribePacket(2, [mqtt5.TopicFilter(RECEIPT)], subscription_id=3).write(), 0.0)
    codes = [[int(code) for code in p.reason_codes] for p in answers(made) if isinstance(p, mqtt5.SubAckPacket)]
    assert codes == [[0, 0x97], [0xA1]]


@VERSIONS
def test_publishing_down(write: Write) -> None:
    made = connected(write)
    made.publish(RECEIPT, b"r", retain=True)
    assert answers(made, write) == [mqtt5.PublishPacket(RECEIPT, b"r", retain=True)]


def test_nothing_larger_than_the_peer_accepts_is_sent() -> None:
    made = connected(max_packet_size=100)
    made.publish(RECEIPT, b"r" * 100)
    assert made.take_output() == b""


@VERSIONS
def test_ping(write: Write) -> None:
    made = connected(write)
    assert made.receive(write(mqtt5.PingReqPacket()), 0.0) == []
    assert answers(made, write) == [mqtt5.PingRespPacket()]


# -- wills -----------------------------------------------------------------------------------------------------------


@VERSIONS
def test_the_will_is_published_when_the_connection_drops(write: Write) -> None:
    made = connected(write, will=WILL)
    message, closed = made.lost()
    assert isinstance(message, Message)
    assert (message.route.topic, message.payload) == (STATUS, b"lost")
    assert isinstance(closed, Closed)
    made.acknowledge(message)
    assert made.take_output() == b""


def test_mqtt5_may_ask_for_its_will_with_disconnect() -> None:
    made = connected(will=WILL)
    reason = mqtt5.DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE
    events = made.receive(mqtt5.DisconnectPacket(reason_code=reason).write(), 0.0)
    assert [type(event) for event in events] == [Message, Closed]


def test_takeover_and_shutdown() -> None:
    made = connected(will=WILL)
    events = made.disconnect(mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER, "again")
    assert [type(event) for event in events] == [Message, Closed]
    assert made.take_output()[2] == 0x8E
    made = connected(will=WILL)
    events = made.disconnect(mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN, "stopping", will=False)
    assert [type(event) for event in events] == [Closed]
    assert made.disconnect(mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN, "stopping") == []


# -- time and bounds -------------------------------------------------------------------------------------------------


def test_connect_has_to_come_in_time() -> None:
    made = session()
    made.receive(mqtt5.ConnectPacket("client").write()[:-1], 9.0)
    assert made.tick(10.0) == []
    assert closed_with(made.tick(10.1)) == "max_connect_time"


@VERSIONS
def test_keep_alive(write: Write) -> None:
    made = connected(write, keep_alive=20, will=WILL)
    made.receive(write(mqtt5.PingReqPacket()), 25.0)
    assert made.tick(55.0) == []
    events = made.tick(55.1)
    assert closed_with(events) == "keep_alive_timeout"
    assert isinstance(events[0], Message)
    assert write is v311.write or made.take_output()[-1]


def test_keep_alive_0_is_bounded_for_mqtt5_and_taken_at_its_word_for_311() -> None:
    assert closed_with(connected(keep_alive=0).tick(451.0)) == "keep_alive_timeout"
    assert connected(v311.write, keep_alive=0).tick(1e6) == []


def test_a_started_packet_has_to_be_finished() -> None:
    made = connected(keep_alive=10)
    made.receive(publish(b"x" * 1000).write()[:500], 5.0)
    assert made.tick(34.0) == []  # a large packet may take longer than the keep-alive
    made.receive(b"y", 35.0)
    assert closed_with(made.tick(35.1)) == "unspecified_error"


def test_the_rate_makes_a_peer_wait_and_loses_nothing() -> None:
    made = connected(bounds=replace(BOUNDS, messages_per_s=10, burst=5))
    written = b"".join(publish(bytes((n,)), packet_id=n).write() for n in range(1, 21))
    events = made.receive(written, 0.0)
    assert len(events) == 4  # CONNECT took one
    assert made.blocked
    now_s = 0.0
    while made.blocked:
        now_s += 0.25
        events += made.tick(now_s)
    assert [event.payload[0] for event in events if isinstance(event, Message)] == list(range(1, 21))
    assert 1.5 <= now_s <= 2.0
    assert made.tick(now_s + 50) == []


def test_receive_maximum() -> None:
    bounds = replace(BOUNDS, receive_max=3)
    written = [publish(bytes((n,)), packet_id=n) for n in (1, 2, 3, 4)]
    made = connected(bounds=bounds)
    events = made.receive(b"".join(p.write() for p in written), 0.0)
    assert [type(event) for event in events] == [Message, Message, Message, Closed]
    assert closed_with(events) == "receive_max_exceeded"
    assert made.take_output()[2] == 0x93
    made = connected(v311.write, bounds)  # 3.1.1 has no receive maximum: the peer waits
    events = made.receive(b"".join(v311.write(p) for p in written), 0.0)
    assert len(events) == 3
    assert made.blocked
    assert isinstance(events[0], Message)
    made.acknowledge(events[0])
    assert [e.payload for e in made.resumed(1.0) if isinstance(e, Message)] == [b"\x04"]


def test_silence_does_not_count_while_we_do_not_read() -> None:
    made = connected(keep_alive=10)
    assert made.resumed(100.0) == []
    assert made.tick(114.0) == []
    assert closed_with(made.tick(116.0)) == "keep_alive_timeout"


# -- anything at all -------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from(["new", "5", "311"]))
def test_any_bytes_never_raise(chunks: list[bytes], start: str) -> None:
    made = session() if start == "new" else connected(write5 if start == "5" else v311.write)
    for number, chunk in enumerate(chunks):
        for event in made.receive(chunk, float(number)):
            if isinstance(event, Message):
                made.acknowledge(event)
        made.take_output()
    made.lost()
    assert made.phase is Phase.CLOSED


def test_damaged_conversations_never_raise() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown with a failure, to repeat it
    rng = random.Random(seed)
    for _ in range(1500):
        write = rng.choice([write5, v311.write])
        talk = [
            mqtt5.ConnectPacket("client", clean_start=True, will=WILL, username="u", password=b"p"),
            publish(rng.randbytes(rng.randrange(300))),
            mqtt5.SubscribePacket(3, [mqtt5.TopicFilter(RECEIPT)]),
            publish(b"", packet_id=None),
            mqtt5.UnsubscribePacket(4, [RECEIPT]),
            mqtt5.PingReqPacket(),
            mqtt5.DisconnectPacket(),
        ]
        stream = bytearray(b"".join(map(write, talk)))
        for _ in range(rng.randrange(4)):
            stream[rng.randrange(len(stream))] = rng.randrange(256)
        made, now_s = session(), 0.0
        while stream:
            count = rng.randrange(1, 200)
            made.receive(bytes(stream[:count]), now_s)
            del stream[:count]
            now_s += rng.random()
            made.tick(now_s)
        made.lost()
        assert made.phase is Phase.CLOSED


@VERSIONS
def test_every_prefix_of_a_conversation_waits_for_more(write: Write) -> None:
    talk = [publish(b"abc"), mqtt5.SubscribePacket(3, [mqtt5.TopicFilter(RECEIPT)]), mqtt5.PingReqPacket()]
    stream = b"".join(map(write, talk))
    whole = connected(write)
    expected, answer = whole.receive(stream, 0.0), whole.take_output()
    for end in range(len(stream)):
        made = connected(write)
        events = made.receive(stream[:end], 0.0)
        assert made.phase is Phase.CONNECTED
        events += made.receive(stream[end:], 0.0)
        assert events == expected
        assert made.take_output() == answer
