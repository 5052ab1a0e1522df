"""Lines into one target, for as long as it takes: send, judge the answer, halve, wait or stop, keep poison.

    body ─▶ Delivery ─▶ Client.write ─▶ judge ─▶ done | halve | wait | stop

`send` returns when every line of a body is accepted or kept as poison, durably. A line counts as poison only when the
target refuses it alone, or says that it dropped every line of a part, and accepts a probe right then: a wrong address
that refuses everything condemns nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from ingest.influx.config import Target
from ingest.influx.delivery import Delivery
from ingest.influx.line_protocol import LINES_PER_BODY, probe_line
from ingest.influx.making import Making, Pace
from ingest.influx.verdicts import Action, Answer, Backoff, Verdict, judge, refuses_everything
from ingest.poison import PoisonStore
from ingest.validate import Poison
from vitals.errors import ConfigurationError, PermanentError, RetryableError

FEWEST_LINES: Final = 50  # per POST, however often it was too much at once
IN_FLIGHT: Final = 2  # POSTs at once: one is on its way while the target works on the other
REQUESTS: Final = 15  # of one target at once: two of each of six kinds of lines, and three for its life
TOPIC: Final = "influx/"  # of kept poison, before the target's name
REASON: Final = "refused_by_database"

_log: Final = structlog.get_logger(__name__)
_Answered = TypeVar("_Answered")


class Writes(Protocol):
    """The connection to a target, as the sender needs it; blocking."""

    target: Target

    def write(self, body: bytes, place: str = "") -> Answer:
        """Send lines; what came back."""

    def renew(self) -> None:
        """Read secrets again."""


@dataclass(slots=True)
class Traffic:
    """What went to one target since the start, and what stands in the way now."""

    lines: int = 0  # accepted
    posts: int = 0
    poison: int = 0  # lines refused and kept
    expired: int = 0  # readings not sent: older than the target keeps
    retries: int = 0
    failing_since_s: float | None = None  # monotonic; None while it answers
    error: str = ""
    advice: str = ""  # what a person should check; "" while waiting may help


class Abandoned(Exception):  # noqa: N818 - no error: the caller asked for it
    """The wait for a target was given up, since `abandon` said so."""


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


class Sender:
    """See the module's text. `poison`: where refused lines are kept, `None` to fail instead (for commands).

    `stay`: on a verdict that needs a person, try again for ever; else raise `PermanentError` with the advice.
    """

    def __init__(
        self,
        client: Writes,
        site: str,
        poison: PoisonStore | None,
        *,
        stay: bool = True,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = _pause,
    ) -> None:
        self.target = client.target
        self.traffic = Traffic()
        self.lines_per_body = LINES_PER_BODY
        self._client = client
        self._site = site
        self._poison = poison
        self._stay = stay
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._pause = pause
        self._takes = asyncio.Event()
        self._threads = ThreadPoolExecutor(REQUESTS, thread_name_prefix=f"influx {client.target.name}")

    async def send(self, body: bytes, place: str = "", *, abandon: Callable[[], bool] = lambda: False) -> int:
        """Make `body` durable at the target; how many lines it accepted. Raises `Abandoned` before a wait if asked."""
        delivery, backoff = Delivery.of(body), Backoff()
        while (part := delivery.part) is not None:
            verdict = await self._post(part, place)
            if verdict.action is Action.HALVE and delivery.condemns_all(verdict.dropped):
                verdict = await self._condemn_or_stop(delivery, verdict, place)
            elif verdict.action is Action.HALVE:
                delivery.halve()
            elif verdict.action is Action.DONE:
                delivery.accept()
                self._takes.set()
            if verdict.shrink:
                self.lines_per_body = max(FEWEST_LINES, self.lines_per_body // 2)
                if verdict.action is Action.WAIT and not delivery.single:
                    delivery.halve()
            if verdict.action in (Action.WAIT, Action.STOP):
                await self._wait(verdict, backoff, abandon)
                backoff = backoff.next()
            else:
                backoff = Backoff()
        await self._keep(delivery.poison)
        self._count(delivery)
        return delivery.accepted

    async def send_all(
        self,
        pieces: Iterable[bytes],
        place: str = "",
        *,
        abandon: Callable[[], bool] = lambda: False,
        least_bytes: int = 1,
        pace: Pace | None = None,
    ) -> int:
        """`send` all `pieces`, `IN_FLIGHT` bodies at a time; how many lines were accepted.

        `least_bytes`, `pace`: how `ingest.influx.making.Making` makes bodies of them.
        """
        accepted: list[int] = []
        making = Making(pieces, least_bytes=least_bytes, pace=pace)

        async def work() -> None:
            while (body := await making.next()) is not None:
                found = await self.send(body, place, abandon=abandon)
                accepted.append(found)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(IN_FLIGHT):
                    group.create_task(work())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # each says enough by itself, and callers know it
        return sum(accepted)

    async def ask(self, request: Callable[[], _Answered]) -> _Answered:
        """Wait for a blocking request to the target, in threads of its own.

        A database that accepts connections and never answers holds them for half a minute each: in the threads that all
        share, commits of readings would wait for it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, request)

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _post(self, part: bytes, place: str) -> Verdict:
        answer = await self.ask(partial(self._client.write, part, place))
        self.traffic.posts += 1
        return judge(answer, self._now_ns())

    async def _condemn_or_stop(self, delivery: Delivery, verdict: Verdict, place: str) -> Verdict:
        """What is refused as a whole is poison if the target takes a probe now; else the probe's verdict counts."""
        probe = await self._post(probe_line(self._site, self._now_ns(), self.target.precision), place)
        if probe.action is Action.HALVE:
            return refuses_everything(verdict)
        if probe.action is Action.DONE:
            delivery.condemn(verdict.reason, verdict.dropped)
        return probe

    async def _wait(self, verdict: Verdict, backoff: Backoff, abandon: Callable[[], bool]) -> None:
        self.traffic.retries += 1
        first = self.traffic.failing_since_s is None
        self.traffic.failing_since_s = self._monotonic() if first else self.traffic.failing_since_s
        said_before, self.traffic.error, self.traffic.advice = self.traffic.error, verdict.reason, verdict.advice
        delay_s = backoff.delay_s(verdict, random.random())  # noqa: S311 - spreads retries, protects nothing
        if self.traffic.error != said_before:
            say = _log.error if verdict.action is Action.STOP else _log.warning
            say(
                "the database does not take the lines; they wait in the journal",
                target=self.target.name,
                error=verdict.reason,
                check=verdict.advice or "nothing yet: it is tried again by itself",
                after_s=round(delay_s, 1),
            )
        if verdict.action is Action.STOP and not self._stay:
            raise PermanentError(f"influx {self.target.name!r}: {verdict.reason}; {verdict.advice}")
        if abandon():
            raise Abandoned
        await (self._pause_until_it_takes(delay_s) if verdict.nobody else self._pause(delay_s))
        if verdict.action is Action.STOP:
            await asyncio.to_thread(self._renew)

    async def _pause_until_it_takes(self, delay_s: float) -> None:
        """Wait, but no longer than until it takes the lines of others: one of several is the first to find it there."""
        self._takes.clear()
        waits = [asyncio.ensure_future(wait) for wait in (self._pause(delay_s), self._takes.wait())]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in done:
                wait.result()
        finally:
            for wait in waits:
                wait.cancel()

    def _renew(self) -> None:
        try:
            self._client.renew()
        except ConfigurationError as error:
            _log.error("secrets cannot be read again", target=self.target.name, error=str(error))

    async def _keep(self, poison: Sequence[tuple[bytes, str]]) -> None:
        """Keep refused lines with the server's reason before their records count as read."""
        if not poison:
            return
        if self._poison is None:
            line, reason = poison[0]
            raise PermanentError(
                f"influx {self.target.name!r} refuses {len(poison)} lines, as {line[:200]!r}: {reason}"
            )
        now_ns = self._now_ns()
        found = [self._entry(line, reason, now_ns) for line, reason in poison]
        while True:
            try:
                await asyncio.to_thread(self._poison.keep, found, now_ns=now_ns)
            except RetryableError as error:
                _log.warning("refused lines cannot be kept, will be tried again", error=str(error))
                await self._pause(max(1.0, error.retry_after_s or 0.0))
            else:
                return

    def _entry(self, line: bytes, reason: str, now_ns: int) -> Poison:
        name = self.target.name
        return Poison(now_ns, TOPIC + name, f"influx:{name}", REASON, "", reason, line, len(line))

    def _count(self, delivery: Delivery) -> None:
        if self.traffic.error:
            _log.info("the database takes the lines again", target=self.target.name)
        self.traffic.lines += delivery.accepted
        self.traffic.poison += len(delivery.poison)
        self.traffic.error = self.traffic.advice = ""
        self.traffic.failing_since_s = None
        if self.lines_per_body < LINES_PER_BODY:
            self.lines_per_body = min(LINES_PER_BODY, self.lines_per_body + max(1, self.lines_per_body // 16))
