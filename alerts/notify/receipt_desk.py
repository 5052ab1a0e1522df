"""Where receipts come in: reads the ticket, acknowledges in the alarm engine, and writes the receipt down.

An acknowledgement is durable in the engine before the receipt is, and both before the answer: whoever was answered can
rely on it, and whoever was not asks again, which changes nothing twice.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from alerts.attention import Acknowledged
from alerts.events import AlarmRecordKind
from alerts.notify.receipts import Receipt, Said, Ticket, TicketOffice, Verdict, encode_receipt, told_priority
from alerts.notify.seal import ExpiredError, ForgedError
from alerts.view import OpenAlarm
from vitals.journal import Journal

REMEMBERED: Final = 10_000  # receipts of late, so that one said twice is written once; more are only written twice

_log = structlog.get_logger(__name__)


class Attending(Protocol):
    """The alarm engine, as far as receipts concern it."""

    def alarms(self) -> Sequence[OpenAlarm]:
        """The open alarms."""
        ...

    def acknowledge(self, alarm_id: str, actor: str) -> Acknowledged:
        """Let `actor` take notice of an open alarm; durable on return. May raise `RetryableError`."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a receipt. `still_open`: whether an alarm of the message is; `by`: who acknowledged it, if so."""

    verdict: Verdict
    still_open: bool = False
    by: str = ""


class ReceiptDesk:
    """`owners`: channel → the person whom it belongs to, who then is the actor. `counts`: (channel, said) → how many.

    To be used on the event loop of `alerts`, into whose `journal` it writes.
    """

    def __init__(
        self,
        alerts: Attending,
        journal: Journal,
        office: TicketOffice,
        *,
        now_ns: Callable[[], int],
        owners: Mapping[str, str] | None = None,
    ) -> None:
        self._alerts = alerts
        self._journal = journal
        self._office = office
        self._now_ns = now_ns
        self._owners = owners or {}
        self._written: OrderedDict[tuple[str, str, Said], None] = OrderedDict()
        self.counts: Counter[tuple[str, Said]] = Counter()

    def take(self, token: str, said: Said, message_id: str = "") -> Answer:
        """Take a receipt; durable on return. `message_id`: must be the ticket's, when it is given.

        Raises `RetryableError` when it cannot be written down; then it is to be sent again.
        """
        try:
            ticket = self._office.read(token, self._now_ns())
        except ForgedError:
            return Answer(Verdict.UNKNOWN)
        except ExpiredError:
            return Answer(Verdict.OVER)
        if message_id not in ("", ticket.message_id):
            return Answer(Verdict.UNKNOWN)
        if said is not Said.ACKNOWLEDGED:
            self._write(ticket, said)
            return self._answer(ticket, Verdict.TAKEN)
        verdict = self._acknowledge(ticket)
        self._write(ticket, said if verdict is Verdict.TAKEN else Said.SEEN)  # who is refused has looked at it
        return self._answer(ticket, verdict)

    def _acknowledge(self, ticket: Ticket) -> Verdict:
        """All alarms of the message, or none when one has become worse than it said."""
        still_open = self._open(ticket)
        if any(alarm.priority > (told_priority(ticket, alarm.alarm_id) or 0) for alarm in still_open):
            return Verdict.WORSE
        if not still_open:
            return Verdict.OVER
        for alarm in still_open:
            self._alerts.acknowledge(alarm.alarm_id, self._actor(ticket))
        return Verdict.TAKEN

    def _open(self, ticket: Ticket) -> list[OpenAlarm]:
        return [alarm for alarm in self._alerts.alarms() if told_priority(ticket, alarm.alarm_id) is not None]

    def _answer(self, ticket: Ticket, verdict: Verdict) -> Answer:
        still_open = self._open(ticket)
        by = {alarm.acknowledged_by for alarm in still_open}
        return Answer(verdict, bool(still_open), ", ".join(sorted(by)) if all(by) else "")

    def _actor(self, ticket: Ticket) -> str:
        return self._owners.get(ticket.channel, ticket.channel)

    def _write(self, ticket: Ticket, said: Said) -> None:
        key = (ticket.message_id, ticket.phone, said)
        if key in self._written:
            return
        now_ns = self._now_ns()
        receipt = Receipt(
            ticket.channel,
            ticket.message_id,
            said,
            now_ns,
            ticket.calls,
            tuple(alarm_id for alarm_id, _ in ticket.alarms),
            self._actor(ticket) if said is Said.ACKNOWLEDGED else "",
            ticket.phone,
        )
        self._journal.append([(int(AlarmRecordKind.RECEIPT), encode_receipt(receipt))], now_ns=now_ns)
        self._written[key] = None
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)
        self.counts[ticket.channel, said] += 1
        _log.info("receipt", channel=ticket.channel, said=said.value, phone=ticket.phone, alarms=len(ticket.alarms))
