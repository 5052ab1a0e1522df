"""Every kind of wearable that the gateway knows, in the order in which they are asked. Pure.

A new device is one line here: vendors first, because many of them advertise a standard service besides their own.
"""

from __future__ import annotations

from typing import Final

from gateway.devices import nonin, polar
from gateway.devices.berrymed import BerryDriver
from gateway.devices.creative import CreativeDriver
from gateway.devices.driver import Driver, Seen
from gateway.devices.heart_rate import HeartRateDriver
from gateway.devices.jumper import JumperDriver
from gateway.devices.pulse_oximeter import PulseOximeterDriver
from gateway.devices.thermometer import ThermometerDriver
from gateway.devices.viatom import ViatomDriver

VENDORS: Final[tuple[Driver, ...]] = (
    *nonin.drivers(),
    *polar.drivers(),
    BerryDriver(),
    ViatomDriver(),
    JumperDriver(),
    CreativeDriver(),
)
GENERIC: Final[tuple[Driver, ...]] = (PulseOximeterDriver(), HeartRateDriver(), ThermometerDriver())
DRIVERS: Final[tuple[Driver, ...]] = (*VENDORS, *GENERIC)


def driver_for(seen: Seen) -> Driver | None:
    """The first driver that knows this advertisement; `None` when no driver does."""
    return next((driver for driver in DRIVERS if driver.matches(seen)), None)


def driver_named(name: str) -> Driver | None:
    """The driver that the configuration calls `name`; `None` when there is none of that name."""
    return next((driver for driver in DRIVERS if driver.name == name), None)
