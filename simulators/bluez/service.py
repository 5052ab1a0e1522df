"""Method calls to `org.bluez`: a table of what is answered by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from dbus_fast import Message, MessageFlag, Variant

from simulators.bluez import faults
from simulators.bluez.adapter import Adapter
from simulators.bluez.connection import Connection
from simulators.bluez.device import Device
from simulators.bluez.objects import ADAPTER, CHARACTERISTIC, DESCRIPTOR, DEVICE, GattObject, Interfaces
from simulators.bluez.peripheral import AttError

if TYPE_CHECKING:
    from simulators.bluez.daemon import Bluetoothd

_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"
_OWN_HANGS: Final = ("Connect",)  # a device that is connecting for ever can be told to stop


class Service:
    """Finds the object that a call is for, lets faults have their way, and calls the method."""

    def __init__(self, daemon: Bluetoothd) -> None:
        self._daemon = daemon

    @property
    def _bus(self) -> Connection:
        return self._daemon.connection

    def receive(self, call: Message) -> None:
        """Answer a call, now or later or, if a fault wants it, never."""
        path, key = str(call.path), (str(call.interface), str(call.member))
        if key == (_MANAGER, "GetManagedObjects"):
            self._bus.reply(call, "a{oa{sa{sv}}}", self._daemon.exported())
        elif path in {"/", "/org", "/org/bluez"}:
            self._root(call, key)
        elif (found := self._daemon.find(path)) is None:
            text = f'Method "{key[1]}" with signature "{call.signature}" on interface "{key[0]}" doesn\'t exist'
            self._bus.fail(call, faults.UNKNOWN_OBJECT, text)
        else:
            self._dispatch(call, key, *found)

    def _dispatch(self, call: Message, key: tuple[str, str], adapter: Adapter, below: Device | None, at: Any) -> None:
        owner = adapter if below is None else below.peripheral
        if key[1] in owner.faults.hangs and key[1] not in _OWN_HANGS:
            return
        if key[1] not in _OWN_HANGS and (failure := owner.budget.take(key[1])) is not None:
            self._bus.fail(call, failure.error, failure.message)
        elif key[0] == _PROPERTIES:
            self._property(call, adapter, self._interfaces(adapter, below, at))
        elif key in _ADAPTER_METHODS and below is None:
            _ADAPTER_METHODS[key](adapter, call)
        elif key in _DEVICE_METHODS and below is not None and at is None:
            _DEVICE_METHODS[key](below, call)
        elif key in _GATT_METHODS and below is not None and at is not None:
            self._gatt(call, key, below, at)
        else:
            self._unknown_method(call)

    def _root(self, call: Message, key: tuple[str, str]) -> None:
        """bluetoothctl registers an agent; nobody is ever asked."""
        if key[0] == "org.bluez.AgentManager1":
            self._bus.reply(call)
        else:
            self._unknown_method(call)

    def _unknown_method(self, call: Message) -> None:
        if not call.flags & MessageFlag.NO_REPLY_EXPECTED:
            self._bus.fail(call, faults.UNKNOWN_METHOD, f"{call.interface}.{call.member} is not simulated")

    # ── properties ──

    @staticmethod
    def _interfaces(adapter: Adapter, below: Device | None, at: GattObject | None) -> Interfaces:
        if below is None:
            return adapter.interfaces()
        return below.interfaces() if at is None else at.exported(notifying=below.subscriptions.listening(at.path))

    def _property(self, call: Message, adapter: Adapter, interfaces: Interfaces) -> None:
        own = interfaces.get(call.body[0], {})
        if call.member == "GetAll":
            self._bus.reply(call, "a{sv}", own)
        elif call.member == "Set":
            self._set(call, adapter)
        elif call.body[1] in own:
            self._bus.reply(call, "v", own[call.body[1]])
        else:
            self._bus.fail(call, "org.freedesktop.DBus.Error.InvalidArgs", f"No such property '{call.body[1]}'")

    def _set(self, call: Message, adapter: Adapter) -> None:
        """`Powered` has an effect; others (Trusted, Pairable …) are accepted and mean nothing here."""
        interface, name, value = call.body
        self._bus.reply(call)
        if (interface, name) == (ADAPTER, "Powered"):
            adapter.set_power(on=value.value)

    # ── GATT ──

    def _gatt(self, call: Message, key: tuple[str, str], device: Device, target: GattObject) -> None:
        if not device.link.connected:
            self._bus.fail(call, faults.FAILED, "Not connected")
            return
        try:
            _GATT_METHODS[key](call, device, target)
        except AttError as refused:
            self._bus.fail(call, faults.FAILED, str(refused))


def _read(call: Message, device: Device, target: GattObject) -> None:
    assert target.characteristic is not None
    if "read" not in target.characteristic.flags:
        device.bus.fail(call, faults.NOT_PERMITTED, "Read not permitted")
        return
    value = device.peripheral.read(target.characteristic.uuid)
    device.bus.changed(target.path, CHARACTERISTIC, {"Value": Variant("ay", value)})
    device.bus.reply(call, "ay", value)


def _write(call: Message, device: Device, target: GattObject) -> None:
    assert target.characteristic is not None
    if not {"write", "write-without-response"} & set(target.characteristic.flags):
        device.bus.fail(call, faults.NOT_PERMITTED, "Write not permitted")
        return
    said = device.peripheral.write(target.characteristic.uuid, bytes(call.body[0]))
    device.bus.reply(call)
    device.peripheral.send_all(said)


def _read_descriptor(call: Message, device: Device, target: GattObject) -> None:
    listening = device.subscriptions.listening(target.path.rpartition("/")[0])
    device.bus.reply(call, "ay", bytes([listening, 0]))


def _start_notify(call: Message, device: Device, target: GattObject) -> None:
    device.subscriptions.start(call, target)


def _stop_notify(call: Message, device: Device, target: GattObject) -> None:
    device.subscriptions.stop(call, target)


def _acquire_notify(call: Message, device: Device, target: GattObject) -> None:
    device.subscriptions.acquire(call, target)


def _set_discovery_filter(adapter: Adapter, call: Message) -> None:
    """Accepted; everything in range is reported, which bleak filters itself."""
    adapter.connection.reply(call)


def _remove_device(adapter: Adapter, call: Message) -> None:
    device = next((d for d in adapter.devices.values() if d.known and d.path == call.body[0]), None)
    if device is None:
        adapter.connection.fail(call, faults.DOES_NOT_EXIST, "Does Not Exist")
        return
    device.remove()
    adapter.connection.reply(call)


_ADAPTER_METHODS: Final[Mapping[tuple[str, str], Callable[[Adapter, Message], None]]] = MappingProxyType(
    {
        (ADAPTER, "SetDiscoveryFilter"): _set_discovery_filter,
        (ADAPTER, "StartDiscovery"): Adapter.start_discovery,
        (ADAPTER, "StopDiscovery"): Adapter.stop_discovery,
        (ADAPTER, "RemoveDevice"): _remove_device,
    }
)
_DEVICE_METHODS: Final[Mapping[tuple[str, str], Callable[[Device, Message], None]]] = MappingProxyType(
    {
        (DEVICE, "Connect"): Device.connect,
        (DEVICE, "Pair"): Device.connect,
        (DEVICE, "Disconnect"): Device.disconnect,
    }
)
_GATT_METHODS: Final[Mapping[tuple[str, str], Callable[[Message, Device, GattObject], None]]] = MappingProxyType(
    {
        (CHARACTERISTIC, "ReadValue"): _read,
        (CHARACTERISTIC, "WriteValue"): _write,
        (CHARACTERISTIC, "StartNotify"): _start_notify,
        (CHARACTERISTIC, "StopNotify"): _stop_notify,
        (CHARACTERISTIC, "AcquireNotify"): _acquire_notify,
        (DESCRIPTOR, "ReadValue"): _read_descriptor,
    }
)
