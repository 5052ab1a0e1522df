"""A bounded buffer of D-Bus messages in front of a socket that may be slow.

`dbus-fast` gives the whole connection up when the kernel's buffer is full (EAGAIN), which a simulator under load must
not do; here the rest waits until the socket takes it.
"""

from __future__ import annotations

import asyncio
import socket
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_DROPPABLE_BYTES: Final = 8 << 20  # ten seconds of 2,000 notifications/s at 400 bytes; beyond, notifications go
MAX_BYTES: Final = 16 << 20  # beyond, the bus does not read at all and is given up


@dataclass(frozen=True, slots=True)
class Parcel:
    """One marshalled message. `on_sent`: called when the kernel has taken all of it."""

    data: bytes
    fds: tuple[int, ...] = ()
    on_sent: Callable[[], None] | None = None


class Outbox:
    """Sends in order. `on_error`: called once when the socket is broken or nobody reads it any more."""

    def __init__(self, sock: socket.socket, on_error: Callable[[Exception], None]) -> None:
        self._sock = sock
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Parcel] = deque()
        self._offset = 0  # of the first parcel, already sent
        self._bytes = 0
        self._armed = False

    def offer(self, parcel: Parcel) -> bool:
        """Send it unless too much is waiting; for notifications. Whether it was taken."""
        if self._bytes > MAX_DROPPABLE_BYTES:
            return False
        self.put(parcel)
        return True

    def put(self, parcel: Parcel) -> None:
        """Send it, at once when nothing is waiting."""
        self._waiting.append(parcel)
        self._bytes += len(parcel.data)
        if self._bytes > MAX_BYTES:
            self._fail(BufferError(f"the bus has not read for {MAX_BYTES >> 20} MiB"))
        elif not self._armed:
            self._flush()

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._armed:
            self._loop.remove_writer(self._sock)
            self._armed = False

    def _flush(self) -> None:
        try:
            while self._waiting:
                self._send(self._waiting[0])
        except BlockingIOError:
            self._arm(waiting=True)
        except OSError as error:
            self._fail(error)
        else:
            self._arm(waiting=False)

    def _send(self, parcel: Parcel) -> None:
        """Send as much as goes of the first parcel."""
        rest = memoryview(parcel.data)[self._offset :]
        if parcel.fds and not self._offset:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", parcel.fds))]
            self._offset += self._sock.sendmsg([rest], rights)
        else:
            self._offset += self._sock.send(rest)
        if self._offset == len(parcel.data):
            self._waiting.popleft()
            self._offset = 0
            self._bytes -= len(parcel.data)
            if parcel.on_sent is not None:
                parcel.on_sent()

    def _arm(self, *, waiting: bool) -> None:
        if waiting and not self._armed:
            self._loop.add_writer(self._sock, self._flush)
        elif self._armed and not waiting:
            self._loop.remove_writer(self._sock)
        self._armed = waiting

    def _fail(self, error: Exception) -> None:
        self.close()
        self._on_error(error)
