"""One accepted connection: the thin shell between a transport and its `Session`."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

from mqtt5 import DisconnectReasonCode

from ingest.mqtt.admission import Door
from ingest.mqtt.events import Closed, Event, Opened
from ingest.mqtt.session import Session

if TYPE_CHECKING:
    from ingest.endpoint import Endpoint


class Connection(asyncio.Protocol):
    """Feeds a session and writes what it says; everything that concerns others goes through the `endpoint`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.session: Session
        self.key: tuple[str, str] | None = None  # gateway and client id, once admitted
        self.peer = "?"
        self._endpoint = endpoint
        self._transport: asyncio.Transport
        self._held_bytes = 0
        self._closing_since_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer is there; it gets a session, or, when there are far too many, nothing."""
        self._transport = cast("asyncio.Transport", transport)
        config = self._endpoint.config
        self._transport.set_write_buffer_limits(high=config.max_write_bytes)
        address = transport.get_extra_info("peername")
        self.peer = f"{address[0]}:{address[1]}" if address else "?"
        connection_socket = transport.get_extra_info("socket")
        connection_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # 3.1.1 clients may ask for no other
        door = Door(
            fallback_client_id=f"unnamed-{id(self):x}",
            authenticate=self._endpoint.authenticate,
            certificate_cn=_common_name(transport.get_extra_info("peercert")),
            accepting=self._endpoint.has_room,
        )
        self.session = Session(config.bounds, door, self._endpoint.monotonic())
        self._endpoint.entered(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer; after the end they are thrown away, so that the peer can read why (see `close`)."""
        if self._closing_since_s is None:
            self.take(self.session.receive(data, self._endpoint.monotonic()))

    def pause_writing(self) -> None:
        """The peer does not read: what it misses it gets with its next connection."""
        self._endpoint.log_closed(self, Closed("slow_reader", "the peer does not read what it is sent"))
        self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """The transport is gone, for whatever reason."""
        events = self.session.lost()
        self._endpoint.handle(self, [event for event in events if not isinstance(event, Closed)])
        self._account(0)
        self._endpoint.left(self)

    # -- what the endpoint calls -------------------------------------------------------------------------------------

    def take(self, events: list[Event]) -> None:
        """Pass on what the session says, write its answer, and read on if it may."""
        endpoint = self._endpoint
        if events:
            endpoint.handle(self, events)
        self.flush()
        self._account(self.session.held_bytes)
        if self._closing_since_s is None:
            self.read_if_allowed()

    def opened(self, event: Opened) -> None:
        """The client is known under this key."""
        self.key = (event.gateway or "", event.client_id)

    def flush(self) -> None:
        """Write what the session has to say."""
        output = self.session.take_output()
        if output:
            self._transport.write(output)

    def acknowledged(self) -> None:
        """Write the PUBACKs of a commit at once, and go on with a peer that waited for them."""
        self.flush()
        if not self._transport.is_reading() and self._may_read():
            self.resume(self._endpoint.monotonic())

    def read_if_allowed(self) -> None:
        """Read the transport unless the session or the whole endpoint has enough."""
        if self._may_read():
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def resume(self, now_s: float) -> None:
        """Go on after the whole endpoint was paused."""
        if self._closing_since_s is None:
            self.take(self.session.resumed(now_s))

    def tick(self, now_s: float) -> None:
        """Let time pass; it does not count for a peer that is not being read."""
        if self._closing_since_s is None:
            if not self._is_held():
                self.take(self.session.tick(now_s))
        elif now_s - self._closing_since_s > self._endpoint.config.linger_s:
            self._transport.abort()

    def disconnect(self, code: DisconnectReasonCode, message: str, *, will: bool = True) -> None:
        """Close from our side."""
        self.take(self.session.disconnect(code, message, will=will))

    def close(self, *, linger: bool) -> None:
        """Write what is left and close.

        `linger`: read on for a moment and throw away. Closing while the peer still sends would reset the connection,
        and the peer would never read the reason that it was just sent.
        """
        self.flush()
        self._closing_since_s = self._endpoint.monotonic()
        if linger and self._end_writing():
            self._transport.resume_reading()
        else:
            self._transport.close()

    def abort(self) -> None:
        """End it at once, unwritten bytes included."""
        self._transport.abort()

    def _end_writing(self) -> bool:
        if not self._transport.can_write_eof():
            return False  # TLS
        try:
            self._transport.write_eof()
        except OSError:  # the peer reset the connection, and asyncio does not know it yet
            return False
        return True

    def _account(self, held_bytes: int) -> None:
        change, self._held_bytes = held_bytes - self._held_bytes, held_bytes
        if change:
            self._endpoint.hold_bytes(self, change)

    def _may_read(self) -> bool:
        return not (self._is_held() or self.session.blocked)

    def _is_held(self) -> bool:
        """Whether the paused endpoint does not read this peer.

        While there is room, a newcomer may still say who it is: a gateway that reconnects through a long pause then
        takes over from its dead connection, and they do not pile up.
        """
        return self._endpoint.paused and (self.key is not None or self._endpoint.budget.exceeded)


def _common_name(certificate: dict[str, Any] | None) -> str | None:
    for part in (certificate or {}).get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return None
