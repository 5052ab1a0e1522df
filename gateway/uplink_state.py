"""The uplink as a pure machine: what to send next, what is in flight, what a receipt frees, when to try again.

    DISCONNECTED ──Dial──▶ CONNECTING ──Opened──▶ ONLINE
          ▲                     │                    │
          └────────Lost─────────┴────────Lost────────┘

A broker's PUBACK proves nothing, so only a receipt frees a message. What is unreceipted when a connection ends is
sent again on the next one. While connected, a receipt that does not come means that something between here and ingest
dropped messages: the oldest is sent again alone, and the window doubles with every receipt until it is whole again, so
that an ingest that is away for hours does not find its broker full of copies.

The caller keeps one `State`, asks `wants` what to read from the spool and `next_deadline` when to call again with
`Overdue` (ONLINE) or `Dial` (DISCONNECTED), and reports what happened through `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

WINDOW_MESSAGES: Final = 512  # unreceipted at once: 8 minutes of backlog per receipt, and a bound for ingest's memory
WINDOW_BYTES: Final = 4 << 20  # the same in bytes, for messages with waveforms
STABLE_S: Final = 5.0  # a connection that lasted this long was a good one: the next retry starts from the minimum


class Phase(Enum):
    """Where the connection stands."""

    DISCONNECTED = auto()
    CONNECTING = auto()
    ONLINE = auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """The machine's settings, see `gateway.config.UplinkConfig`."""

    receipt_timeout_s: float = 10.0
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 30.0
    window_messages: int = WINDOW_MESSAGES
    window_bytes: int = WINDOW_BYTES


@dataclass(frozen=True, slots=True)
class Dial:
    """The caller begins to connect."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The server accepted the connection and the subscription to receipts."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended or could not be made. `jitter`: a random number from 0 to 1."""

    jitter: float


@dataclass(frozen=True, slots=True)
class Sent:
    """Messages were handed to the connection, in order: `(sequence, bytes)` each."""

    messages: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Receipted:
    """A receipt arrived."""

    epoch: int
    through: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """The deadline for a receipt passed."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """The spool began a new epoch: what it holds is to be sent again under that name."""

    epoch: int


Event = Dial | Opened | Lost | Sent | Receipted | Overdue | Renewed


@dataclass(frozen=True, slots=True)
class State:
    """Everything the uplink knows. Begin with `begin`."""

    epoch: int
    receipted: int  # ingest holds everything up to here
    sent: int  # sent on this connection, or receipted, up to here
    reached: int  # the highest sequence that can ever have left this gateway
    window: int  # how many messages may be unreceipted now
    phase: Phase = Phase.DISCONNECTED
    in_flight: tuple[tuple[int, int], ...] = ()  # (sequence, bytes), oldest first
    failures: int = 0  # connections lost or refused in a row
    since_s: float = 0.0  # when the phase began
    retry_at_s: float = 0.0
    progress_at_s: float = 0.0  # the last receipt, or the first message sent after everything was receipted
    highest: int = 0  # the highest sequence sent since the process began
    resent: int = 0
    foreign_receipts: int = 0  # of another epoch: an older spool's, usually retained by the server
    receipts_ahead: int = 0  # of messages that never existed
    stale: bool = False  # ingest knows later messages of this epoch: nothing may be sent before `Renewed`


@dataclass(frozen=True, slots=True)
class Portion:
    """What to read from the spool and send: after this sequence, at most so many messages and bytes."""

    after: int
    messages: int
    bytes: int


def begin(epoch: int, *, receipted: int, newest: int, limits: Limits) -> State:
    """The state at start, from the spool.

    Everything up to `newest` may have been sent by an earlier process, so receipts for it are believed.
    """
    return State(epoch, receipted, receipted, newest, limits.window_messages, highest=receipted)


def step(state: State, event: Event, *, now_s: float, limits: Limits) -> State:
    """The state after `event` at monotonic time `now_s`. An event that the phase does not know raises `ValueError`."""
    handle = _TRANSITIONS.get((state.phase, type(event)))
    if handle is None:
        raise ValueError(f"{type(event).__name__} is not possible while {state.phase.name}")
    return handle(state, event, now_s, limits)


def wants(state: State, *, newest: int, limits: Limits) -> Portion | None:
    """What may be sent now, the spool's newest message being `newest`; `None` when nothing."""
    messages = state.window - len(state.in_flight)
    size = limits.window_bytes - sum(size for _, size in state.in_flight)
    if state.phase is not Phase.ONLINE or state.stale or state.sent >= newest or messages <= 0 or size <= 0:
        return None
    return Portion(state.sent, messages, size)


def next_deadline(state: State, *, limits: Limits) -> float | None:
    """When to dial (DISCONNECTED) or to report `Overdue` (ONLINE), monotonic seconds; `None` for never."""
    if state.phase is Phase.DISCONNECTED:
        return state.retry_at_s
    if state.phase is Phase.ONLINE and state.in_flight:
        return state.progress_at_s + limits.receipt_timeout_s
    return None


# -- transitions -----------------------------------------------------------------------------------------------------


def _dial(state: State, _: Dial, now_s: float, __: Limits) -> State:
    return replace(state, phase=Phase.CONNECTING, since_s=now_s)


def _opened(state: State, _: Opened, now_s: float, limits: Limits) -> State:
    return replace(state, phase=Phase.ONLINE, since_s=now_s, progress_at_s=now_s, window=limits.window_messages)


def _lost(state: State, event: Lost, now_s: float, limits: Limits) -> State:
    stable = state.phase is Phase.ONLINE and now_s - state.since_s >= STABLE_S
    failures = 1 if stable else state.failures + 1
    ceiling_s = min(limits.reconnect_max_s, limits.reconnect_min_s * 2.0 ** min(failures - 1, 32))
    return replace(
        state,
        phase=Phase.DISCONNECTED,
        since_s=now_s,
        failures=failures,
        retry_at_s=now_s + ceiling_s * (0.5 + 0.5 * event.jitter),  # a ward's gateways do not all return at once
        sent=state.receipted,
        in_flight=(),
    )


def _sent(state: State, event: Sent, now_s: float, _: Limits) -> State:
    sequences = [state.sent, *(sequence for sequence, _ in event.messages)]
    if any(after <= before for before, after in pairwise(sequences)):
        raise ValueError(f"messages are sent in order, not {sequences}")
    newest = sequences[-1]
    return replace(
        state,
        sent=newest,
        reached=max(state.reached, newest),
        highest=max(state.highest, newest),
        resent=state.resent + sum(sequence <= state.highest for sequence, _ in event.messages),
        in_flight=state.in_flight + event.messages,
        progress_at_s=state.progress_at_s if state.in_flight else now_s,
    )


def _receipted(state: State, event: Receipted, now_s: float, limits: Limits) -> State:
    if event.epoch != state.epoch:
        return replace(state, foreign_receipts=state.foreign_receipts + 1)
    if event.through > state.reached:  # this spool went back in time: a restored image, or a disk that lied
        return replace(state, receipts_ahead=state.receipts_ahead + 1, stale=True)
    if event.through <= state.receipted:
        return state
    return replace(
        state,
        receipted=event.through,
        sent=max(state.sent, event.through),
        in_flight=tuple(message for message in state.in_flight if message[0] > event.through),
        failures=0,
        progress_at_s=now_s,
        window=min(state.window * 2, limits.window_messages),
    )


def _overdue(state: State, _: Overdue, now_s: float, limits: Limits) -> State:
    if not state.in_flight or now_s < state.progress_at_s + limits.receipt_timeout_s:
        return state  # a receipt came while the timer fired
    return replace(state, sent=state.receipted, in_flight=(), window=1, progress_at_s=now_s)


def _renewed(state: State, event: Renewed, now_s: float, _: Limits) -> State:
    return replace(state, epoch=event.epoch, stale=False, sent=state.receipted, in_flight=(), progress_at_s=now_s)


_TRANSITIONS: Final[Mapping[tuple[Phase, type[Event]], Callable[[State, Any, float, Limits], State]]] = (
    MappingProxyType(
        {
            (Phase.DISCONNECTED, Dial): _dial,
            (Phase.CONNECTING, Opened): _opened,
            (Phase.CONNECTING, Receipted): _receipted,  # retained, it can arrive before the subscription's answer
            (Phase.CONNECTING, Lost): _lost,
            (Phase.ONLINE, Sent): _sent,
            (Phase.ONLINE, Receipted): _receipted,
            (Phase.ONLINE, Overdue): _overdue,
            (Phase.ONLINE, Renewed): _renewed,
            (Phase.ONLINE, Lost): _lost,
        }
    )
)
