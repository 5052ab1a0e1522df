"""What stands behind each gateway at one moment: for all gateways in one pass over the streams, and only when asked.

When a thousand gateways are in question, a pass for each of them takes longer than everything else.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

import numpy as np

from alerts.streams import NEVER, Bools, Indices, StreamTable


class Behind:
    """A stream stands behind the gateway that brought its newest sample.

    `fresh_since_ns`: what has a sample as new as that is heard now. Valid until the table changes.
    """

    def __init__(self, table: StreamTable, fresh_since_ns: int) -> None:
        self._names = table.slots
        self._gateway = table.state["gateway"][: table.size]
        self._slot = table.state["slot"][: table.size]
        self._fresh_ns = table.state["fresh_at_ns"][: table.size]
        self._virtual = table.virtual[: table.size]
        self._silence_counts = table.watched[: table.size]
        self._fresh_since_ns = fresh_since_ns

    def slots(self, gateway: int) -> list[int]:
        """The wearables behind a gateway, in order."""
        return sorted(self._slots.get(gateway, ()))

    def gateways(self) -> set[int]:
        """The gateways that have a wearable behind them."""
        return set(np.unique(self._gateway[~self._virtual]).tolist())

    def watched_slots(self, gateway: int) -> set[int]:
        """The wearables behind a gateway whose silence is a finding, of those that were ever heard."""
        return self._watched_slots.get(gateway, set())

    def wholly_in(self, streams: Bools) -> list[int]:
        """The gateways that have all their watched streams, and at least one, among `streams`, a mask."""
        among = np.bincount(self._gateway[self._watched & streams])
        watched = np.bincount(self._gateway[self._watched], minlength=len(among))[: len(among)]
        found: list[int] = np.flatnonzero((among > 0) & (among == watched)).tolist()
        return found

    def is_heard_elsewhere(self, patient: str, gateway: int) -> bool:
        """Whether another gateway hears a wearable of the patient now."""
        return bool(self._hearing.get(patient, set()) - {gateway})

    def newest_ns(self, gateway: int) -> int:
        """When the newest sample was taken that a gateway brought."""
        return int(self._newest_ns[gateway]) if gateway < len(self._newest_ns) else NEVER

    @cached_property
    def _watched(self) -> Bools:
        found: Bools = self._silence_counts & (self._fresh_ns != NEVER) & (self._gateway >= 0)
        return found

    @cached_property
    def _slots(self) -> dict[int, set[int]]:
        return _grouped(self._gateway, self._slot, ~self._virtual)

    @cached_property
    def _watched_slots(self) -> dict[int, set[int]]:
        return _grouped(self._gateway, self._slot, self._watched)

    @cached_property
    def _hearing(self) -> dict[str, set[int]]:
        """Patient → the gateways that hear a wearable of theirs now."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        now = ~self._virtual & (self._fresh_ns >= self._fresh_since_ns)
        for slot, gateways in _grouped(self._slot, self._gateway, now).items():
            found[self._names[slot][0]] |= gateways
        return found

    @cached_property
    def _newest_ns(self) -> Indices:
        brought = self._gateway >= 0
        gateway = self._gateway[brought]
        newest = np.full(int(gateway.max(initial=-1)) + 1, NEVER, np.int64)
        np.maximum.at(newest, gateway, self._fresh_ns[brought])
        return newest


def _grouped(keys: Indices, values: Indices, chosen: Bools) -> dict[int, set[int]]:
    """Key → its values, of the chosen places."""
    keys, values = keys[chosen], values[chosen]
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    groups = np.split(values[order], starts[1:]) if len(keys) else []
    return {key: set(group.tolist()) for key, group in zip(distinct.tolist(), groups, strict=True)}
