"""Everything of the fault list at once, at random: it streams again, nothing is heard twice, nothing is missed."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from radio_world import QUICK, RadioWorld, Recorder, address, quick, radio_world, strap

from gateway.recovery import LADDER
from gateway.session_words import HOLDING
from simulators.bluez import Faults
from simulators.bluez.faults import CONNECT_HANGS, DISCONNECT_HANGS, NEVER_RESOLVES

WEARABLES = 6
ACTS = 30
OFTEN = {step: replace(rung, settle_s=1.0, per_hour=1000 * (rung.per_hour > 0)) for step, rung in LADDER.items()}
FAULTS = (
    CONNECT_HANGS,
    DISCONNECT_HANGS,
    NEVER_RESOLVES,
    Faults(silent_after_s=0.5),
    Faults(undiscovered_share=0.7),
    Faults(stale_gatt=True),
)


async def act(world: RadioWorld, dice: random.Random) -> None:
    """One mishap."""
    whom = address(dice.randint(1, WEARABLES))
    match dice.choice(["drop", "drop", "fault", "fault", "heal", "move", "power", "kill", "bus"]):
        case "drop":
            await world.bluez.drop(whom)
        case "fault":
            await world.bluez.set_faults(whom, dice.choice(FAULTS))
        case "heal":
            await world.bluez.set_faults(whom, Faults())
        case "move":
            await world.bluez.move_handles(whom)
        case "power":
            await world.bluez.power("hci0", on=False)
            if dice.random() < 0.5:  # else the radio switches it on
                await world.bluez.power("hci0", on=True)
        case "kill":
            await world.bluez.restart_daemon()
        case "bus":
            await world.bluez.restart_bus()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_chaos(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    dice = random.Random(seed)
    limits = quick(connect_s=1.0, subscribe_s=1.0, close_s=6.0)
    settings = replace(limits, disconnect_s=0.5, policy=replace(QUICK.policy, ladder=OFTEN))
    straps = [strap(number) for number in range(1, WEARABLES + 1)]
    async with radio_world(monkeypatch, *straps, settings=settings, driver=Recorder(stall_s=1.5)) as world:
        await world.until(world.streams)
        for _ in range(ACTS):
            await act(world, dice)
            waited = time.monotonic() + dice.random() * 0.4  # mishaps fall into every phase
            await world.until(lambda until=waited: time.monotonic() >= until)
        for each in straps:
            await world.bluez.set_faults(each.address, Faults())
        await world.until(world.streams)
        await asyncio.gather(*(world.until_more(d.name) for d in world.radio.snapshot().devices))
        await world.until_complete()
        status = world.radio.snapshot()
        assert status.stray_calls == 0
        assert status.adapters[0].slots_used == sum(d.phase in HOLDING for d in status.devices)


def test_the_radio_needs_no_numpy() -> None:
    """A Raspberry Pi Zero would spend its start and a fifth of its memory on it."""
    ask = "import sys, gateway.ble, gateway.ble_tools; print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", ask], text=True) == "[]\n"
