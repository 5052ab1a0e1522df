"""How long things take on the simulated radio. Pure."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Timing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds each. `connected_lead_s`: between `Connected` and the reply to Connect, which travel on two connections
    of a bleak client: much below 3 ms the reply may win, and bleak takes the device for disconnected. `forget_after_s`:
    a device that was only heard is dropped so long after the scan. `second_s`: what a wearer's second lasts.
    """

    connect_s: float = 0.01
    connected_lead_s: float = 0.005
    unreachable_s: float = 20.0
    discovery_s: float = 0.01
    disconnect_s: float = 0.02
    advertise_every_s: float = 0.05
    forget_after_s: float = 30.0
    second_s: float = 1.0


FAST: Final = Timing()
REAL: Final = Timing(connect_s=0.6, discovery_s=1.2, disconnect_s=2.0, advertise_every_s=1.0)
