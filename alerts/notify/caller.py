"""The task that makes the calls: follows the alarm journal, and writes into it who is to be told of what.

The channels of those people follow the same journal, so a call is as durable as an alarm. Killed at any moment, it
comes back to the step that was reached: before a call is journalled nobody was told, and afterwards its channel does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import structlog

from alerts.duty import Duty
from alerts.escalation import MAX_PURSUED, Call, Escalation, decode_call, encode_call
from alerts.events import AlarmRecordKind, decode_event
from alerts.notify.loop import CallReport
from alerts.notify.outbox import DeliveryState, decode_delivery
from alerts.notify.receipts import decode_receipt
from vitals.errors import JournalFullError, MalformedMessageError
from vitals.journal import Journal, Record

CALLER: Final = "caller"  # its cursor: before the oldest alarm that still waits for an acknowledgement
TICK_S: Final = 1.0  # how late a step, a shift or the end of quiet hours may be noticed
_PAGE: Final = 1_000
_LAZY_MOVE: Final = 256  # records after which the cursor is moved durably, so that they can be trimmed
_REPORTS: Final = {
    DeliveryState.HANDED_OVER: CallReport.HANDED_OVER,
    DeliveryState.REFUSED: CallReport.FAILED,
    DeliveryState.EXPIRED: CallReport.FAILED,
    DeliveryState.OBSOLETE: CallReport.WITHDRAWN,
}
_log = structlog.get_logger(__name__)


class Caller:
    """Use `run` as a task. `made`: the calls of this process by why they were made. `telling`: see `Escalation`."""

    def __init__(
        self, journal: Journal, duty: Duty, *, now_ns: Callable[[], int], telling: Collection[str] = ()
    ) -> None:
        self._journal = journal
        self._now_ns = now_ns
        self._escalation = Escalation(duty.chains, duty.rota, telling)
        self._position = self._durable = journal.cursor(CALLER)
        self._complained = False
        self._opened: dict[str, int] = {}  # alarm → the record before the one that opened it
        self.made: dict[str, int] = {}
        self._read()

    @property
    def waiting(self) -> int:
        """Alarms that nobody has acknowledged yet."""
        return len(self._escalation.open)

    async def run(self) -> None:
        """Make the calls that are due until cancelled."""
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()

        def heard() -> None:
            loop.call_soon_threadsafe(wake.set)

        with self._journal.listen(heard):
            while True:
                wake.clear()
                self._read()
                self._call()
                self._move()
                try:
                    async with asyncio.timeout(TICK_S):
                        await wake.wait()
                except TimeoutError:
                    continue

    def _call(self) -> None:
        now_ns = self._now_ns()
        calls = self._escalation.due(now_ns)
        if not calls:
            return
        try:
            self._journal.append([(int(AlarmRecordKind.CALL), encode_call(call)) for call in calls], now_ns=now_ns)
        except JournalFullError as error:  # the next tick tries again
            _log.error("calls_not_journalled", waiting=len(calls), reason=str(error))
            return
        for call in calls:
            self.made[call.why] = self.made.get(call.why, 0) + 1
            _log.info("call", channel=call.channel, step=call.step + 1, why=call.why, bed=call.event.bed)

    def _read(self) -> None:
        while records := self._journal.read(self._position, limit=_PAGE):
            for record in records:
                try:
                    self._take(record)
                except MalformedMessageError as error:
                    _log.error("alarm_record_unreadable", sequence=record.sequence, reason=str(error))
            self._position = records[-1].sequence
        if self._escalation.passed_over and not self._complained:
            self._complained = True
            _log.error("alarms_without_calls", open=MAX_PURSUED, do="acknowledge what is open; watch the station page")

    def _take(self, record: Record) -> None:
        if record.kind == AlarmRecordKind.EVENT:
            event = decode_event(record.payload)
            self._escalation.heard(event)
            if event.alarm_id in self._escalation.open:
                self._opened.setdefault(event.alarm_id, record.sequence - 1)
            else:
                self._opened.pop(event.alarm_id, None)
        elif record.kind == AlarmRecordKind.CALL:
            call: Call = decode_call(record.payload)
            self._escalation.called(call)
        elif record.kind == AlarmRecordKind.DELIVERY:
            delivery = decode_delivery(record.payload)
            for call_id in delivery.calls:
                self._escalation.reported(call_id, _REPORTS[delivery.state])
        elif record.kind == AlarmRecordKind.RECEIPT:
            receipt = decode_receipt(record.payload)
            for call_id in receipt.calls:
                self._escalation.reported(call_id, CallReport(receipt.said))

    def _move(self) -> None:
        behind = min((self._opened.get(key, self._durable) for key in self._escalation.open), default=self._position)
        if behind - self._durable >= _LAZY_MOVE:
            try:
                self._journal.move(CALLER, behind)
            except JournalFullError as error:  # only trimming waits for it
                _log.warning("cursor_not_moved", channel=CALLER, reason=str(error))
            else:
                self._durable = behind
