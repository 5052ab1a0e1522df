"""The endpoint: ingest's own door for gateways that speak MQTT. It is not a broker.

    gateway ─▶ Connection ─▶ Session ─▶ intake(Incoming) ─▶ … journal commit … ─▶ acknowledge ─▶ PUBACK

There is no fan-out and there are no foreign topics: a gateway publishes under its own name and reads what comes down to
it. PUBACK means "it is in the journal". Whatever a peer does wrong closes its own connection with a reason, and
concerns nobody else. Memory is bounded: when too much is not committed yet, no connection is read and the senders keep
the rest.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

import structlog
from mqtt5 import DisconnectReasonCode

from ingest.budget import Budget
from ingest.endpoint_config import EndpointConfig, EndpointStats
from ingest.endpoint_connection import Connection
from ingest.endpoint_downlink import Downlink
from ingest.mqtt.admission import Authenticate
from ingest.mqtt.events import (
    Closed,
    Event,
    Message,
    Opened,
    Subscribed,
    Unsubscribed,
)
from ingest.source import Incoming, Rejection

_BACKLOG: Final = 1024  # connections the kernel holds while we are busy: a ward that comes back after a power cut
_REFUSAL_SLOTS: Final = 64  # connections beyond the bound that are told "server busy"; more are just closed
_RESERVED_FILES: Final = 128  # file handles that connections may not take: the journal and the store need theirs
_LOGGED_PER_SWEEP: Final = 5  # a flood of bad connections shall not become a flood of log lines
_NOT_VIOLATIONS: Final = ("", "connection_lost", "server_shutting_down", "session_taken_over")

__all__ = ["Endpoint", "EndpointConfig", "EndpointStats"]

_log: Final = structlog.get_logger("endpoint")


class Endpoint:
    """See the module's text. All methods belong to the event loop.

    `intake` and `rejected` are called for each message and must return at once; a QoS 1 sender waits until
    `Incoming.acknowledge`. `now_ns`: UTC for `received_at_ns`; `monotonic`: seconds, for deadlines. `authenticate`:
    `None` lets every client in (a demonstration on loopback); then the first topic used binds a connection to its
    gateway.
    """

    def __init__(
        self,
        config: EndpointConfig,
        intake: Callable[[Incoming], None],
        rejected: Callable[[Rejection], None],
        *,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        tls: ssl.SSLContext | None = None,
        authenticate: Authenticate | None = None,
    ) -> None:
        self.config = config
        self.stats = EndpointStats()
        self.monotonic = monotonic
        self.authenticate = authenticate
        self.paused = False
        self.budget = Budget(max_messages=config.max_unacknowledged_messages, max_bytes=config.max_unacknowledged_bytes)
        self._intake = intake
        self._rejected = rejected
        self._now_ns = now_ns
        self._tls = tls
        self._held_back = False  # by `pause`
        self._max_connections = config.max_connections
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._connections: set[Connection] = set()
        self._clients: dict[tuple[str, str], Connection] = {}
        self._downlink: Downlink[Connection] = Downlink(config.max_retained_topics)
        self._unwritten: set[Connection] = set()
        self._log_budget = _LOGGED_PER_SWEEP
        self._empty = asyncio.Event()

    # -- life cycle --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Raises `OSError` when the address cannot be bound."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files != resource.RLIM_INFINITY:
            self._max_connections = max(1, min(self.config.max_connections, files - _RESERVED_FILES))
        timeout = self.config.bounds.connect_s if self._tls else None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self),
            self.config.host,
            self.config.port,
            ssl=self._tls,
            ssl_handshake_timeout=timeout,
            backlog=_BACKLOG,
        )
        self._arm()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None, "the endpoint was not started"
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more, say goodbye ("server shutting down"), and wait for it to be read, at most `drain_s`.

        Last wills are not published: the gateways are not lost, we are leaving.
        """
        if self._server is None:
            return
        self._server.close()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._connections):
            connection.disconnect(DisconnectReasonCode.SERVER_SHUTTING_DOWN, "ingest is stopping", will=False)
        try:
            async with asyncio.timeout(self.config.drain_s):
                await self._emptied()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
            await self._emptied()
        await self._server.wait_closed()
        self._server = None

    async def _emptied(self) -> None:
        while self._connections:
            self._empty.clear()
            await self._empty.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- for the service ---------------------------------------------------------------------------------------------

    def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Send to whoever subscribed to `topic`, with QoS 0.

        `retain`: remember it, as the newest value, for later subscribers.
        """
        if retain:
            self._downlink.remember(topic, payload)
        for connection in self._downlink.subscribers(topic):
            connection.session.publish(topic, payload)
            self._write_soon(connection)

    def pause(self) -> None:
        """Stop reading: the intake is behind. What was already read is still handed over."""
        self._held_back = True
        self._update_reading()

    def resume(self) -> None:
        """Read on after `pause`, as far as the bounds allow."""
        self._held_back = False
        self._update_reading()

    # -- for connections ---------------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether one more client may be let in."""
        return len(self._connections) < self._max_connections

    def entered(self, connection: Connection) -> None:
        """A peer connected."""
        if len(self._connections) >= self._max_connections + _REFUSAL_SLOTS:
            self.log_closed(connection, Closed("too_many_connections", "raise max_connections, or the file limit"))
            connection.abort()
        self._connections.add(connection)
        self.stats.connections = len(self._connections)
        if self.paused:
            connection.read_if_allowed()

    def left(self, connection: Connection) -> None:
        """A peer's transport is gone."""
        self._connections.discard(connection)
        self._unwritten.discard(connection)
        if connection.key is not None and self._clients.get(connection.key) is connection:
            del self._clients[connection.key]
        self.stats.connections = len(self._connections)
        if not self._connections:
            self._empty.set()

    def handle(self, connection: Connection, events: Sequence[Event]) -> None:
        """Carry out what a session says, in order."""
        messages = [event for event in events if isinstance(event, Message)]
        self._count(messages)
        now_ns = self._now_ns()
        for event in events:
            if isinstance(event, Message):
                self._hand_over(connection, event, now_ns)
            else:
                self._handle_rare(connection, event)

    def _count(self, messages: Sequence[Message]) -> None:
        size = sum([len(message.payload) for message in messages])
        self.stats.messages += len(messages)
        self.stats.message_bytes += size
        if self.budget.take(len(messages), size):
            self._update_reading()

    def _handle_rare(self, connection: Connection, event: Event) -> None:
        if isinstance(event, Opened):
            self._admit(connection, event)
        elif isinstance(event, Subscribed):
            self._downlink.subscribe(event.topic, connection)
            latest = self._downlink.latest(event.topic)
            if latest is not None:
                connection.session.publish(event.topic, latest, retain=True)
        elif isinstance(event, Unsubscribed):
            self._downlink.unsubscribe(event.topic, connection)
        elif isinstance(event, Closed):
            self.log_closed(connection, event)
            connection.close(linger=bool(event.reason))

    def _admit(self, connection: Connection, event: Opened) -> None:
        connection.opened(event)
        assert connection.key is not None
        older = self._clients.pop(connection.key, None)
        self._clients[connection.key] = connection
        self.stats.accepted += 1
        if older is not None:
            older.disconnect(DisconnectReasonCode.SESSION_TAKEN_OVER, "the same client id connected again")

    def hold_bytes(self, connection: Connection, change: int) -> None:
        """A connection holds more or less of an incomplete packet than before."""
        self.stats.held_bytes += change
        if change > 0 and self.stats.held_bytes > self.config.max_held_bytes:
            connection.disconnect(DisconnectReasonCode.SERVER_BUSY, "too many large packets at once: try again later")

    def log_closed(self, connection: Connection, closed: Closed) -> None:
        """Count why a connection ends, and say it while there are few of them."""
        if closed.reason in _NOT_VIOLATIONS:
            return
        self.stats.violations[closed.reason] += 1
        if connection.key is None:
            self.stats.refused += 1
        self._log_budget -= 1
        if self._log_budget >= 0:
            _log.warning("connection closed", peer=connection.peer, reason=closed.reason, what=closed.message)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _hand_over(self, connection: Connection, message: Message, now_ns: int) -> None:
        route = message.route
        acknowledge = partial(self._acknowledge, connection, message)
        incoming = Incoming(route.topic, message.payload, now_ns, acknowledge)
        if route.reason:
            self.stats.rejected[route.reason] += 1
            self._rejected(Rejection(incoming, route.reason, route.field, route.message))
        else:
            self._intake(incoming)

    def _acknowledge(self, connection: Connection, message: Message) -> None:
        if message.settled:
            return
        connection.session.acknowledge(message)
        if self.budget.give_back(len(message.payload)):
            self._update_reading()
        if connection not in self._unwritten:
            self._write_soon(connection)

    def _write_soon(self, connection: Connection) -> None:
        """Write once for all that this turn of the loop brings: one system call for the PUBACKs of a commit."""
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._write)
        self._unwritten.add(connection)

    def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, set()
        for connection in unwritten & self._connections:
            connection.acknowledged()

    def _update_reading(self) -> None:
        paused = self._held_back or self.budget.exceeded
        if paused == self.paused:
            return
        self.paused = paused
        self.stats.pauses += paused
        now_s = self.monotonic()
        for connection in list(self._connections):
            if paused:
                connection.read_if_allowed()
            else:
                connection.resume(now_s)

    def _arm(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(self.config.sweep_s, self._tick)

    def _tick(self) -> None:
        self._log_budget = _LOGGED_PER_SWEEP
        now_s = self.monotonic()
        for connection in list(self._connections):
            connection.tick(now_s)
        self._arm()
