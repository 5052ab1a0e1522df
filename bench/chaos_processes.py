"""The processes that `chaos.py` starts and kills: the server, the broker and the gateways."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

STOP_S = 20.0  # for an orderly end; longer means that something hangs
_ROOT = Path(__file__).resolve().parent.parent
_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["wardlight.main"])


class Handle(Protocol):
    """What is common to a `Popen` and a forked server."""

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class Forked:
    """A server forked from a process that has imported it already, with the face of a `Popen`.

    A life of it begins in a tenth of a second instead of two: the kills hit work, not imports.
    """

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._process = _FORKSERVER.Process(target=serve, args=(arguments, log), daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("wardlight", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, sig: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, sig)


def serve(arguments: list[str], log: Path) -> None:
    """`wardlight` with `arguments`, its output in `log`; runs in the forked process."""
    with log.open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.argv = ["wardlight", *arguments]
    from wardlight.main import main  # noqa: PLC0415  preloaded there, and not needed here

    main()


@dataclass
class Victim:
    """A process that is killed with SIGKILL and started again with the same command.

    A command that begins with `wardlight` is forked, see `Forked`.
    """

    name: str
    command: list[str]
    log: Path
    kills: int = 0
    _process: Handle | None = field(default=None, repr=False)

    def start(self) -> None:
        self._process = self._begin()

    def _begin(self) -> Handle:
        if self.command[0] == "wardlight":
            return Forked(self.command[1:], self.log)
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        with self.log.open("a") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=log, text=True, cwd=_ROOT, env=environment)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1

    def stop(self, timeout_s: float = STOP_S) -> int:
        """Ask it to end and return its exit code; kill it, and return -9, when it does not."""
        if self._process is None:
            return 0
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            return self._process.wait()

    def complain(self) -> str:
        """The end of its log, for the person who has to find out why it failed."""
        return f"--- the end of {self.log.name}\n" + "".join(self.log.read_text().splitlines(keepends=True)[-40:])


@dataclass
class Gateways(Victim):
    """`chaos_gateway.py`; `totals` are the counts over all its lives, `latest` its last line."""

    latest: dict[str, Any] = field(default_factory=dict)
    totals: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("sent", "resent", "reconnects", "refused"), 0)
    )
    _reader: threading.Thread | None = field(default=None, repr=False)

    def _begin(self) -> Handle:
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        with self.log.open("a") as log:
            process = subprocess.Popen(
                self.command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=_ROOT, env=environment
            )
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()
        return process

    def _read(self, lines: Any) -> None:
        with lines:
            for line in lines:
                if line.endswith("\n"):
                    self.latest = json.loads(line)

    def kill(self) -> None:
        super().kill()
        self._end_of_life()

    def stop(self, timeout_s: float = STOP_S) -> int:
        code = super().stop(timeout_s)
        self._end_of_life()
        return code

    def _end_of_life(self) -> None:
        assert self._reader is not None
        self._reader.join()
        for name in self.totals:
            self.totals[name] += self.latest.get(name, 0)
        self.latest = {**self.latest, **dict.fromkeys(self.totals, 0)}

    @property
    def receipted(self) -> int:
        """Messages that the gateways know to be safe, as of the last line."""
        return int(self.latest.get("receipted", 0))


def server(folder: Path, ward: Path, port: int, station_port: int, broker_url: str | None, *, forked: bool) -> Victim:
    """The whole service in one process, its data in `folder`."""
    command = ["wardlight"] if forked else [sys.executable, "-m", "wardlight"]
    command += ["serve", "--data", str(folder), "--ward", str(ward)]
    command += ["--port", str(port), "--station-port", str(station_port)]
    return Victim("server", command + (["--broker", broker_url] if broker_url else []), folder.parent / "server.log")


def mosquitto(folder: Path, port: int) -> Victim:
    """A broker with its persistence in `folder`, set up as `deploy` has it, without limits on who connects."""
    folder.mkdir()
    config = folder / "mosquitto.conf"
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 1",
        "max_queued_messages 0",
        "user root" if os.geteuid() == 0 else "",
    ]
    config.write_text("\n".join(lines) + "\n")
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        sys.exit("chaos: mosquitto is not installed: `apt-get install mosquitto`, or leave --broker away")
    return Victim("broker", [program, "-c", str(config)], folder.parent / "broker.log")


def gateways(folder: Path, url: str, seed: int, start_ns: int, rate_hz: float) -> Gateways:
    """The gateways of the story, their spools in `folder`."""
    folder.mkdir()
    program = str(Path(__file__).with_name("chaos_gateway.py"))
    command = [sys.executable, program, "--url", url, "--spools", str(folder), "--rate", f"{rate_hz:g}"]
    command += ["--seed", str(seed), "--start-ns", str(start_ns)]
    return Gateways("gateway", command, folder.parent / "gateway.log")


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int, timeout_s: float) -> bool:
    """Whether something accepts connections on `port` within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False
