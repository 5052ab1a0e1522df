"""What the doctor finds out about this machine: facts only, judged in `wardlight.findings`.

Nothing here changes anything but one small test file in the data folder, which is removed again.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import apsw

from vitals.errors import ConfigurationError, WardlightError
from vitals.journal import Journal
from vitals.ward import Ward
from wardlight import findings
from wardlight.findings import Finding, Folder, JournalState
from wardlight.layout import DataFolder, read_ward

LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "gateway": ("bleak", "bleak_retry_connector", "cryptography", "dbus_fast"),
        "server": (
            "apprise",
            "cryptography",
            "jinja2",
            "mqtt5",
            "prometheus_client",
            "pyarrow",
            "pywebpush",
            "scipy.signal",
            "starlette",
            "uvicorn",
        ),
        "influx": ("influxdb_client",),
        "sim": ("dbus_fast", "scipy.io"),
    }
)  # extra → what its parts import; a test holds it against pyproject.toml. `boards` has an environment of its own.
_FSYNCS: Final = 5
_STA_UNSYNC: Final = 0x40  # status bit of adjtimex(2)


def examine(data: Path, ward: Path | None, alerts: Path | None, ports: Sequence[tuple[str, int]]) -> list[Finding]:
    """Every finding about this machine, the data folder and the configuration files that are named."""
    folder = DataFolder(data)
    serving = is_owned(folder.journal)
    return [
        findings.python(sys.version_info[:3]),
        findings.sqlite(apsw.sqlite_lib_version()),
        *(findings.part(name, broken(modules)) for name, modules in LIBRARIES.items()),
        *findings.data_folder(look_at_folder(data)),
        *(look_at_journal(path) for path in (folder.journal, folder.poison, folder.alarms)),
        look_at_store(folder.store),
        findings.clock(*kernel_clock()),
        *(findings.port(name, number, free=is_free(number), serving=serving) for name, number in ports),
        findings.open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        findings.mosquitto(mosquitto_version()),
        look_at_ward(ward),
        look_at_alerts(alerts),
    ]


def broken(modules: Sequence[str]) -> list[str]:
    """Those of `modules` that cannot be imported, for whatever reason a broken wheel may have."""
    missing = []
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, OSError):
            missing.append(module.partition(".")[0])
    return missing


def look_at_folder(path: Path) -> Folder:
    """Room, durability and owner of the data folder; a folder that is not there is not an error."""
    if not path.exists():
        return Folder(str(path), exists=False)
    try:
        fsync_ms = _measure_fsync(path)
        free_bytes = shutil.disk_usage(path).free
    except OSError as error:
        return Folder(str(path), exists=True, error=f"cannot be written: {error.strerror}")
    return Folder(
        str(path),
        exists=True,
        free_bytes=free_bytes,
        fsync_ms=fsync_ms,
        file_system=file_system_of(path, Path("/proc/self/mounts").read_text()),
        ours=path.stat().st_uid == os.geteuid(),
    )


def _measure_fsync(folder: Path) -> float:
    """Median milliseconds to make 4 KiB durable in `folder`."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_FSYNCS):
            file.write(b"\0" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - started) * 1e3)
    return median(took)


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`, from the text of /proc/self/mounts; empty when unknown."""
    place, best = path.resolve(), ("", "")
    for line in mounts.splitlines():
        _, mount, kind, *_ = line.split(" ")
        if place.is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def is_owned(journal: Path) -> bool:
    """Whether a process writes `journal` right now, seen without touching its lock."""
    lock = journal.with_name(journal.name + ".lock")
    try:
        return is_locked(lock.stat().st_ino, Path("/proc/locks").read_text())
    except OSError:
        return False


def is_locked(inode: int, locks: str) -> bool:
    """Whether the text of /proc/locks says that the file of `inode` is locked as a whole."""
    for line in locks.splitlines():
        fields = line.split()
        if "FLOCK" in fields and fields[-3].rpartition(":")[2] == str(inode):
            return True
    return False


def look_at_journal(path: Path) -> Finding:
    """The finding about one journal file, read beside the service."""
    if not path.exists():
        return findings.journal(path.stem, None)
    try:
        with Journal(path, read_only=True) as journal:
            newest = journal.newest
            state = JournalState(
                newest,
                journal.size_bytes,
                tuple((name, newest - position) for name, position in journal.cursors().items()),
                sum(gap.last - gap.first + 1 for gap in journal.gaps()),
            )
    except (WardlightError, apsw.Error) as error:
        return findings.journal(path.stem, None, str(error))
    return findings.journal(path.stem, state)


def look_at_store(path: Path) -> Finding:
    """The finding about the embedded store, read beside the service."""
    if not path.exists():
        return findings.store("", exists=False)
    from ingest.store.reader import StoreReader  # a gateway has no store, and not all of its libraries

    try:
        with StoreReader(path) as reader:
            return findings.store("", patients=sum(map(bool, reader.patients())))
    except (WardlightError, apsw.Error) as error:
        return findings.store(str(error))


class _Timex(ctypes.Structure):
    """The beginning of `struct timex` of adjtimex(2); the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror_us", ctypes.c_long),
        ("esterror_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def kernel_clock() -> tuple[bool | None, float]:
    """Whether the kernel's clock is synchronised, and the bound of its error in milliseconds.

    Asked of the kernel and not of one time service: timesyncd, chrony and ntpd all report to it.
    """
    timex = _Timex()
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):
        return None, 0.0
    if answer < 0:
        return None, 0.0
    return not timex.status & _STA_UNSYNC, timex.maxerror_us / 1e3


def is_free(port: int) -> bool:
    """Whether a service could listen on `port` of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def mosquitto_version() -> str:
    """The version of the mosquitto on this machine, empty without one."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        return ""
    said = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 a fixed program, no shell
    return said.stdout.partition("\n")[0].removeprefix("mosquitto version ")


def look_at_ward(path: Path | None) -> Finding:
    """The finding about the ward file."""
    if path is None:
        return findings.ward("", "")
    try:
        ward: Ward = read_ward(path)
    except ConfigurationError as error:
        return findings.ward(str(path), str(error))
    devices = sum(len(patient.devices) for patient in ward.patients)
    return findings.ward(str(path), "", patients=len(ward.patients), devices=devices, time_zone=ward.time_zone)


def look_at_alerts(path: Path | None) -> Finding:
    """The finding about alerts.toml: preset, channels and their secrets can be read. Sends nothing."""
    if path is None:
        return findings.channels("")
    from alerts.config import decode_config, open_channels, open_heartbeat, read_preset  # nor has it alerts
    from alerts.duty import make_duty

    try:
        config = decode_config(path.read_bytes())
        read_preset(config, path.parent)
        open_channels(config, path.parent, os.environ)
        open_heartbeat(config, path.parent, os.environ)
        make_duty(config, ZoneInfo("UTC"), [channel.name for channel in config.channels])  # in any zone the same gaps
    except ConfigurationError as error:
        return findings.channels(str(path), str(error))
    except OSError as error:
        return findings.channels(str(path), f"{path} cannot be read ({error.strerror})")
    names = [channel.name for channel in config.channels if channel.name not in config.for_heartbeat]
    return findings.channels(str(path), names=names, second=config.heartbeat.second_channel)
