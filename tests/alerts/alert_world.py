"""A small ward for the tests of the alert engine: patients, blocks of samples, and time that is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from alerts.engine import Engine
from alerts.events import AlarmEvent
from alerts.limits import Preset, decode_preset
from vitals.columns import SAMPLE_DTYPE, SampleBlock
from vitals.model import ClockSource, Quality, Reason, Vital
from vitals.ward import Patient, Ward

S = 1_000_000_000
T0 = 1_750_000_000 * S
PRESET_PATH = Path(__file__).parents[2] / "alerts" / "presets" / "adult.toml"

Row = tuple[str, Vital, float, float | Reason]
"""Device, vital, seconds after T0, and a value or the reason why there is none."""


def preset() -> Preset:
    return decode_preset(PRESET_PATH.read_bytes())


def preset_with(measures: str) -> Preset:
    """The shipped preset with these tables in place of its own `[measures…]`."""
    text = PRESET_PATH.read_text(encoding="utf-8")
    without = re.sub(r"(?ms)^\[measures\..*?(?=^\[technical)", "", text)
    return decode_preset(f"{without}\n{measures}\n".encode())


def ward(patients: int = 2, **limits: dict[str, dict[str, float]]) -> Ward:
    """`P-0` in bed `3-00` with device `d-0`, and so on; limits by patient, `P_0={...}`."""
    return Ward(
        "north",
        "Europe/Berlin",
        tuple(Patient(f"P-{i}", f"3-{i:02}", (f"d-{i}", f"e-{i}"), limits.get(f"P_{i}", {})) for i in range(patients)),
    )


def single_device_ward(patients: int = 2) -> Ward:
    return Ward("north", "UTC", tuple(Patient(f"P-{i}", f"3-{i:02}", (f"d-{i}",)) for i in range(patients)))


def block(
    rows: Iterable[Row],
    *,
    quality: Quality = Quality.UNKNOWN,
    gateway: str = "gw-1",
    received_s: float | None = None,
    clock: ClockSource = ClockSource.SYNCHRONISED,
    uncertainty_ms: float = 20.0,
) -> SampleBlock:
    """Rows as ingest would journal them; received 10 ms after they were sampled unless told otherwise."""
    listed = list(rows)
    devices = sorted({row[0] for row in listed})
    array = np.zeros(len(listed), SAMPLE_DTYPE)
    for row, (device, vital, at_s, value) in zip(array, listed, strict=True):
        row["sampled_at_ns"] = T0 + round(at_s * S)
        row["received_at_ns"] = T0 + round((at_s + 0.01 if received_s is None else received_s) * S)
        row["device"] = row["source"] = devices.index(device)
        row["vital"], row["quality"] = vital, quality
        row["clock"], row["uncertainty_ms"] = clock, uncertainty_ms
        missing = isinstance(value, Reason)
        row["value"] = np.nan if missing else value
        row["reason"] = value if missing else Reason.PRESENT
    patients = tuple(f"P-{device.partition('-')[2].partition(':')[0]}" for device in devices)
    return SampleBlock(tuple(devices), patients, (gateway,) * len(devices), array)


def second(at_s: float, *devices: str, spo2: float | Reason = 97.0, pulse: float | Reason = 80.0) -> list[Row]:
    """One second of oximeters."""
    return [row for d in devices for row in ((d, Vital.SPO2, at_s, spo2), (d, Vital.PULSE_RATE, at_s, pulse))]


class World:
    """An engine and its history: `play` feeds a block and lets time pass to just after it."""

    def __init__(self, of: Ward | None = None, *, screening: bool = True, settings: Preset | None = None) -> None:
        self.engine = Engine(of or single_device_ward(), settings or preset(), T0, screening=screening)
        self.position = 0
        self.history: list[AlarmEvent] = []

    def play(self, found: SampleBlock, now_s: float) -> tuple[AlarmEvent, ...]:
        self.position += 1
        events = self.engine.step([(T0 + round(now_s * S), found)], self.position, T0 + round(now_s * S))
        self.history += events
        return events

    def wait(self, now_s: float) -> tuple[AlarmEvent, ...]:
        events = self.engine.step([], self.position, T0 + round(now_s * S))
        self.history += events
        return events

    def run(
        self, start: int, stop: int, *devices: str, spo2: float | Reason = 97.0, pulse: float | Reason = 80.0
    ) -> list[AlarmEvent]:
        """One block a second from `start` up to, not including, `stop`."""
        found: list[AlarmEvent] = []
        for at_s in range(start, stop):
            found += self.play(block(second(at_s, *devices, spo2=spo2, pulse=pulse)), at_s + 0.1)
        return found


def told(events: Sequence[AlarmEvent]) -> list[tuple[str, str]]:
    return [(e.condition, e.transition.value) for e in events]
