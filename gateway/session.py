"""One allowed wearable as a pure machine: from its advertisement to its streams, and back when something breaks.

    AWAY ─Sighted─▶ QUEUED ─SlotGranted─▶ CONNECTING ─Connected─▶ SUBSCRIBING ─Subscribed─▶ STREAMING
      ▲                                        │                       │                    │      │ a stream is silent
      │                                        ▼                       ▼                    ▼      ▼
      └──────────── BACKING_OFF ◀──Closed── CLOSING ◀─────── Dropped, Failed, Due ──────────┘   STALLED

Everything that affects transitions is in `_TABLE`. The caller keeps one `State`, reports what happens through `step`,
does what the effects say, and reports `Due` at `next_deadline`. A connection slot is held in the phases of `HOLDING`:
a link that is being closed still occupies its controller. What can come late from a link that is given up (its
answer, its last notification) is an event that changes nothing; an event that the phase cannot know raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from gateway.session_words import (
    HOLDING,
    Closed,
    Connected,
    Dropped,
    Due,
    Effect,
    Event,
    Failed,
    Limits,
    Notified,
    Phase,
    RadioDown,
    Removed,
    Sighted,
    SlotGranted,
    Subscribed,
)

NEVER_S: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is known of a wearable's link. Begin with `begin`."""

    streams: Mapping[str, float]  # characteristic → longest silence, seconds
    phase: Phase = Phase.AWAY
    since_s: float = 0.0  # when the phase began
    adapter: str = ""  # where it was sighted last
    sighted_at_s: float = NEVER_S
    heard: Mapping[str, float] = field(default_factory=dict)  # watched stream → when it was heard last
    tick_at_s: float = 0.0
    retry_at_s: float = 0.0
    say_lost_at_s: float | None = None  # while its loss is to be repeated,
    say_lost_every_s: float = 0.0  # after twice the time of the time before: it may lie in a drawer for days
    failures: int = 0  # links in a row that did not last
    links: int = 0  # that came to stream
    heard_late: bool = False  # after its loss was said, while its link was being closed
    after: Phase = Phase.BACKING_OFF  # where closing leads to
    why: str = ""  # of the last failure


Outcome: TypeAlias = tuple[State, tuple[Effect, ...]]
_NONE: Final[tuple[Effect, ...]] = ()


def begin(streams: Mapping[str, float], now_s: float) -> State:
    """A wearable that was allowed now. `streams`: which characteristics must not be silent for how many seconds."""
    return State(MappingProxyType(dict(streams)), since_s=now_s)


def step(state: State, event: Event, *, now_s: float, limits: Limits) -> Outcome:
    """The state after `event` at monotonic time `now_s`, and what to do.

    An event that the phase cannot know raises `ValueError` and changes nothing.
    """
    handle = _TABLE.get((state.phase, type(event)))
    if handle is None:
        raise ValueError(f"{type(event).__name__} is not possible while {state.phase.name}")
    return handle(state, event, now_s, limits)


def next_deadline(state: State, limits: Limits) -> float | None:
    """When to report `Due`, monotonic seconds; `None` only while it waits for an advertisement, or is gone."""
    own_s = _own_deadline(state, limits)
    times = [at_s for at_s in (own_s, state.say_lost_at_s) if at_s is not None]
    return min(times, default=None)


def silent_stream(state: State, now_s: float) -> str | None:
    """The characteristic that was silent for longer than it may be, if there is one."""
    return next((uuid for uuid, at_s in state.heard.items() if now_s >= at_s + state.streams[uuid]), None)


def _own_deadline(state: State, limits: Limits) -> float | None:
    match state.phase:
        case Phase.AWAY | Phase.GONE:
            return None
        case Phase.QUEUED:
            return state.sighted_at_s + limits.sighting_s
        case Phase.CONNECTING:
            return state.since_s + limits.connect_s
        case Phase.SUBSCRIBING:
            return state.since_s + limits.subscribe_s
        case Phase.STREAMING:
            return min([state.tick_at_s, *(at_s + state.streams[uuid] for uuid, at_s in state.heard.items())])
        case Phase.STALLED | Phase.CLOSING:
            return state.since_s + limits.close_s
        case Phase.BACKING_OFF:
            return state.retry_at_s


# -- what comes from outside -----------------------------------------------------------------------------------------


def _ignore(state: State, _: Event, __: float, ___: Limits) -> Outcome:
    return state, _NONE


def _sighted(state: State, event: Sighted, now_s: float, _: Limits) -> Outcome:
    seen = replace(state, sighted_at_s=now_s, adapter=event.adapter)
    return replace(seen, phase=Phase.QUEUED, since_s=now_s), (Effect.ASK_SLOT,)


def _still_there(state: State, event: Sighted, now_s: float, _: Limits) -> Outcome:
    """Waiting: an advertisement through the adapter of the queue keeps it there, one with room takes it over."""
    if state.phase is Phase.QUEUED and event.moves:
        moved = replace(state, sighted_at_s=now_s, adapter=event.adapter, since_s=now_s)
        return moved, (Effect.FREE_SLOT, Effect.ASK_SLOT)
    same = state.phase is Phase.BACKING_OFF or event.adapter == state.adapter
    return (replace(state, sighted_at_s=now_s, adapter=event.adapter) if same else state), _NONE


def _slot_granted(state: State, _: SlotGranted, now_s: float, __: Limits) -> Outcome:
    """The sighting is used up: after a failure only a new one is worth a try, which costs the others half a minute."""
    fresh = replace(state, phase=Phase.CONNECTING, since_s=now_s, heard={}, after=Phase.BACKING_OFF)
    return replace(fresh, sighted_at_s=NEVER_S), (Effect.CONNECT,)


def _connected(state: State, _: Connected, now_s: float, __: Limits) -> Outcome:
    return replace(state, phase=Phase.SUBSCRIBING, since_s=now_s, say_lost_at_s=None), (Effect.SUBSCRIBE,)


def _subscribed(state: State, event: Subscribed, now_s: float, limits: Limits) -> Outcome:
    heard = {uuid: state.heard.get(uuid, now_s) for uuid in state.streams if uuid not in event.absent}
    tick_at_s = now_s + limits.tick_s
    streaming = replace(
        state, phase=Phase.STREAMING, since_s=now_s, heard=heard, tick_at_s=tick_at_s, links=state.links + 1
    )
    return streaming, _NONE


def _notified(state: State, event: Notified, now_s: float, _: Limits) -> Outcome:
    if event.uuid not in state.streams:
        return state, _NONE
    return replace(state, heard={**state.heard, event.uuid: now_s}), _NONE


def _heard_late(state: State, _: Notified, __: float, ___: Limits) -> Outcome:
    return replace(state, heard_late=True), _NONE


def _dropped(state: State, _: Dropped, now_s: float, limits: Limits) -> Outcome:
    return _close(state, now_s, limits, "the link was lost")


def _failed(state: State, event: Failed, now_s: float, limits: Limits) -> Outcome:
    return _close(state, now_s, limits, event.why)


def _radio_down(state: State, event: RadioDown, now_s: float, limits: Limits) -> Outcome:
    """The wearable is not to blame: no back-off, it waits to be seen again."""
    if state.phase is Phase.CLOSING or state.phase is Phase.STALLED:
        return replace(state, after=_no_later(state.after, Phase.AWAY)), _NONE
    return _close(replace(state, after=Phase.AWAY), now_s, limits, event.why)


def _radio_down_waiting(state: State, event: RadioDown, now_s: float, _: Limits) -> Outcome:
    effects = (Effect.FREE_SLOT,) if state.phase is Phase.QUEUED else _NONE
    return replace(state, phase=Phase.AWAY, since_s=now_s, why=event.why), effects


def _removed(state: State, _: Removed, now_s: float, limits: Limits) -> Outcome:
    if state.phase in {Phase.CLOSING, Phase.STALLED}:
        return replace(state, after=Phase.GONE, say_lost_at_s=None), _NONE
    closing, _effects = _close(state, now_s, limits, "no longer allowed")
    return replace(closing, after=Phase.GONE, say_lost_at_s=None), (Effect.CLOSE,)


def _removed_waiting(state: State, _: Removed, now_s: float, __: Limits) -> Outcome:
    effects = (Effect.FREE_SLOT, Effect.FORGET) if state.phase is Phase.QUEUED else (Effect.FORGET,)
    return replace(state, phase=Phase.GONE, since_s=now_s, say_lost_at_s=None), effects


def _closed(state: State, event: Closed, now_s: float, limits: Limits) -> Outcome:
    """The slot is free; then wait a while, wait to be seen, or be forgotten. What was heard late is said to be over."""
    left = replace(state, phase=state.after, since_s=now_s, heard={}, heard_late=False)
    if state.after is Phase.GONE:
        return left, (Effect.FREE_SLOT, Effect.FORGET)
    effects = (Effect.FREE_SLOT, Effect.SAY_LOST) if state.heard_late else (Effect.FREE_SLOT,)
    ceiling_s = min(limits.backoff_max_s, limits.backoff_min_s * 2.0 ** min(max(state.failures - 1, 0), 32))
    return replace(left, retry_at_s=now_s + ceiling_s * (0.5 + 0.5 * event.jitter)), effects


# -- what time brings ------------------------------------------------------------------------------------------------


def _due(state: State, event: Due, now_s: float, limits: Limits) -> Outcome:
    """The repeated loss first; then the phase's own deadline, unless it is not there yet."""
    effects = _NONE
    if state.say_lost_at_s is not None and now_s >= state.say_lost_at_s:
        every_s = min(2 * state.say_lost_every_s, limits.say_lost_most_s)
        state = replace(state, say_lost_at_s=now_s + every_s, say_lost_every_s=every_s)
        effects = (Effect.SAY_LOST,)
    own_s = _own_deadline(state, limits)
    if own_s is None or now_s < own_s:
        return state, effects
    after, more = _EXPIRED[state.phase](state, event, now_s, limits)
    return after, effects + more


def _sighting_expired(state: State, _: Due, now_s: float, __: Limits) -> Outcome:
    return replace(state, phase=Phase.AWAY, since_s=now_s), (Effect.FREE_SLOT,)


def _connect_expired(state: State, _: Due, now_s: float, limits: Limits) -> Outcome:
    return _close(state, now_s, limits, f"no connection within {limits.connect_s:g} s")


def _subscribe_expired(state: State, _: Due, now_s: float, limits: Limits) -> Outcome:
    return _close(state, now_s, limits, f"connected, but not ready within {limits.subscribe_s:g} s")


def _streaming_due(state: State, _: Due, now_s: float, limits: Limits) -> Outcome:
    if (uuid := silent_stream(state, now_s)) is not None:
        why = f"connected, but {uuid} was silent for {state.streams[uuid]:g} s"
        return _close(state, now_s, limits, why, phase=Phase.STALLED)
    return replace(state, tick_at_s=now_s + limits.tick_s), (Effect.TICK,)


def _close_expired(state: State, event: Due, now_s: float, limits: Limits) -> Outcome:
    return _closed(state, Closed(event.jitter), now_s, limits)


def _retry(state: State, _: Due, now_s: float, limits: Limits) -> Outcome:
    if now_s < state.sighted_at_s + limits.sighting_s:
        return replace(state, phase=Phase.QUEUED, since_s=now_s), (Effect.ASK_SLOT,)
    return replace(state, phase=Phase.AWAY, since_s=now_s), _NONE


def _close(state: State, now_s: float, limits: Limits, why: str, *, phase: Phase = Phase.CLOSING) -> Outcome:
    had_link = state.phase in {Phase.SUBSCRIBING, Phase.STREAMING}
    stable = state.phase is Phase.STREAMING and now_s - state.since_s >= limits.stable_s
    closing = replace(
        state,
        phase=phase,
        since_s=now_s,
        failures=1 if stable else state.failures + 1,
        say_lost_at_s=now_s + limits.say_lost_s if had_link else state.say_lost_at_s,
        say_lost_every_s=limits.say_lost_s if had_link else state.say_lost_every_s,
        why=why,
    )
    return closing, (Effect.CLOSE, Effect.SAY_LOST) if had_link else (Effect.CLOSE,)


def _no_later(after: Phase, phase: Phase) -> Phase:
    return after if after is Phase.GONE else phase


_Handler: TypeAlias = Callable[[State, Any, float, Limits], Outcome]
_P: Final = Phase

_EXPIRED: Final[Mapping[Phase, _Handler]] = MappingProxyType(
    {
        _P.QUEUED: _sighting_expired,
        _P.CONNECTING: _connect_expired,
        _P.SUBSCRIBING: _subscribe_expired,
        _P.STREAMING: _streaming_due,
        _P.STALLED: _close_expired,
        _P.CLOSING: _close_expired,
        _P.BACKING_OFF: _retry,
    }
)

_LATE: Final[dict[type[Event], _Handler]] = {
    **dict.fromkeys((Connected, Subscribed, Dropped, Failed), _ignore),
    Notified: _heard_late,
}
_BY_PHASE: Final[dict[Phase, dict[type[Event], _Handler]]] = {
    _P.AWAY: {Sighted: _sighted, RadioDown: _ignore, Removed: _removed_waiting},
    _P.QUEUED: {
        Sighted: _still_there,
        SlotGranted: _slot_granted,
        RadioDown: _radio_down_waiting,
        Removed: _removed_waiting,
    },
    _P.CONNECTING: {Connected: _connected, Dropped: _dropped, Failed: _failed, Notified: _ignore},
    _P.SUBSCRIBING: {Subscribed: _subscribed, Notified: _notified, Dropped: _dropped, Failed: _failed},
    _P.STREAMING: {Notified: _notified, Dropped: _dropped, Failed: _failed},
    _P.STALLED: {**_LATE, Closed: _closed},
    _P.CLOSING: {**_LATE, Closed: _closed},
    _P.BACKING_OFF: {Sighted: _still_there, RadioDown: _radio_down_waiting, Removed: _removed_waiting},
    _P.GONE: {},
}
_OF_LINK: Final[dict[type[Event], _Handler]] = {Sighted: _ignore, RadioDown: _radio_down, Removed: _removed}

_TABLE: Final[Mapping[tuple[Phase, type[Event]], _Handler]] = MappingProxyType(
    {
        (phase, event): handle
        for phase, row in _BY_PHASE.items()
        for event, handle in {**(_OF_LINK if phase in HOLDING else {}), Due: _due, **row}.items()
    }
)
