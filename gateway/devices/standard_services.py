"""What any wearable may offer besides its readings: battery level and device information. Pure.

A driver adds `ACTIONS` to its first actions and asks `heard` for what it does not know itself.
"""

from __future__ import annotations

from typing import Final

from gateway.devices.driver import NOTHING, Action, Heard, Read, Subscribe
from gateway.devices.reading import reading
from gateway.gatt import battery, device_information
from gateway.gatt.battery import BatteryLevel
from gateway.gatt.device_information import TEXTS, decode_text
from vitals.model import Vital

#: All optional. They come after a driver's own actions, so that readings do not wait for them.
ACTIONS: Final[tuple[Action, ...]] = (
    Subscribe(battery.LEVEL, optional=True),
    Read(battery.LEVEL, optional=True),
    *(Read(uuid, optional=True) for uuid in device_information.TEXTS),
)


def heard(uuid: str, data: bytes, at_monotonic_ns: int) -> Heard:
    """What a battery or device information value tells, nothing for any other; raises `FrameError`."""
    if uuid == battery.LEVEL:
        level = BatteryLevel.decode(data)
        return Heard(samples=(reading(Vital.BATTERY, at_monotonic_ns, level.percent, level.reason),))
    if uuid in TEXTS:
        return Heard(notes={TEXTS[uuid]: decode_text(data)})
    return NOTHING
