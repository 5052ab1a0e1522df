"""The one error of every decoder here, and the names of GATT characteristics. Pure."""

from __future__ import annotations

from typing import Final

from vitals.errors import PermanentError

_BASE: Final = "-0000-1000-8000-00805f9b34fb"


class FrameError(PermanentError):
    """Bytes that do not follow the characteristic's layout: nothing of them may be used.

    `reason`: a stable code that is counted (`truncated`, `length`, `checksum`, `sync`, `value`); `field`: the name
    of the field in the layout, `""` for the frame as a whole.
    """

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


def uuid16(number: int) -> str:
    """The 128-bit text form of a number assigned by the Bluetooth SIG, in lower case, as BlueZ writes it."""
    return f"{number:08x}{_BASE}"
