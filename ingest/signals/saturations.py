"""SpO2 of the ingest journal in, desaturation events out: how deep, how long, what area. Pure.

The best value counts, or what the device says where there is none. One reading each of `<patient>:best` when an event
of `signals.desaturation` ends, timed at its end. Doubtful values neither begin nor end an event; one that a gap or its
length ended is told as doubtful.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ingest.signals.desaturation import Desaturation, DesaturationState, watch
from vitals.columns import SAMPLE_DTYPE, Rows, SampleBlock
from vitals.derived import best_name, is_best, is_virtual
from vitals.model import Quality, Vital

LONE_AFTER_S: Final = 5  # a device speaks for its patient when there was no best value for longer
FIRST: Final = 64  # patients there is room for at once, 2 kB each; it doubles
CAPACITY: Final = 65_536  # pairs of patient and device remembered; when it is reached everything begins anew
_NS: Final = 1_000_000_000
_WEARER_DTYPE: Final = np.dtype([("patient", np.intp), ("best", np.bool_), ("heard", np.bool_)])
# Of a device: its patient's row, whether it tells the best value, and whether it is heard at all.


class Saturations:
    """See the module's text."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._begin()

    def _begin(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}  # of (patient, device)
        self._wearers = np.zeros(FIRST, _WEARER_DTYPE)
        self._patients: dict[str, int] = {}
        self._state = DesaturationState.of(FIRST)
        self._best_s = np.zeros(FIRST, np.int64)  # when a patient last had a best value

    def feed(self, blocks: Iterable[SampleBlock]) -> SampleBlock:
        """The events that end with these blocks, in journal order; a block without rows for nothing."""
        found: list[tuple[str, Rows]] = []
        for block in blocks:
            rows = block.rows[(block.rows["vital"] == Vital.SPO2) & (block.rows["quality"] != Quality.TEST)]
            if len(rows):
                wearers = self._known(block)[rows["device"]]
                found += self._watched(block, rows[wearers["heard"]], wearers[wearers["heard"]])
        devices = tuple(dict.fromkeys(best_name(patient) or "" for patient, _ in found))
        for patient, told in found:
            told["device"] = told["source"] = devices.index(best_name(patient) or "")
        patients = tuple(dict.fromkeys(patient for patient, _ in found))
        parts = [told for _, told in found]
        return SampleBlock(devices, patients, ("",) * len(devices), np.concatenate([np.empty(0, SAMPLE_DTYPE), *parts]))

    def _watched(self, block: SampleBlock, rows: Rows, wearers: npt.NDArray[Any]) -> Iterable[tuple[str, Rows]]:
        """Watch the readings of one block second by second: of a patient there is one best value in each."""
        places, best = wearers["patient"], wearers["best"]
        usable = np.where(rows["quality"] <= Quality.USABLE, rows["value"], np.nan)
        seconds = rows["sampled_at_ns"] // _NS
        for second in np.unique(seconds).tolist():
            now = np.flatnonzero(seconds == second)
            chosen, lone = now[best[now]], now[~best[now]]
            self._best_s[places[chosen]] = second
            now = np.concatenate((lone[second - self._best_s[places[lone]] > LONE_AFTER_S], chosen))
            spo2_pct = np.full(len(self._state.last_ns), np.nan)
            spo2_pct[places[now]] = usable[now]
            for event in watch(self._state, second * _NS, spo2_pct):
                last = rows[now[places[now] == event.row]][-1:]
                yield block.patients[last["device"][0]], _told(event, last)

    def _known(self, block: SampleBlock) -> npt.NDArray[Any]:
        """What is known of each device of the block, (d,), `_WEARER_DTYPE`."""
        wearers = list(zip(block.patients, block.devices, strict=True))
        numbers = np.fromiter(map(self._numbers.get, wearers, repeat(-1)), np.intp, len(wearers))
        new = np.flatnonzero(numbers < 0).tolist()
        if len(self._numbers) + len(new) > self._capacity and self._numbers:
            self._begin()
            return self._known(block)
        for place in new:
            numbers[place] = self._enter(*wearers[place])
        return self._wearers[numbers]

    def _enter(self, patient: str, device: str) -> int:
        """The number of a device, made when new."""
        number = self._numbers.setdefault((patient, device), len(self._numbers))
        if number == len(self._wearers):
            self._wearers = np.concatenate((self._wearers, np.zeros_like(self._wearers)))
        row = self._patients.setdefault(patient, len(self._patients))
        if row == len(self._best_s):
            fresh = DesaturationState.of(row)
            grown = {n: np.concatenate((getattr(self._state, n), getattr(fresh, n))) for n in fresh.__slots__}
            self._state = DesaturationState(**grown)
            self._best_s = np.concatenate((self._best_s, np.zeros(row, np.int64)))
        self._wearers[number] = row, is_best(device), is_best(device) or not is_virtual(device)
        return number


def _told(event: Desaturation, last: Rows) -> Rows:
    """The three readings of an event; `last`: the reading that ended it."""
    rows = np.repeat(last, 3)
    rows["vital"] = [Vital.DESATURATION_DEPTH, Vital.DESATURATION_DURATION, Vital.DESATURATION_AREA]
    rows["raw"] = rows["value"] = [round(v, 1) for v in (event.depth_pct, event.duration_s, event.area_pct_s)]
    rows["sampled_at_ns"] = event.ended_at_ns
    rows["quality"] = Quality.USABLE if event.complete else Quality.DOUBTFUL
    return rows
