"""One line of the fault matrix, run and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import serials
from chain_world import address, chain_world, scaled_settings
from fault_table import Fault
from serials import Stored


@dataclass(frozen=True, slots=True)
class Found:
    """`streams_after_s`: from the fault to a reading of every strap at ingest, unscaled. `missed`: notifications that
    nobody heard. `losses`: how often it was said that a radio is lost. `wrong`: what must be empty, see `verdict`."""

    streams_after_s: float
    delivered: int
    missed: int
    losses: int
    wrong: Mapping[str, object]
    reconnects: int = 0  # of the first strap


async def run_fault(
    fault: Fault, set_bus: Callable[[str], None], folder: Path, *, scale: float, allowance_s: float
) -> Found:
    """Stream, strike, and stream again; raises `TimeoutError` when it does not within the time that the table states.

    `allowance_s`: for what is not scaled, in all.
    """
    async with chain_world(
        set_bus,
        folder,
        straps=fault.straps,
        scale=scale,
        adapters=fault.adapters,
        adapter_faults=fault.adapter_faults,
    ) as chain:
        await chain.streams(fault.within_s * scale + 2 * allowance_s)
        began_s = time.monotonic()
        await fault.strike(chain)
        left_s = fault.within_s * scale + allowance_s - (time.monotonic() - began_s)
        await chain.streams(max(left_s, 0.0), more=1)
        after_s = (time.monotonic() - began_s) / scale
        await chain.streams(allowance_s)  # and it goes on
        stored = await chain.complete(allowance_s)
        delivered = chain.delivered()
    wrong = verdict(stored, delivered)
    if not any(said.lost_at_ns for said in stored.values()):
        wrong["never said"] = fault.gap.name
    return Found(
        streams_after_s=after_s,
        delivered=sum(map(len, delivered.values())),
        missed=sum(map(missed, stored.values())),
        losses=sum(len(said.lost_at_ns) for said in stored.values()),
        wrong=wrong,
    )


async def run_reconnects(
    drops: int, set_bus: Callable[[str], None], folder: Path, *, scale: float, allowance_s: float
) -> Found:
    """The link breaks again and again, with hardly any back-off; `streams_after_s` is the longest time without."""
    whole = scaled_settings(scale)
    soon = replace(whole, limits=replace(whole.limits, backoff_min_s=0.01, backoff_max_s=0.02))
    longest_s = 0.0
    async with chain_world(set_bus, folder, straps=1, scale=scale, settings=soon) as chain:
        await chain.streams(2 * allowance_s)
        for _ in range(drops):
            await chain.bluez.drop(address(1))
            began_s = time.monotonic()
            await chain.streams(allowance_s, more=1)
            longest_s = max(longest_s, time.monotonic() - began_s)
        stored, delivered = await chain.complete(allowance_s), chain.delivered()
        reconnects = chain.reconnects("w-1")
    said = stored["w-1"]
    return Found(
        streams_after_s=longest_s / scale,
        delivered=len(delivered["w-1"]),
        missed=missed(said),
        losses=len(said.lost_at_ns),
        wrong=verdict(stored, delivered),
        reconnects=reconnects,
    )


def missed(said: Stored) -> int:
    """Notifications between the first and the last one that nobody heard."""
    return said.serials[-1] - said.serials[0] + 1 - len(set(said.serials))


def verdict(stored: Mapping[str, Stored], delivered: Mapping[str, Sequence[int]]) -> dict[str, object]:
    """What is wrong, by wearable; empty when every reading is there once and every gap has its reason."""
    wrong: dict[str, object] = {}
    for name, said in stored.items():
        counts = {
            "twice": serials.twice(said),
            "invented": serials.invented(said, delivered[name]),
            "gaps without a reason": serials.silent_gaps(said),
        }
        wrong |= {f"{name}: {what}": count for what, count in counts.items() if count}
    return wrong
