"""Recordings as if worn: a schedule, the batches of a gateway, and what must be in the store afterwards. Pure.

    plan = plan_replay(recordings, now_ns=..., speed=10.0, loop=False)
    for batch, due_s in replay_batches(recordings, "replay", plan):
        ...                                # wait until `due_s` seconds after the start, then send `batch`

Time is compressed in the *sending* only: readings keep the recording's own spacing. No reading is ever sent before its
time, so
- at a speed of 1 or less the recording starts now;
- faster, it is back-dated by its own length: "as if worn until now". It is sent at that speed until it has caught up
  with the present, and from there on, with `loop`, at normal speed.
All recordings start at the same time, the longest one sets the back-dating; with `loop` each repeats by itself, after
its own `duration_s`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

import numpy as np

from simulators.recordings import Numeric, Recording, Trace
from simulators.truth import TRUTH_DTYPE, Truth
from vitals.errors import ConfigurationError
from vitals.model import (
    ClockSource,
    ClockTrust,
    DeviceBatch,
    GatewayBatch,
    Reason,
    Sample,
    WaveformBlock,
)
from vitals.ward import Patient, Ward
from vitals.wire import MAX_DEVICES

_NS: Final = 1_000_000_000
_CLOCK: Final = ClockTrust(ClockSource.SYNCHRONISED, 0.0)  # the times are given, not measured


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """When a replay's readings were taken and when they are sent.

    `start_ns`: UTC of the recordings' first instant. `backdate_s`: how long before the start of sending that is.
    `seconds`: how many seconds of recording are sent; `None` for a replay that goes on for ever.
    """

    start_ns: int
    speed: float
    backdate_s: float
    seconds: int | None

    def due_s(self, offset_s: float) -> float:
        """How long after the start of sending the recording's instant `offset_s` may go out: never before it was."""
        return max(offset_s / self.speed, offset_s - self.backdate_s)


def plan_replay(recordings: Sequence[Recording], *, now_ns: int, speed: float = 1.0, loop: bool = False) -> ReplayPlan:
    """Plan a replay that begins now; raises `ConfigurationError` for a speed that is not above 0."""
    if not 0 < speed < float("inf"):
        raise ConfigurationError(f"speed {speed:g}: give a number above 0, such as 10 for ten times as fast")
    if len(recordings) > MAX_DEVICES:
        raise ConfigurationError(f"{len(recordings)} recordings: one gateway replays at most {MAX_DEVICES}")
    longest_s = max((r.duration_s for r in recordings), default=0)
    backdate_s = longest_s if speed > 1 else 0
    return ReplayPlan(now_ns - backdate_s * _NS, speed, backdate_s, None if loop else longest_s)


def replay_batches(
    recordings: Sequence[Recording], gateway: str, plan: ReplayPlan, *, waveforms: bool = True
) -> Iterator[tuple[GatewayBatch, float]]:
    """One batch per second in which any device said something, with the time it is due (seconds after the start).

    A second goes out when it is over. Epoch and sequence are 0: the spool numbers the batches.
    """
    loops = plan.seconds is None
    for second in count() if plan.seconds is None else range(plan.seconds):
        devices = tuple(
            device
            for recording in recordings
            if (device := _device_second(recording, second, plan.start_ns, loops=loops, waveforms=waveforms))
        )
        if devices:
            over_ns = plan.start_ns + (second + 1) * _NS
            yield GatewayBatch(gateway, 0, 0, 0, over_ns, _CLOCK, devices), plan.due_s(second + 1.0)


def _device_second(
    recording: Recording, second: int, start_ns: int, *, loops: bool, waveforms: bool
) -> DeviceBatch | None:
    """What a device says in one second of the replay; `None` when that is nothing."""
    rounds, within = divmod(second, recording.duration_s)
    if rounds and not loops:
        return None
    base_ns = start_ns + rounds * recording.duration_s * _NS
    samples = tuple(s for numeric in recording.numerics for s in _samples(numeric, within, base_ns))
    blocks = tuple(b for trace in recording.traces for b in _blocks(trace, within, base_ns)) if waveforms else ()
    return DeviceBatch(recording.device, samples, blocks) if samples or blocks else None


def _samples(numeric: Numeric, second: int, base_ns: int) -> Iterator[Sample]:
    first, last = np.searchsorted(numeric.offsets_ns, (second * _NS, (second + 1) * _NS))
    for offset_ns, value in zip(
        numeric.offsets_ns[first:last].tolist(), numeric.values[first:last].tolist(), strict=True
    ):
        missing = value != value  # noqa: PLR0124 - NaN, and nothing else, differs from itself
        reason = numeric.absence if missing else Reason.PRESENT
        yield Sample(numeric.vital, base_ns + offset_ns, None if missing else value, reason)


def _blocks(trace: Trace, second: int, base_ns: int) -> Iterator[WaveformBlock]:
    first, last = round(second * trace.sample_rate_hz), round((second + 1) * trace.sample_rate_hz)
    counts = trace.counts[first:last]
    if counts.size:
        started_at_ns = base_ns + round(first * _NS / trace.sample_rate_hz)
        yield WaveformBlock(trace.waveform, started_at_ns, trace.sample_rate_hz, counts.astype("<i4").tobytes())


def expected_readings(recordings: Sequence[Recording], start_ns: int, truth: Truth | None = None) -> Truth:
    """What one full round must leave in the store, straight from the recordings' arrays (not from the batches)."""
    truth = Truth() if truth is None else truth
    for recording in recordings:
        for numeric in recording.numerics:
            rows = np.zeros(numeric.values.size, TRUTH_DTYPE)
            rows["sampled_at_ns"] = start_ns + numeric.offsets_ns
            rows["value"] = numeric.values
            rows["reason"] = np.where(np.isnan(numeric.values), numeric.absence, Reason.PRESENT)
            truth.add_rows((recording.device, numeric.vital), rows)
    return truth


def replay_ward(recordings: Sequence[Recording], site: str = "replay") -> Ward:
    """A ward in which every recording is a patient: pseudonym `R-0001` and bed `R-01` in the order of the list."""
    return Ward(
        site=site,
        patients=tuple(
            Patient(patient=f"R-{number:04}", bed=f"R-{number:02}", devices=(recording.device,))
            for number, recording in enumerate(recordings, start=1)
        ),
    )
