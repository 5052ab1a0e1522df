"""The words of the system: vitals, waveforms, quality, reasons for a missing value, and clock trust.

Everything here is a frozen value. A value is never alone: it comes with the time the body produced it, with
its quality, or with the reason why there is none. Names follow the field: `pulse_rate` is optical and is not
`heart_rate` (ECG); `rr_interval` is the time between beats and is not `resp_rate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


class Vital(IntEnum):
    """A numeric stream. The numbers are part of the wire format and of the stores: never reuse one."""

    HEART_RATE = 1
    PULSE_RATE = 2
    SPO2 = 3
    RESP_RATE = 4
    RR_INTERVAL = 5
    PERFUSION_INDEX = 6
    BODY_TEMPERATURE = 7
    BATTERY = 8
    # Made by the server, of the devices of `vitals.derived`; a wearable does not send them.
    HRV_SDNN = 9
    HRV_RMSSD = 10
    HRV_PNN50 = 11
    HRV_LF_HF = 12
    HRV_CORRECTED = 13  # share of the intervals that the four before rest on which were corrected
    IRREGULARITY = 14  # share of the last segments of 128 beats with a suspicion; an advisory, never an alarm
    DESATURATION_DEPTH = 15  # of an event that ended at `sampled_at_ns`, like the two after it
    DESATURATION_DURATION = 16
    DESATURATION_AREA = 17
    SIGNAL_QUALITY = 18  # of the pulse wave of `ox-02`, told of `ox-02:ppg`; missing when the sensor is off the skin


class Waveform(IntEnum):
    """A sampled signal. Numbered apart from `Vital` so that one small integer names any stream."""

    PPG_INFRARED = 64
    PPG_RED = 65
    PPG_GREEN = 66
    ECG = 72
    ACCELERATION_X = 80
    ACCELERATION_Y = 81
    ACCELERATION_Z = 82


class Reason(IntEnum):
    """Why a value is missing. `PRESENT` means that it is not.

    The last block is set by the services, the rest by a device or its driver.
    """

    PRESENT = 0
    NO_READING = 1  # the device sent its "no value" mark and said nothing more
    PROBE_OFF = 2  # finger out, sensor displaced, strap not worn
    SEARCHING = 3  # sensor in place, no stable reading yet
    POOR_SIGNAL = 4  # low perfusion, motion, interference
    DEVICE_FAULT = 5
    OUT_OF_RANGE = 6  # physically impossible number; kept as received, never shown as a value
    NOT_A_NUMBER = 7
    RADIO_LOST = 16
    GATEWAY_DOWN = 17
    BROKER_DOWN = 18
    STORE_DOWN = 19
    BATTERY_EMPTY = 20
    CLOCK_UNTRUSTED = 21
    NEVER_SEEN = 22


class Quality(IntEnum):
    """How far a value may be trusted. `UNKNOWN` is what a device without a quality indicator sends."""

    UNKNOWN = 0
    USABLE = 1
    DOUBTFUL = 2
    UNUSABLE = 3
    TEST = 4  # demonstration, test or calibration mode: stored and tagged, never alarmed on


class ClockSource(IntEnum):
    """Where a gateway's time comes from, best first."""

    SYNCHRONISED = 0
    HOLDOVER = 1  # was synchronised; carried on by the monotonic clock, uncertainty growing
    UNSYNCHRONISED = 2
    DEVICE = 3  # only the wearable's own clock: evidence, not the time of record


@dataclass(frozen=True, slots=True)
class ClockTrust:
    """How good a batch's timestamps are: the source and the bound of their error in milliseconds."""

    source: ClockSource
    uncertainty_ms: float


@dataclass(frozen=True, slots=True)
class VitalInfo:
    """What is common to all readings of one vital.

    `low` and `high` bound what a human body can show at all, in `unit`; a number outside is kept as received and
    marked `OUT_OF_RANGE`. They are limits of plausibility, not alarm limits.
    """

    name: str
    label: str
    unit: str
    low: float
    high: float
    decimals: int = 0


VITALS: Final[Mapping[Vital, VitalInfo]] = MappingProxyType(
    {
        Vital.HEART_RATE: VitalInfo("heart_rate", "Heart rate", "/min", 10, 300),
        Vital.PULSE_RATE: VitalInfo("pulse_rate", "Pulse rate", "/min", 10, 300),
        Vital.SPO2: VitalInfo("spo2", "SpO₂", "%", 1, 100),
        Vital.RESP_RATE: VitalInfo("resp_rate", "Respiratory rate", "/min", 0, 120),
        Vital.RR_INTERVAL: VitalInfo("rr_interval", "RR interval", "ms", 200, 6000),
        Vital.PERFUSION_INDEX: VitalInfo("perfusion_index", "Perfusion index", "%", 0, 30, 1),
        Vital.BODY_TEMPERATURE: VitalInfo("body_temperature", "Temperature", "°C", 20, 45, 1),
        Vital.BATTERY: VitalInfo("battery", "Battery", "%", 0, 100),
        Vital.HRV_SDNN: VitalInfo("hrv_sdnn", "HRV SDNN", "ms", 0, 6000, 1),
        Vital.HRV_RMSSD: VitalInfo("hrv_rmssd", "HRV RMSSD", "ms", 0, 6000, 1),
        Vital.HRV_PNN50: VitalInfo("hrv_pnn50", "HRV pNN50", "%", 0, 100, 1),
        Vital.HRV_LF_HF: VitalInfo("hrv_lf_hf", "HRV LF/HF", "", 0, 10_000, 2),
        Vital.HRV_CORRECTED: VitalInfo("hrv_corrected", "Beats corrected", "%", 0, 100, 1),
        Vital.IRREGULARITY: VitalInfo("irregularity", "Irregular rhythm", "%", 0, 100),
        Vital.DESATURATION_DEPTH: VitalInfo("desaturation_depth", "Desaturation depth", "%", 0, 100, 1),
        Vital.DESATURATION_DURATION: VitalInfo("desaturation_duration", "Desaturation duration", "s", 0, 300),
        Vital.DESATURATION_AREA: VitalInfo("desaturation_area", "Desaturation area", "%·s", 0, 30_000),
        Vital.SIGNAL_QUALITY: VitalInfo("signal_quality", "Signal quality", "%", 0, 100),
    }
)

#: What only the server makes: a message that brings one is no reading of a wearable.
SERVER_VITALS: Final = frozenset(vital for vital in Vital if vital >= Vital.HRV_SDNN)

VITAL_BY_NAME: Final[Mapping[str, Vital]] = MappingProxyType({info.name: v for v, info in VITALS.items()})


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of one vital.

    `sampled_at_ns`: when the body produced it, UTC. `sequence`: tells apart samples of one stream that share a
    time (the RR intervals of one notification), 0 first. `value`: in the unit of `VITALS`, or `None` with a
    `reason` other than `PRESENT`.
    """

    vital: Vital
    sampled_at_ns: int
    value: float | None
    reason: Reason = Reason.PRESENT
    quality: Quality = Quality.UNKNOWN
    sequence: int = 0

    def __post_init__(self) -> None:
        if (self.value is None) == (self.reason is Reason.PRESENT):
            msg = "a sample has either a value or a reason why there is none"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class WaveformBlock:
    """Consecutive, equally spaced samples of one signal.

    `started_at_ns`: time of the first sample, UTC. `samples`: little-endian signed integers of `width_bytes`
    (2 or 4) each, as the sensor counted them. A gap ends a block: it is never bridged.
    """

    waveform: Waveform
    started_at_ns: int
    sample_rate_hz: float
    samples: bytes
    width_bytes: Literal[2, 4] = 4
    quality: Quality = Quality.UNKNOWN

    def __post_init__(self) -> None:
        if self.width_bytes not in (2, 4) or len(self.samples) % self.width_bytes:
            msg = "samples must be whole little-endian integers of 2 or 4 bytes"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """What one wearable said since the last message. `device` is its identifier, never a person's."""

    device: str
    samples: tuple[Sample, ...] = ()
    waveforms: tuple[WaveformBlock, ...] = ()
    rssi_dbm: int | None = None


@dataclass(frozen=True, slots=True)
class GatewayBatch:
    """One second of everything that a gateway heard: the unit of transport.

    `epoch` names one life of a gateway's spool and `sequence` counts its messages from 1; `oldest` is the lowest
    sequence the spool still holds, so that what it had to drop is told from what was lost on the way. An
    `epoch` of 0 means that the sender keeps no spool and expects no receipt.
    """

    gateway: str
    epoch: int
    sequence: int
    oldest: int
    sent_at_ns: int
    clock: ClockTrust
    devices: tuple[DeviceBatch, ...]


class Presence(IntEnum):
    """What a gateway's retained status says, `LOST` being its last will."""

    ONLINE = 1
    OFFLINE = 2  # went away in an orderly manner
    LOST = 3


@dataclass(frozen=True, slots=True)
class WearableHealth:
    """One wearable as its gateway sees it. `phase`: of its connection, in words such as `streaming`."""

    device: str
    phase: str = ""
    rssi_dbm: int | None = None
    battery_pct: int | None = None
    silent_s: float | None = None  # since it was heard; `None` when it never was
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class RadioHealth:
    """One Bluetooth adapter. `state`: in words such as `scanning`; `recoveries`: steps taken when it hung, by name."""

    adapter: str
    state: str = ""
    connections: int = 0
    recoveries: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """What a gateway says of its parts, for the people who look after it.

    `problems`: sentences that say what to do, none of them about a patient. `drops`: what was given up, by kind and
    reason, as in `waves: size`. `held`: batches that wait for the time to be known.
    """

    wearables: tuple[WearableHealth, ...] = ()
    radios: tuple[RadioHealth, ...] = ()
    problems: tuple[str, ...] = ()
    drops: tuple[tuple[str, int], ...] = ()
    held: int = 0
    set_aside: int = 0
    config_version: int = 0
    uptime_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """A gateway's own account of its health; the last will is one with `presence` `LOST`."""

    gateway: str
    presence: Presence
    at_ns: int
    version: str = ""
    spooled: int = 0  # messages that wait for a receipt
    dropped: int = 0  # messages the spool had to give up, since its epoch began
    clock: ClockTrust = ClockTrust(ClockSource.SYNCHRONISED, 0.0)
    health: GatewayHealth | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Ingest's promise: every message of `epoch` up to and including `through` is durable.

    So are those of the ranges (first, last) in `ahead`, ascending and above `through`: what was live while older
    messages are still on their way. There may be more of them than are told.
    """

    gateway: str
    epoch: int
    through: int
    ahead: tuple[tuple[int, int], ...] = ()
