"""A fleet: ready-made messages of very many wearables, for benchmarks. Pure.

    fleet = Fleet(wearables=20_000, per_message=20, seed=1)
    for second in range(60):
        payloads = fleet.second(sampled_at_ns=start_ns + second * 1_000_000_000, sequence=second + 1)
        ...                                    # payloads[i] goes to fleet.topics[i]

Every wearable says heart rate, SpO2 and respiratory rate once a second. The generator must cost far less than what it
loads: each message is encoded once by the real encoder, with marks where numbers change, and afterwards only those
bytes are overwritten, for the whole fleet in a few array operations.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from vitals.errors import ConfigurationError
from vitals.model import ClockSource, ClockTrust, DeviceBatch, GatewayBatch, Quality, Sample, Vital
from vitals.topics import Topic
from vitals.ward import Patient, Ward
from vitals.wire import MAX_DEVICES, encode

MAX_WEARABLES: Final = 1_000_000  # names have six digits
FLEET_VITALS: Final = (Vital.HEART_RATE, Vital.SPO2, Vital.RESP_RATE)
_RESTING: Final = (76.0, 97.0, 15.0)
_SPREAD: Final = (9.0, 1.0, 2.0)  # between patients
_JITTER: Final = (1.6, 0.35, 0.5)  # within one, from second to second
_LOWEST: Final = (30.0, 60.0, 4.0)
_HIGHEST: Final = (220.0, 100.0, 50.0)
_ABNORMAL: Final = (142.0, 84.0, 28.0)  # of a patient that alarms: each beyond its preset
_KEEP: Final = 0.9  # of the jitter, per second: neighbouring seconds resemble each other
_MARK_NS: Final = 0x7A11_0000_0000_0000  # times in a template: nine bytes long and found nowhere else in it
_MARK_VALUE: Final = 1_000.015625

Bytes: TypeAlias = npt.NDArray[np.uint8]
Times: TypeAlias = npt.NDArray[np.int64]
Values: TypeAlias = npt.NDArray[np.float64]


class Fleet:
    """`wearables` devices in messages of `per_message`, one message per gateway and second.

    `abnormal_share`: share of patients (0…1) whose values stay beyond the alarm limits. `gateways`, `topics`: parallel
    to the payloads; `devices`: all names; `values`: shape (wearables, 3), the last second's `FLEET_VITALS`.
    """

    def __init__(
        self, *, wearables: int, per_message: int, seed: int = 1, abnormal_share: float = 0.0, site: str = "bench"
    ) -> None:
        if not 1 <= wearables <= MAX_WEARABLES:
            raise ConfigurationError(f"wearables {wearables}: give 1 to {MAX_WEARABLES:,}")
        if not 1 <= per_message <= MAX_DEVICES:
            raise ConfigurationError(f"per_message {per_message}: give 1 to {MAX_DEVICES}")
        if not 0 <= abnormal_share <= 1:
            raise ConfigurationError(f"abnormal_share {abnormal_share:g}: give a share between 0 and 1")
        self._noise = np.random.default_rng(seed)
        self.site = site
        self.devices = tuple(f"w-{number:06}" for number in range(wearables))
        size = (wearables, len(FLEET_VITALS))
        self._centre = _RESTING + self._noise.standard_normal(size).clip(-2, 2) * _SPREAD  # nobody alarms by chance
        self.abnormal = self._noise.random(wearables) < abnormal_share
        self._resting = self._centre.copy()
        self._centre[self.abnormal] = _ABNORMAL
        self._jitter = self._noise.standard_normal(size)
        self.values: Values = self._centre
        full = wearables - wearables % per_message
        parts = [self.devices[:full], self.devices[full:]]
        self._parts = [
            _Part(names, min(per_message, len(names)), first)
            for names, first in zip(parts, (0, full // per_message), strict=True)
            if names
        ]
        self.gateways = tuple(gateway for part in self._parts for gateway in part.gateways)
        self.topics = tuple(str(Topic(site, gateway, "batch")) for gateway in self.gateways)

    def make_abnormal(self, wearables: npt.NDArray[np.intp]) -> None:
        """From the next second on these patients are beyond their limits."""
        self.abnormal[wearables] = True
        self._centre[wearables] = _ABNORMAL

    def make_normal(self, wearables: npt.NDArray[np.intp]) -> None:
        """From the next second on these patients are within their limits again."""
        self.abnormal[wearables] = False
        self._centre[wearables] = self._resting[wearables]

    def second(self, *, sampled_at_ns: int | Times, sequence: int, epoch: int = 1) -> list[bytes]:
        """The next second's messages; one payload per gateway, in order of `topics`.

        `sampled_at_ns`: of all readings and of the sending, or one time per gateway.
        """
        self._jitter *= _KEEP
        self._jitter += self._noise.standard_normal(self._jitter.shape) * (1 - _KEEP**2) ** 0.5
        values = np.clip(np.rint(self._centre + self._jitter * _JITTER), _LOWEST, _HIGHEST)
        self.values = values
        times = np.broadcast_to(np.asarray(sampled_at_ns, np.int64), len(self.gateways))
        payloads: list[bytes] = []
        first = gateway = 0
        for part in self._parts:
            last, end = first + len(part.devices), gateway + len(part.gateways)
            payloads += part.patched((epoch, sequence, 1), times[gateway:end], values[first:last])
            first, gateway = last, end
        return payloads

    def ward(self) -> Ward:
        """A ward with one patient for each wearable."""
        return Ward(
            site=self.site,
            patients=tuple(
                Patient(patient=f"P-{number:06}", bed=f"B-{number:06}", devices=(device,))
                for number, device in enumerate(self.devices)
            ),
        )


class _Part:
    """Messages of one shape: `per_message` devices each, side by side in one array of bytes."""

    def __init__(self, devices: tuple[str, ...], per_message: int, first_gateway: int) -> None:
        self.devices = devices
        count = len(devices) // per_message
        self.gateways = tuple(f"g-{first_gateway + number:06}" for number in range(count))
        template = encode(_template(self.gateways[0], devices[:per_message]))
        self._messages: Bytes = np.tile(np.frombuffer(template, np.uint8), (count, 1))
        samples = per_message * len(FLEET_VITALS)
        self._header = [template.index(struct.pack(">Q", _MARK_NS + number)) for number in range(4)]
        self._times = [template.index(struct.pack(">Q", _MARK_NS + 4 + number)) for number in range(samples)]
        self._values = [template.index(struct.pack(">d", _MARK_VALUE + number)) for number in range(samples)]
        self._write([template.index(self.gateways[0].encode())], _ascii(self.gateways).reshape(count, 1, -1))
        places = [template.index(name.encode()) for name in devices[:per_message]]
        self._write(places, _ascii(devices).reshape(count, per_message, -1))

    def patched(self, header: tuple[int, int, int], sampled_at_ns: Times, values: Values) -> list[bytes]:
        """The messages of one second. `sampled_at_ns`: shape (messages,); `values`: shape (devices, vitals)."""
        count = len(self.gateways)
        times = sampled_at_ns.astype(">u8").view(np.uint8).reshape(count, 1, 8)
        self._write(self._header[:3], np.array(header, ">u8").view(np.uint8).reshape(1, 3, 8))
        self._write(self._header[3:], times)
        self._write(self._times, times)
        self._write(self._values, values.astype(">f8").view(np.uint8).reshape(count, -1, 8))
        whole, size = self._messages.tobytes(), self._messages.shape[1]
        return [whole[at : at + size] for at in range(0, len(whole), size)]

    def _write(self, places: list[int], data: Bytes) -> None:
        """Overwrite bytes. `data`: shape (messages or 1, places or 1, width)."""
        width = data.shape[2]
        data = np.broadcast_to(data, (data.shape[0], len(places), width))
        for number, place in enumerate(places):
            self._messages[:, place : place + width] = data[:, number]


def _ascii(names: tuple[str, ...]) -> Bytes:
    """Names of one length as bytes: shape (names · length,)."""
    return np.frombuffer("".join(names).encode(), np.uint8)


def _template(gateway: str, devices: tuple[str, ...]) -> GatewayBatch:
    """A message whose every changing number is a mark of full width, found once and overwritten ever after."""
    width = len(FLEET_VITALS)
    return GatewayBatch(
        gateway=gateway,
        epoch=_MARK_NS,
        sequence=_MARK_NS + 1,
        oldest=_MARK_NS + 2,
        sent_at_ns=_MARK_NS + 3,
        clock=ClockTrust(ClockSource.SYNCHRONISED, 5.0),
        devices=tuple(
            DeviceBatch(
                device,
                tuple(
                    Sample(
                        vital,
                        _MARK_NS + 4 + number * width + column,
                        _MARK_VALUE + number * width + column,
                        quality=Quality.USABLE,
                    )
                    for column, vital in enumerate(FLEET_VITALS)
                ),
                rssi_dbm=-60,
            )
            for number, device in enumerate(devices)
        ),
    )
