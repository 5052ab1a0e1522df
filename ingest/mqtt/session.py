"""One MQTT connection as a pure machine: bytes and time in, events and bytes out.

    awaiting CONNECT ──CONNECT──▶ connected ──DISCONNECT, violation, deadline──▶ closed
            └───────refused, violation, deadline──────────────────────────────────▲

What each phase accepts is the table `_HANDLERS`; anything else is a protocol error that closes this connection with its
reason code. The shell feeds `receive`, calls `tick` now and then, writes `take_output`, and stops reading while
`blocked`. Section numbers refer to the OASIS standard MQTT 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

import mqtt5
from mqtt5 import DisconnectReasonCode, SubAckReasonCode, UnsubAckReasonCode

from ingest.mqtt import answers, codec
from ingest.mqtt.access import Route, route, subscription
from ingest.mqtt.admission import Door, RefusedError, admit
from ingest.mqtt.codec import Version, ViolationError
from ingest.mqtt.events import (
    Closed,
    Event,
    Message,
    Opened,
    SessionBounds,
    Subscribed,
    Unsubscribed,
)
from ingest.mqtt.inbox import Inbox, OversizedError

_KEPT_OF_TOO_LARGE: Final = 256  # bytes of an oversized message that are kept: enough to tell what it was
_MAX_ROUTES: Final = 32  # topics remembered per connection: a gateway has two, a confused one shall not fill the memory


class Phase(Enum):
    """How far the connection has come."""

    AWAITING_CONNECT = 1
    CONNECTED = 2
    CLOSED = 3


_AWAITING_CONNECT, _CONNECTED, _CLOSED = Phase  # looking a member up is slow in Python 3.11
_MQTT_311: Final = Version.MQTT_311


class Session:
    """See the module's text. `door`: who may come in."""

    def __init__(self, bounds: SessionBounds, door: Door, now_s: float) -> None:
        self.phase = Phase.AWAITING_CONNECT
        self.version = Version.MQTT_311  # until CONNECT says otherwise: the one that has nothing to say to a stranger
        self.gateway: str | None = None
        self._bounds = bounds
        self._door = door
        self._inbox = Inbox(bounds, now_s)
        self._will: mqtt5.Will | None = None
        self._keep_alive_s = 0
        self._peer_max_packet_bytes: int | None = None
        self._routes: dict[bytes, Route] = {}
        self._subscriptions: set[str] = set()
        self._unacknowledged: deque[Message] = deque()
        self._events: list[Event] = []
        self._output = bytearray()
        self._opened_s = now_s
        self._heard_s = now_s

    # -- what the shell asks and calls -------------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """Whether the peer has to wait: its rate is used up, or too much of it is not acknowledged."""
        return self._inbox.exhausted or (
            len(self._unacknowledged) >= self._bounds.receive_max and self.version is _MQTT_311
        )  # an MQTT 5 client knows the receive maximum, a 3.1.1 client can only be held back

    @property
    def held_bytes(self) -> int:
        """Bytes received and not yet taken apart."""
        return self._inbox.held_bytes

    def receive(self, data: bytes, now_s: float) -> list[Event]:
        """Take bytes from the peer; with none, go on with what is held."""
        if self.phase is not _CLOSED:
            self._inbox.refill(now_s)
            if self._inbox.feed(data):
                try:
                    self._read_packets(now_s)
                except ViolationError as violation:
                    self._violate(violation)
        return self._take_events()

    def resumed(self, now_s: float) -> list[Event]:
        """Go on after the shell itself did not read: the peer's silence meanwhile does not count."""
        self._forgive(now_s)
        return self.receive(b"", now_s)

    def tick(self, now_s: float) -> list[Event]:
        """Let time pass: go on after the peer had to wait, and close one that is silent or too slow."""
        if self.blocked:
            return self.resumed(now_s)
        message = self._overdue(now_s)
        return self.disconnect(*message) if message else []

    def disconnect(self, code: DisconnectReasonCode, message: str, *, will: bool = True) -> list[Event]:
        """Close from our side; `will`: whether the peer's last will is published."""
        if self.phase is not _CLOSED:
            self._will = self._will if will else None
            self._violate(ViolationError(code, message))
        return self._take_events()

    def lost(self) -> list[Event]:
        """The connection ended without DISCONNECT."""
        if self.phase is not _CLOSED:
            self._close("connection_lost", "the connection ended without DISCONNECT")
        return self._take_events()

    def acknowledge(self, message: Message) -> None:
        """The message is kept: PUBACK goes out as soon as all earlier ones of this connection are kept, too (4.6)."""
        message.settled = True
        waiting = self._unacknowledged
        while waiting and waiting[0].settled:
            head = waiting.popleft()
            if self.phase is _CONNECTED:
                self._output += codec.puback(self.version, head.packet_id, head.route.code)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send a QoS 0 message to a peer that subscribed; left out if larger than the peer accepts (3.1.2.11.4)."""
        if self.phase is not _CONNECTED:
            return
        packet = codec.write(self.version, mqtt5.PublishPacket(topic, payload, retain=retain))
        if self._peer_max_packet_bytes is None or len(packet) <= self._peer_max_packet_bytes:
            self._output += packet

    def take_output(self) -> bytes:
        """The bytes to write to the peer, once."""
        output = bytes(self._output)
        self._output.clear()
        return output

    # -- packets -----------------------------------------------------------------------------------------------------

    def _read_packets(self, now_s: float) -> None:
        inbox, unacknowledged = self._inbox, self._unacknowledged
        while self.version is not _MQTT_311 or len(unacknowledged) < self._bounds.receive_max:  # `blocked`, in part
            try:
                found = inbox.next_packet(now_s)
            except OversizedError as error:
                self._keep_beginning(error)
                raise
            if found is None or self.phase is _CLOSED:
                break
            self._heard_s = now_s
            at, start, end = found
            if inbox.buffer[at] & 0xF0 == 0x30 and self.phase is _CONNECTED:
                self._on_publish(inbox.buffer, at, start, end)
            else:
                self._on_packet(inbox.buffer[at:end])

    def _on_packet(self, packet: bytes) -> None:
        if self.phase is _AWAITING_CONNECT:
            self.version = codec.version_of(packet)
        decoded = codec.read(self.version, packet)
        handler = self._HANDLERS[self.phase].get(type(decoded))
        if handler is None:
            name = type(decoded).__name__.removesuffix("Packet").upper()
            raise ViolationError(DisconnectReasonCode.PROTOCOL_ERROR, f"{name} is not expected here")
        handler(self, decoded)

    def _on_publish(self, buffer: bytes, at: int, start: int, end: int) -> None:
        """Take a PUBLISH apart in place: this is the path of every reading."""
        name, packet_id, payload_at = codec.read_publish(self.version, buffer, at, start, end)
        message = Message(self._routes.get(name) or self._route(name), buffer[payload_at:end], packet_id)
        if packet_id:
            if len(self._unacknowledged) >= self._bounds.receive_max:
                raise ViolationError(
                    DisconnectReasonCode.RECEIVE_MAX_EXCEEDED,
                    f"more than {self._bounds.receive_max} messages without waiting for PUBACK",
                )
            self._unacknowledged.append(message)
        self._events.append(message)

    def _route(self, name: bytes) -> Route:
        """Judge a topic, once for many messages; the first that is in order binds an open connection."""
        try:
            topic = name.decode()
        except UnicodeDecodeError as error:
            raise ViolationError(DisconnectReasonCode.MALFORMED_PACKET, "a topic is not well-formed UTF-8") from error
        if "\0" in topic:
            raise ViolationError(DisconnectReasonCode.MALFORMED_PACKET, "a topic contains U+0000")  # 1.5.4-2
        found = route(topic, self.gateway)
        if not found.reason:
            self.gateway = found.gateway
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[name] = found
        return found

    def _on_connect(self, packet: mqtt5.ConnectPacket) -> None:
        try:
            admitted = admit(self._door, self.version, packet)
        except RefusedError as error:
            self._output += answers.refusal(self.version, error.code, str(error))
            self._close(error.code.name.lower(), str(error))
            return
        self.phase, self.gateway, self._will = Phase.CONNECTED, admitted.gateway, packet.will
        self._inbox.open()
        self._peer_max_packet_bytes = packet.max_packet_size
        self._keep_alive_s = packet.keep_alive
        if self.version is Version.MQTT_5:
            longest = self._bounds.max_keep_alive_s
            self._keep_alive_s = min(packet.keep_alive or longest, longest)
        self._output += answers.welcome(self.version, self._bounds, admitted, self._keep_alive_s)
        self._events.append(Opened(admitted.client_id, admitted.gateway))

    def _on_subscribe(self, packet: mqtt5.SubscribePacket) -> None:
        codes: list[SubAckReasonCode] = []
        granted: list[str] = []
        for topic_filter in packet.topic_filters:
            code, gateway = subscription(topic_filter.pattern, self.gateway)
            if packet.subscription_id is not None:
                code = SubAckReasonCode.SUBSCRIPTION_IDS_NOT_SUPPORTED
            elif gateway and len(self._subscriptions | {*granted}) >= self._bounds.max_subscriptions:
                code = SubAckReasonCode.QUOTA_EXCEEDED
            elif gateway:
                self.gateway = gateway
                granted.append(topic_filter.pattern)
            codes.append(code)
        self._subscriptions.update(granted)
        self._output += codec.write(self.version, mqtt5.SubAckPacket(packet.packet_id, codes))
        self._events.extend(map(Subscribed, granted))

    def _on_unsubscribe(self, packet: mqtt5.UnsubscribePacket) -> None:
        codes = []
        for pattern in packet.patterns:
            known = pattern in self._subscriptions
            codes.append(UnsubAckReasonCode.SUCCESS if known else UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED)
            if known:
                self._subscriptions.discard(pattern)
                self._events.append(Unsubscribed(pattern))
        self._output += codec.write(self.version, mqtt5.UnsubAckPacket(packet.packet_id, codes))

    def _on_pingreq(self, _: mqtt5.PingReqPacket) -> None:
        self._output += codec.write(self.version, mqtt5.PingRespPacket())

    def _on_disconnect(self, packet: mqtt5.DisconnectPacket) -> None:
        if packet.reason_code != int(DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE):
            self._will = None
        self._close("", "")

    # -- the end -----------------------------------------------------------------------------------------------------

    def _overdue(self, now_s: float) -> tuple[DisconnectReasonCode, str] | None:
        bounds, began_s = self._bounds, self._inbox.partial_since_s
        if self.phase is _AWAITING_CONNECT and now_s - self._opened_s > bounds.connect_s:
            return DisconnectReasonCode.MAX_CONNECT_TIME, f"no CONNECT within {bounds.connect_s:g} s"
        if began_s is not None:
            late = now_s - began_s > bounds.packet_s
            message = f"a packet was not complete after {bounds.packet_s:g} s"
            return (DisconnectReasonCode.UNSPECIFIED_ERROR, message) if late else None
        if self._keep_alive_s and now_s - self._heard_s > 1.5 * self._keep_alive_s:
            return DisconnectReasonCode.KEEP_ALIVE_TIMEOUT, f"silent for 1.5 times {self._keep_alive_s} s"
        return None

    def _forgive(self, now_s: float) -> None:
        self._opened_s = self._heard_s = now_s
        if self._inbox.partial_since_s is not None:
            self._inbox.partial_since_s = now_s

    def _keep_beginning(self, error: OversizedError) -> None:
        """Hand over the start of an oversized message, so that it is seen what nobody will ever store."""
        beginning, at = error.beginning, error.body_at
        if self.phase is _CONNECTED and beginning[0] & 0xF0 == 0x30:
            topic_end = at + 2 + int.from_bytes(beginning[at : at + 2])
            topic = beginning[at + 2 : topic_end].decode(errors="replace")
            found = Route(topic, self.gateway or "", "too_large", "", f"{error}: send smaller messages")
            self._events.append(Message(found, beginning[:_KEPT_OF_TOO_LARGE]))

    def _violate(self, violation: ViolationError) -> None:
        connected = self.phase is _CONNECTED
        self._output += answers.goodbye(self.version, violation, connected=connected)
        self._close(violation.code.name.lower(), str(violation))

    def _close(self, reason: str, message: str) -> None:
        if self._will is not None and self.phase is _CONNECTED:
            self._events.append(Message(Route(self._will.topic, self.gateway or ""), self._will.payload or b""))
        self.phase, self._will = Phase.CLOSED, None
        self._inbox.clear()
        self._events.extend(map(Unsubscribed, sorted(self._subscriptions)))
        self._subscriptions.clear()
        self._events.append(Closed(reason, message))

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    _HANDLERS: Final[Mapping[Phase, Mapping[type[Any], Callable[[Session, Any], None]]]] = MappingProxyType(
        {
            Phase.AWAITING_CONNECT: {mqtt5.ConnectPacket: _on_connect},
            Phase.CONNECTED: {
                mqtt5.SubscribePacket: _on_subscribe,
                mqtt5.UnsubscribePacket: _on_unsubscribe,
                mqtt5.PingReqPacket: _on_pingreq,
                mqtt5.DisconnectPacket: _on_disconnect,
            },
            Phase.CLOSED: {},
        }
    )
