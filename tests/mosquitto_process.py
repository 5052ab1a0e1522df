"""A real mosquitto for tests: on a free port, with its persistence in a folder, to be killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
_START_S = 10.0  # a broker that does not listen by then is broken


@dataclass
class Mosquitto:
    """A real mosquitto on a free port of 127.0.0.1, with its persistence in `folder`.

    `kill` is the power cut; `start` after it brings the broker back on the same port and folder.
    """

    folder: Path
    port: int
    settings: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        store = self.folder / "store"
        store.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {store}/",
            "autosave_interval 1",
            "max_queued_messages 0",
            "max_packet_size 33554432",
            "user root" if Path.home() == Path("/root") else "",
            *self.settings,
        ]
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(config)], stdout=log, stderr=log)
        self._wait_until_it_listens()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + _START_S
        while not _listens(self.port):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                pytest.fail("mosquitto did not start:\n" + (self.folder / "mosquitto.log").read_text())
            time.sleep(0.01)  # the broker offers no other sign that it listens

    def stop(self) -> None:
        """Stop it in an orderly manner: it saves its sessions."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`: whatever it had not saved is gone."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
