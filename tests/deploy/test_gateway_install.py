"""install.sh into a folder: run twice, updated, dry, and on the wrong machine; the system's programs are played."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("vitals", "gateway", "ingest", "alerts", "simulators", "wardlight", "deploy", "docs")

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


class Machine:
    """A checkout to install from, a folder to install to, and programs that note how they were called."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.root, self.calls = folder / "tree", folder / "root", folder / "calls"
        self._programs = folder / "programs"
        self._programs.mkdir()
        self.calls.touch()
        for name in COPIED:
            (self.tree / name).mkdir(parents=True)
        for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE"):
            (self.tree / name).write_text(name)
        shutil.copytree(ROOT / "deploy" / "raspberry-pi", self.tree / "deploy" / "raspberry-pi")
        (self.tree / ".ci").mkdir()
        self._script(self.tree / ".ci" / "bootstrap", 'mkdir -p "$(dirname "$0")/../.venv/bin"')
        for name in ("apt-get", "systemctl", "useradd"):
            self.program(name)
        self.program("dpkg")
        self.program("uname", "echo aarch64")
        self.version("v1")

    def program(self, name: str, body: str = "") -> None:
        """What `name` does from now on, besides being noted."""
        self._script(self._programs / name, f'echo {name} "$@" >> {self.calls}\n{body}')

    def version(self, name: str) -> None:
        """What `git describe` says of the checkout."""
        self.program("git", f"echo {name}")

    def _script(self, file: Path, body: str) -> None:
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def install(self, *options: str, expect: int = 0) -> str:
        """Run the script; what it says."""
        script = self.tree / "deploy" / "raspberry-pi" / "install.sh"
        said = subprocess.run(
            ["bash", str(script), "--root", str(self.root), *options],
            capture_output=True,
            text=True,
            timeout=600,  # a real environment; pytest's own limit holds for the others
            check=False,
            env={**os.environ, "PATH": f"{self._programs}:{os.environ['PATH']}"},
        )
        assert said.returncode == expect, said.stderr
        return said.stdout + said.stderr

    def called(self, name: str) -> list[str]:
        """The calls of a program, without git's, which only asks."""
        return [line for line in self.calls.read_text().splitlines() if line.split()[0] == name]

    def releases(self) -> set[str]:
        return {each.name for each in (self.root / "opt" / "wardlight-releases").iterdir()}

    def in_use(self) -> str:
        return (self.root / "opt" / "wardlight").readlink().name


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_installed_twice_it_is_installed_once_and_settings_stay(machine: Machine) -> None:
    said = machine.install()
    assert "installing version v1" in said
    assert machine.in_use() == "v1"
    settings = machine.root / "etc/wardlight/gateway.toml"
    assert settings.stat().st_mode & 0o777 == 0o640
    settings.write_text('site = "mine"\n')
    again = machine.install()
    assert "version v1 is installed already" in again
    assert "writing" not in again, "every file is there just so"
    assert settings.read_text() == 'site = "mine"\n'
    for file in (
        "etc/systemd/system/wardlight-gateway.service",
        "etc/polkit-1/rules.d/50-wardlight-radio.rules",
        "etc/systemd/journald.conf.d/wardlight.conf",
    ):
        assert (machine.root / file).exists(), file
    assert machine.called("systemctl") == [], "a folder is not a running system"


def test_an_update_keeps_the_version_before_and_no_older_one(machine: Machine) -> None:
    for version in ("v1", "v2", "v3"):
        machine.version(version)
        machine.install()
        assert machine.in_use() == version
    assert machine.releases() == {"v2", "v3"}


def test_an_environment_that_cannot_be_made_leaves_what_ran(machine: Machine) -> None:
    machine.install()
    machine.version("v2")
    (machine.tree / ".ci" / "bootstrap").write_text("#!/bin/sh\nexit 1\n")
    assert "what ran before goes on" in machine.install(expect=1)
    assert machine.in_use() == "v1"
    (machine.tree / ".ci" / "bootstrap").write_text("#!/bin/sh\n")
    machine.install()
    assert machine.in_use() == "v2", "what was half made is made anew"


def test_a_dry_run_changes_nothing(machine: Machine) -> None:
    machine.program("dpkg", "exit 1")
    said = machine.install("--dry-run")
    assert "would run: apt-get update" in said
    assert not machine.root.exists()
    assert machine.called("apt-get") + machine.called("systemctl") + machine.called("useradd") == []


def test_packages_that_are_missing_are_installed(machine: Machine) -> None:
    machine.program("dpkg", '[ "$2" != bluez ]')
    machine.install()
    assert [call.split()[-1] for call in machine.called("apt-get")] == ["-qq", "bluez"]


def test_the_log_settings_are_left_alone_when_asked(machine: Machine) -> None:
    machine.install("--keep-logs")
    assert not (machine.root / "etc/systemd/journald.conf.d").exists()


def test_a_32_bit_system_is_refused_before_anything_happens(machine: Machine) -> None:
    machine.program("uname", "echo armv7l")
    assert "64-bit Raspberry Pi OS" in machine.install(expect=1)
    assert not machine.root.exists()


def test_an_option_that_does_not_exist_is_refused(machine: Machine) -> None:
    assert "unknown option --force" in machine.install("--force", expect=1)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    scripts = [str(ROOT / "deploy" / "raspberry-pi" / "install.sh"), str(ROOT / ".ci" / "bootstrap")]
    said = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, timeout=50, check=False)
    assert said.stdout == ""


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("WARDLIGHT_REAL_INSTALL"), reason="set WARDLIGHT_REAL_INSTALL=1: needs minutes")
@pytest.mark.timeout(900)
def test_the_real_environment_runs_a_gateway_without_scipy(machine: Machine) -> None:
    for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, machine.tree / name)
    for name in COPIED[:6]:
        shutil.copytree(ROOT / name, machine.tree / name, dirs_exist_ok=True)
    shutil.copy(ROOT / ".ci" / "bootstrap", machine.tree / ".ci" / "bootstrap")
    machine.install()
    binaries = machine.root / "opt/wardlight-releases/v1/.venv/bin"
    settings = machine.root / "etc/wardlight/gateway.toml"
    run = [str(binaries / "wardlight"), "gateway", "check", "--config", str(settings)]
    assert "is valid" in subprocess.run(run, capture_output=True, text=True, timeout=60, check=False).stdout
    heavy = subprocess.run([str(binaries / "python"), "-c", "import scipy"], capture_output=True, check=False)
    assert heavy.returncode != 0
