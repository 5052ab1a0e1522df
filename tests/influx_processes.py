"""Real databases for tests and benchmarks: Debian's influxd 1.6.7 and victoria-metrics, on free ports of 127.0.0.1."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from mosquitto_process import free_port

INFLUXD = shutil.which("influxd") or shutil.which("influxd", path="/usr/sbin:/usr/local/bin")
VICTORIA_METRICS = shutil.which("victoria-metrics") or shutil.which("victoria-metrics", path="/usr/sbin:/usr/local/bin")
_START_S = 20.0  # a database that does not answer by then is broken


@dataclass
class Database:
    """A real server that keeps its files in `folder`; `kill` is the power cut, `start` brings it back on its port."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start:\n{(self.folder / 'log').read_text()[-2_000:]}")
            time.sleep(0.02)  # the server offers no other sign that it listens

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """Stop it in an orderly manner."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None


@dataclass
class Influxd(Database):
    """InfluxDB 1.6.7."""

    backup_port: int = field(default_factory=free_port)
    auth: bool = False

    def command(self) -> list[str]:
        config = self.folder / "influxdb.conf"
        config.write_text(
            f"""
reporting-enabled = false
bind-address = "127.0.0.1:{self.backup_port}"
[meta]
dir = "{self.folder}/meta"
[data]
dir = "{self.folder}/data"
wal-dir = "{self.folder}/wal"
[http]
bind-address = "127.0.0.1:{self.port}"
auth-enabled = {str(self.auth).lower()}
log-enabled = false
[monitor]
store-enabled = false
"""
        )
        return [str(INFLUXD), "-config", str(config)]


@dataclass
class VictoriaMetrics(Database):
    """VictoriaMetrics, keeping ten years, without duplicates."""

    def command(self) -> list[str]:
        return [
            str(VICTORIA_METRICS),
            f"-storageDataPath={self.folder}/data",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=10y",
            "-dedup.minScrapeInterval=1ms",
            "-search.latencyOffset=0s",
        ]
