"""What the gateways of `chaos.py` hear: a function of the seed, so that the truth needs no notebook.

Message k of a gateway is second k of the story. A gateway that was killed goes on after the newest message of its
spool, and whoever checks the store knows what every second said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vitals.model import DeviceBatch, Quality, Reason, Sample, Vital, Waveform, WaveformBlock

SITE = "chaos"
PPG_RATE_HZ = 25.0
_NS = 1_000_000_000
_RATES = {Vital.PULSE_RATE: (60, 40), Vital.SPO2: (88, 12)}  # lowest value and spread


@dataclass(frozen=True, slots=True)
class Story:
    """`start_ns`: UTC of second 0. Each of `gateways` hears `devices` wearables of one patient each."""

    seed: int
    start_ns: int
    gateways: int = 3
    devices: int = 4

    def gateway_names(self) -> list[str]:
        """The gateways, in order."""
        return [f"gw-{gateway}" for gateway in range(self.gateways)]

    def worn(self) -> Iterator[tuple[str, str, str]]:
        """Gateway, device and patient of every wearable."""
        for gateway in range(self.gateways):
            for device in range(self.devices):
                yield f"gw-{gateway}", f"ox-{gateway}-{device}", f"P-{gateway}{device:03}"

    def second(self, gateway: str, second: int) -> tuple[DeviceBatch, ...]:
        """All that `gateway` hears in one second."""
        devices = [device for name, device, _ in self.worn() if name == gateway]
        return tuple(self.device_second(place, device, second) for place, device in enumerate(devices))

    def device_second(self, place: int, device: str, second: int) -> DeviceBatch:
        """One wearable's second: pulse rate, SpO2, two beats, and from the first wearable its light."""
        at_ns = self.start_ns + second * _NS
        mixed = (self.seed * 7_919 + place * 104_729 + second * 31) & 0xFFFF_FFFF
        samples = [self._sample(vital, at_ns, mixed) for vital in _RATES]
        samples += [
            Sample(Vital.RR_INTERVAL, at_ns, float(700 + (mixed + beat * 53) % 300), sequence=beat) for beat in (0, 1)
        ]
        light = (WaveformBlock(Waveform.PPG_GREEN, at_ns, PPG_RATE_HZ, ppg(mixed), 2),) if place == 0 else ()
        return DeviceBatch(device, tuple(samples), light, rssi_dbm=-60)

    @staticmethod
    def _sample(vital: Vital, at_ns: int, mixed: int) -> Sample:
        if mixed % 17 == int(vital):
            return Sample(vital, at_ns, None, Reason.PROBE_OFF)
        low, spread = _RATES[vital]
        return Sample(vital, at_ns, float(low + mixed // 17 % spread), quality=Quality.USABLE)


def ppg(mixed: int) -> bytes:
    """25 counts that only this second has."""
    return ((np.arange(25) * 97 + mixed) % 30_000).astype("<i2").tobytes()
