"""One task per channel: reads the alarm journal after the channel's cursor, hands messages over, and keeps at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import SystemRandom
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from alerts.escalation import Call, decode_call
from alerts.events import AlarmEvent, AlarmRecordKind, decode_event
from alerts.notify.calls import call_due
from alerts.notify.message import Message
from alerts.notify.outbox import (
    EXPIRE_AFTER_S,
    FAILING_AFTER_S,
    Channel,
    Delivered,
    Delivery,
    DeliveryState,
    Due,
    Permanent,
    Retry,
    due,
    encode_delivery,
    retry_delay_s,
    wants,
)
from vitals.errors import JournalFullError, MalformedMessageError
from vitals.journal import Journal
from vitals.self_test import SELF_TEST

_log = structlog.get_logger(__name__)
_PAGE: Final = 1_000  # records read at once
_LAZY_MOVE: Final = 256  # records of no interest after which the cursor is moved durably, so that they can be trimmed
_FULL_RETRY_S: Final = 1.0
_RANDOM: Final = SystemRandom()

RetryDelay = Callable[[int, float | None], float]
"""Attempt number (1 first) and the delay that the service asked for → seconds to wait."""


def cursor_name(channel: str) -> str:
    """The cursor of a channel in the alarm journal."""
    return f"channel:{channel}"


class ChannelWorker:
    """`report(channel, failing)`: called when a channel has not delivered for a while, and when it does again.

    `called`: tell only what the escalation calls this channel for, instead of every alarm that it wants. The channel
    named `SELF_TEST` tells what the synthetic patient's alarms are, and no other channel does.
    """

    def __init__(
        self,
        journal: Journal,
        channel: Channel,
        *,
        zone: ZoneInfo,
        ward: str,
        now_ns: Callable[[], int],
        report: Callable[[str, bool], None],
        delay_s: RetryDelay | None = None,
        called: bool = False,
    ) -> None:
        self._journal = journal
        self._channel = channel
        self._subscription = channel.subscription
        self._wording = self._subscription.wording(zone, ward)
        self._now_ns = now_ns
        self._report = report
        self._called = called
        self._tests = self.name == SELF_TEST
        self._event_kind = AlarmRecordKind.SELF_TEST if self._tests else AlarmRecordKind.EVENT
        self.counts: dict[str, int] = {}  # messages of this process, by what became of them
        self._delay_s = delay_s or (lambda attempt, asked: retry_delay_s(attempt, asked, _RANDOM))
        self._position = journal.cursor(cursor_name(self.name))
        self._durable = self._position
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._attempts = 0
        self._failing_since_ns: int | None = None
        self._reported = False

    @property
    def name(self) -> str:
        return self._subscription.name

    async def run(self) -> None:
        """Deliver until cancelled."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        with self._journal.listen(wake):
            while True:
                self._wake.clear()
                newest = self._journal.newest
                waiting = self._next()
                if waiting is None:
                    self._pass_by(newest)
                    await self._wake.wait()
                else:
                    await self._deliver(waiting, newest)

    def _next(self) -> Due | None:
        if self._called:
            return call_due(self.name, self._records(self._position), self._wording, self._now_ns())
        return due(self._subscription, self._events(self._position), self._wording, self._now_ns())

    def _has_news(self, after: int) -> bool:
        if self._called:
            return any(isinstance(found, Call) and found.channel == self.name for _, found in self._records(after))
        return any(wants(self._subscription, event) for _, event in self._events(after))

    async def caught_up(self) -> None:
        """Return once everything that is journalled now was handed over, settled or of no interest."""
        newest = self._journal.newest
        while self._position < newest:
            self._moved.clear()
            await self._moved.wait()

    async def _deliver(self, waiting: Due, newest: int) -> None:
        if waiting.obsolete or waiting.message is None:
            await self._record(waiting, DeliveryState.OBSOLETE, waiting.obsolete, move=waiting.message is None)
        if waiting.message is None:
            return
        outcome = await self._channel.send(replace(waiting.message, calls=waiting.calls))
        self._attempts += 1
        if isinstance(outcome, Delivered):
            await self._finish(waiting, DeliveryState.HANDED_OVER)
            self._recovered()
        elif isinstance(outcome, Permanent):
            self._failed(outcome.reason, at_once=True)
            await self._finish(waiting, DeliveryState.REFUSED, outcome.reason)
        else:
            await self._retry(waiting, waiting.message, outcome, newest)

    async def _retry(self, waiting: Due, message: Message, outcome: Retry, newest: int) -> None:
        self._failed(outcome.reason)
        if self._now_ns() - message.decided_at_ns > EXPIRE_AFTER_S * 1e9 and self._has_failed_for(FAILING_AFTER_S):
            await self._finish(waiting, DeliveryState.EXPIRED, outcome.reason)
        else:
            await self._pause(self._delay_s(self._attempts, outcome.after_s), newest)

    async def _finish(self, waiting: Due, state: DeliveryState, reason: str = "") -> None:
        numbers = waiting.message.numbers if waiting.message else ()
        await self._record(waiting, state, numbers, reason=reason)
        self._attempts = 0

    async def _record(
        self, waiting: Due, state: DeliveryState, numbers: tuple[int, ...], *, reason: str = "", move: bool = True
    ) -> None:
        """Write down what became of a message and move the cursor past it, together."""
        now_ns = self._now_ns()
        decided = waiting.message.decided_at_ns if waiting.message else now_ns
        delivery = Delivery(self.name, state, numbers, decided, now_ns, self._attempts, reason, waiting.calls)
        kind = AlarmRecordKind.SELF_TEST_DELIVERY if self._tests else AlarmRecordKind.DELIVERY
        record = (int(kind), encode_delivery(delivery))
        cursors = {cursor_name(self.name): waiting.through} if move else {}
        while True:
            try:
                self._journal.append([record], now_ns=now_ns, cursors=cursors)
                break
            except JournalFullError as error:  # without the record the message would be told again after a restart
                _log.error("delivery_not_recorded", channel=self.name, reason=str(error))
                await asyncio.sleep(_FULL_RETRY_S)
        self.counts[state] = self.counts.get(state, 0) + 1
        if move:
            self._position = self._durable = waiting.through
            self._moved.set()

    def _pass_by(self, newest: int) -> None:
        """Nothing up to `newest` is of interest."""
        self._position = max(self._position, newest)
        self._moved.set()
        if self._position - self._durable >= _LAZY_MOVE:
            try:
                self._journal.move(cursor_name(self.name), self._position)
            except JournalFullError as error:  # only trimming waits for it; the next wake tries again
                _log.warning("cursor_not_moved", channel=self.name, reason=str(error))
            else:
                self._durable = self._position

    def _has_failed_for(self, seconds: float) -> bool:
        return self._failing_since_ns is not None and self._now_ns() - self._failing_since_ns >= seconds * 1e9

    def _failed(self, reason: str, *, at_once: bool = False) -> None:
        if self._failing_since_ns is None:
            self._failing_since_ns = self._now_ns()
        _log.warning("channel_does_not_deliver", channel=self.name, attempt=self._attempts, reason=reason)
        if not self._reported and (at_once or self._has_failed_for(FAILING_AFTER_S)):
            self._reported = True
            self._report(self.name, True)

    def _recovered(self) -> None:
        self._failing_since_ns = None
        self._reported = False
        self._report(self.name, False)

    async def _pause(self, delay_s: float, seen: int) -> None:
        """Wait before the next attempt, or until there is something newer than record `seen` to tell."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + delay_s
        while (left_s := deadline - loop.time()) > 0:
            self._wake.clear()
            if self._has_news(seen):
                return
            seen = max(seen, self._journal.newest)
            try:
                async with asyncio.timeout(left_s):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _events(self, after: int) -> Iterator[tuple[int, AlarmEvent]]:
        for sequence, found in self._records(after):
            if isinstance(found, AlarmEvent):
                yield sequence, found

    def _records(self, after: int) -> Iterator[tuple[int, AlarmEvent | Call]]:
        while records := self._journal.read(after, limit=_PAGE):
            for record in records:
                try:
                    if record.kind == self._event_kind:
                        yield record.sequence, decode_event(record.payload)
                    elif record.kind == AlarmRecordKind.CALL and self._called:
                        yield record.sequence, decode_call(record.payload)
                except MalformedMessageError as error:
                    _log.error("alarm_record_unreadable", sequence=record.sequence, reason=str(error))
            after = records[-1].sequence
