"""MQTT 3.1.1, read and written as the packet objects of the `mqtt5` package.

3.1.1 has a subset of MQTT 5's packets and fields, so one set of objects serves both and what stands behind this
module need not know the version. `read` keeps the contract of `mqtt5.read`: it raises `IndexError` for a packet that
is not complete and `ValueError` for one that can never become valid. `write` is its pair; reasons that 3.1.1
cannot say become the nearest one that it can. Section numbers refer to the OASIS standard MQTT 3.1.1.

The enumerations of `mqtt5` are not what its stubs say: they are no integers, cannot be hashed, and are all true.
Therefore every use goes through `int()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

import mqtt5
from mqtt5 import ConnAckReasonCode, SubAckReasonCode

PROTOCOL_LEVEL: Final = 4
_REASON_OF_RETURN_CODE: Final = {
    0: ConnAckReasonCode.SUCCESS,
    1: ConnAckReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
    2: ConnAckReasonCode.CLIENT_ID_NOT_VALID,
    3: ConnAckReasonCode.SERVER_UNAVAILABLE,
    4: ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD,
    5: ConnAckReasonCode.NOT_AUTHORIZED,
}
RETURN_CODES: Final[Mapping[int, int]] = MappingProxyType(
    {
        **{int(reason): code for code, reason in _REASON_OF_RETURN_CODE.items()},
        int(ConnAckReasonCode.SERVER_BUSY): 3,
        int(ConnAckReasonCode.TOPIC_NAME_INVALID): 5,
    }
)
"""`ConnAckReasonCode` → the return code of a 3.1.1 CONNACK (3.2.2.3); for any other, the connection is just closed."""

_SUBSCRIBE_FAILED: Final = 0x80  # the one failure a 3.1.1 SUBACK knows (3.9.3)
_FLAGS: Final = {6: 2, 8: 2, 10: 2}  # the fixed flags of PUBREL, SUBSCRIBE and UNSUBSCRIBE; 0 of the others (2.2.2)
_T = TypeVar("_T")


def frame_end(buffer: bytes | bytearray | memoryview, start: int) -> tuple[int, int]:
    """Where the body of the packet at `start` begins and ends; the end may lie beyond the buffer.

    Raises `IndexError` while the length itself is incomplete, `ValueError` when it takes more than four bytes (2.2.3).
    """
    length = buffer[start + 1]
    if length < 0x80:
        return start + 2, start + 2 + length
    length &= 0x7F
    for count in (1, 2, 3):
        byte = buffer[start + 1 + count]
        length |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return start + 2 + count, start + 2 + count + length
    raise ValueError("a remaining length has at most four bytes")


@dataclass(slots=True)
class _Body:
    """The rest of a packet that is being read, front to back."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise ValueError("a field is longer than its packet")
        taken, self.at = self.data[self.at : end], end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def word(self) -> int:
        return int.from_bytes(self.take(2))

    def packet_id(self) -> int:
        number = self.word()
        if number == 0:
            raise ValueError("a packet identifier is not 0")  # 2.3.1-1
        return number

    def blob(self) -> bytes:
        return self.take(self.word())

    def text(self) -> str:
        text = self.blob().decode()  # raises UnicodeDecodeError, a ValueError, also for surrogates (1.5.3-1)
        if "\0" in text:
            raise ValueError("a text contains U+0000")  # 1.5.3-2
        return text

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    @property
    def more(self) -> bool:
        return self.at < len(self.data)


def read(buffer: bytes | memoryview) -> tuple[mqtt5.Packet, int]:
    """The first packet of `buffer` and its length in bytes; `IndexError`: more is needed, `ValueError`: malformed."""
    if not buffer:
        raise IndexError("Not enough bytes")
    kind, flags = buffer[0] >> 4, buffer[0] & 0x0F
    reader = _READERS.get(kind)
    if reader is None or (kind != 3 and flags != _FLAGS.get(kind, 0)):
        raise ValueError(f"no packet begins with {buffer[0]:#04x}")
    start, end = frame_end(buffer, 0)
    if end > len(buffer):
        raise IndexError("Not enough bytes")
    body = _Body(bytes(buffer[start:end]))
    packet = reader(body, flags)
    if body.more:
        raise ValueError("a packet is longer than its fields")
    return packet, end


def _only_id(kind: Callable[[int], mqtt5.Packet]) -> Callable[[_Body, int], mqtt5.Packet]:
    return lambda body, _: kind(body.packet_id())


def _nothing(kind: Callable[[], mqtt5.Packet]) -> Callable[[_Body, int], mqtt5.Packet]:
    return lambda _body, _: kind()


def _read_connect(body: _Body, _: int) -> mqtt5.Packet:
    if body.text() != "MQTT" or body.byte() != PROTOCOL_LEVEL:
        raise ValueError("not MQTT 3.1.1")
    flags, keep_alive = body.byte(), body.word()
    has_user, has_password, has_will = flags & 0x80, flags & 0x40, flags & 0x04
    if flags & 0x01 or (has_password and not has_user) or (flags & 0x38 and not has_will):
        raise ValueError("connect flags contradict each other")  # 3.1.2-3, -11, -13, -15, -22
    client_id = body.text()
    will = None
    if has_will:
        qos = mqtt5.QoS((flags >> 3) & 3)
        will = mqtt5.Will(body.text(), payload=body.blob(), qos=qos, retain=bool(flags & 0x20))
    return mqtt5.ConnectPacket(
        client_id,
        username=body.text() if has_user else None,
        password=body.blob() if has_password else None,
        clean_start=bool(flags & 0x02),
        will=will,
        keep_alive=keep_alive,
    )


def _read_connack(body: _Body, _: int) -> mqtt5.Packet:
    present, code = body.byte(), body.byte()
    if present > 1 or code not in _REASON_OF_RETURN_CODE:
        raise ValueError("not an acknowledgement of a connection")
    return mqtt5.ConnAckPacket(session_present=bool(present), reason_code=_REASON_OF_RETURN_CODE[code])


def _read_publish(body: _Body, flags: int) -> mqtt5.Packet:
    qos, duplicate, topic = (flags >> 1) & 3, bool(flags & 8), body.text()
    if not topic or "+" in topic or "#" in topic or (duplicate and not qos):
        raise ValueError("a topic has one character and no wildcard; QoS 0 is never a duplicate")  # 3.3.1-2, 3.3.2-2
    packet_id = body.packet_id() if qos else None
    return mqtt5.PublishPacket(
        topic, body.rest(), qos=mqtt5.QoS(qos), retain=bool(flags & 1), packet_id=packet_id, duplicate=duplicate
    )


def _read_subscribe(body: _Body, _: int) -> mqtt5.Packet:
    packet_id, filters = body.packet_id(), []
    while body.more:
        filters.append(mqtt5.TopicFilter(body.text(), max_qos=mqtt5.QoS(body.byte())))
    return mqtt5.SubscribePacket(packet_id, _not_empty(filters))


def _read_suback(body: _Body, _: int) -> mqtt5.Packet:
    packet_id, codes = body.packet_id(), body.rest()
    if not set(codes) <= {0, 1, 2, _SUBSCRIBE_FAILED}:
        raise ValueError("not a return code of a subscription")  # 3.9.3-2
    return mqtt5.SubAckPacket(packet_id, _not_empty([SubAckReasonCode(code) for code in codes]))


def _read_unsubscribe(body: _Body, _: int) -> mqtt5.Packet:
    packet_id, patterns = body.packet_id(), []
    while body.more:
        patterns.append(body.text())
    return mqtt5.UnsubscribePacket(packet_id, _not_empty(patterns))


def _not_empty(entries: list[_T]) -> list[_T]:
    if not entries:
        raise ValueError("a list of topic filters has at least one entry")  # 3.8.3-3, 3.10.3-2
    return entries


_READERS: Final[Mapping[int, Callable[[_Body, int], mqtt5.Packet]]] = MappingProxyType(
    {
        1: _read_connect,
        2: _read_connack,
        3: _read_publish,
        4: _only_id(mqtt5.PubAckPacket),
        5: _only_id(mqtt5.PubRecPacket),
        6: _only_id(mqtt5.PubRelPacket),
        7: _only_id(mqtt5.PubCompPacket),
        8: _read_subscribe,
        9: _read_suback,
        10: _read_unsubscribe,
        11: _only_id(lambda packet_id: mqtt5.UnsubAckPacket(packet_id, [])),
        12: _nothing(mqtt5.PingReqPacket),
        13: _nothing(mqtt5.PingRespPacket),
        14: _nothing(mqtt5.DisconnectPacket),
    }
)


def write(packet: mqtt5.Packet) -> bytes:
    """The 3.1.1 form of `packet`; properties are left out.

    Raises `ValueError` for what 3.1.1 cannot say: AUTH, a CONNACK reason outside `RETURN_CODES`.
    """
    first, writer = _WRITERS.get(type(packet), (0, None))
    if writer is None:
        raise ValueError(f"3.1.1 has no {type(packet).__name__}")
    flags = _publish_flags(packet) if isinstance(packet, mqtt5.PublishPacket) else _FLAGS.get(first, 0)
    body = writer(packet)
    return bytes((first << 4 | flags,)) + _remaining_length(len(body)) + body


def _remaining_length(length: int) -> bytes:
    if length >= 1 << 28:
        raise ValueError("a packet has less than 256 MiB")
    encoded = bytearray()
    while True:
        length, low = length >> 7, length & 0x7F
        encoded.append(low | (0x80 if length else 0))
        if not length:
            return bytes(encoded)


def _word(number: int) -> bytes:
    return number.to_bytes(2)


def _blob(data: bytes) -> bytes:
    return _word(len(data)) + data  # the packet objects themselves refuse more than fits


def _text(text: str) -> bytes:
    return _blob(text.encode())


def _write_connect(packet: mqtt5.ConnectPacket) -> bytes:
    will, tail, flags = packet.will, b"", packet.clean_start << 1
    if will is not None:
        flags |= 0x04 | int(will.qos) << 3 | will.retain << 5
        tail += _text(will.topic) + _blob(will.payload or b"")
    if packet.username is not None:
        flags |= 0x80
        tail += _text(packet.username)
    if packet.password is not None:
        flags |= 0x40
        tail += _blob(packet.password)
    head = _text("MQTT") + bytes((PROTOCOL_LEVEL, flags)) + _word(packet.keep_alive)
    return head + _text(packet.client_id) + tail


def _write_connack(packet: mqtt5.ConnAckPacket) -> bytes:
    code = RETURN_CODES.get(int(packet.reason_code))
    if code is None:
        raise ValueError(f"a 3.1.1 CONNACK cannot say {packet.reason_code.name}")
    return bytes((packet.session_present, code))


def _publish_flags(packet: mqtt5.PublishPacket) -> int:
    return packet.duplicate << 3 | int(packet.qos) << 1 | packet.retain


def _write_publish(packet: mqtt5.PublishPacket) -> bytes:
    packet_id = b"" if packet.packet_id is None else _word(packet.packet_id)
    return _text(packet.topic) + packet_id + packet.payload


def _write_id(packet: Any) -> bytes:
    return _word(packet.packet_id)


def _write_subscribe(packet: mqtt5.SubscribePacket) -> bytes:
    return _word(packet.packet_id) + b"".join(_text(f.pattern) + bytes((int(f.max_qos),)) for f in packet.topic_filters)


def _write_suback(packet: mqtt5.SubAckPacket) -> bytes:
    return _word(packet.packet_id) + bytes(min(int(code), _SUBSCRIBE_FAILED) for code in packet.reason_codes)


def _write_unsubscribe(packet: mqtt5.UnsubscribePacket) -> bytes:
    return _word(packet.packet_id) + b"".join(map(_text, packet.patterns))


_WRITERS: Final[Mapping[type[Any], tuple[int, Callable[[Any], bytes]]]] = MappingProxyType(
    {
        mqtt5.ConnectPacket: (1, _write_connect),
        mqtt5.ConnAckPacket: (2, _write_connack),
        mqtt5.PublishPacket: (3, _write_publish),
        mqtt5.PubAckPacket: (4, _write_id),
        mqtt5.PubRecPacket: (5, _write_id),
        mqtt5.PubRelPacket: (6, _write_id),
        mqtt5.PubCompPacket: (7, _write_id),
        mqtt5.SubscribePacket: (8, _write_subscribe),
        mqtt5.SubAckPacket: (9, _write_suback),
        mqtt5.UnsubscribePacket: (10, _write_unsubscribe),
        mqtt5.UnsubAckPacket: (11, _write_id),
        mqtt5.PingReqPacket: (12, lambda _: b""),
        mqtt5.PingRespPacket: (13, lambda _: b""),
        mqtt5.DisconnectPacket: (14, lambda _: b""),
    }
)
