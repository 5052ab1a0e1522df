"""One line of the fault matrix, run and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import serials
from chain_world import chain_world
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
    numbers = [said.serials for said in stored.values()]
    return Found(
        streams_after_s=after_s,
        delivered=sum(map(len, delivered.values())),
        missed=sum(serial[-1] - serial[0] + 1 - len(set(serial)) for serial in numbers),
        losses=sum(len(said.lost_at_ns) for said in stored.values()),
        wrong=wrong,
    )


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
