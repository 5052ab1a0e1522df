"""The systemd unit we ship starts a command that exists, with options that it has."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from wardlight.commands import command_named

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "wardlight.service"


def _exec_start() -> list[str]:
    joined = UNIT.read_text().replace("\\\n", " ")
    (line,) = [line for line in joined.splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


def test_the_unit_starts_serve_with_options_that_it_has() -> None:
    program, command, *arguments = _exec_start()
    assert Path(program).name == "wardlight"
    known = {option for parameter in command_named(command).params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= known


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/wardlight/.venv/bin/wardlight", "/bin/true"))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30, check=False
    )
    assert [line for line in said.stderr.splitlines() if UNIT.name in line] == []
