"""All allowed wearables and the connection slots they share, pure: the machines of `session` and `slots` together.

The joint transitions are here and nowhere else: who asks stands in the queue, who is granted a slot connects, and
whoever's link ends gives it back. So the slots held are always those of the sessions in `session_words.HOLDING`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from gateway import session, slots
from gateway.session import State
from gateway.session_words import Due, Effect, Event, Limits, Phase, RadioDown, Sighted, SlotGranted
from gateway.slots import Slots

Task: TypeAlias = tuple[str, Effect]


class Roster:
    """The sessions by name, and the slots. Time is an argument; nothing here waits."""

    def __init__(self, limits: Limits, shared: Slots) -> None:
        self._limits = limits
        self._slots = shared
        self._sessions: dict[str, State] = {}

    @property
    def sessions(self) -> Mapping[str, State]:
        """Every wearable's state."""
        return self._sessions

    @property
    def slots(self) -> Slots:
        """Who holds and who waits."""
        return self._slots

    def allow(self, name: str, streams: Mapping[str, float], now_s: float) -> None:
        """Take a new wearable in; see `session.begin`."""
        if name in self._sessions:
            raise ValueError(f"{name} is on the roster already")
        self._sessions[name] = session.begin(streams, now_s)

    def take(self, name: str, event: Event, now_s: float) -> list[Task]:
        """What to do after `event` of wearable `name`, in order; may concern others, whose turn came."""
        if isinstance(event, Sighted):
            event = Sighted(event.adapter, self.moves(name, event.adapter))
        return [*self._step(name, event, now_s), *self._grant(now_s)]

    def moves(self, name: str, adapter: str) -> bool:
        """Whether a wearable that waits would be better off with this adapter: its own is full, and this one is not."""
        state = self._sessions[name]
        waits_elsewhere = state.phase is Phase.QUEUED and state.adapter != adapter
        return waits_elsewhere and self._slots.is_full(state.adapter) and not self._slots.is_full(adapter)

    def radio_down(self, adapter: str | None, why: str, now_s: float) -> list[Task]:
        """An adapter's links are void; all of them when `adapter` is `None`."""
        names = [name for name, state in self._sessions.items() if adapter in {None, state.adapter}]
        tasks = [task for name in names for task in self._step(name, RadioDown(why), now_s)]
        return [*tasks, *self._grant(now_s)]

    def due(self, now_s: float, jitter: float) -> list[Task]:
        """Report every deadline that passed."""
        names = [name for name, at_s in self._deadlines() if at_s <= now_s]
        tasks = [task for name in names for task in self._step(name, Due(jitter), now_s)]
        return [*tasks, *self._grant(now_s)]

    def next_deadline(self) -> float | None:
        """When to call `due`, monotonic seconds."""
        return min((at_s for _, at_s in self._deadlines()), default=None)

    def _deadlines(self) -> Iterator[tuple[str, float]]:
        for name, state in self._sessions.items():
            if (at_s := session.next_deadline(state, self._limits)) is not None:
                yield name, at_s

    def _step(self, name: str, event: Event, now_s: float) -> list[Task]:
        before = self._sessions[name]
        after, effects = session.step(before, event, now_s=now_s, limits=self._limits)
        self._sessions[name] = after
        if before.phase is Phase.CONNECTING and after.phase is Phase.SUBSCRIBING:
            self._slots = slots.connected(self._slots, name)
        for effect in effects:
            match effect:
                case Effect.ASK_SLOT:
                    self._slots = slots.request(self._slots, name, after.adapter)
                case Effect.FREE_SLOT:
                    self._slots = slots.leave(self._slots, name)
                case Effect.FORGET:
                    del self._sessions[name]
        return [(name, effect) for effect in effects if effect not in {Effect.ASK_SLOT, Effect.FREE_SLOT}]

    def _grant(self, now_s: float) -> Iterator[Task]:
        while True:
            self._slots, name = slots.grant(self._slots)
            if name is None:
                return
            yield from self._step(name, SlotGranted(), now_s)
