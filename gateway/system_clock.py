"""What this computer says of its clocks. The shell under `timekeeper`."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Final

from gateway.timekeeper import ClockReading

_TIMESYNCD: Final = Path("/run/systemd/timesync/synchronized")  # made when systemd-timesyncd first sets the clock
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_BUFFER_BYTES: Final = 512  # struct timex is 208 on 64-bit Linux; all zero it changes nothing


def read_clocks() -> ClockReading:
    """Both clocks, and whether the wall clock is synchronised."""
    return ClockReading(time.time_ns(), time.monotonic_ns(), is_synchronised())


def is_synchronised() -> bool:
    """What the kernel says (any NTP or PTP daemon tells it); where it may not be asked, what systemd-timesyncd says."""
    timex = ctypes.create_string_buffer(_BUFFER_BYTES)  # modes = 0: a question
    state = _LIBC.adjtimex(timex)
    if state < 0:
        return _TIMESYNCD.exists()
    return bool(state != _TIME_ERROR)


def boot_id() -> str:
    """Names this boot: within one, the monotonic clock goes on across restarts of this process."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"process-{os.getpid()}-{time.monotonic_ns()}"  # nothing can be said across restarts


_LIBC: Final = ctypes.CDLL(None, use_errno=True)
