"""Numbers that the server derives from a wearable's waveforms are readings of a device of their own: `ox-02:ppg`.

So everybody sees where they come from, and they never stand in the place of what the wearable itself said. No such
device exists: its silence is no finding, and it has nothing technical to alarm about.
"""

from __future__ import annotations

from typing import Final

SUFFIX: Final = ":ppg"
_LONGEST: Final = 64  # characters of a device's name (vitals.topics)


def derived_name(device: str) -> str | None:
    """The device that numbers from the pulse wave of `device` belong to; `None` when that name would be too long."""
    return None if is_derived(device) or len(device) + len(SUFFIX) > _LONGEST else device + SUFFIX


def is_derived(device: str) -> bool:
    """Whether the readings of `device` come from another one's waveforms."""
    return device.endswith(SUFFIX)


def source_of(device: str) -> str:
    """The wearable that a derived device's numbers come from; the device itself when it is one."""
    return device.removesuffix(SUFFIX)
