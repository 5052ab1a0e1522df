"""The fault matrix: after every fault it streams again in time, nothing twice, and what was missed says why."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from bluez_world import needs_dbus
from fault_run import run_fault, run_reconnects
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
    set_bus = partial(monkeypatch.setenv, "DBUS_SYSTEM_BUS_ADDRESS")
    found = await run_reconnects(DROPS, set_bus, tmp_path, scale=SCALE, allowance_s=ALLOWANCE_S)
    assert found.wrong == {}
    assert found.losses >= DROPS, "each lost link was told"
