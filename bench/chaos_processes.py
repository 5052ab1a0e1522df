"""The processes that `chaos.py` starts and kills: the server, the broker and the gateways."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from chaos_story import Story

STOP_S = 20.0  # for an orderly end; longer means that something hangs
_ROOT = Path(__file__).resolve().parent.parent
_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(  # what `wardlight serve` and the gateways import, at once or when they need it
    ["wardlight.main", "wardlight.server", "alerts.notify.channels", "scipy.signal", "uvicorn.protocols.http.h11_impl"]
)


class Handle(Protocol):
    """What is common to a `Popen` and a forked server."""

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class Forked:
    """A process forked from one that has imported everything already, with the face of a `Popen`.

    Its life begins in a tenth of a second instead of two: the kills hit work, not imports.
    """

    def __init__(self, module: str, arguments: list[str], output: Path, log: Path) -> None:
        self._process = _FORKSERVER.Process(target=live, args=(module, arguments, output, log), daemon=True)
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


def live(module: str, arguments: list[str], output: Path, log: Path) -> None:
    """`module.main()` with `arguments`; runs in the forked process."""
    with output.open("a") as out, log.open("a") as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
    sys.argv = [module, *arguments]
    sys.exit(importlib.import_module(module).main())


@dataclass
class Victim:
    """A process that is killed with SIGKILL and started again: `program` by itself, or forked from `module`."""

    name: str
    program: list[str]
    module: str
    arguments: list[str]
    folder: Path
    forked: bool = False
    kills: int = 0
    _process: Handle | None = field(default=None, repr=False)

    @property
    def output(self) -> Path:
        """What it prints."""
        return self.folder / f"{self.name}.out"

    @property
    def log(self) -> Path:
        """What it complains about."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        if self.forked:
            self._process = Forked(self.module, self.arguments, self.output, self.log)
            return
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        with self.output.open("a") as out, self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*self.program, *self.arguments], stdout=out, stderr=log, cwd=_ROOT, env=environment
            )

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
        ends = [file.read_text(errors="replace").splitlines(keepends=True)[-30:] for file in (self.output, self.log)]
        return f"--- the last words of the {self.name}\n" + "".join(ends[0][-2:] + ends[1])


@dataclass
class Server(Victim):
    """`wardlight serve`. `duplicates`: messages it had already and refused, as far as its metrics could be asked."""

    station_port: int = 0
    duplicates: int = 0

    def kill(self) -> None:
        self.duplicates += self._refused_now()
        super().kill()

    def stop(self, timeout_s: float = STOP_S) -> int:
        self.duplicates += self._refused_now() if self.alive else 0
        return super().stop(timeout_s)

    def _refused_now(self) -> int:
        """What this life of the server says; 0 when it is too young to answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.station_port}/metrics", timeout=2) as answer:
                found = re.search(
                    rb'^wardlight_ingest_counts_total\{what="duplicates"\} (\S+)$', answer.read(), re.MULTILINE
                )
        except OSError:
            return 0
        return int(float(found[1])) if found else 0


@dataclass
class Gateways(Victim):
    """`chaos_gateway.py`; `totals` are the counts over all its lives that have ended."""

    totals: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("sent", "resent", "reconnects", "refused"), 0)
    )

    def start(self) -> None:
        self.output.unlink(missing_ok=True)  # of the life before: its counts are not of this one
        super().start()

    @property
    def latest(self) -> dict[str, Any]:
        """The last line that this life printed; empty before the first."""
        if not self.output.exists():
            return {}
        with self.output.open("rb") as lines:
            lines.seek(max(0, lines.seek(0, os.SEEK_END) - 4096))
            whole = [line for line in lines.read().split(b"\n")[:-1] if line.startswith(b"{") and line.endswith(b"}")]
        return dict(json.loads(whole[-1])) if whole else {}

    def kill(self) -> None:
        super().kill()
        self._add_up()

    def stop(self, timeout_s: float = STOP_S) -> int:
        alive = self.alive
        code = super().stop(timeout_s)
        if alive:
            self._add_up()
        return code

    def _add_up(self) -> None:
        for name in self.totals:
            self.totals[name] += self.latest.get(name, 0)

    @property
    def receipted(self) -> int:
        """Messages that the gateways know to be safe; 0 until this life has said so."""
        return int(self.latest.get("receipted", 0))


def server(data: Path, ward: Path, port: int, broker_url: str | None, *, forked: bool) -> Server:
    """The whole service in one process."""
    station_port = free_port()
    arguments = ["serve", "--data", str(data), "--ward", str(ward), "--station-port", str(station_port)]
    arguments += ["--broker", broker_url] if broker_url else ["--insecure-loopback", "--port", str(port)]
    program = [sys.executable, "-m", "wardlight"]
    return Server("server", program, "wardlight.main", arguments, data.parent, forked=forked, station_port=station_port)


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
    return Victim("broker", [program], "", ["-c", str(config)], folder.parent)


def gateways(spools: Path, url: str, story: Story, rate_hz: float, *, forked: bool, in_order: bool) -> Gateways:
    """The gateways of the story; `in_order`: they send what waits before what is new."""
    spools.mkdir()
    arguments = ["--url", url, "--spools", str(spools), "--rate", f"{rate_hz:g}"]
    arguments += ["--seed", str(story.seed), "--start-ns", str(story.start_ns)]
    arguments += ["--oldest-first"] if in_order else []
    program = [sys.executable, str(Path(__file__).with_name("chaos_gateway.py"))]
    return Gateways("gateway", program, "chaos_gateway", arguments, spools.parent, forked=forked)


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
