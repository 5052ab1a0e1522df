"""Connection slots, pure: who may connect next, through which adapter.

A controller holds only so many links (about 7 on Broadcom, 5 on CSR), and connecting two wearables at a time makes both
fail. So each adapter has a budget, one turn to connect, and a queue in which the first come is the first served:
whoever failed asks again and stands at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

SLOTS_PER_ADAPTER: Final = 7  # Broadcom's, the Raspberry Pi's own chip


@dataclass(frozen=True, slots=True)
class Slots:
    """`budget`: adapter → slots, where it differs from `default`. `waiting`: wearable → adapter, in order."""

    default: int = SLOTS_PER_ADAPTER
    budget: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)  # wearable → adapter
    connecting: Mapping[str, str] = field(default_factory=dict)  # adapter → the wearable whose turn it is

    def budget_of(self, adapter: str) -> int:
        """How many links an adapter carries."""
        return self.budget.get(adapter, self.default)

    def in_use(self, adapter: str) -> int:
        """How many slots of an adapter are held."""
        return sum(where == adapter for where in self.held.values())

    def is_full(self, adapter: str) -> bool:
        """Whether every slot of an adapter is held."""
        return self.in_use(adapter) >= self.budget_of(adapter)


def request(slots: Slots, wearable: str, adapter: str) -> Slots:
    """Stand at the end of the queue. A wearable that waits or holds already stays where it is."""
    if wearable in slots.held or wearable in slots.waiting:
        return slots
    return replace(slots, waiting=MappingProxyType({**slots.waiting, wearable: adapter}))


def connected(slots: Slots, wearable: str) -> Slots:
    """Its turn to connect is over; it keeps its slot."""
    return replace(slots, connecting=_without_value(slots.connecting, wearable))


def leave(slots: Slots, wearable: str) -> Slots:
    """Give back the slot and the turn, or the place in the queue; nothing when it has none."""
    return replace(
        slots,
        waiting=_without_key(slots.waiting, wearable),
        held=_without_key(slots.held, wearable),
        connecting=_without_value(slots.connecting, wearable),
    )


def grant(slots: Slots) -> tuple[Slots, str | None]:
    """The next one to connect, who now holds a slot; `None` when nobody can."""
    for wearable, adapter in slots.waiting.items():
        if adapter not in slots.connecting and not slots.is_full(adapter):
            granted = replace(
                slots,
                waiting=_without_key(slots.waiting, wearable),
                held=MappingProxyType({**slots.held, wearable: adapter}),
                connecting=MappingProxyType({**slots.connecting, adapter: wearable}),
            )
            return granted, wearable
    return slots, None


def crowded(slots: Slots) -> Mapping[str, tuple[str, ...]]:
    """Adapters whose slots are all held, with the wearables that wait for one: they need another adapter."""
    found: dict[str, list[str]] = {}
    for wearable, adapter in slots.waiting.items():
        if slots.is_full(adapter):
            found.setdefault(adapter, []).append(wearable)
    return {adapter: tuple(names) for adapter, names in found.items()}


def _without_key(pairs: Mapping[str, str], gone: str) -> Mapping[str, str]:
    return pairs if gone not in pairs else MappingProxyType({k: v for k, v in pairs.items() if k != gone})


def _without_value(pairs: Mapping[str, str], gone: str) -> Mapping[str, str]:
    return MappingProxyType({k: v for k, v in pairs.items() if v != gone})
