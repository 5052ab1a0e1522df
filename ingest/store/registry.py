"""The writer's memory of names: small numbers for patients and for the series of devices.

It mirrors the tables `patient`, `series`, `worn` and `source`: a row that was seen before costs an array look-up.
"""

from __future__ import annotations

from typing import Any, Final

import apsw
import numpy as np
import numpy.typing as npt

from ingest.store.schema import select
from vitals.columns import SampleBlock

MOST_SOURCES: Final = 0xFFFF  # what a row's `sequence` can hold; a device beyond is stored as 0, "not known"
_STREAMS: Final = 256  # a Vital or a Waveform is one byte
_FIRST_WEARERS: Final = 64  # rows of the table to begin with; it doubles


class Registry:
    """Numbers of names. New names are written through `db`, inside the caller's transaction.

    After a transaction that failed it knows names that the file does not: make a new one.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._patients: dict[str, int] = dict(select(db, "SELECT name, id FROM patient"))
        self._series: dict[tuple[str, int], int] = {
            (device, stream): number for number, device, stream in select(db, "SELECT id, device, stream FROM series")
        }
        self._sources: dict[str, int] = dict(select(db, "SELECT name, id FROM source"))
        self._wearers: dict[tuple[str, str], int] = {}  # (device, patient) to a number from 1 on; not stored
        self._pairs: list[tuple[str, str]] = [("", "")]  # and back
        self._patient_of = np.zeros(_FIRST_WEARERS, np.uint32)
        self._table = np.zeros((_FIRST_WEARERS, _STREAMS), np.uint32)  # series of a wearer's stream, 0: not seen yet

    def of_rows(self, block: SampleBlock) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The series and the patient of each of the block's rows, each shape (n,)."""
        pairs = zip(block.devices, block.patients, strict=True)
        wearers = np.array([self._wearers.get(pair) or self._wearer(pair) for pair in pairs], np.intp)
        wearer, vital = wearers[block.rows["device"]], block.rows["vital"]
        series = self._table[wearer, vital]
        if not series.all():
            for combined in np.unique(wearer[series == 0] * _STREAMS + vital[series == 0]).tolist():
                self._learn(*divmod(combined, _STREAMS))
            series = self._table[wearer, vital]
        return series, self._patient_of[wearer]

    def of_sources(self, block: SampleBlock) -> npt.NDArray[Any]:
        """What is stored as the `sequence` of each of the block's rows, shape (n,).

        A best value has no other than 0 and one a second: its number tells the device that it came from, 0 where there
        is no value. So provenance costs no room, and files of before are read as they are.
        """
        rows = block.rows
        sequence = rows["sequence"].copy()
        best = np.flatnonzero(rows["source"] != rows["device"])
        if len(best):
            devices, which = np.unique(rows["source"][best], return_inverse=True)
            numbers = [self._source(block.devices[device]) for device in devices.tolist()]
            sequence[best] = np.array(numbers, np.uint16)[which]
        return sequence

    def _source(self, device: str) -> int:
        number = self._sources.get(device)
        if number is None:
            if len(self._sources) >= MOST_SOURCES:
                return 0
            self._db.execute("INSERT INTO source(name) VALUES(?)", (device,))
            number = self._sources[device] = self._db.last_insert_rowid()
        return number

    def of_stream(self, device: str, patient: str, stream: int) -> tuple[int, int]:
        """The series and the patient of one stream."""
        wearer = self._wearers.get((device, patient)) or self._wearer((device, patient))
        if not self._table[wearer, stream]:
            self._learn(wearer, stream)
        return int(self._table[wearer, stream]), int(self._patient_of[wearer])

    def _wearer(self, pair: tuple[str, str]) -> int:
        wearer = self._wearers[pair] = len(self._pairs)
        self._pairs.append(pair)
        if wearer == len(self._patient_of):
            self._patient_of = np.concatenate((self._patient_of, np.zeros_like(self._patient_of)))
            self._table = np.concatenate((self._table, np.zeros_like(self._table)))
        self._patient_of[wearer] = self._patient(pair[1])
        return wearer

    def _patient(self, name: str) -> int:
        if name not in self._patients:
            self._db.execute("INSERT INTO patient(name) VALUES(?)", (name,))
            self._patients[name] = self._db.last_insert_rowid()
        return self._patients[name]

    def _learn(self, wearer: int, stream: int) -> None:
        device, patient = self._pairs[wearer]
        key = (device, stream)
        if key not in self._series:
            self._db.execute("INSERT INTO series(device, stream) VALUES(?,?)", key)
            self._series[key] = self._db.last_insert_rowid()
        self._db.execute("INSERT OR IGNORE INTO worn VALUES(?,?)", (self._patients[patient], self._series[key]))
        self._table[wearer, stream] = self._series[key]
