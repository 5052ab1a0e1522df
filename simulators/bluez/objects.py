"""The D-Bus objects of BlueZ as values: paths, interfaces and the properties that clients rely on. Pure.

Property names and types follow BlueZ's `doc/org.bluez.*.rst` as bluetoothd 5.66 sends them. 0x1800 is not exported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from dbus_fast import Variant

from simulators.bluez.peripheral import Characteristic, Profile, Service

ADAPTER: Final = "org.bluez.Adapter1"
DEVICE: Final = "org.bluez.Device1"
BATTERY: Final = "org.bluez.Battery1"
SERVICE: Final = "org.bluez.GattService1"
CHARACTERISTIC: Final = "org.bluez.GattCharacteristic1"
DESCRIPTOR: Final = "org.bluez.GattDescriptor1"

CCCD_UUID: Final = "00002902-0000-1000-8000-00805f9b34fb"
BATTERY_LEVEL_UUID: Final = "00002a19-0000-1000-8000-00805f9b34fb"
FIRST_HANDLE: Final = 0x000A  # below are the services that BlueZ keeps to itself
HANDLES_MOVE_BY: Final = 0x0100  # when a firmware rearranges its table
ATT_MTU: Final = 247

Properties: TypeAlias = dict[str, Variant]
Interfaces: TypeAlias = dict[str, Properties]


def adapter_path(name: str) -> str:
    """`hci0` → its object."""
    return f"/org/bluez/{name}"


def device_path(adapter: str, address: str) -> str:
    """The object of a device that an adapter knows."""
    return f"{adapter_path(adapter)}/dev_{address.replace(':', '_')}"


def adapter_properties(address: str, name: str, *, powered: bool, discovering: bool) -> Properties:
    """Of `Adapter1`."""
    return {
        "Address": Variant("s", address),
        "AddressType": Variant("s", "public"),
        "Name": Variant("s", name),
        "Alias": Variant("s", name),
        "Class": Variant("u", 0),
        "Powered": Variant("b", powered),
        "Discoverable": Variant("b", False),
        "DiscoverableTimeout": Variant("u", 180),
        "Pairable": Variant("b", False),
        "PairableTimeout": Variant("u", 0),
        "Discovering": Variant("b", discovering),
        "UUIDs": Variant("as", []),
        "Roles": Variant("as", ["central", "peripheral"]),
    }


def device_properties(
    address: str, adapter: str, profile: Profile, *, connected: bool, resolved: bool, paired: bool, rssi_dbm: int | None
) -> Properties:
    """Of `Device1`; a device that is not being heard has no `RSSI`."""
    properties = {
        "Address": Variant("s", address),
        "AddressType": Variant("s", "random"),
        "Name": Variant("s", profile.name),
        "Alias": Variant("s", profile.name or address.replace(":", "-")),
        "Adapter": Variant("o", adapter_path(adapter)),
        "Paired": Variant("b", paired),
        "Bonded": Variant("b", paired),
        "Trusted": Variant("b", False),
        "Blocked": Variant("b", False),
        "LegacyPairing": Variant("b", False),
        "Connected": Variant("b", connected),
        "ServicesResolved": Variant("b", resolved),
        "UUIDs": Variant("as", list(profile.advertised)),
    }
    if not profile.name:
        del properties["Name"]
    if profile.manufacturer_data:
        data = {company: Variant("ay", value) for company, value in profile.manufacturer_data.items()}
        properties["ManufacturerData"] = Variant("a{qv}", data)
    if rssi_dbm is not None:
        properties["RSSI"] = Variant("n", rssi_dbm)
    return properties


@dataclass(frozen=True, slots=True)
class GattObject:
    """A service, characteristic or descriptor under its path. `characteristic`: what it is or belongs to."""

    path: str
    interface: str
    properties: Mapping[str, Variant]
    characteristic: Characteristic | None = None

    def exported(self, *, notifying: bool = False, acquired: bool = False) -> Interfaces:
        """The object as `InterfacesAdded` and `GetManagedObjects` show it."""
        properties = dict(self.properties)
        if self.interface == CHARACTERISTIC and self.characteristic is not None and self.characteristic.notifies:
            properties["Notifying"] = Variant("b", notifying)
            if "notify" in self.characteristic.flags:
                properties["NotifyAcquired"] = Variant("b", acquired)
        return {self.interface: properties}


def gatt_objects(device: str, services: tuple[Service, ...], moves: int = 0) -> dict[str, GattObject]:
    """The GATT objects of a device by path, parents first. `moves`: how often the table has been rearranged."""
    found: dict[str, GattObject] = {}
    handle = FIRST_HANDLE + moves * HANDLES_MOVE_BY
    for service in services:
        path = f"{device}/service{handle:04x}"
        found[path] = _service(path, device, service)
        handle += 1
        for characteristic in service.characteristics:
            for made in _characteristic(path, handle, characteristic):
                found[made.path] = made
            handle += 2 + characteristic.notifies
    return found


def _service(path: str, device: str, service: Service) -> GattObject:
    properties = {
        "UUID": Variant("s", service.uuid),
        "Device": Variant("o", device),
        "Primary": Variant("b", True),
        "Includes": Variant("ao", []),
    }
    return GattObject(path, SERVICE, properties)


def _characteristic(service: str, handle: int, characteristic: Characteristic) -> Iterator[GattObject]:
    path = f"{service}/char{handle:04x}"
    properties: dict[str, Any] = {
        "UUID": Variant("s", characteristic.uuid),
        "Service": Variant("o", service),
        "Flags": Variant("as", list(characteristic.flags)),
        "Value": Variant("ay", b""),
        "MTU": Variant("q", ATT_MTU),
    }
    yield GattObject(path, CHARACTERISTIC, properties, characteristic)
    if characteristic.notifies:
        properties = {
            "UUID": Variant("s", CCCD_UUID),
            "Characteristic": Variant("o", path),
            "Value": Variant("ay", b""),
        }
        yield GattObject(f"{path}/desc{handle + 2:04x}", DESCRIPTOR, properties, characteristic)
