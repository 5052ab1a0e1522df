"""The synthetic patient in a running server: a reading in at the front door, its alarm out at the last.

    round ─▶ broker or intake ─▶ journal ─▶ alert engine ─▶ alarm journal ─▶ outbox ─▶ the heartbeat's channel

With a broker the reading is published there and comes back as any gateway's. Otherwise it is handed to the intake,
behind the endpoint: a gateway's certificate is nothing that the server has. How far a round came is told to
`heartbeat_watch`, which lives in a thread of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from alerts.app import AlertService
from alerts.heartbeat import Pace, Page, Step
from alerts.heartbeat_words import WARNING, page, proof
from alerts.notify.message import Message
from alerts.notify.outbox import Channel, Delivered, Outcome, Subscription
from alerts.notify.wording import Wording
from alerts.self_test import SelfTest, readings
from ingest.app import IngestService
from ingest.broker import BrokerSource
from ingest.source import Incoming
from vitals.self_test import SELF_TEST
from vitals.topics import Topic
from vitals.ward import Ward
from vitals.wire import encode
from wardlight.heartbeat_watch import TICK_S, Watch


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """`channel`: gets a message for each round that came through; `second`: is told when none does.

    `monotonic`: the watch's clock, in seconds; `tick_s`: how often it looks at it.
    """

    pace: Pace = field(default_factory=Pace)
    channel: Channel | None = None
    second: Channel | None = None
    monotonic: Callable[[], float] = time.monotonic
    tick_s: float = TICK_S


class HeartbeatService:
    """Rounds on the server's event loop. It is the channel of the synthetic patient's alarms, too."""

    subscription: Final = Subscription(SELF_TEST)

    def __init__(self, config: HeartbeatConfig, ward: Ward, now_ns: Callable[[], int]) -> None:
        self.self_test = SelfTest(self._judged, now_ns())
        self._config = config
        self._site = ward.site
        self._zone = ZoneInfo(ward.time_zone)
        self._now_ns = now_ns
        self._topic = str(Topic(ward.site, SELF_TEST, "batch"))
        self._wanted = 0  # the round that is to begin
        self._asked = False
        self._round = self._at_ns = self._decided_at_ns = 0
        self._payload = b""
        self._loop: asyncio.AbstractEventLoop
        self._alerts: AlertService
        self._ingest: IngestService
        self._broker: BrokerSource | None = None
        self.watch: Watch | None = None

    @asynccontextmanager
    async def beating(
        self, ingest: IngestService, alerts: AlertService, broker: BrokerSource | None
    ) -> AsyncIterator[None]:
        """Let rounds begin, and watch over them, while the context lasts. `broker`: where gateways publish, if any."""
        self._loop = asyncio.get_running_loop()
        self._ingest, self._alerts, self._broker = ingest, alerts, broker
        config = self._config
        watch = self.watch = Watch(
            self,
            config.pace,
            config.second,
            monotonic=config.monotonic,
            tick_s=config.tick_s,
            lost=alerts.heartbeat_lost,
        )
        watch.start()
        try:
            yield
        finally:
            await asyncio.to_thread(watch.stop)

    def warning(self) -> str:
        """What the station page says while alarms may not be getting through; empty otherwise."""
        return WARNING if self.watch is not None and self.watch.lost else ""

    # -- for the watch, from its thread ------------------------------------------------------------------------------

    def begin(self, number: int) -> None:
        """Ask for a round; a server that is stuck is asked only once."""
        self._wanted = number
        if not self._asked:
            self._asked = True
            self._loop.call_soon_threadsafe(self._begin)

    def report(self, lost: bool) -> None:
        """See `AlertService.report_heartbeat`."""
        self._loop.call_soon_threadsafe(self._alerts.report_heartbeat, lost)

    def words(self, which: Page, stuck_at: Step) -> Message:
        """See `alerts.heartbeat_words`."""
        return page(which, stuck_at, self._now_ns(), self._wording(self._config.second))

    # -- a round, step by step ---------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._asked = False
        self._round, self._at_ns, self._decided_at_ns = self._wanted, self._now_ns(), 0
        self._payload = encode(readings(self._at_ns))
        if self._broker is not None:
            self._broker.publish(self._topic, self._payload, retain=False)
        elif not self._ingest.intake.congested:  # as any source: when nothing can be written, nothing is handed in
            self.hear(self._ingest.offer, Incoming(self._topic, self._payload, self._at_ns, _kept_by_nobody))

    def hear(self, offer: Callable[[Incoming], None], incoming: Incoming) -> None:
        """Hand a message on, whosever it is: what the intake of a broker calls."""
        if incoming.topic == self._topic and incoming.payload == self._payload:
            self._seen(self._round, Step.ACCEPTED)
            committed = partial(self._committed, self._round, incoming.acknowledge)
            incoming = msgspec.structs.replace(incoming, acknowledge=committed)
        offer(incoming)

    def _committed(self, number: int, acknowledge: Callable[[], None]) -> None:
        self._seen(number, Step.COMMITTED)
        acknowledge()

    def _judged(self, at_ns: int, decided_at_ns: int) -> None:
        if at_ns == self._at_ns:
            self._decided_at_ns = decided_at_ns
            self._seen(self._round, Step.JUDGED)

    async def send(self, message: Message) -> Outcome:
        """See `Channel`: what comes here stands in the alarm journal."""
        number = self._round if message.decided_at_ns == self._decided_at_ns else 0
        self._seen(number, Step.JOURNALLED)
        inner = self._config.channel
        outcome = Delivered() if inner is None else await inner.send(proof(message, self._wording(inner)))
        if isinstance(outcome, Delivered):
            self._seen(number, Step.HANDED_OVER)
        return outcome

    def _wording(self, channel: Channel | None) -> Wording:
        subscription = self.subscription if channel is None else channel.subscription
        return subscription.wording(self._zone, self._site)

    def _seen(self, number: int, step: Step) -> None:
        if self.watch is not None:
            self.watch.seen(number, step)


def _kept_by_nobody() -> None:
    """A round that is lost needs nobody who sends it again: the next one comes."""
