"""Reading the embedded store, from any process, at the same time as its writer.

Every answer is one consistent moment of the store: what is hot and what is sealed together, each key once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import apsw
import numpy as np

from ingest.store import queries
from ingest.store.answers import Minutes, Samples, SeriesName, StoredWaveform, Totals, minutes_named, samples_of, shown
from ingest.store.rows import BUCKET_NS, bucket_of, joined
from ingest.store.schema import STORE, select
from vitals import sqlite_file
from vitals.model import Vital, Waveform

_VITALS: Final = tuple(int(vital) for vital in Vital)


class StoreReader:
    """Read-only view of a store's file. Safe to call from several threads: calls wait for each other.

    Times are nanoseconds UTC, intervals half open: `start_ns` <= t < `end_ns`. An unknown patient has nothing.
    Raises `ConfigurationError` when there is no such file and `PermanentError` when it is not a readable store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db = sqlite_file.connect(path, STORE, read_only=True)
        try:
            sqlite_file.require_newest(self._db, path, STORE)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # -- what there is -----------------------------------------------------------------------------------------------

    def patients(self) -> tuple[str, ...]:
        """All patients that anything was stored of, `""` standing for devices that nobody was assigned to."""
        with self._moment() as db:
            return tuple(name for (name,) in select(db, "SELECT name FROM patient ORDER BY name"))

    def series(self, patient: str) -> tuple[SeriesName, ...]:
        """The streams that hold anything of `patient`, by device and stream."""
        with self._moment() as db:
            names = queries.names_of(db, patient).values()
        return tuple(sorted(names, key=lambda name: (name.device, name.stream)))

    def count(self) -> Totals:
        """How much there is, exactly. Reads all that is hot: for reports and checks, not for every second."""
        with self._moment() as db:
            return Totals(
                samples=queries.count_samples(db),
                waveforms=queries.count_waveforms(db),
                patients=queries.number_of(db, "SELECT count(*) FROM patient"),
                series=queries.number_of(db, "SELECT count(*) FROM series"),
            )

    def extent(self, patient: str) -> tuple[int, int] | None:
        """An interval of whole buckets that holds all samples of the series of `patient`; `None` when there is none."""
        with self._moment() as db:
            names = queries.names_of(db, patient, _VITALS)
            sql = "SELECT min(bucket), max(bucket) FROM sealed WHERE series=?"
            bounds = [select(db, sql, (series,)).fetchone() for series in names]
            hot = queries.hot_rows(db, names)["sampled_at_ns"]
        buckets = [bucket for bound in bounds for bucket in bound if bucket is not None]
        if hot.size:
            buckets += [bucket_of(int(hot.min())), bucket_of(int(hot.max()))]
        return (min(buckets) * BUCKET_NS, (max(buckets) + 1) * BUCKET_NS) if buckets else None

    # -- samples, minutes, waveforms ---------------------------------------------------------------------------------

    def samples(self, patient: str, vital: Vital | None, start_ns: int, end_ns: int) -> Samples:
        """The samples of one vital of `patient`, or of all with `None`."""
        start_ns, end_ns = _clamped(start_ns, end_ns)
        with self._moment() as db:
            names = queries.names_of(db, patient, _VITALS if vital is None else (vital,))
            rows = queries.all_rows(db, names, start_ns, end_ns)
            sources = queries.sources_of(db, rows, names)
            ours = rows["patient"] == queries.patient_number(db, patient)
            rows = rows if ours.all() else rows[ours]
        return samples_of(rows, names, sources)

    def last(self, patient: str) -> Samples:
        """The newest sample of each stream of `patient`, with or without a value."""
        with self._moment() as db:
            names, number = queries.names_of(db, patient, _VITALS), queries.patient_number(db, patient)
            newest = joined([queries.newest_row(db, series, number) for series in names])
            sources = queries.sources_of(db, newest, names)
        return samples_of(newest, names, sources)

    def minutes(self, patient: str, vital: Vital, start_ns: int, end_ns: int) -> Minutes:
        """The rollups of the minutes that begin in the interval."""
        start_ns, end_ns = _clamped(start_ns, end_ns)
        with self._moment() as db:
            names, number = queries.names_of(db, patient, (vital,)), queries.patient_number(db, patient)
            rows = queries.minutes_between(db, names, start_ns, end_ns)
        begins = rows["minute_ns"]
        return minutes_named(rows[(rows["patient"] == number) & (begins >= start_ns) & (begins < end_ns)], names)

    def all_minutes(self, patient: str, start_ns: int, end_ns: int) -> dict[int, Minutes]:
        """`minutes` of every vital of `patient` that has any, by vital."""
        start_ns, end_ns = _clamped(start_ns, end_ns)
        with self._moment() as db:
            names, number = queries.names_of(db, patient, _VITALS), queries.patient_number(db, patient)
            rows = queries.minutes_between(db, names, start_ns, end_ns)
        begins = rows["minute_ns"]
        rows = rows[(rows["patient"] == number) & (begins >= start_ns) & (begins < end_ns)]
        found = {}
        for vital in sorted({name.stream for name in names.values()}):
            mine = {series: name for series, name in names.items() if name.stream == vital}
            of_vital = rows[np.isin(rows["series"], list(mine))]
            if of_vital.size:
                found[vital] = minutes_named(of_vital, mine)
        return found

    def waveforms(self, patient: str, waveform: Waveform, start_ns: int, end_ns: int) -> tuple[StoredWaveform, ...]:
        """The blocks that begin in the interval, by time, then device."""
        start_ns, end_ns = _clamped(start_ns, end_ns)
        with self._moment() as db:
            names, number = queries.names_of(db, patient, (waveform,)), queries.patient_number(db, patient)
            found = [
                shown(block, name.device)
                for series, name in names.items()
                for block in queries.blocks_between(db, series, start_ns, end_ns)
                if block.patient == number
            ]
        return tuple(sorted(found, key=lambda block: (block.started_at_ns, block.device)))

    @contextmanager
    def _moment(self) -> Iterator[apsw.Connection]:
        """One read transaction: all its queries see the same commit."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("COMMIT")


def _clamped(start_ns: int, end_ns: int) -> tuple[int, int]:
    """Plain integers within what a column holds, whatever kind of number the caller has."""
    return max(0, int(start_ns)), min(queries.END_NS, int(end_ns))
