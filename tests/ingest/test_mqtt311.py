"""The 3.1.1 codec and the guard in front of the MQTT 5 one: round trips, every truncated prefix, anything at all."""

from __future__ import annotations

import contextlib

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mqtt import v311
from ingest.mqtt.codec import UnsupportedVersionError, Version, ViolationError, puback, read, read_publish, version_of
from ingest.mqtt.text import texts_are_well_formed

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
TOPIC = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=40)
ID = st.integers(1, 0xFFFF)
QOS = st.sampled_from([mqtt5.QoS(0), mqtt5.QoS(1), mqtt5.QoS(2)])
BLOB = st.binary(max_size=300)


@st.composite
def connects(draw: st.DrawFn) -> mqtt5.ConnectPacket:
    username = draw(st.none() | TEXT)
    return mqtt5.ConnectPacket(
        draw(TEXT),
        username=username,
        password=None if username is None else draw(st.none() | BLOB),
        clean_start=draw(st.booleans()),
        will=draw(st.none() | st.builds(mqtt5.Will, TOPIC, payload=BLOB, qos=QOS, retain=st.booleans())),
        keep_alive=draw(st.integers(0, 0xFFFF)),
    )


@st.composite
def publishes(draw: st.DrawFn) -> mqtt5.PublishPacket:
    qos = draw(QOS)
    return mqtt5.PublishPacket(
        draw(TOPIC),
        draw(BLOB),
        qos=qos,
        retain=draw(st.booleans()),
        packet_id=draw(ID) if int(qos) else None,
        duplicate=draw(st.booleans()) if int(qos) else False,
    )


SUBACK_CODES = st.sampled_from([mqtt5.SubAckReasonCode(code) for code in (0, 1, 2, 0x80)])
CONNACK_CODES = st.sampled_from([mqtt5.ConnAckReasonCode(code) for code in (0, 132, 133, 134, 135, 136)])
PACKETS = st.one_of(
    connects(),
    publishes(),
    st.builds(mqtt5.ConnAckPacket, session_present=st.booleans(), reason_code=CONNACK_CODES),
    *(
        st.builds(kind, ID)
        for kind in (mqtt5.PubAckPacket, mqtt5.PubRecPacket, mqtt5.PubRelPacket, mqtt5.PubCompPacket)
    ),
    st.builds(
        mqtt5.SubscribePacket,
        ID,
        st.lists(st.builds(mqtt5.TopicFilter, TOPIC, max_qos=QOS), min_size=1, max_size=5),
    ),
    st.builds(mqtt5.SubAckPacket, ID, st.lists(SUBACK_CODES, min_size=1, max_size=5)),
    st.builds(mqtt5.UnsubscribePacket, ID, st.lists(TOPIC, min_size=1, max_size=5)),
    st.builds(mqtt5.UnsubAckPacket, ID, st.just([])),
    st.builds(mqtt5.PingReqPacket),
    st.builds(mqtt5.PingRespPacket),
    st.builds(mqtt5.DisconnectPacket),
)


@given(PACKETS, st.binary(max_size=4))
def test_round_trip(packet: mqtt5.Packet, behind: bytes) -> None:
    written = v311.write(packet)
    assert v311.read(written + behind) == (packet, len(written))


@given(PACKETS)
def test_every_truncated_prefix_asks_for_more(packet: mqtt5.Packet) -> None:
    written = v311.write(packet)
    for end in range(len(written)):
        with pytest.raises(IndexError):
            v311.read(written[:end])


@given(PACKETS)
def test_a_packet_that_ends_too_early_is_malformed(packet: mqtt5.Packet) -> None:
    """A length that leaves out the packet's end: malformed, or a shorter packet of the same kind."""
    body = v311.write(packet)[v311.frame_end(v311.write(packet), 0)[0] :]
    first = v311.write(packet)[:1]
    for length in range(min(len(body), 127)):
        try:
            found, end = v311.read(first + bytes((length,)) + body[:length])
        except ValueError:
            continue
        assert type(found) is type(packet)
        assert end == length + 2


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_one_of_two_errors(data: bytes) -> None:
    try:
        packet, length = v311.read(data)
    except (IndexError, ValueError):
        return
    assert v311.read(v311.write(packet))[0] == packet
    assert 2 <= length <= len(data)


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"\x00\x00", "type 0"),
        (b"\xf0\x00", "AUTH is not in 3.1.1"),
        (b"\xc1\x00", "flags of PINGREQ"),
        (b"\x80\x06\x00\x01\x00\x01a\x00", "flags of SUBSCRIBE"),
        (b"\xc0\xff\xff\xff\xff\x01", "five length bytes"),
        (b"\x36\x05\x00\x01a\x00\x01", "QoS 3"),
        (b"\x38\x03\x00\x01a", "duplicate of QoS 0"),
        (b"\x32\x05\x00\x01a\x00\x00", "packet identifier 0"),
        (b"\x30\x02\x00\x00", "empty topic"),
        (b"\x30\x03\x00\x01#", "wildcard in a topic"),
        (b"\x30\x04\x00\x02\xff\xfe", "ill-formed UTF-8"),
        (b"\x30\x05\x00\x03\xed\xa0\x80", "a surrogate"),
        (b"\x30\x03\x00\x01\x00", "U+0000"),
        (b"\x82\x02\x00\x01", "SUBSCRIBE to nothing"),
        (b"\x82\x06\x00\x01\x00\x01a\x03", "subscription with QoS 3"),
        (b"\xa2\x02\x00\x01", "UNSUBSCRIBE from nothing"),
        (b"\x90\x03\x00\x01\x03", "no such SUBACK code"),
        (b"\x20\x02\x00\x06", "no such CONNACK code"),
        (b"\xc0\x01\x00", "PINGREQ with a body"),
        (b"\x10\x0d\x00\x04MQTT\x04\x01\x00\x00\x00\x01a", "reserved connect flag"),
        (b"\x10\x0d\x00\x04MQTT\x04\x40\x00\x00\x00\x01a", "password without user"),
        (b"\x10\x0d\x00\x04MQTT\x04\x20\x00\x00\x00\x01a", "will retain without will"),
    ],
)
def test_malformed(packet: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        v311.read(packet)


def test_what_311_cannot_say() -> None:
    with pytest.raises(ValueError, match="AuthPacket"):
        v311.write(mqtt5.AuthPacket())
    with pytest.raises(ValueError, match="BANNED"):
        v311.write(mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.BANNED))
    not_authorised = mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED])
    assert v311.write(not_authorised) == b"\x90\x03\x00\x01\x80"


# -- the MQTT 5 side: what the package does not catch itself ---------------------------------------------------------

RICH_PACKETS: list[mqtt5.Packet] = [
    mqtt5.ConnectPacket(
        "client",
        username="user",
        password=b"\xff\x00",
        will=mqtt5.Will("topic", payload=b"\xff", content_type="type", correlation_data=b"\xfe", response_topic="r"),
        authentication_method="method",
        authentication_data=b"\xff",
        receive_max=5,
        user_properties=[("key", "value")],
    ),
    mqtt5.PublishPacket(
        "topic",
        b"\xff\xfe",
        qos=mqtt5.QoS.AT_LEAST_ONCE,
        packet_id=0xFFFE,
        content_type="type",
        correlation_data=b"\xff",
        subscription_ids=[300],
        user_properties=[("key", "value")],
    ),
    mqtt5.PublishPacket("topic", b"\xff\xfe", response_topic="text"),
    mqtt5.PubAckPacket(0xFFFE, reason_code=mqtt5.PubAckReasonCode(128), reason_str="text"),
    mqtt5.SubscribePacket(0xFFFE, [mqtt5.TopicFilter("one"), mqtt5.TopicFilter("two")], user_properties=[("k", "v")]),
    mqtt5.UnsubscribePacket(0xFFFE, ["one", "two"], user_properties=[("k", "v")]),
    mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode(129), reason_str="text", server_reference="ref"),
    mqtt5.AuthPacket(authentication_method="method", authentication_data=b"\xff", reason_str="text"),
]
TEXTS = (b"client", b"user", b"topic", b"type", b"key", b"value", b"method", b"text", b"one", b"two", b"ref")


@pytest.mark.parametrize("packet", RICH_PACKETS, ids=lambda p: type(p).__name__)
def test_ill_formed_text_anywhere_is_a_violation_and_not_a_panic(packet: mqtt5.Packet) -> None:
    written = packet.write()
    assert read(Version.MQTT_5, written) == packet
    for text in TEXTS:
        for bad in (b"\xff", b"\0"):
            spoilt = written.replace(text, bad * len(text), 1)
            if spoilt != written:
                assert not texts_are_well_formed(spoilt), (text, bad)
                with pytest.raises(ViolationError):
                    read(Version.MQTT_5, spoilt)


@given(st.sampled_from(RICH_PACKETS), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4))
def test_a_damaged_packet_is_read_or_a_violation(packet: mqtt5.Packet, damage: list[tuple[int, int]]) -> None:
    written = bytearray(packet.write())
    for position, byte in damage:
        if position < len(written):
            written[position] = byte
    with contextlib.suppress(ViolationError):
        read(Version.MQTT_5, bytes(written))


@pytest.mark.parametrize("packet", RICH_PACKETS, ids=lambda p: type(p).__name__)
def test_a_prefix_of_an_mqtt5_packet_is_a_violation(packet: mqtt5.Packet) -> None:
    written = packet.write()
    for end in range(1, len(written)):
        with pytest.raises(ViolationError):
            read(Version.MQTT_5, written[:end])


@given(publishes(), st.sampled_from(Version))
def test_the_fast_way_reads_what_the_codec_reads(packet: mqtt5.PublishPacket, version: Version) -> None:
    written = packet.write() if version is Version.MQTT_5 else v311.write(packet)
    start, end = v311.frame_end(written, 0)
    behind = written + b"\xff" * 8
    if packet.qos == 2:
        with pytest.raises(ViolationError, match="QoS 2"):
            read_publish(version, behind, 0, start, end)
        return
    topic, packet_id, payload_at = read_publish(version, behind, 0, start, end)
    assert (topic.decode(), packet_id or None, behind[payload_at:end]) == (
        packet.topic,
        packet.packet_id,
        packet.payload,
    )


@given(st.binary(max_size=40), st.sampled_from(Version))
def test_the_fast_way_takes_any_bytes(body: bytes, version: Version) -> None:
    for first in range(0x30, 0x40):
        packet = bytes((first, len(body))) + body
        try:
            _, _, payload_at = read_publish(version, packet, 0, 2, len(packet))
        except ViolationError:
            continue
        assert 2 <= payload_at <= len(packet)


def test_versions() -> None:
    assert version_of(mqtt5.ConnectPacket("a").write()) is Version.MQTT_5
    assert version_of(v311.write(mqtt5.ConnectPacket("a"))) is Version.MQTT_311
    with pytest.raises(UnsupportedVersionError) as old:
        version_of(b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01a")
    assert old.value.answer == b"\x20\x02\x00\x01"
    with pytest.raises(UnsupportedVersionError) as new:
        version_of(b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x00\x00\x01a")
    assert new.value.answer[:4] == b"\x20\x03\x00\x84"
    for stranger in (b"\x10\x00", b"\x10\x02\x00\x00", b"\x30\x03\x00\x01a", b"\x10\x06\x00\x04MQTT"):
        with pytest.raises(ViolationError):
            version_of(stranger)


def test_puback() -> None:
    assert v311.read(puback(Version.MQTT_311, 0x1234, 0x87)) == (mqtt5.PubAckPacket(0x1234), 4)
    for code in (0, 0x87, 0x90):
        expected = mqtt5.PubAckPacket(0x1234, reason_code=mqtt5.PubAckReasonCode(code))
        assert read(Version.MQTT_5, puback(Version.MQTT_5, 0x1234, code)) == expected
