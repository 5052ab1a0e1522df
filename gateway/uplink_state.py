"""The connection as a pure machine: when to dial, and when to try again.

    DISCONNECTED ──Dial──▶ CONNECTING ──Opened──▶ ONLINE
          ▲                     │                    │
          └────────Lost─────────┴────────Lost────────┘

What is sent over it is the business of `gateway.lane`. The caller keeps one `State`, asks `next_dial` when to dial, and
reports what happened through `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final

from gateway.lane import Limits

STABLE_S: Final = 5.0  # a connection that lasted this long was a good one: the next retry starts from the minimum


class Phase(Enum):
    """Where the connection stands."""

    DISCONNECTED = auto()
    CONNECTING = auto()
    ONLINE = auto()


@dataclass(frozen=True, slots=True)
class Dial:
    """The caller begins to connect."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The server accepted the connection and the subscription to receipts."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A receipt freed something: somebody is there at the other end."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended or could not be made. `jitter`: a random number from 0 to 1."""

    jitter: float


Event = Dial | Opened | Answered | Lost


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is known of the connection."""

    phase: Phase = Phase.DISCONNECTED
    failures: int = 0  # connections lost or refused in a row
    since_s: float = 0.0  # when the phase began
    retry_at_s: float = 0.0


def step(state: State, event: Event, *, now_s: float, limits: Limits) -> State:
    """The state after `event` at monotonic time `now_s`. An event that the phase does not know raises `ValueError`."""
    handle = _TRANSITIONS.get((state.phase, type(event)))
    if handle is None:
        raise ValueError(f"{type(event).__name__} is not possible while {state.phase.name}")
    return handle(state, event, now_s, limits)


def next_dial(state: State) -> float | None:
    """When to dial, monotonic seconds; `None` while that was done."""
    return state.retry_at_s if state.phase is Phase.DISCONNECTED else None


def _dial(state: State, _: Dial, now_s: float, __: Limits) -> State:
    return replace(state, phase=Phase.CONNECTING, since_s=now_s)


def _opened(state: State, _: Opened, now_s: float, __: Limits) -> State:
    return replace(state, phase=Phase.ONLINE, since_s=now_s)


def _answered(state: State, _: Answered, __: float, ___: Limits) -> State:
    return replace(state, failures=0)


def _lost(state: State, event: Lost, now_s: float, limits: Limits) -> State:
    stable = state.phase is Phase.ONLINE and now_s - state.since_s >= STABLE_S
    failures = 1 if stable else state.failures + 1
    ceiling_s = min(limits.reconnect_max_s, limits.reconnect_min_s * 2.0 ** min(failures - 1, 32))
    retry_at_s = now_s + ceiling_s * (0.5 + 0.5 * event.jitter)  # a ward's gateways do not all return at once
    return State(Phase.DISCONNECTED, failures, now_s, retry_at_s)


_TRANSITIONS: Final[Mapping[tuple[Phase, type[Event]], Callable[[State, Any, float, Limits], State]]] = (
    MappingProxyType(
        {
            (Phase.DISCONNECTED, Dial): _dial,
            (Phase.CONNECTING, Opened): _opened,
            (Phase.CONNECTING, Answered): _answered,  # a retained receipt can come before the subscription's answer
            (Phase.CONNECTING, Lost): _lost,
            (Phase.ONLINE, Answered): _answered,
            (Phase.ONLINE, Lost): _lost,
        }
    )
)
