"""The best value of every patient's heart rate, SpO2 and respiratory rate, next to what the devices said. Pure.

    block ─▶ BestValues.choose ─▶ the block with rows of `<patient>:best` at its end (vitals.derived)

A patient's readings are heard one after the other, in the order of arrival, so that the values do not depend on how
messages are grouped into commits; those of different patients are heard together, as arrays. A best value is always
what one source said, at the time when the body produced it; `source` of its row leads to that device. A patient gets at
most one per vital and second, and none older than the last; where there is none, a row says so with the reason.

=============  ==============================================================================  ======================
vital          sources, best method first                                                      differ without doubt by
=============  ==============================================================================  ======================
`heart_rate`   heart rate (ECG); pulse rate (oximeter); pulse rate of a pulse wave (`…:ppg`)   10 /min or 15 %
`spo2`         oximeters, judged by `signals.oxygen`                                           4 points
`resp_rate`    the device's own; that of a pulse wave                                          5 /min
=============  ==============================================================================  ======================

A source that is alone and taken at its word speaks for itself. Where rows are dear (`every=False`) there is no best
value then, which would only repeat it, but as soon as a second source speaks, or for a minute after a doubt.

What a wearable's own pulse wave shows lowers the trust in its own pulse rate and SpO2: with a wave that is not usable
they are doubtful, and where it shows no skin, a missing number is missing because the probe is off. Readings in test
mode are no readings. Devices that nobody wears have no part in this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ingest.signals.lines import SPOKEN_DTYPE, Lines, Spoken, has_heard, hear, put_back, put_rows, timely
from ingest.signals.oximeters import Wearables, doubt, heart_rate_beside, note, saturation
from ingest.streams import Indices, Mask
from vitals.columns import SAMPLE_DTYPE, Rows, SampleBlock
from vitals.derived import best_name, is_best, is_virtual, source_of
from vitals.model import Quality, Reason, Vital

CAPACITY: Final = (
    65_536  # devices remembered, 1.6 kB each, only as they come; when it is reached everything begins anew
)
_FIRST: Final = 256  # of them have room at once; it doubles
_VITALS: Final = np.array([Vital.HEART_RATE, Vital.SPO2, Vital.RESP_RATE], np.uint8)
_KINDS: Final = len(_VITALS)
_HEART, _OXYGEN, _BREATH = range(_KINDS)
_TOLERANCE: Final = np.array([[10.0, 0.15], [4.0, 0.0], [5.0, 0.0]])
_NUMBERS: Final = 256  # a vital is one byte
_KIND: Final = np.full(_NUMBERS, -1, np.intp)
_KIND[[Vital.HEART_RATE, Vital.PULSE_RATE, Vital.SPO2, Vital.RESP_RATE]] = [_HEART, _HEART, _OXYGEN, _BREATH]
_IS_HEARD: Final = _KIND >= 0
_SOURCE_BITS: Final = 1  # a device may tell a heart rate and a pulse rate
_ENTRY_DTYPE: Final = np.dtype(
    [("patient", np.intp), ("wearable", np.intp), ("derived", np.bool_), ("heard", np.bool_)]
)  # of a device: its patient's row, the entry of the wearable itself, whether it is a virtual one, and used here
_IS_HEARD[[Vital.PERFUSION_INDEX, Vital.SIGNAL_QUALITY]] = True


@dataclass(slots=True)
class _Heard:
    """The readings of one call that are heard, by column.

    `row`: in the block. `patient`, `wearable`: rows of state; of a pulse wave's number the wearable is the one that has
    that wave. `kind`: of its line, -1 for what is only noted.
    """

    row: Indices
    vital: Indices
    patient: Indices
    wearable: Indices
    derived: Mask
    kind: Indices
    spoken: Spoken

    def at(self, places: Indices) -> _Heard:
        """These readings only."""
        return _Heard(*(getattr(self, name).take(places) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class _News:
    """Best values to tell, in columns: the rows they come after, whose they are, and what `signals.lines` told."""

    row: Indices
    patient: Indices
    kind: Indices
    spoken: Spoken
    quality: npt.NDArray[np.uint8]
    reason: npt.NDArray[np.uint8]


class BestValues:
    """See the module's text. `capacity`: pairs of patient and device; when all are taken everything begins anew.

    `every=False`: none where one source speaks for itself, which spares a very large ward half of its rows.
    """

    def __init__(self, capacity: int = CAPACITY, *, every: bool = True) -> None:
        self._capacity = capacity
        self._every = every
        self.forget()

    def forget(self) -> None:
        """Begin anew, as if nothing had been heard: the values are back with the next readings."""
        self._entries: dict[tuple[str, str], int] = {}  # (patient, device)
        self._patients: dict[str, int] = {}
        self._entry = np.zeros(0, _ENTRY_DTYPE)
        self._place = np.zeros(0, np.intp)  # of devices in the present block
        self._lines, self._known = Lines.of(0), Wearables.of(0)
        self._names, self._who, self._best = (np.zeros(0, object) for _ in range(3))
        self._grow(min(_FIRST, self._capacity))

    def _grow(self, size: int) -> None:
        """Make room for `size` entries."""
        old = np.arange(len(self._entry))
        lines, known = Lines.of(size * _KINDS), Wearables.of(size)
        put_back(lines, np.arange(len(old) * _KINDS), self._lines)
        put_back(known, old, self._known)
        self._lines, self._known = lines, known
        more = size - len(old)
        self._entry = np.concatenate((self._entry, np.zeros(more, _ENTRY_DTYPE)))
        self._place = np.concatenate((self._place, np.full(more, -1, np.intp)))
        # By entry the devices' names; by patient their pseudonyms, and the devices of their best values.
        self._names, self._who, self._best = (
            np.concatenate((names, np.zeros(more, object))) for names in (self._names, self._who, self._best)
        )

    def choose(self, block: SampleBlock) -> SampleBlock:
        """`block` with the best values that its readings make at its end."""
        if not len(block.rows):
            return block
        entries = self._placed(block)
        heard = _heard(block, entries, self._entry[entries])
        if not len(heard.row):
            return block
        news = [self._hear(part) for part in _rounds(heard)]
        return self._told(block, entries, _joined(news))

    def _placed(self, block: SampleBlock) -> Indices:
        """The entry of each device of the block."""
        wearers = list(zip(block.patients, block.devices, strict=True))
        entries = np.fromiter(map(self._entries.get, wearers, repeat(-1)), np.intp, len(wearers))
        new = np.flatnonzero(entries < 0).tolist()
        needed = len(self._entries) + 2 * len(new)  # a wave's device may bring its wearable along
        if needed > self._capacity and self._entries:
            self.forget()
            return self._placed(block)
        if needed > len(self._entry):
            self._grow(max(needed, min(2 * len(self._entry), self._capacity)))
        for place in new:
            entries[place] = self._enter(*wearers[place])
        return entries

    def _enter(self, patient: str, device: str) -> int:
        """The entry of a device, made when new."""
        if (patient, device) in self._entries:
            return self._entries[patient, device]
        number = self._entries[patient, device] = len(self._entries)
        best = best_name(patient)
        row = self._patients.setdefault(patient, len(self._patients))
        self._names[number], self._who[row], self._best[row] = device, patient, best
        wearable = number if source_of(device) == device else self._enter(patient, source_of(device))
        heard = best is not None and not is_best(device)
        self._entry[number] = (row, wearable, is_virtual(device), heard)
        return number

    def _hear(self, heard: _Heard) -> _News:
        """One round: readings of different patients, or such as have nothing to do with each other."""
        note(self._known, heard.wearable, heard.vital, heard.derived, heard.spoken)
        line = heard.patient * _KINDS + heard.kind
        refused = _refuse_tests(self._lines, line, heard.spoken)
        heard = heard.at(np.flatnonzero((heard.kind >= 0) & timely(self._lines, line, heard.spoken) & ~refused))
        line, spoken = heard.patient * _KINDS + heard.kind, heard.spoken
        said = spoken.copy()
        optical = ~heard.derived & ((heard.vital == Vital.PULSE_RATE) | (heard.vital == Vital.SPO2))
        doubt(self._known, heard.wearable, optical, spoken)
        oxygen = np.flatnonzero(heard.kind == _OXYGEN)
        if len(oxygen):
            saturated = spoken.take(oxygen)
            beside = heart_rate_beside(self._lines, heard.patient[oxygen] * _KINDS + _HEART, saturated)
            saturation(self._known, heard.wearable[oxygen], saturated, beside)
            put_rows(spoken, oxygen, saturated)
        told = hear(self._lines, line, spoken, said, _TOLERANCE[heard.kind])
        new = np.flatnonzero(told.news if self._every else told.news & told.adds)
        return _News(
            heard.row[new],
            heard.patient[new],
            heard.kind[new],
            told.spoken.take(new),
            told.quality[new],
            told.reason[new],
        )

    def _told(self, block: SampleBlock, entries: Indices, news: _News) -> SampleBlock:
        """The block with a row for each of `news`, and the devices that those name."""
        if not len(news.row):
            return block
        whose, owner = np.unique(news.patient, return_inverse=True)
        first = len(block.devices)
        place = self._place
        place[entries] = np.arange(first)
        by = (news.spoken["source"] >> _SOURCE_BITS) - 1  # entries
        missing = news.reason != Reason.PRESENT
        absent = np.unique(by[(place[by] < 0) & ~missing])
        place[absent] = first + len(whose) + np.arange(len(absent))
        rows = _rows(news, first + owner)
        rows["source"] = np.where(missing, rows["device"], place[by])
        place[entries] = place[absent] = -1
        wearers = self._entry["patient"][absent]
        return SampleBlock(
            (*block.devices, *self._best[whose], *self._names[absent]),
            (*block.patients, *self._who[whose], *self._who[wearers]),
            block.gateways + ("",) * (len(whose) + len(absent)),
            np.frombuffer(
                block.rows.tobytes() + rows.take(np.argsort(news.row, kind="stable")).tobytes(), SAMPLE_DTYPE
            ),
            block.waveforms,
        )


def _rows(news: _News, devices: Indices) -> Rows:
    """The rows of `news`, of these devices; without `source`."""
    rows = np.zeros(len(news.row), SAMPLE_DTYPE)
    for name in ("sampled_at_ns", "received_at_ns", "raw", "value", "uncertainty_ms", "clock"):
        rows[name] = news.spoken[name]
    rows["device"], rows["vital"] = devices, _VITALS[news.kind]
    rows["quality"], rows["reason"] = news.quality, news.reason
    missing = news.reason != Reason.PRESENT
    rows["raw"][missing] = rows["value"][missing] = np.nan
    return rows


def _refuse_tests(lines: Lines, chosen: Indices, spoken: Spoken) -> Mask:
    """Readings in test mode say nothing of the patient; those of a source that never said anything are refused."""
    test = np.flatnonzero(spoken["quality"] == Quality.TEST)
    refused = np.zeros(len(spoken), np.bool_)
    if len(test):
        refused[test] = ~has_heard(lines, chosen[test], spoken[test])
        for name, none in (("value", np.nan), ("quality", Quality.UNUSABLE), ("reason", Reason.NO_READING)):
            spoken[name][test] = none
    return refused


def _heard(block: SampleBlock, entries: Indices, known: npt.NDArray[Any]) -> _Heard:
    """The readings of `block` that are heard; `entries` and what is `known` of them, by device."""
    device, vital = block.rows["device"], block.rows["vital"]
    row = np.flatnonzero(_IS_HEARD[vital] & known["heard"][device])
    rows, device, vital = block.rows.take(row), device[row], vital[row].astype(np.intp)
    derived = known["derived"][device]
    spoken = np.zeros(len(row), SPOKEN_DTYPE)
    for name in ("sampled_at_ns", "received_at_ns", "raw", "value", "uncertainty_ms", "reason", "quality", "clock"):
        spoken[name] = rows[name]
    spoken["at_ns"] = np.minimum(rows["sampled_at_ns"], rows["received_at_ns"])
    pulse = vital == Vital.PULSE_RATE
    spoken["rank"] = derived * 2 + pulse
    spoken["source"] = (entries[device] + 1 << _SOURCE_BITS) + pulse
    wearable, patient = known["wearable"][device], known["patient"][device]
    return _Heard(row, vital, patient, wearable, derived, _KIND[vital], spoken)


def _rounds(heard: _Heard) -> Iterator[_Heard]:
    """The readings in rounds: of a patient one in each, in the order of arrival. Breathing depends on nothing else."""
    group = heard.patient * 2 + (heard.kind == _BREATH)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    number = np.arange(len(order)) - np.repeat(starts, lengths)
    for part in np.split(order[np.argsort(number, kind="stable")], np.cumsum(np.bincount(number))[:-1]):
        yield heard.at(part)


def _joined(news: Sequence[_News]) -> _News:
    if len(news) == 1:
        return news[0]
    return _News(*(np.concatenate([getattr(part, name) for part in news]) for name in _News.__slots__))
