"""The phones' side of the station: subscribing to a channel, and the receipts that phones and pagers send back.

Nothing here needs an account. A phone subscribes with an invitation that the command line made for one channel; what it
does afterwards it does with its own push address, which nobody else knows; a receipt comes with the ticket of its
message. Only these addresses answer to the name under which the station is reached from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from alerts.notify.message import message_of_test
from alerts.notify.outbox import Delivered
from alerts.notify.phones import Endpoint, Phone, PhoneRefusedError, phone_id
from alerts.notify.push_keys import INVITATION
from alerts.notify.receipt_desk import Answer, ReceiptDesk
from alerts.notify.receipts import PATH, Said, Verdict
from alerts.notify.seal import ExpiredError, ForgedError, Seal
from alerts.notify.webpush import WebPushChannel
from alerts.station.api import answer, problem
from vitals.errors import RetryableError

STATIC: Final = Path(__file__).parent / "static"
TEST_EVERY_NS: Final = 5_000_000_000  # for each phone: a test calls nobody twice a second
MOST_TESTED: Final = 1_000  # phones whose last test is remembered
_ANSWERS: Final = {
    Verdict.UNKNOWN: "This is no address of a message from this server.",
    Verdict.WORSE: "NOT acknowledged: it has become worse since this message. Look at the newer one.",
    Verdict.OVER: "This is over: the alarm has ended, or the message is older than a day.",
}
_NOT_JSON: Final = "Send a JSON object such as {}: {}"
_UNKNOWN_PHONE: Final = "This phone is not subscribed. Ask for a new invitation."

_log = structlog.get_logger(__name__)


class ReceiptBody(Struct, frozen=True):
    """A receipt. `id`: of the message, when the sender wants it checked against the address."""

    state: Said
    id: Annotated[str, Meta(max_length=256)] = ""


class Subscribing(Struct, frozen=True):
    """A phone that wants to belong to a channel: by an invitation, or in place of its own former address."""

    subscription: Endpoint
    invitation: Annotated[str, Meta(max_length=256)] = ""
    instead_of: Annotated[str, Meta(max_length=1024)] = ""


class Itself(Struct, frozen=True):
    """A phone that says which it is."""

    endpoint: Annotated[str, Meta(max_length=1024)]


@dataclass(frozen=True, slots=True)
class PhoneSide:
    """What the phones' side works on. `channels`: those of Web Push, by name."""

    channels: Mapping[str, WebPushChannel]
    desk: ReceiptDesk
    seal: Seal
    now_ns: Callable[[], int]
    simulated: bool = False

    def routes(self) -> list[Route]:
        """All of it. Receipts are taken for webhooks too."""
        return _Routes(self).all()

    def invited_to(self, invitation: str) -> WebPushChannel | None:
        """The channel of a valid invitation."""
        try:
            name = self.seal.open(INVITATION, invitation, self.now_ns()).decode()
        except (ForgedError, ExpiredError):
            return None
        return self.channels.get(name)

    def subscribed(self, endpoint: str) -> list[tuple[WebPushChannel, Phone]]:
        """The phone with this address, on each of its channels."""
        found = ((channel, channel.phones.find(phone_id(endpoint))) for channel in self.channels.values())
        return [(channel, phone) for channel, phone in found if phone is not None]


class _Routes:
    def __init__(self, side: PhoneSide) -> None:
        self._side = side
        self._tested_ns: dict[str, int] = {}

    def all(self) -> list[Route]:
        return [
            Route("/push", self._page),
            Route("/push-worker.js", self._worker),
            Route("/push/about", self._about),
            Route("/push/subscribe", self._subscribe, methods=["POST"]),
            Route("/push/state", self._state, methods=["POST"]),
            Route("/push/test", self._test, methods=["POST"]),
            Route("/push/unsubscribe", self._unsubscribe, methods=["POST"]),
            Route(PATH + "{token}", self._receipt, methods=["POST"]),
        ]

    async def _page(self, _request: Request) -> Response:
        return FileResponse(STATIC / "push.html", media_type="text/html")

    async def _worker(self, _request: Request) -> Response:
        return FileResponse(STATIC / "push-worker.js", media_type="text/javascript")

    async def _about(self, _request: Request) -> Response:
        key = next((channel.public_key for channel in self._side.channels.values()), "")
        return answer({"key": key, "simulated": self._side.simulated})

    async def _subscribe(self, request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=Subscribing)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return problem(400, _NOT_JSON.format('{"invitation": …, "subscription": …}', error))
        former = self._side.subscribed(asked.instead_of) if asked.instead_of else []
        invited = self._side.invited_to(asked.invitation)
        channels = [channel for channel, _ in former] + ([invited] if invited else [])
        if not channels:
            return problem(403, "This invitation is not valid, or its time is over. Ask for a new one.")
        try:
            for channel in channels:
                channel.subscribe(asked.subscription)
        except PhoneRefusedError as error:
            return problem(400, f"NOT subscribed: {error}.")
        except OSError as error:
            _log.error("phone_not_kept", reason=error.strerror)
            return problem(503, "NOT subscribed: the server cannot write it down. Tell the operator.")
        for channel, phone in former:
            if phone.endpoint != asked.subscription.endpoint:
                channel.phones.remove(phone.phone_id)
        return answer({"channels": _names(self._side.subscribed(asked.subscription.endpoint))}, 201)

    async def _state(self, request: Request) -> Response:
        found = self._found(await request.body())
        return found if isinstance(found, Response) else answer({"channels": _names(found)})

    async def _test(self, request: Request) -> Response:
        found = self._found(await request.body())
        if isinstance(found, Response):
            return found
        channel, phone = found[0]
        now_ns = self._side.now_ns()
        if abs(now_ns - self._tested_ns.get(phone.phone_id, 0)) < TEST_EVERY_NS:
            return problem(429, "Wait a few seconds between two tests.")
        if len(self._tested_ns) >= MOST_TESTED:
            self._tested_ns.clear()
        self._tested_ns[phone.phone_id] = now_ns
        outcome = await channel.push(phone, message_of_test(_names(found), channel.subscription.texts, now_ns))
        if isinstance(outcome, Delivered):
            return answer({"sent": channel.subscription.name})
        return problem(502, f"NOT sent: {outcome.reason}.")

    async def _unsubscribe(self, request: Request) -> Response:
        found = self._found(await request.body())
        if isinstance(found, Response):
            return found
        for channel, phone in found:
            channel.phones.remove(phone.phone_id)
            _log.info("phone_unsubscribed", channel=channel.subscription.name, phone=phone.phone_id, by="itself")
        return answer({"unsubscribed": _names(found)})

    def _found(self, body: bytes) -> list[tuple[WebPushChannel, Phone]] | Response:
        try:
            endpoint = msgspec.json.decode(body, type=Itself).endpoint
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return problem(400, _NOT_JSON.format('{"endpoint": …}', error))
        return self._side.subscribed(endpoint) or problem(404, _UNKNOWN_PHONE)

    async def _receipt(self, request: Request) -> Response:
        try:
            body = msgspec.json.decode(await request.body(), type=ReceiptBody)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return problem(400, _NOT_JSON.format('{"id": "…", "state": "delivered"}', error))
        try:
            taken = self._side.desk.take(request.path_params["token"], body.state, body.id)
        except RetryableError as error:
            _log.warning("receipt_not_taken", said=body.state.value, error=str(error))
            refusal = problem(503, f"NOT taken: {error}. Ask again.")
            refusal.headers["retry-after"] = str(round(error.retry_after_s or 1))
            return refusal
        return _told(taken, body.state)


def _names(found: Sequence[tuple[WebPushChannel, Phone]]) -> list[str]:
    return [channel.subscription.name for channel, _ in found]


def _told(taken: Answer, said: Said) -> Response:
    if taken.verdict is not Verdict.TAKEN:
        return problem(int(taken.verdict), _ANSWERS[taken.verdict])
    return answer({"state": said.value, "open": taken.still_open, "by": taken.by})
