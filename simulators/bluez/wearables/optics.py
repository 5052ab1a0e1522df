"""What every simulated oximeter makes of a second: its numbers and its pulse wave. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulators.bluez.peripheral import Lived
from simulators.timeline import Contact


@dataclass(frozen=True, slots=True)
class Numbers:
    """`spo2_pct`, `pulse_rate`: `None` without a finger and while searching. `perfusion_pct`: 0 without a finger."""

    spo2_pct: int | None
    pulse_rate: int | None
    perfusion_pct: float
    contact: Contact
    doubtful: bool

    @property
    def off(self) -> bool:
        """Whether there is no finger."""
        return self.contact is Contact.PROBE_OFF

    @property
    def searching(self) -> bool:
        """Whether there is a finger and no reading yet."""
        return self.contact is Contact.SEARCHING


def numbers(lived: Lived) -> Numbers:
    """The numbers on the device's display."""
    contact = lived.condition.contact
    worn = contact is Contact.WORN
    return Numbers(
        spo2_pct=round(lived.second.spo2_pct) if worn else None,
        pulse_rate=round(lived.second.heart_rate_per_min) if worn else None,
        perfusion_pct=0.0 if contact is Contact.PROBE_OFF else lived.perfusion_pct,
        contact=contact,
        doubtful=lived.second.motion >= 0.35,  # from here on real devices lower their quality mark
    )


def pleth(lived: Lived, samples: int, lowest: int, highest: int) -> tuple[int, ...]:
    """The pulse wave as displays show it: `samples` numbers for this second, drawn to fill the range.

    Flat in its middle without a finger.
    """
    light = lived.light.infrared.astype(float)
    if lived.condition.contact is Contact.PROBE_OFF or np.ptp(light) == 0:
        return ((lowest + highest) // 2,) * samples
    at = np.linspace(0, light.size - 1, samples)
    drawn = np.interp(at, np.arange(light.size), (light - light.min()) / np.ptp(light))
    return tuple(int(n) for n in np.rint(lowest + drawn * (highest - lowest)))
