"""Numbers that the server makes itself are readings of virtual devices, named after what they are made from.

    ox-02:ppg      from the pulse wave of `ox-02`
    strap-01:rr    from the RR intervals of `strap-01`
    P-0001:best    the best value of patient P-0001: what the source named in the row's `source` said

So everybody sees where they come from, and they never stand in the place of what a wearable itself said. No such device
exists: its silence is no finding, and it has nothing technical to alarm about. A message from outside must not
speak in their names.
"""

from __future__ import annotations

from typing import Final

_PPG: Final = ":ppg"
_RR: Final = ":rr"
_BEST: Final = ":best"
RESERVED: Final = r":(ppg|rr|best)\Z"  # how no wearable's name may end
_LONGEST: Final = 64  # characters of a device's name (vitals.topics)


def derived_name(device: str) -> str | None:
    """The device that numbers from the pulse wave of `device` belong to; `None` when that name would be too long."""
    return _named(device, _PPG)


def intervals_name(device: str) -> str | None:
    """The device that numbers from the RR intervals of `device` belong to; `None` when that name would be too long."""
    return _named(device, _RR)


def best_name(patient: str) -> str | None:
    """The device that the best values of `patient` belong to; `None` for nobody, and when the name would be too long.

    A pseudonym is 59 characters long at most to have one.
    """
    return _named(patient, _BEST) if patient else None


def is_best(device: str) -> bool:
    """Whether the readings of `device` are the best values of a patient."""
    return device.endswith(_BEST)


def is_virtual(device: str) -> bool:
    """Whether the server itself makes the readings of `device`, from those of others."""
    return device.endswith((_PPG, _RR, _BEST))


def source_of(device: str) -> str:
    """The wearable that a virtual device's numbers come from; the device itself when it is one.

    A best value's source changes from row to row (`vitals.columns`, `source`): its device is returned as it is.
    """
    return device.removesuffix(_PPG).removesuffix(_RR)


def _named(owner: str, suffix: str) -> str | None:
    return None if is_virtual(owner) or len(owner) + len(suffix) > _LONGEST else owner + suffix
