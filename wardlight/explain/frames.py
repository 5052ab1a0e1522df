"""What an entry of the table of frames is. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.devices.driver import Driver
from gateway.gatt.reader import Reader


@dataclass(frozen=True, slots=True)
class FrameKind:
    """One kind of frame that can be explained.

    `names`: what people may call it, in lower case, such as "nonin". `uuid`: of its characteristic, 128 bits, lower
    case, `""` for a frame that comes over none of its own; the 16 bits of a number of the SIG are understood as well.
    `read`: takes the fields from a `Reader` in their order; whatever it took is shown, also when it ends with
    `FrameError`. `driver`: what makes readings of it, fed with the frame as the first one of a connection; `None`
    when Wardlight makes none of it.
    """

    names: tuple[str, ...]
    title: str
    uuid: str
    read: Callable[[Reader], object]
    driver: Driver | None = None
