"""The signal stage: order, duplicates and filters of all streams, with what is remembered of each device.

Readings that are out of order or missing never enter a filter: a late reading keeps its `raw` as `value`, a missing
one and one in test mode end the filter's window. An RR interval that no sinus beat made becomes doubtful. Accelerometer
and ECG blocks pass as received.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ingest.signals.filters import STEP_FLOOR, BandPassState, Block, HampelState, band_pass, band_passed, hampel
from ingest.signals.rhythm import LiveState, live_flags
from ingest.streams import ArrivalState, Indices, Mask, Slots, Times, judge_arrivals
from ingest.validate import Strip
from vitals.columns import Rows, WaveformRow
from vitals.model import SERVER_VITALS, Quality, Vital, Waveform

CAPACITY: Final = 65_536  # devices remembered; about 1 kB each, only as they come. More share it by recency of use

_VITALS: Final = min(SERVER_VITALS)  # rows of arrival state per device, numbered by `Vital`; devices send no others
_FILTERED: Final = len(STEP_FLOOR)
_FILTER_OF: Final = np.full(_VITALS, -1, np.intp)
_FLOOR_OF: Final = np.zeros(_VITALS)
for _number, (_vital, _floor) in enumerate(STEP_FLOOR.items()):
    _FILTER_OF[_vital] = _number
    _FLOOR_OF[_vital] = _floor
_KIND_OF: Final = {waveform: number for number, waveform in enumerate(Waveform)}
_PPG: Final = (Waveform.PPG_INFRARED, Waveform.PPG_RED, Waveform.PPG_GREEN)  # the first kinds: they index the filters


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Rows to store with `value` filtered, what was set aside or noticed, and `keep` to remember them."""

    rows: Rows
    repeated: int
    late: int
    keep: Callable[[], None]


@dataclass(frozen=True, slots=True)
class JudgedStrips:
    """Waveforms to store, how many came a second time, and `keep` to remember them."""

    waveforms: list[WaveformRow]
    repeated: int
    keep: Callable[[], None]


class SignalStage:
    """See the module's text. `smooth` and `band_pass` change nothing until their `keep` is called."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._slots = Slots(capacity)
        self._arrivals = ArrivalState(capacity * _VITALS)
        self._values = HampelState(capacity * _FILTERED)
        self._intervals = LiveState(capacity)
        self._strips = BandPassState(capacity * len(_PPG))
        self._begun_ns = np.zeros(capacity * len(_KIND_OF), np.int64)  # start of each waveform's last block

    def place(self, devices: Sequence[str]) -> Indices:
        """The state rows of `devices`, (d,); never more than the capacity at once."""
        slots, new = self._slots.place(devices)
        if len(new):
            self._arrivals.clear(_streams_of(new, _VITALS))
            self._values.clear(_streams_of(new, _FILTERED))
            self._intervals.clear(new)
            self._strips.clear(_streams_of(new, len(_PPG)))
            self._begun_ns[_streams_of(new, len(_KIND_OF))] = 0
        return slots

    def smooth(self, slots: Indices, rows: Rows) -> JudgedRows:
        """Drop repeated rows of `rows` (arrival order) and filter the values of those in order."""
        owners, vitals = slots[rows["device"]], rows["vital"].astype(np.intp)
        sampled_at_ns, values = rows["sampled_at_ns"].copy(), rows["value"].copy()
        arrivals = judge_arrivals(self._arrivals, owners * _VITALS + vitals, sampled_at_ns, rows["sequence"].copy())
        in_order = np.flatnonzero((_FILTER_OF[vitals] >= 0) & ~arrivals.duplicate & ~arrivals.late)
        kinds, received = vitals[in_order], values[in_order]
        usable = ~np.isnan(received) & (rows["quality"][in_order] != Quality.TEST)
        smoothed = hampel(
            self._values,
            owners[in_order] * _FILTERED + _FILTER_OF[kinds],
            sampled_at_ns[in_order],
            np.where(usable, received, np.nan),
            _FLOOR_OF[kinds],
        )
        values[in_order[usable]] = smoothed.values[usable]
        stored = rows.copy()
        stored["value"] = values
        beats = np.flatnonzero((vitals == Vital.RR_INTERVAL) & ~arrivals.duplicate & ~arrivals.late)
        flagged = live_flags(self._intervals, owners[beats], sampled_at_ns[beats], values[beats])
        doubted = beats[flagged.flags & (stored["quality"][beats] <= Quality.USABLE)]
        stored["quality"][doubted] = Quality.DOUBTFUL
        if arrivals.duplicate.any():
            stored = stored[~arrivals.duplicate]

        def keep() -> None:
            arrivals.keep(self._arrivals)
            smoothed.keep(self._values)
            flagged.keep(self._intervals)

        return JudgedRows(stored, _count(arrivals.duplicate), _count(arrivals.late), keep)

    def band_pass(self, slots: Indices, strips: Sequence[Strip], started_ns: Times, received_ns: Times) -> JudgedStrips:
        """Drop blocks that repeat their stream's last one, and filter PPG; `slots` by `Strip.device`."""
        fresh, begun = self._fresh(slots, strips, started_ns)
        blocks: dict[int, Block] = {}
        for index in fresh:
            block = strips[index].block
            if block.waveform in _PPG and block.samples and band_passed(block.sample_rate_hz):
                stream = int(slots[strips[index].device]) * len(_PPG) + _KIND_OF[block.waveform]
                start = int(started_ns[index])
                blocks[index] = Block(stream, start, block.sample_rate_hz, block.samples, block.width_bytes)
        passed = band_pass(self._strips, list(blocks.values()))
        filtered = dict(zip(blocks, passed.blocks, strict=True))
        rows = [_row(strips[i], int(started_ns[i]), int(received_ns[i]), filtered.get(i, b"")) for i in fresh]

        def keep() -> None:
            passed.keep(self._strips)
            for kind, at_ns in begun.items():
                self._begun_ns[kind] = at_ns

        return JudgedStrips(rows, len(strips) - len(fresh), keep)

    def _fresh(self, slots: Indices, strips: Sequence[Strip], started_ns: Times) -> tuple[list[int], dict[int, int]]:
        """Indices of the strips that do not begin when the last one of their waveform did, and those beginnings."""
        fresh: list[int] = []
        begun: dict[int, int] = {}
        for index, strip in enumerate(strips):
            kind = int(slots[strip.device]) * len(_KIND_OF) + _KIND_OF[strip.block.waveform]
            start = int(started_ns[index])
            if begun.get(kind, int(self._begun_ns[kind])) != start:
                begun[kind] = start
                fresh.append(index)
        return fresh, begun


def _streams_of(slots: Indices, streams_each: int) -> Indices:
    """All stream numbers of these devices when each has `streams_each`."""
    streams: Indices = (slots[:, None] * streams_each + np.arange(streams_each)).ravel()
    return streams


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _row(strip: Strip, started_ns: int, received_ns: int, filtered: bytes) -> WaveformRow:
    block = strip.block
    return WaveformRow(
        strip.device,
        int(block.waveform),
        started_ns,
        received_ns,
        block.sample_rate_hz,
        block.width_bytes,
        int(block.quality),
        block.samples,
        filtered,
    )
