"""Who has subscribed to the characteristics of one device, and how a value reaches them.

As bluetoothd does it: a session belongs to a client's D-Bus connection, outlives the radio link, is live again with the
next one, and each session of a characteristic emits the value once more. A client that reconnects without having closed
its old connection therefore hears everything twice, then three times.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial

from dbus_fast import Message, Variant

from simulators.bluez import faults, objects
from simulators.bluez.connection import Connection
from simulators.bluez.objects import GattObject


class Subscriptions:
    """The notify sessions of one device, by the path of the characteristic."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sessions: dict[str, list[str]] = {}
        self._acquired: dict[str, socket.socket] = {}

    def start(self, call: Message, target: GattObject) -> None:
        """`StartNotify`."""
        assert target.characteristic is not None
        if not target.characteristic.notifies:
            self._connection.fail(call, faults.NOT_SUPPORTED, "Operation is not supported")
        elif self._held(target.path):
            self._connection.fail(call, faults.NOT_PERMITTED, "Notify acquired")
        else:
            senders = self._sessions.setdefault(target.path, [])
            if str(call.sender) not in senders:
                senders.append(str(call.sender))
            self._connection.reply(call)
            self._tell(target.path, "Notifying", on=True)

    def stop(self, call: Message, target: GattObject) -> None:
        """`StopNotify`."""
        senders = self._sessions.get(target.path, [])
        if call.sender not in senders:
            self._connection.fail(call, faults.FAILED, "No notify session started")
            return
        senders.remove(call.sender)
        self._connection.reply(call)
        if not senders:
            self._tell(target.path, "Notifying", on=False)

    def acquire(self, call: Message, target: GattObject) -> None:
        """`AcquireNotify`: a socket for one client alone, past the bus."""
        assert target.characteristic is not None
        if "notify" not in target.characteristic.flags:
            self._connection.fail(call, faults.NOT_SUPPORTED, "Operation is not supported")
        elif self._sessions.get(target.path):
            self._connection.fail(call, faults.IN_PROGRESS, "In Progress")
        elif self._held(target.path):
            self._connection.fail(call, faults.NOT_PERMITTED, "Notify acquired")
        else:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            self._acquired[target.path] = ours
            self._connection.hand_over(call, theirs, objects.ATT_MTU)
            self._tell(target.path, "NotifyAcquired", on=True)

    def listening(self, path: str) -> bool:
        """Whether a value of this characteristic would reach anybody."""
        return bool(self._sessions.get(path)) or self._held(path)

    @property
    def paths(self) -> list[str]:
        """The characteristics that somebody listens to."""
        return [path for path in [*self._sessions, *self._acquired] if self.listening(path)]

    def deliver(self, path: str, value: bytes, on_delivered: Callable[[int], None]) -> bool:
        """Send a value to whoever listens; `on_delivered(copies)` once all is sent. Whether anything was accepted."""
        if self._held(path):
            return self._write(path, value, on_delivered)
        copies = len(self._sessions.get(path, ()))
        changed = Variant("ay", value)
        taken = 0
        for number in range(copies):
            done = partial(on_delivered, copies) if number == copies - 1 else None
            taken += self._connection.notify(path, objects.CHARACTERISTIC, "Value", changed, done)
        return taken > 0

    def forget_client(self, sender: str) -> None:
        """A client has left the bus."""
        for senders in self._sessions.values():
            if sender in senders:
                senders.remove(sender)

    def unlink(self) -> None:
        """The link is down: acquired sockets close, sessions wait for the next link."""
        for path in list(self._acquired):
            self._release(path)

    def clear(self) -> None:
        """The objects are gone."""
        self.unlink()
        self._sessions.clear()

    def _held(self, path: str) -> bool:
        """Whether a client has acquired the characteristic and still has its end of the socket."""
        if path not in self._acquired:
            return False
        try:
            ended = not self._acquired[path].recv(1)
        except BlockingIOError:
            ended = False
        if ended:
            self._release(path)
            self._tell(path, "NotifyAcquired", on=False)
        return not ended

    def _write(self, path: str, value: bytes, on_delivered: Callable[[int], None]) -> bool:
        try:
            os.write(self._acquired[path].fileno(), value)
        except OSError:
            return False  # the client does not read, or has just gone: its loss, as with a real bluetoothd
        on_delivered(1)
        return True

    def _release(self, path: str) -> None:
        self._acquired.pop(path).close()

    def _tell(self, path: str, name: str, *, on: bool) -> None:
        self._connection.changed(path, objects.CHARACTERISTIC, {name: Variant("b", on)})
