"""The phones' side of a server: its channels of Web Push, and the desk where receipts come in."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from alerts.notify.push_keys import PushFolder
from alerts.notify.receipt_desk import ReceiptDesk
from alerts.notify.receipts import TicketOffice
from alerts.notify.webpush import WebPushChannel
from alerts.station.push import PhoneSide
from wardlight.layout import now_ns

if TYPE_CHECKING:
    from alerts.app import AlertService
    from vitals.journal import Journal
    from wardlight.server import ServerConfig


def phone_side(config: ServerConfig, alerts: AlertService, alarms: Journal) -> PhoneSide:
    """Of a server whose channels are open; its key for tickets is made when there is none."""
    seal = PushFolder(config.data.push).seal()
    owners = config.duty.owners if config.duty is not None else {}
    return PhoneSide(
        {channel.subscription.name: channel for channel in config.channels if isinstance(channel, WebPushChannel)},
        ReceiptDesk(alerts, alarms, TicketOffice(seal), now_ns=now_ns, owners=owners),
        seal,
        now_ns,
        config.simulated,
    )


def phone_hosts(receipts_url: str) -> tuple[str, ...]:
    """The names under which the station answers phones and pagers."""
    host = urlsplit(receipts_url).hostname
    return (host,) if host else ()
