"""What the doctor judges: plain facts about a machine in, findings that say what to do out. Pure.

Reading the facts is `wardlight.probes`; showing the findings is `wardlight.doctor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MIN_PYTHON: Final = (3, 11)
MIN_SQLITE: Final = (3, 51, 3)  # the first without the WAL-reset bug (docs/decisions/0002)
MIN_FREE_BYTES: Final = 1 << 30  # a day of 500 patients with three vitals at 1 Hz takes about 0.1 GB
FULL_BYTES: Final = 64 << 20  # below, commits are about to fail
SLOW_FSYNC_MS: Final = 50.0  # every acknowledgement waits for one
MIN_OPEN_FILES: Final = 4096  # one per gateway connection, and those of the store, the page and the channels
FAR_BEHIND: Final = 1_000  # records: minutes of a consumer that does not move
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs"}
)
MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})


class Severity(StrEnum):
    """How bad a finding is. Only `FAILURE` makes the command fail."""

    OK = "ok"
    NOTE = "note"  # nothing to do, but good to know
    WARNING = "warning"  # works now, and will trouble somebody later
    FAILURE = "failure"  # does not work, or loses readings


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table; `remedy` is what to do, empty when there is nothing to do."""

    check: str
    severity: Severity
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Folder:
    """What was found out about the data folder. `fsync_ms` is `None` where a test file could not be written."""

    path: str
    exists: bool
    error: str = ""
    free_bytes: int = 0
    fsync_ms: float | None = None
    file_system: str = ""
    ours: bool = True  # it belongs to the user who asks


@dataclass(frozen=True, slots=True)
class JournalState:
    """A journal as another process sees it.

    `lags`: consumer → records it has not read. `dropped`: records that went at the bound before all had read them;
    without a consumer that is how the journal keeps its size, and nothing is lost to anybody.
    """

    newest: int
    size_bytes: int
    lags: tuple[tuple[str, int], ...] = ()
    dropped: int = 0


def python(version: tuple[int, int, int]) -> Finding:
    """The interpreter that runs this."""
    shown = ".".join(map(str, version))
    if version[:2] >= MIN_PYTHON:
        return Finding("Python", Severity.OK, shown)
    return Finding(
        "Python", Severity.FAILURE, f"{shown} is too old", "install Python 3.11 or newer and run `make setup`"
    )


def sqlite(version: str) -> Finding:
    """The SQLite that apsw carries, which is the one that holds every reading."""
    numbers = tuple(int(part) for part in version.split(".")[:3])
    if numbers >= MIN_SQLITE:
        return Finding("SQLite", Severity.OK, f"{version}, free of the WAL-reset bug")
    return Finding(
        "SQLite",
        Severity.FAILURE,
        f"{version} can lose committed readings when it resets its log",
        "upgrade apsw to 3.51.3 or newer: `make setup`, or `pip install -U apsw`",
    )


def part(name: str, broken: Sequence[str]) -> Finding:
    """An installed part: `broken` are its libraries that cannot be imported."""
    check = f"Extra {name}"
    if not broken:
        return Finding(check, Severity.OK, "complete")
    return Finding(
        check,
        Severity.NOTE,
        f"not usable, without {', '.join(broken)}",
        f"needed here? `make setup`, or `pip install 'wardlight[{name}]'`",
    )


def data_folder(folder: Folder) -> list[Finding]:
    """Whether readings can be kept there: folder, room, durability and kind of file system."""
    check = f"Data folder {folder.path}"
    if not folder.exists and not folder.error:
        return [Finding(check, Severity.NOTE, "not there yet", "it is made when a service starts")]
    if folder.error:
        remedy = "make it, and give it to the user that runs the service"
        return [Finding(check, Severity.FAILURE, folder.error, remedy)]
    owner = Finding(check, Severity.OK, "writable")
    if not folder.ours:
        owner = Finding(
            check,
            Severity.NOTE,
            "writable, but belongs to another user",
            "ask as that user: `sudo -u USER wardlight doctor`",
        )
    return [owner, _room(folder), _fsync(folder), *_file_system(folder)]


def _room(folder: Folder) -> Finding:
    shown = f"{folder.free_bytes / 1e9:.1f} GB free"
    if folder.free_bytes < FULL_BYTES:
        return Finding(
            "Disk space", Severity.FAILURE, shown, "free some: without room nothing is acknowledged any more"
        )
    if folder.free_bytes < MIN_FREE_BYTES:
        return Finding("Disk space", Severity.WARNING, shown, "free some, or shorten the retention")
    return Finding("Disk space", Severity.OK, shown)


def _fsync(folder: Folder) -> Finding:
    if folder.fsync_ms is None:
        return Finding(
            "Durable writes", Severity.FAILURE, "a test file could not be synced", "check the disk and its mount"
        )
    shown = f"{folder.fsync_ms:.1f} ms per fsync"
    if folder.fsync_ms > SLOW_FSYNC_MS:
        return Finding(
            "Durable writes", Severity.WARNING, shown, "use a faster disk: every acknowledgement waits for it"
        )
    return Finding("Durable writes", Severity.OK, shown)


def _file_system(folder: Folder) -> list[Finding]:
    if folder.file_system in NETWORK_FILE_SYSTEMS:
        remedy = "use a local disk: SQLite cannot share its log over the network"
        return [Finding("File system", Severity.FAILURE, f"{folder.file_system} is a network file system", remedy)]
    if folder.file_system in MEMORY_FILE_SYSTEMS:
        remedy = "use a disk: this is gone after a restart of the machine"
        return [Finding("File system", Severity.WARNING, f"{folder.file_system} lives in memory", remedy)]
    return []


def journal(name: str, state: JournalState | None, error: str = "") -> Finding:
    """One journal file: `None` with no error means that there is none yet."""
    check = f"Journal {name}"
    if error:
        return Finding(check, Severity.FAILURE, error, "the message says what to do; keep the file for the analysis")
    if state is None:
        return Finding(check, Severity.NOTE, "not there yet")
    shown = f"{state.newest:,} records so far, {state.size_bytes / 1e6:.1f} MB held"
    if state.dropped and state.lags:
        remedy = f"`wardlight journal show {name}` says which and when; give it more room"
        return Finding(check, Severity.WARNING, f"{state.dropped:,} records were dropped unread", remedy)
    behind = [f"{cursor} is {lag:,} behind" for cursor, lag in state.lags if lag > FAR_BEHIND]
    if behind:
        return Finding(check, Severity.WARNING, f"{shown}; {', '.join(behind)}", "is that consumer running?")
    return Finding(check, Severity.OK, shown)


def store(error: str, *, exists: bool = True, patients: int = 0) -> Finding:
    """The embedded store: whether it can be read, and how many patients it knows."""
    if error:
        return Finding("Store", Severity.FAILURE, error, "the message says what to do; keep the file for the analysis")
    if not exists:
        return Finding("Store", Severity.NOTE, "not there yet")
    return Finding("Store", Severity.OK, f"readable, {patients:,} patients")


def channels(path: str, error: str = "", names: Sequence[str] = (), second: str = "") -> Finding:
    """Who is told of alarms, and by the `second` channel when they fail; without a `path` no alerts.toml was named."""
    if error:
        return Finding("Notifications", Severity.FAILURE, error, "mend the file; docs/operator.md shows one")
    if not path:
        return Finding("Notifications", Severity.NOTE, "no alerts file named", "check yours with --alerts FILE")
    if not names:
        remedy = "add [[channels]]: nobody hears of an alarm but who looks at the station page"
        return Finding("Notifications", Severity.WARNING, "no channel is configured", remedy)
    if not second:
        remedy = "name a second_channel in [heartbeat]; docs/notifications.md says more"
        detail = f"to {', '.join(names)}; nobody is told when alarms do not get through"
        return Finding("Notifications", Severity.WARNING, detail, remedy)
    return Finding("Notifications", Severity.OK, f"to {', '.join(names)}; to {second} when alarms do not get through")


def clock(synchronised: bool | None, uncertainty_ms: float) -> Finding:
    """The system clock, as the kernel sees it; `None` where it cannot be asked."""
    if synchronised is None:
        return Finding("Clock", Severity.NOTE, "this system does not say whether it is synchronised")
    if synchronised:
        return Finding("Clock", Severity.OK, f"synchronised, within {uncertainty_ms:,.0f} ms")
    return Finding(
        "Clock",
        Severity.WARNING,
        "not synchronised: times of readings and alarms cannot be trusted",
        "switch on time synchronisation: `timedatectl set-ntp true`, or chrony with your own time server",
    )


def port(name: str, number: int, *, free: bool, serving: bool) -> Finding:
    """A port the service listens on; `serving`: the service runs on this data folder right now."""
    check = f"Port {number} ({name})"
    if free:
        return Finding(check, Severity.OK, "free")
    if serving:
        return Finding(check, Severity.OK, "in use while the service runs")
    remedy = f"see who has it with `ss -ltnp 'sport = :{number}'`, or name another port"
    return Finding(check, Severity.FAILURE, "taken by another program", remedy)


def mosquitto(version: str) -> Finding:
    """The optional broker; empty where there is none."""
    if version:
        return Finding("mosquitto", Severity.OK, version)
    return Finding(
        "mosquitto", Severity.NOTE, "not installed", "only needed for a broker of your own, and for the tests"
    )


def ward(path: str, error: str, *, patients: int = 0, devices: int = 0, time_zone: str = "") -> Finding:
    """The ward file; an empty `path` means that none was named."""
    if not path:
        return Finding("Ward", Severity.NOTE, "no ward file named", "check yours with `wardlight doctor --ward FILE`")
    if error:
        return Finding("Ward", Severity.FAILURE, error, "mend the file; docs/operator.md shows one")
    shown = f"{patients} patients, {devices} devices, times in {time_zone}"
    if not patients:
        return Finding("Ward", Severity.WARNING, "nobody is monitored: the file lists no patient", "add [[patients]]")
    if time_zone == "UTC":
        return Finding("Ward", Severity.WARNING, shown, "set time_zone to the ward's, such as 'Europe/Berlin'")
    return Finding("Ward", Severity.OK, shown)


def open_files(limit: int) -> Finding:
    """How many files and connections one process may have open."""
    if limit >= MIN_OPEN_FILES:
        return Finding("Open files", Severity.OK, f"{limit:,} per process")
    return Finding(
        "Open files",
        Severity.WARNING,
        f"{limit:,} per process bounds the gateways that can connect",
        f"`ulimit -n {MIN_OPEN_FILES * 4}` before starting, or LimitNOFILE= in the systemd unit",
    )


def exit_code(findings: Sequence[Finding]) -> int:
    """1 when anything failed, else 0: warnings and notes do not fail a check that runs every night."""
    return int(any(finding.severity is Severity.FAILURE for finding in findings))
