"""The broker source: for sites that run mosquitto, EMQX, RabbitMQ … instead of connecting gateways to us.

    gateway ─▶ broker ─▶ BrokerLink ─▶ intake(Incoming) ─▶ … journal commit … ─▶ acknowledge ─▶ PUBACK

The session at the broker is persistent and every message is acknowledged by hand after the commit: what the broker has
and we have not committed, it sends again. What it loses itself (a killed broker loses what it did not save) the
gateways still hold, because they wait for our receipt and not for the broker's PUBACK.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Final, Self

import structlog

from ingest.broker_config import BrokerConfig
from ingest.broker_link import BrokerLink, LinkLostError
from ingest.budget import Budget
from ingest.mqtt.access import route
from ingest.source import Incoming, Rejection
from vitals.errors import ConfigurationError
from vitals.wire import MAX_PAYLOAD_BYTES

__all__ = ["BrokerConfig", "BrokerHealth", "BrokerSource"]

_KEPT_OF_TOO_LARGE: Final = 256  # bytes of an oversized message that are kept: enough to tell what it was
_log: Final = structlog.get_logger("broker")


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    """Whether the broker is connected, since when (UTC), and if not, why and what to do."""

    connected: bool
    since_ns: int
    detail: str = ""


@dataclass(slots=True)
class BrokerStats:
    """Counters since the start."""

    messages: int = 0
    message_bytes: int = 0
    connections: int = 0
    pauses: int = 0


@dataclass(slots=True)
class _Receipts:
    """The newest value of each topic that goes down, to be repeated to a broker that may have forgotten it."""

    bound: int
    latest: dict[str, bytes] = field(default_factory=dict)

    def remember(self, topic: str, payload: bytes) -> None:
        self.latest.pop(topic, None)
        self.latest[topic] = payload
        if len(self.latest) > self.bound:
            del self.latest[next(iter(self.latest))]


class BrokerSource:
    """See the module's text. All methods belong to the event loop.

    `intake` and `rejected` are called for each message and must return at once. `health` is what the broker's technical
    alarm is made of. `jitter`: returns 0 … 1, so that many clients do not come back to a broker at the same moment.
    """

    def __init__(
        self,
        config: BrokerConfig,
        intake: Callable[[Incoming], None],
        rejected: Callable[[Rejection], None],
        *,
        now_ns: Callable[[], int],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.config = config
        self.stats = BrokerStats()
        self.health = BrokerHealth(connected=False, since_ns=now_ns(), detail="not connected yet")
        self._intake = intake
        self._rejected = rejected
        self._now_ns = now_ns
        self._jitter = jitter
        self._budget = Budget(max_messages=2 * config.receive_max, max_bytes=config.max_unacknowledged_bytes)
        self._held_back = False  # by `pause`
        self._paused = False
        self._receipts = _Receipts(config.max_retained_topics)
        self._link: BrokerLink | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect, and keep trying. Raises `ConfigurationError` when the password cannot be read."""
        self.config.password()
        self._task = asyncio.create_task(self._keep_connected(), name="broker")

    async def close(self) -> None:
        """Disconnect; the session and what is not acknowledged stay with the broker."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Send to the gateways through the broker, with QoS 0.

        `retain`: the broker is to keep it for later subscribers; it is repeated after each reconnection.
        """
        if retain:
            self._receipts.remember(topic, payload)
        if self._link is not None:
            self._link.publish(topic, payload, retain=retain)

    def pause(self) -> None:
        """Stop reading: the intake is behind, the broker keeps the messages."""
        self._held_back = True
        self._update_reading()

    def resume(self) -> None:
        """Read on after `pause`, as far as the bounds allow."""
        self._held_back = False
        self._update_reading()

    # -- connecting --------------------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        delay_s = self.config.reconnect_min_s
        while True:
            try:
                why = str(await self._connection())
                delay_s = self.config.reconnect_min_s
            except (LinkLostError, ConfigurationError) as error:
                why = str(error)
            self._report(connected=False, detail=why)
            await asyncio.sleep(delay_s * (0.5 + 0.5 * self._jitter()))
            delay_s = min(2 * delay_s, self.config.reconnect_max_s)

    async def _connection(self) -> LinkLostError:
        """One connection from beginning to end; why it ended. Raises when there was none."""
        link = self._link = BrokerLink(self.config, self._arrived)
        try:
            if self._paused:
                link.pause()
            await link.open()
            self.stats.connections += 1
            self._report(connected=True)
            for topic, payload in self._receipts.latest.items():
                link.publish(topic, payload, retain=True)
            return await asyncio.shield(link.lost)
        finally:
            self._link = None
            link.close()

    def _report(self, *, connected: bool, detail: str = "") -> None:
        since_ns = self.health.since_ns if connected == self.health.connected else self._now_ns()
        if connected:
            _log.info("broker connected", broker=self.config.place)
        elif detail != self.health.detail:
            _log.warning("broker down, the gateways keep their readings", why=detail)
        self.health = BrokerHealth(connected, since_ns, detail)

    # -- messages ----------------------------------------------------------------------------------------------------

    def _arrived(self, link: BrokerLink, topic: str, payload: bytes, qos: int, mid: int) -> None:
        size = len(payload)
        self.stats.messages += 1
        self.stats.message_bytes += size
        if self._budget.take(1, size):
            self._update_reading()
        kept = payload if size <= MAX_PAYLOAD_BYTES else payload[:_KEPT_OF_TOO_LARGE]
        acknowledge = partial(self._acknowledge, link, size, mid if qos else 0)
        incoming = Incoming(topic, kept, self._now_ns(), acknowledge)
        found = route(topic, None)
        if found.reason:
            self._rejected(Rejection(incoming, found.reason, found.field, found.message))
        elif kept is not payload:
            message = f"{size:,} bytes; a message holds at most {MAX_PAYLOAD_BYTES:,}: send smaller messages"
            self._rejected(Rejection(incoming, "too_large", "", message))
        else:
            self._intake(incoming)

    def _acknowledge(self, link: BrokerLink, size: int, mid: int) -> None:
        if mid:
            link.acknowledge(mid)
        if self._budget.give_back(size):
            self._update_reading()

    def _update_reading(self) -> None:
        paused = self._held_back or self._budget.exceeded
        if paused == self._paused:
            return
        self._paused = paused
        self.stats.pauses += paused
        if self._link is not None:
            if paused:
                self._link.pause()
            else:
                self._link.resume()
