"""What nearly every wearable offers besides its readings: battery level and device information. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.gatt import battery
from gateway.gatt.battery import BatteryLevel
from gateway.gatt.device_information import encode_text
from gateway.gatt.frame import uuid16
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Service

READ_NOT_PERMITTED: Final = 0x02
WRITE_NOT_PERMITTED: Final = 0x03
NOT_SUPPORTED: Final = 0x06

BATTERY: Final = Service(uuid16(0x180F), (Characteristic(battery.LEVEL, ("read", "notify")),))
_TEXTS: Final = (
    uuid16(0x2A29),
    uuid16(0x2A24),
    uuid16(0x2A25),
    uuid16(0x2A26),
)  # manufacturer, model, serial, firmware


@dataclass(frozen=True, slots=True)
class Label:
    """What a device says of itself."""

    manufacturer: str
    model: str
    serial: str = "0001"
    firmware: str = "1.0.0"

    @property
    def service(self) -> Service:
        """The Device Information service."""
        return Service(uuid16(0x180A), tuple(Characteristic(uuid, ("read",)) for uuid in _TEXTS))

    @property
    def values(self) -> Mapping[str, bytes]:
        """Its values by characteristic."""
        texts = (self.manufacturer, self.model, self.serial, self.firmware)
        return {uuid: encode_text(text) for uuid, text in zip(_TEXTS, texts, strict=True)}


def battery_level(percent: float) -> bytes:
    """The value of 0x2A19."""
    return BatteryLevel(round(percent)).encode()


def told_battery(before_pct: float, lived: Lived) -> Iterator[Notification]:
    """A battery level is notified when it changes, and once a minute."""
    now_pct = lived.condition.battery_pct
    if round(now_pct) != round(before_pct) or lived.at_s % 60 == 0:
        yield Notification(battery.LEVEL, battery_level(now_pct))


def readable(uuid: str, label: Label, battery_pct: float, more: Mapping[str, bytes]) -> bytes:
    """The value of a readable characteristic; raises `AttError` for any other."""
    values = {battery.LEVEL: battery_level(battery_pct), **label.values, **more}
    if uuid not in values:
        raise AttError(READ_NOT_PERMITTED)
    return values[uuid]
