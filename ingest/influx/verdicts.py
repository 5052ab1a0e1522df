"""What the answer of a database means, and what to do about it: one table. Pure.

| Answer                                   | Verdict | Because                                                        |
|------------------------------------------|---------|----------------------------------------------------------------|
| 2xx                                      | DONE    | the target has it (see the guarantees in docs/influxdb.md)      |
| 400, 422                                 | HALVE   | some line is refused; with 422 (partial write) the rest is kept |
| 413                                      | HALVE   | too much at once                                               |
| 429, 503, and every other 5xx, 408       | WAIT    | busy, starting or broken: the same lines later                  |
| 401, 403, 404, every other 3xx and 4xx   | STOP    | token, bucket or address are wrong: a person has to look        |
| no connection, reset, timeout            | WAIT    | it may be restarting                                           |
| TLS refused                              | STOP    | a certificate does not fit: a person has to look                |

Nothing is ever given up but single lines that the target refuses while it accepts others; those are kept as poison.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from types import MappingProxyType
from typing import Final

LONGEST_RETRY_AFTER_S: Final = 300.0  # a server that asks for a day is asked again after five minutes
FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 30.0  # a database that came back is noticed within that time
STOPPED_RETRY_S: Final = 60.0  # a mended token or bucket is noticed within that time, without a restart
_MESSAGE_LENGTH: Final = 400  # characters of a server's own words: enough to say what, and no page of HTML


class Action(Enum):
    """What to do with the lines that were sent."""

    DONE = "done"
    HALVE = "halve"
    WAIT = "wait"
    STOP = "stop"


class NoAnswer(Enum):
    """Why there was no answer."""

    RESET = "no answer"  # nobody listens, or the connection broke
    TIMEOUT = "timeout"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of one request: a status, or why there is none. `message`: the server's or the system's words."""

    status: int | NoAnswer
    message: str = ""
    retry_after: str | None = None  # the header as sent


@dataclass(frozen=True, slots=True)
class Verdict:
    """`advice`: what a person should check, for `STOP`. `retry_after_s`: the least delay the server asked for.

    `nobody`: nobody listens there, so whatever is answered later means that it is back. `dropped`: how many lines of a
    partial write were refused, as InfluxDB 1 and 2 say; 0 when not told.
    """

    action: Action
    reason: str
    advice: str = ""
    retry_after_s: float = 0.0
    shrink: bool = False  # send less at once from now on
    nobody: bool = False
    dropped: int = 0


_PARTIAL: Final = re.compile(r"\bpartial write: .*\bdropped=(\d{1,9})\b")
_WAIT: Final = (Action.WAIT, "")
_STATUS: Final[Mapping[int, tuple[Action, str]]] = MappingProxyType(
    {
        400: (Action.HALVE, ""),
        401: (
            Action.STOP,
            "the token or password is not accepted: check token_file, and that the token is still valid",
        ),
        403: (Action.STOP, "the token may not write there: give it write permission for this bucket or database"),
        404: (
            Action.STOP,
            "there is no such bucket, database or organisation: run `wardlight influx setup`, check url",
        ),
        405: (Action.STOP, "this is not the write address of such a database: check kind and url"),
        408: _WAIT,
        413: (Action.HALVE, ""),
        422: (Action.HALVE, ""),
        425: _WAIT,
        429: _WAIT,
    }
)
_ABSENT: Final[Mapping[NoAnswer, tuple[Action, str]]] = MappingProxyType(
    {
        NoAnswer.RESET: _WAIT,
        NoAnswer.TIMEOUT: _WAIT,
        NoAnswer.TLS: (
            Action.STOP,
            "the connection cannot be trusted: check that url names the host of its certificate, that the certificate "
            "has not expired, and that ca_file holds the authority that signed it",
        ),
    }
)
_SHRINK: Final = (413, NoAnswer.TIMEOUT)
_ELSE: Final[Mapping[int, tuple[Action, str]]] = MappingProxyType(
    {
        2: (Action.DONE, ""),
        3: (Action.STOP, "the address redirects: write the final address into url"),
        4: (Action.STOP, "the request is refused: check kind, url, and what stands between here and the database"),
        5: _WAIT,
    }
)


def judge(answer: Answer, now_ns: int) -> Verdict:
    """What `answer` means for the lines that were sent."""
    status = answer.status
    if isinstance(status, NoAnswer):
        action, advice = _ABSENT[status]
        reason = status.value
    else:
        action, advice = _STATUS.get(status) or _ELSE.get(status // 100, _ELSE[4])
        reason = f"HTTP {status}"
    told = " ".join(_visible(answer.message).split())[:_MESSAGE_LENGTH]
    asked_s = retry_after_s(answer.retry_after, now_ns) if action is Action.WAIT else 0.0
    partial = _PARTIAL.search(answer.message) if action is Action.HALVE else None
    dropped = int(partial.group(1)) if partial else 0
    return Verdict(
        action,
        f"{reason}: {told}" if told else reason,
        advice,
        asked_s,
        shrink=status in _SHRINK,
        nobody=status is NoAnswer.RESET,
        dropped=dropped,
    )


def refuses_everything(verdict: Verdict) -> Verdict:
    """The verdict when even the probe line is refused like a bad line: not the lines are wrong, the target is."""
    advice = "it refuses every line, even a probe: check kind, url, bucket or database, and its log"
    return Verdict(Action.STOP, verdict.reason, advice)


def retry_after_s(header: str | None, now_ns: int) -> float:
    """The header `Retry-After` in seconds, as a number or a date (RFC 9110, 10.2.3), within our bound; 0 for none."""
    if not header:
        return 0.0
    if re.fullmatch(r"\s*\d{1,9}(\.\d*)?\s*", header, re.ASCII):
        return min(float(header), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    now = datetime.fromtimestamp(now_ns / 1e9, UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after so many failures in a row."""

    failures: int = 0

    def next(self) -> Backoff:
        """After one more failure."""
        return Backoff(min(self.failures + 1, 16))

    def delay_s(self, verdict: Verdict, jitter: float) -> float:
        """The delay: doubled each time, at least what the server asked for. `jitter`: 0 to 1, a random number."""
        if verdict.action is Action.STOP:
            return STOPPED_RETRY_S
        own_s = min(FIRST_RETRY_S * 2.0**self.failures, LONGEST_RETRY_S)
        return max(own_s * (0.5 + 0.5 * jitter), verdict.retry_after_s)


def _visible(text: str) -> str:
    """Without the characters that would move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)
