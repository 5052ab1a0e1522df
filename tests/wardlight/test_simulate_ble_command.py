"""`wardlight simulate ble` as a person runs it: what it prints leads a Bluetooth client to the wearables."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from bluez_world import forget_bleak_manager, found, needs_dbus

from gateway.config import decode_config

PATIENCE_S = 40


@needs_dbus
@pytest.mark.slow
async def test_what_it_says_leads_to_its_wearables(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "wardlight", "simulate", "ble", "--wearables", "3", "--no-table"]
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop meanwhile
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            assert running.stdout is not None
            said = ""
            while "gateway run" not in said:
                line = running.stdout.readline()
                assert line, f"it ended: {said}"
                said += line
            bus = re.search(r"DBUS_SYSTEM_BUS_ADDRESS=(\S+)", said)
            settings = re.search(r"gateway run --config (\S+)", said)
            assert bus is not None
            assert settings is not None
            with open(settings[1], encoding="utf-8") as file:  # noqa: PTH123, ASYNC230 - a small file
                allowed = decode_config(file.read()).device
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus[1])
            for device in allowed:
                await found(device.address)
            await forget_bleak_manager()
        finally:
            running.send_signal(signal.SIGINT)
            rest = running.communicate(timeout=PATIENCE_S)[0]
    assert len(allowed) == 3
    assert running.returncode == 0, rest
    assert "Traceback" not in rest
