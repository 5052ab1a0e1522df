"""The small shells around the gateway: systemd, the log, the system's clock, and the radio as the settings want it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.app import run
from gateway.bluetooth import allowed, radio_settings
from gateway.config import DeviceConfig, RadioConfig, config_of
from gateway.log import QuietLog
from gateway.recovery import Step
from gateway.system_clock import boot_id, read_clocks
from gateway.systemd import notify
from vitals.errors import ConfigurationError


def test_systemd_is_told_if_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert notify("WATCHDOG=1")
        assert systemd.recv(100) == b"WATCHDOG=1"


def test_the_log_stays_small_and_says_what_it_left_out() -> None:
    now_s = [0.0]
    log = QuietLog("gateway", per_minute=2, monotonic=lambda: now_s[0])
    with structlog.testing.capture_logs() as said:
        for _ in range(5):
            log.say("warning", "link lost", about="ox-1")
        log.say("warning", "link lost", about="ox-2")
        now_s[0] = 61.0
        log.say("warning", "link lost", about="ox-1")
    assert [(line["about"], line.get("unsaid")) for line in said] == [
        ("ox-1", None),
        ("ox-1", None),
        ("ox-2", None),
        ("ox-1", 3),
    ]


def test_the_clocks_of_this_computer_can_be_read() -> None:
    first, second = read_clocks(), read_clocks()
    assert second.monotonic_ns >= first.monotonic_ns > 0
    assert boot_id() == boot_id()


def test_a_reboot_happens_only_when_it_is_named_and_nothing_else_than_what_is() -> None:
    usual = radio_settings(RadioConfig()).policy.ladder
    assert usual[Step.REBOOT].per_hour == 0
    assert all(usual[step].per_hour for step in usual if step is not Step.REBOOT)
    only = radio_settings(RadioConfig(recovery=("restart_scan", "reboot"))).policy.ladder
    assert {step for step in only if only[step].per_hour} == {Step.RESTART_SCAN, Step.REBOOT}


def test_a_driver_that_does_not_exist_is_named() -> None:
    device = DeviceConfig(name="ox-1", address="C4:5A:10:22:33:44", driver="magic")
    with pytest.raises(ConfigurationError, match="device ox-1: driver 'magic' is none of auto, "):
        allowed(device)
    assert allowed(DeviceConfig(name="ox-1", address="C4:5A:10:22:33:44")).driver is None


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings: dict[str, Any] = {"site": "n", "gateway": "g", "uplink": {"url": "mqtt://x"}}
    config = config_of({**settings, "spool": {"folder": str(tmp_path / "file" / "x")}, "runtime_folder": str(tmp_path)})
    with pytest.raises(ConfigurationError, match=r"spool\.folder: .* cannot be made"):
        await run(config)


def test_the_gateway_needs_neither_numpy_nor_scipy_nor_a_web_server() -> None:
    # Not `ru_maxrss`: that of a child begins with what its parent, these tests, once had.
    code = (
        "import gateway.app, gateway.bluetooth, pathlib, re, sys;"
        "heavy = {'numpy', 'scipy', 'starlette', 'apprise', 'pyarrow'} & set(sys.modules);"
        "status = pathlib.Path('/proc/self/status').read_text();"
        "print(sorted(heavy), int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1]) // 1024 < 80)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[] True"
