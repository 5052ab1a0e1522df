"""The simulated bluetoothd's connection to the bus: raw messages in, raw messages and signals out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dbus_fast import Message, MessageType, NameFlag, RequestNameReply, Variant
from dbus_fast.aio import MessageBus

from simulators.bluez.objects import Interfaces
from simulators.bluez.outbox import Outbox, Parcel
from vitals.errors import PermanentError

NAME: Final = "org.bluez"
_OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_OWNERS: Final = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"


class Connection(MessageBus):
    """A `MessageBus` that never gives up on a full socket. `on_gone`: a client has left the bus, by unique name."""

    def __init__(self, address: str, on_call: Callable[[Message], None], on_gone: Callable[[str], None]) -> None:
        super().__init__(bus_address=address, negotiate_unix_fd=True)
        self._on_call = on_call
        self._on_gone = on_gone
        self._outbox: Outbox | None = None

    async def open(self) -> None:
        """Connect and own `org.bluez`; raises `PermanentError` when somebody else owns it."""
        await self.connect()
        assert self._sock is not None
        self._outbox = Outbox(self._sock, self._finalize)
        self.add_message_handler(self._receive)
        await self.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=[_OWNERS],
            )
        )
        if await self.request_name(NAME, NameFlag.DO_NOT_QUEUE) is not RequestNameReply.PRIMARY_OWNER:
            raise PermanentError(f"{NAME} is owned by another process on this bus: give the simulator a private bus")

    async def wait_until_gone(self) -> None:
        """Until the bus is gone or `close` was called; raises `OSError` or `EOFError` in the first case."""
        await self._disconnect_future

    def send(self, msg: Message) -> Any:
        """As the base class, through our buffer once the connection is open."""
        if self._outbox is None:
            return super().send(msg)
        self._outbox.put(self._parcel(msg))
        done = self._loop.create_future()
        done.set_result(None)
        return done

    def reply(self, call: Message, signature: str = "", *body: Any) -> None:
        """Answer a call."""
        self.send(Message.new_method_return(call, signature, list(body)))

    def hand_over(self, call: Message, end: socket.socket, mtu: int) -> None:
        """Answer a call with one end of a pair of sockets, which is the caller's from then on."""
        assert self._outbox is not None
        message = Message.new_method_return(call, "hq", [0, mtu], [end.fileno()])
        self._outbox.put(self._parcel(message, end.close))

    def fail(self, call: Message, error: str, message: str) -> None:
        """Answer a call with an error."""
        self.send(Message.new_error(call, error, message))

    def notify(
        self, path: str, interface: str, name: str, value: Variant, on_sent: Callable[[], None] | None = None
    ) -> bool:
        """A changed value that may be dropped when the bus does not keep up; whether it was taken."""
        assert self._outbox is not None
        return self._outbox.offer(self._parcel(_changed(path, interface, {name: value}, ()), on_sent))

    def changed(
        self, path: str, interface: str, values: Mapping[str, Variant], invalidated: Sequence[str] = ()
    ) -> None:
        """`PropertiesChanged`."""
        self.send(_changed(path, interface, values, invalidated))

    def added(self, path: str, interfaces: Interfaces) -> None:
        """`InterfacesAdded`."""
        self.send(Message.new_signal("/", _OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces]))

    def removed(self, path: str, interfaces: Sequence[str]) -> None:
        """`InterfacesRemoved`."""
        self.send(Message.new_signal("/", _OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, list(interfaces)]))

    def close(self) -> None:
        """Leave the bus without a word, as a killed process does."""
        if self._outbox is not None:
            self._outbox.close()
        self.disconnect()

    def _parcel(self, message: Message, on_sent: Callable[[], None] | None = None) -> Parcel:
        if not message.serial:
            message.serial = self.next_serial()
        data = message._marshall(True)  # noqa: SLF001 - dbus-fast has no public way to bytes
        return Parcel(bytes(data), tuple(message.unix_fds), on_sent)

    def _receive(self, message: Message) -> bool:
        if message.message_type is MessageType.METHOD_CALL:
            self._on_call(message)
            return True
        if message.member == "NameOwnerChanged" and not message.body[2]:
            self._on_gone(message.body[0])
        return False


def _changed(path: str, interface: str, values: Mapping[str, Variant], invalidated: Sequence[str]) -> Message:
    body = [interface, dict(values), list(invalidated)]
    return Message.new_signal(path, _PROPERTIES, "PropertiesChanged", "sa{sv}as", body)
