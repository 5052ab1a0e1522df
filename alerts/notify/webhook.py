"""Signed webhooks: a message as JSON to an address of the site's own, provably from this server and not a copy.

The signature covers the time and the body, so a receiver that refuses old times cannot be fooled by a replay. The body
is the same in every attempt (`id` too): whoever receives it twice can tell. Any 2xx answer means handed over.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, urlsplit

from alerts.notify.channels import SEND_TIMEOUT_S
from alerts.notify.message import Message
from alerts.notify.outbox import Delivered, Outcome, Permanent, Retry, Subscription
from alerts.notify.payload import encode_message
from alerts.notify.receipts import TicketOffice
from vitals.errors import ConfigurationError

MIN_SECRET: Final = 16  # bytes; a shorter one can be guessed
SIGNATURE_HEADER: Final = "X-Wardlight-Signature"
TIMESTAMP_HEADER: Final = "X-Wardlight-Timestamp"
_REFUSED: Final = (400, 404, 405, 410, 413, 415, 422)  # asking again with the same body changes nothing
_MOST_RETRY_AFTER_S: Final = 3_600.0


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What `SIGNATURE_HEADER` holds: HMAC-SHA256 of `timestamp`, a full stop and `body`, in hexadecimal."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class WebhookChannel:
    """Posts messages to `url`; raises `ConfigurationError` for a wrong address or a short secret, showing neither.

    `office`: issues the address for receipts that goes out with each message, when the station has one.
    """

    def __init__(
        self,
        subscription: Subscription,
        url: str,
        secret: str,
        *,
        now_ns: Callable[[], int],
        timeout_s: float = SEND_TIMEOUT_S,
        office: TicketOffice | None = None,
    ) -> None:
        self.subscription = subscription
        self._office = office
        self._url = _checked(url, subscription.name)
        self._secret = secret.encode()
        if len(self._secret) < MIN_SECRET:
            raise ConfigurationError(
                f"alerts: channel {subscription.name!r}: its secret is shorter than {MIN_SECRET} characters; "
                "make one with: openssl rand -hex 32"
            )
        self._now_ns = now_ns
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"WebhookChannel({self.subscription.name!r})"

    async def send(self, message: Message) -> Outcome:
        """See `Channel`."""
        name = self.subscription.name
        receipt_url = self._office.url(message, name) if self._office is not None else ""
        body = encode_message(message, name, **({"receipt_url": receipt_url} if receipt_url else {}))
        timestamp = str(self._now_ns() // 1_000_000_000)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "wardlight",
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: signature(self._secret, timestamp, body),
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                status, retry_after = await asyncio.to_thread(self._post, body, headers)
        except TimeoutError:
            return Retry(f"no answer within {self._timeout_s:g} s")
        except (OSError, http.client.HTTPException) as error:
            return Retry(f"the address cannot be reached: {type(error).__name__}")
        if 200 <= status < 300:
            return Delivered()
        if status in _REFUSED:
            return Permanent(f"the address answers {status} to the message")
        return Retry(f"the address answers {status}", retry_after)

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, float | None]:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout_s)
        try:
            path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, _seconds(answer.getheader("Retry-After"))
        finally:
            connection.close()


def _checked(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username:
        raise ConfigurationError(
            f"alerts: channel {name!r}: its address is no web address such as https://hooks.example.org/ward-3 "
            "(it is not shown here: it is a secret)"
        )
    return parts


def _seconds(text: str | None) -> float | None:
    return min(float(text), _MOST_RETRY_AFTER_S) if text and text.isascii() and text.isdigit() else None
