"""What the gateway is installed with: its unit, its settings file, and the right to ask for the time."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from gateway.config import decode_config
from wardlight.commands import command_named
from wardlight.gateway_settings import DEFAULT_FILE

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "raspberry-pi"
UNIT = SHIPPED / "wardlight-gateway.service"


def _setting(name: str) -> list[str]:
    return [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith(f"{name}=")]


def test_the_unit_starts_a_command_that_exists_with_options_that_it_has() -> None:
    program, group, command, *arguments = shlex.split(_setting("ExecStart")[0])
    assert Path(program).name == "wardlight"
    run = command_named(group).get_command(typer.Context(command_named(group)), command)
    known = {option for parameter in run.params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= known
    assert arguments[-1] == str(DEFAULT_FILE)


def test_the_settings_that_are_installed_are_valid_and_wait_for_the_servers_address() -> None:
    text = (SHIPPED / "gateway.toml").read_text()
    config = decode_config(text)
    assert (config.device, config.push) == ((), None)
    assert "ward-server.example" in text, "install.sh does not start a gateway that has this address"
    with_block = (
        text.replace("# [[device]]", "[[device]]").replace("# name =", "name =").replace("# address", "address")
    )
    assert [device.name for device in decode_config(with_block).device] == ["ox-17"]


def test_folders_of_the_unit_are_those_of_the_settings() -> None:
    config = decode_config((SHIPPED / "gateway.toml").read_text())
    assert config.spool.folder == f"/var/lib/{_setting('StateDirectory')[0]}"
    assert config.runtime_folder == f"/run/{_setting('RuntimeDirectory')[0]}"


def test_the_kernel_may_be_asked_for_the_state_of_the_clock_and_the_clock_not_be_set() -> None:
    assert _setting("ProtectClock") in ([], ["no"])
    assert {"adjtimex", "clock_adjtime"} <= set(_setting("SystemCallFilter")[-1].split())
    assert _setting("CapabilityBoundingSet") == [""]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/wardlight/.venv/bin/wardlight", "/bin/true"))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30, check=False
    )
    assert [line for line in said.stderr.splitlines() if UNIT.name in line] == []
