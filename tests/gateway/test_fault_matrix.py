"""The fault matrix: after every fault it streams again in time, nothing twice, and what was missed says why."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from bluez_world import needs_dbus
from chain_world import address, chain_world, scaled_settings
from fault_run import run_fault, verdict
from fault_table import TABLE, Fault

SCALE = 0.1
ALLOWANCE_S = 12.0  # processes that start, ingest's commits and other users of this computer are not scaled
DROPS = 30  # `bench/gateway_faults.py` does 300

pytestmark = [pytest.mark.slow, needs_dbus]


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.name)
async def test_it_streams_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: Fault) -> None:
    set_bus = partial(monkeypatch.setenv, "DBUS_SYSTEM_BUS_ADDRESS")
    found = await run_fault(fault, set_bus, tmp_path, scale=SCALE, allowance_s=ALLOWANCE_S)
    assert found.wrong == {}


async def test_reconnecting_again_and_again_doubles_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = scaled_settings(SCALE)
    soon = replace(whole, limits=replace(whole.limits, backoff_min_s=0.01, backoff_max_s=0.02))
    set_bus = partial(monkeypatch.setenv, "DBUS_SYSTEM_BUS_ADDRESS")
    async with chain_world(set_bus, tmp_path, straps=1, scale=SCALE, settings=soon) as chain:
        await chain.streams(ALLOWANCE_S)
        for _ in range(DROPS):
            await chain.bluez.drop(address(1))
            await chain.streams(ALLOWANCE_S, more=1)
        found = verdict(await chain.complete(ALLOWANCE_S), chain.delivered())
        assert found == {}
        assert chain.reconnects("w-1") == DROPS
