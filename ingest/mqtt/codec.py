"""One face for both versions of MQTT: frames, which version a CONNECT speaks, packets in and out.

Anything at all may arrive. What is not MQTT raises `ViolationError` with the reason code that the connection is closed
with, and nothing else escapes.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import mqtt5
from mqtt5 import DisconnectReasonCode

from ingest.mqtt import v311
from ingest.mqtt.text import texts_are_well_formed
from vitals.errors import PermanentError

_CONNECT_NAME: Final = b"\x00\x04MQTT"
_OLD_CONNECT_NAME: Final = b"\x00\x06MQIsdp"  # MQTT 3.1


class Version(IntEnum):
    """The protocol level in a CONNECT."""

    MQTT_311 = 4
    MQTT_5 = 5


_MQTT_5: Final = Version.MQTT_5  # looking a member up takes longer in Python 3.11 than comparing a byte


class ViolationError(PermanentError):
    """The peer broke the protocol or a bound: its connection is closed with `code`."""

    def __init__(self, code: DisconnectReasonCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnsupportedVersionError(ViolationError):
    """A CONNECT of another version than ours; `answer` is the CONNACK that such a client understands."""

    def __init__(self, level: int) -> None:
        super().__init__(
            DisconnectReasonCode.PROTOCOL_ERROR, f"protocol level {level} is not spoken here: use MQTT 5 or 3.1.1"
        )
        refusal = mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.UNSUPPORTED_PROTOCOL_VERSION)
        self.answer = refusal.write() if level > _MQTT_5 else v311.write(refusal)


def version_of(connect: bytes) -> Version:
    """The version that a whole CONNECT packet announces."""
    if connect[0] != 0x10:
        raise ViolationError(DisconnectReasonCode.PROTOCOL_ERROR, "the first packet of a connection is CONNECT")
    start, _ = v311.frame_end(connect, 0)
    for name in (_CONNECT_NAME, _OLD_CONNECT_NAME):
        level_at = start + len(name)
        if connect.startswith(name, start) and level_at < len(connect):
            level = connect[level_at]
            if name is _CONNECT_NAME and level in (Version.MQTT_311, _MQTT_5):
                return Version(level)
            raise UnsupportedVersionError(level)
    raise ViolationError(DisconnectReasonCode.PROTOCOL_ERROR, "not an MQTT connection")


def read(version: Version, packet: bytes) -> mqtt5.Packet:
    """Decode one whole packet."""
    if version is _MQTT_5 and not texts_are_well_formed(packet):
        raise ViolationError(DisconnectReasonCode.MALFORMED_PACKET, "a text is not well-formed UTF-8")
    try:
        decoded, length = mqtt5.read(memoryview(packet)) if version is _MQTT_5 else v311.read(packet)
    except (ValueError, IndexError) as error:
        raise ViolationError(DisconnectReasonCode.MALFORMED_PACKET, str(error)) from error
    if length != len(packet):
        raise ViolationError(DisconnectReasonCode.MALFORMED_PACKET, "a packet is longer than its fields")
    _check_request(decoded)
    return decoded


def _check_request(packet: mqtt5.Packet) -> None:
    """What the `mqtt5` package lets pass (2.2.1, 3.8.3, 3.10.3)."""
    if isinstance(packet, mqtt5.SubscribePacket):
        entries = len(packet.topic_filters)
    elif isinstance(packet, mqtt5.UnsubscribePacket):
        entries = len(packet.patterns)
    else:
        return
    if not packet.packet_id or not entries:
        raise ViolationError(DisconnectReasonCode.PROTOCOL_ERROR, "a request has an identifier and at least one topic")


def write(version: Version, packet: mqtt5.Packet) -> bytes:
    """Encode `packet` for a peer of `version`."""
    return packet.write() if version is _MQTT_5 else v311.write(packet)


def puback(version: Version, packet_id: int, code: int) -> bytes:
    """A PUBACK, without the detour over a packet object: there is one for each message."""
    if code and version is _MQTT_5:
        return bytes((0x40, 3, packet_id >> 8, packet_id & 0xFF, code))
    return bytes((0x40, 2, packet_id >> 8, packet_id & 0xFF))


def read_publish(version: Version, buffer: bytes, at: int, start: int, end: int) -> tuple[bytes, int, int]:
    """The topic, the packet identifier (0 with QoS 0) and the payload's position of the PUBLISH at `at`.

    Reads in place and leaves the payload alone: this is the path of every reading. A message with properties is
    rare and goes through the decoder.
    """
    flags = buffer[at] & 0x0E
    if end - start < 2 or flags not in (0x00, 0x02, 0x0A):
        raise _malformed_publish(flags)
    topic_end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
    id_end = topic_end + 2 if flags else topic_end
    payload_at = id_end + 1 if version is _MQTT_5 else id_end
    if payload_at > end:
        raise ViolationError(DisconnectReasonCode.MALFORMED_PACKET, "a topic is longer than its packet")
    packet_id = buffer[topic_end] << 8 | buffer[topic_end + 1] if flags else 0
    if flags and not packet_id:
        raise ViolationError(DisconnectReasonCode.PROTOCOL_ERROR, "a packet identifier is not 0")
    if payload_at > id_end and buffer[id_end]:
        payload_at = end - _payload_bytes(buffer[at:end])
    return buffer[start + 2 : topic_end], packet_id, payload_at


def _malformed_publish(flags: int) -> ViolationError:
    if flags & 0x06 == 0x04:
        return ViolationError(DisconnectReasonCode.QOS_NOT_SUPPORTED, "QoS 2 is not offered: publish with QoS 1")
    return ViolationError(DisconnectReasonCode.MALFORMED_PACKET, "QoS 3, a duplicate of QoS 0, or no topic")


def _payload_bytes(publish: bytes) -> int:
    """The payload's length in a PUBLISH with properties, when those are ones that a client may send us."""
    packet = read(_MQTT_5, publish)
    assert isinstance(packet, mqtt5.PublishPacket)
    if packet.topic_alias is not None:
        raise ViolationError(DisconnectReasonCode.TOPIC_ALIAS_INVALID, "topic aliases are not offered")
    if packet.subscription_ids:
        raise ViolationError(DisconnectReasonCode.PROTOCOL_ERROR, "a client sends no subscription identifiers")
    return len(packet.payload)
