"""The ways to people: a hundred services through `apprise`, and a channel that records what it is given.

A channel's address is a secret (it holds tokens): it is in no message, no representation and no log line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import apprise

from alerts.events import Priority
from alerts.notify.message import Message
from alerts.notify.outbox import Delivered, Outcome, Permanent, Retry, Subscription
from vitals.errors import ConfigurationError

T = TypeVar("T")

SEND_TIMEOUT_S: Final = 10.0  # a service that takes longer counts as failing
_TYPES: Final = {
    Priority.HIGH: apprise.NotifyType.FAILURE,
    Priority.MEDIUM: apprise.NotifyType.WARNING,
    Priority.LOW: apprise.NotifyType.INFO,
}

logging.getLogger("apprise").disabled = True  # it writes addresses; what matters of its answers is in our own log


class AppriseChannel:
    """Hands messages to one service. `url`: an apprise address; raises `ConfigurationError` when it is not one."""

    def __init__(self, subscription: Subscription, url: str, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        self.subscription = subscription
        self._timeout_s = timeout_s
        self._service = apprise.Apprise()
        self._under_way: asyncio.Future[bool] | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the plugins that apprise loads here, all of them
            known = self._service.add(url)
        if not known:
            raise ConfigurationError(
                f"channel {subscription.name!r}: its address is not one that apprise knows; "
                "write one such as 'ntfys://ntfy.example.org/ward-3' (the address is not shown here: it is a secret)"
            )

    def __repr__(self) -> str:
        return f"AppriseChannel({self.subscription.name!r})"

    async def send(self, message: Message) -> Outcome:
        """See `Channel`. A service that hangs is left behind after the timeout; there is never more than one call."""
        if self._under_way is not None and not self._under_way.done():
            return Retry("the attempt before has not come back yet")
        self._under_way = in_thread(lambda: self._notify(message), f"channel-{self.subscription.name}", failed=False)
        try:
            async with asyncio.timeout(self._timeout_s):
                taken = await asyncio.shield(self._under_way)
        except TimeoutError:
            return Retry(f"no answer within {self._timeout_s:g} s")
        except (TypeError, ValueError) as error:  # apprise: the message itself cannot be sent
            return Permanent(f"apprise refuses the message: {type(error).__name__}")
        return Delivered() if taken else Retry("the service did not take the message")

    def _notify(self, message: Message) -> bool:
        return bool(
            self._service.notify(
                body=message.body or message.title,
                title=message.title,
                notify_type=_TYPES[message.priority],
                body_format=apprise.NotifyFormat.TEXT,
            )
        )


def in_thread(call: Callable[[], T], name: str, *, failed: T) -> asyncio.Future[T]:
    """Run `call` in a thread that a hanging service cannot make the process wait for.

    `failed`: what comes of it when it raises, but for `TypeError` and `ValueError`, which say that it was called wrong.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | Exception) -> None:
        if future.cancelled():
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    def work() -> None:
        result: T | Exception
        try:
            result = call()
        except (TypeError, ValueError) as error:
            result = error
        except Exception:  # noqa: BLE001  a plugin of a hundred: whatever it raises, the message was not taken
            result = failed
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future


class RecordChannel:
    """Keeps what it is given, with the time of the hand-over: for demonstrations, tests and measurements.

    `handed_over`: `(time in ns, message)`, the newest `bound` of them. `path`: also one JSON object per line, there.
    """

    def __init__(
        self,
        subscription: Subscription,
        *,
        path: Path | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        bound: int = 10_000,
    ) -> None:
        self.subscription = subscription
        self.handed_over: list[tuple[int, Message]] = []
        self._path = path
        self._now_ns = now_ns
        self._bound = bound

    async def send(self, message: Message) -> Outcome:
        """See `Channel`."""
        at_ns = self._now_ns()
        if self._path is not None:
            line = json.dumps(
                {"at_ns": at_ns, "priority": message.priority.name, "title": message.title, "body": message.body},
                ensure_ascii=False,
            )
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError as error:
                return Retry(f"{self._path} cannot be written: {error.strerror}")
        self.handed_over.append((at_ns, message))
        del self.handed_over[: -self._bound]
        return Delivered()
