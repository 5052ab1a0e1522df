"""Web Push: a message to every phone of a channel, encrypted so that the push service between cannot read it.

RFC 8030 (the request), 8188 and 8291 (the encryption), 8292 (who sends); `pywebpush` does all of it. The message is
handed over when the push service of at least one phone took it; that a phone has it and somebody saw it is told by
receipts, which the page's own service worker sends.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from alerts.events import Priority
from alerts.notify.channels import SEND_TIMEOUT_S, in_thread
from alerts.notify.message import Message
from alerts.notify.outbox import Delivered, Outcome, Permanent, Retry, Subscription
from alerts.notify.payload import encode_bounded
from alerts.notify.phones import SERVICES, Endpoint, Phone, Phones, require_usable
from alerts.notify.push_keys import public_key
from alerts.notify.receipts import TicketOffice, message_id

MAX_PAYLOAD: Final = 3_993  # RFC 8291 clause 4: what fits into the 4,096 bytes that every push service takes
_URGENCY: Final = {  # of medium too: what is only "normal" waits until a sleeping phone wakes by itself
    Priority.HIGH: "high",
    Priority.MEDIUM: "high",
    Priority.LOW: "normal",
}
_KEPT_S: Final = {  # by the push service while the phone cannot be reached; then others have been called for long
    Priority.HIGH: 600,
    Priority.MEDIUM: 1_800,
    Priority.LOW: 3_600,
}
_SIGNED_FOR_S: Final = 12 * 3_600  # RFC 8292 permits 24 hours; a push service's clock may be wrong
_MOST_RETRY_AFTER_S: Final = 3_600.0
_log = structlog.get_logger(__name__)


class Gone(Enum):
    """The phone has unsubscribed, or its subscription has ended."""

    GONE = "gone"


class WebPushChannel:
    """Pushes to `phones`. `subject`: a `mailto:` or `https:` address of who runs this. `services`: hosts to push to."""

    def __init__(
        self,
        subscription: Subscription,
        phones: Phones,
        sender: ec.EllipticCurvePrivateKey,
        office: TicketOffice,
        *,
        subject: str,
        now_ns: Callable[[], int],
        services: tuple[str, ...] = SERVICES,
        timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        self.subscription = subscription
        self.phones = phones
        self.public_key = public_key(sender)
        self._library: Any = import_module("pywebpush")  # 0.7 s, which only who pushes shall wait for
        self._sender = self._library.Vapid(sender)
        self._office = office
        self._subject = subject
        self._now_ns = now_ns
        self._services = services
        self._timeout_s = timeout_s
        self._under_way: dict[str, asyncio.Future[Outcome | Gone]] = {}

    def __repr__(self) -> str:
        return f"WebPushChannel({self.subscription.name!r})"

    def subscribe(self, found: Endpoint) -> Phone:
        """Take a phone in; durable on return. Raises `PhoneRefusedError`, or `OSError` when it cannot be kept."""
        require_usable(found, self._services)
        phone = self.phones.add(found, self._now_ns())
        _log.info("phone_subscribed", channel=self.subscription.name, phone=phone.phone_id, service=phone.service)
        return phone

    async def send(self, message: Message) -> Outcome:
        """See `Channel`."""
        phones = self.phones.all()
        if not phones:
            name = self.subscription.name
            return Permanent(f"no phone is subscribed; make an invitation with `wardlight push invite {name}`")
        return summed_up(await asyncio.gather(*(self.push(phone, message) for phone in phones)))

    async def push(self, phone: Phone, message: Message) -> Outcome:
        """To one phone of this channel. A service that hangs is left behind; there is one attempt at a time for it."""
        before = self._under_way.get(phone.phone_id)
        if before is not None and not before.done():
            return Retry("the attempt before has not come back yet")
        attempt: asyncio.Future[Outcome | Gone] = in_thread(
            lambda: self._post(phone, message), f"push-{phone.phone_id}", failed=Retry("the message was not taken")
        )
        self._under_way[phone.phone_id] = attempt
        try:
            async with asyncio.timeout(self._timeout_s):
                outcome = await asyncio.shield(attempt)
        except TimeoutError:
            return Retry(f"no answer within {self._timeout_s:g} s")
        if outcome is Gone.GONE:
            return self._forget(phone)
        if not isinstance(outcome, Delivered):
            _log.warning("phone_not_reached", channel=self.subscription.name, phone=phone.phone_id, why=outcome.reason)
        return outcome

    def _forget(self, phone: Phone) -> Outcome:
        self.phones.remove(phone.phone_id)
        self._under_way.pop(phone.phone_id, None)
        _log.warning("phone_unsubscribed", channel=self.subscription.name, phone=phone.phone_id, service=phone.service)
        return Permanent(f"phone {phone.phone_id} is no longer subscribed and was removed; subscribe it anew")

    def _post(self, phone: Phone, message: Message) -> Outcome | Gone:
        """Encrypt and send, in a thread. Nothing of what is raised is told: it may show the phone's address."""
        try:
            answer = self._library.webpush(
                {"endpoint": phone.endpoint, "keys": {"p256dh": phone.keys.p256dh, "auth": phone.keys.auth}},
                self._payload(phone, message),
                vapid_private_key=self._sender,
                vapid_claims=self._claims(phone),
                ttl=_KEPT_S[message.priority],
                headers={"Urgency": _URGENCY[message.priority], "Topic": topic(message, self.subscription.name)},
                timeout=self._timeout_s,
            )
        except self._library.WebPushException as error:
            if error.response is None:
                return Permanent("the phone's keys cannot be used; subscribe it anew")
            answer = error.response
        except ValueError:
            return Permanent("the phone's keys cannot be used; subscribe it anew")
        except OSError as error:
            return Retry(f"the push service cannot be reached: {type(error).__name__}")
        if answer.history:  # a redirected POST comes back as a GET, which pushes nothing
            return Retry(f"the push service answers {answer.history[0].status_code}")
        return verdict(answer.status_code, _seconds(answer.headers.get("Retry-After"), self._now_ns()))

    def _payload(self, phone: Phone, message: Message) -> bytes:
        name = self.subscription.name
        return encode_bounded(
            message,
            name,
            MAX_PAYLOAD,
            tag=topic(message, name),
            receipt=self._office.path(message, name, phone.phone_id),
            acknowledge=len(message.alarms),  # how many the button is about
        )

    def _claims(self, phone: Phone) -> dict[str, str | int]:
        service = urlsplit(phone.endpoint)
        return {
            "aud": f"{service.scheme}://{service.netloc}",
            "exp": self._now_ns() // 1_000_000_000 + _SIGNED_FOR_S,
            "sub": self._subject,
        }


def topic(message: Message, channel: str) -> str:
    """What a newer message replaces an older one by (RFC 8030 clause 5.4): the same alarm, or the summary."""
    about = message_id(message, channel)
    if message.alarms:
        about = message.alarms[0][0] if len(message.alarms) == 1 else "summary"
    return urlsafe_b64encode(hashlib.sha256(f"{channel} {about}".encode()).digest()[:24]).decode()


def verdict(status: int, retry_after_s: float | None) -> Outcome | Gone:
    """What a push service's answer means for the message to that phone."""
    if 200 <= status < 300:
        return Delivered()
    if status in (404, 410):
        return Gone.GONE
    if status in (400, 413):
        return Permanent(f"the push service answers {status} to the message")
    return Retry(f"the push service answers {status}", retry_after_s)


def summed_up(outcomes: Sequence[Outcome]) -> Outcome:
    """Of several phones: handed over when one took it, tried again while one still may."""
    if any(isinstance(outcome, Delivered) for outcome in outcomes):
        return Delivered()
    retries = [outcome for outcome in outcomes if isinstance(outcome, Retry)]
    if retries:
        return min(retries, key=lambda retry: retry.after_s or 0.0)
    return outcomes[0]


def _seconds(text: str | None, now_ns: int) -> float | None:
    """A Retry-After: seconds, or a date."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _MOST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    left_s = (at - datetime.fromtimestamp(now_ns / 1e9, UTC)).total_seconds()
    return min(max(0.0, left_s), _MOST_RETRY_AFTER_S)
