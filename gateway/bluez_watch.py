"""Whether bluetoothd runs and which adapters it has, from D-Bus itself: bleak does not notice when either goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio.message_bus import MessageBus

from gateway.bleak_edge import RadioCallError, bounded

_BLUEZ: Final = "org.bluez"
_ADAPTER: Final = "org.bluez.Adapter1"
_BUS: Final = "org.freedesktop.DBus"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_OBJECTS: Final = "org.freedesktop.DBus.ObjectManager"
_CALL_S: Final = 10.0
_RECONNECT_S: Final = 1.0  # to a bus that is gone: it comes back at once or not for a while

_RULES: Final = (
    f"type='signal',sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',arg0='{_BLUEZ}'",
    f"type='signal',sender='{_BLUEZ}',interface='{_PROPERTIES}',member='PropertiesChanged',arg0='{_ADAPTER}'",
    f"type='signal',sender='{_BLUEZ}',interface='{_OBJECTS}',member='InterfacesAdded',arg0path='/org/bluez/'",
    f"type='signal',sender='{_BLUEZ}',interface='{_OBJECTS}',member='InterfacesRemoved',arg0path='/org/bluez/'",
)


@dataclass(frozen=True, slots=True)
class BluezView:
    """`running`: bluetoothd owns its name on the bus. `powered`: by adapter, such as "hci0"."""

    running: bool = False
    powered: Mapping[str, bool] = field(default_factory=dict)


class BluezWatch:
    """Keeps a `BluezView`; `on_change(before, after)` is called with every change. `run` it in a task."""

    def __init__(self, on_change: Callable[[BluezView, BluezView], None]) -> None:
        self.view = BluezView()
        self._on_change = on_change
        self._bus: MessageBus | None = None
        self._refreshed: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Watch until cancelled; a bus that goes away is connected to again."""
        while True:
            try:
                await self._watch()
            except RadioCallError:
                pass  # the view says it
            finally:
                self._see(BluezView())
            await asyncio.sleep(_RECONNECT_S)

    async def set_powered(self, adapter: str, *, on: bool) -> None:
        """Switch an adapter; raises `RadioCallError`."""
        body = [_ADAPTER, "Powered", Variant("b", on)]
        await self._call(_PROPERTIES, "Set", f"/org/bluez/{adapter}", "ssv", body)

    # -- one connection ----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        bus = MessageBus(bus_type=BusType.SYSTEM)
        try:
            await bounded(bus.connect(), _CALL_S, "the system's D-Bus")
            self._bus = bus
            bus.add_message_handler(self._take)
            for rule in _RULES:
                await self._call(_BUS, "AddMatch", "/org/freedesktop/DBus", "s", [rule], to=_BUS)
            await self._refresh()
            try:
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast's own omission
            except Exception as error:  # it replays whatever ended the connection
                raise RadioCallError(f"the system's D-Bus: {error!r}") from error
        finally:
            self._bus = None
            for task in self._refreshed:
                task.cancel()
            bus.disconnect()

    async def _refresh(self) -> None:
        reply = await self._call(_BUS, "NameHasOwner", "/org/freedesktop/DBus", "s", [_BLUEZ], to=_BUS)
        if not reply.body[0]:
            self._see(BluezView())
            return
        reply = await self._call(_OBJECTS, "GetManagedObjects", "/", "", [])
        found = {
            _name(path): bool(interfaces[_ADAPTER]["Powered"].value)
            for path, interfaces in reply.body[0].items()
            if _ADAPTER in interfaces
        }
        self._see(BluezView(running=True, powered=MappingProxyType(found)))

    async def _call(
        self, interface: str, member: str, path: str, signature: str, body: list[Any], *, to: str = _BLUEZ
    ) -> Message:
        if self._bus is None:
            raise RadioCallError(f"{member}: there is no D-Bus connection")
        call = Message(destination=to, path=path, interface=interface, member=member, signature=signature, body=body)
        reply = await bounded(self._bus.call(call), _CALL_S, member)
        if reply is None or reply.message_type is MessageType.ERROR:
            told = f"{reply.error_name} {reply.body}" if reply is not None else "the bus is gone"
            raise RadioCallError(f"{member}: {told}")
        return reply

    # -- signals -----------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        match message.member:
            case "NameOwnerChanged":
                self._owner_changed(bool(message.body[2]))
            case "PropertiesChanged" if "Powered" in message.body[1]:
                self._adapter(str(message.path), message.body[1]["Powered"].value)
            case "InterfacesAdded" if _ADAPTER in message.body[1]:
                self._adapter(message.body[0], message.body[1][_ADAPTER]["Powered"].value)
            case "InterfacesRemoved" if _ADAPTER in message.body[1]:
                self._adapter(message.body[0], None)

    def _owner_changed(self, owned: bool) -> None:
        self._see(BluezView())  # a new owner knows nothing of the old one's links
        if owned:
            task = asyncio.ensure_future(self._refresh_again())
            self._refreshed.add(task)
            task.add_done_callback(self._refreshed.discard)

    async def _refresh_again(self) -> None:
        try:
            await self._refresh()
        except RadioCallError:
            self._see(BluezView(running=True))  # its adapters come as signals

    def _adapter(self, path: str, powered: bool | None) -> None:
        others = {name: on for name, on in self.view.powered.items() if name != _name(path)}
        now = others if powered is None else {**others, _name(path): powered}
        self._see(replace(self.view, running=True, powered=MappingProxyType(now)))

    def _see(self, view: BluezView) -> None:
        before, self.view = self.view, view
        if before != view:
            self._on_change(before, view)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
