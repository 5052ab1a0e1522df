"""Export of what is stored: the vitals of one patient, or alarms, as CSV or Parquet.

Data goes out in portions, so that a month needs no more memory than some hours. Every time stands twice: in UTC, and in
the ward's own time with its offset, which is what the people who read the file remember.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, BinaryIO, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from ingest.store.answers import Samples
from ingest.store.reader import StoreReader
from vitals.errors import ConfigurationError
from vitals.model import VITALS, ClockSource, Quality, Reason, Vital

FileFormat: TypeAlias = Literal["csv", "parquet"]
PORTION_NS: Final = 6 * 3_600 * 10**9  # read and written at once: some 20 MB for ten streams at 1 Hz
ALARM_PORTION: Final = 10_000  # alarms written at once
_QUARTER_S: Final = 900  # time zones change their offset on quarters of an hour
_WORDS: Final = pa.dictionary(pa.int32(), pa.string())
_TYPES: Final[Mapping[type, pa.DataType]] = {str: _WORDS, int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def export_vitals(
    reader: StoreReader,
    patient: str,
    start_ns: int,
    end_ns: int,
    *,
    time_zone: str,
    file_format: FileFormat,
    out: BinaryIO,
    progress: Callable[[float], None] = lambda _: None,
) -> int:
    """Write the samples of `patient` with `start_ns` <= sampled_at < `end_ns` to `out`, by time; how many there were.

    `time_zone`: of the ward, such as "Europe/Berlin". `progress` gets the fraction done, at last 1.0. Columns: see
    `_vitals_schema`. A missing value is empty in CSV and null in Parquet, and `reason` says why there is none.
    """
    _check_zone(time_zone)
    schema = _vitals_schema(time_zone)
    written = 0
    with _writing(out, schema, file_format) as write:
        for samples, done in _portions(reader, patient, start_ns, end_ns):
            if len(samples):
                write(pa.table(_columns(samples)).cast(schema))
                written += len(samples)
            progress(done)
    progress(1.0)
    return written


def export_alarms(
    alarms: Iterable[Mapping[str, Any]],
    fields: Mapping[str, type],
    *,
    time_zone: str,
    file_format: FileFormat,
    out: BinaryIO,
) -> int:
    """Write `alarms`, one mapping a row, to `out` in their order; how many there were.

    `fields`: the columns, each `str`, `int`, `float` or `bool`. One whose name ends in `_ns` is a time, and becomes
    two without that ending, in UTC and in the time of the ward. What a row lacks is empty in CSV and null in Parquet.
    """
    _check_zone(time_zone)
    schema = _alarm_schema(fields, time_zone)
    written = 0
    remaining = iter(alarms)
    with _writing(out, schema, file_format) as write:
        while rows := list(islice(remaining, ALARM_PORTION)):
            write(pa.table(_alarm_columns(rows, fields)).cast(schema))
            written += len(rows)
    return written


def _vitals_schema(time_zone: str) -> pa.Schema:
    return pa.schema(
        [
            ("sampled_at", pa.timestamp("ns", "UTC")),
            ("sampled_at_local", pa.timestamp("ns", time_zone)),
            ("vital", _WORDS),
            ("unit", _WORDS),
            ("value", pa.float64()),  # validated and filtered
            ("raw", pa.float64()),  # as received
            ("reason", _WORDS),  # why there is no value; `present` when there is one
            ("quality", _WORDS),
            ("device", _WORDS),
            ("source", _WORDS),  # the device that measured it: of a best value another one
            ("sequence", pa.int32()),  # tells apart samples of one stream that share a time
            ("clock", _WORDS),
            ("uncertainty_ms", pa.float32()),  # of sampled_at
            ("received_at", pa.timestamp("ns", "UTC")),
        ]
    )


def _portions(reader: StoreReader, patient: str, start_ns: int, end_ns: int) -> Iterator[tuple[Samples, float]]:
    """The samples some hours at a time, and which fraction is done with them."""
    extent = reader.extent(patient)
    if extent is None:
        return
    first, last = max(start_ns, extent[0]), min(end_ns, extent[1])
    for begin in range(first, last, PORTION_NS):
        end = min(begin + PORTION_NS, last)
        yield reader.samples(patient, None, begin, end), (end - first) / (last - first)


def _columns(samples: Samples) -> dict[str, pa.Array]:
    sampled_at = _instants(samples.sampled_at_ns)
    vitals = [Vital(number) for number in range(1, max(Vital) + 1)]
    return {
        "sampled_at": sampled_at,
        "sampled_at_local": sampled_at,
        "vital": _words(samples.vital - 1, [VITALS[vital].name for vital in vitals]),
        "unit": _words(samples.vital - 1, [VITALS[vital].unit for vital in vitals]),
        "value": pa.array(samples.value, from_pandas=True),
        "raw": pa.array(samples.raw, from_pandas=True),
        "reason": _words(samples.reason, _names(Reason)),
        "quality": _words(samples.quality, _names(Quality)),
        "device": _words(samples.device, samples.devices),
        "source": _words(samples.source, samples.devices),
        "sequence": pa.array(samples.sequence),
        "clock": _words(samples.clock, _names(ClockSource)),
        "uncertainty_ms": pa.array(samples.uncertainty_ms),
        "received_at": _instants(samples.received_at_ns),
    }


def _names(words: type[Reason | Quality | ClockSource]) -> list[str]:
    """The words in lower case, each at the place of its number."""
    known = {int(word): word.name.lower() for word in words}
    return [known.get(number, f"unknown_{number}") for number in range(max(known) + 1)]


def _words(places: npt.NDArray[Any], words: Iterable[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(list(words), pa.string()))


def _instants(at_ns: npt.NDArray[Any]) -> pa.Array:
    return pa.array(np.ascontiguousarray(at_ns), pa.int64()).cast(pa.timestamp("ns", "UTC"))


def _alarm_schema(fields: Mapping[str, type], time_zone: str) -> pa.Schema:
    columns: list[tuple[str, pa.DataType]] = []
    for name, kind in fields.items():
        if name.endswith("_ns"):
            columns.append((name.removesuffix("_ns"), pa.timestamp("ns", "UTC")))
            columns.append((f"{name.removesuffix('_ns')}_local", pa.timestamp("ns", time_zone)))
        else:
            columns.append((name, _TYPES[kind]))
    return pa.schema(columns)


def _alarm_columns(rows: list[Mapping[str, Any]], fields: Mapping[str, type]) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    for name, kind in fields.items():
        values = [row.get(name) for row in rows]
        if name.endswith("_ns"):
            instants = pa.array(values, pa.int64()).cast(pa.timestamp("ns", "UTC"))
            columns |= dict.fromkeys((name.removesuffix("_ns"), f"{name.removesuffix('_ns')}_local"), instants)
        elif kind is str:
            columns[name] = pa.array(values, pa.string()).dictionary_encode()
        else:
            columns[name] = pa.array(values, _TYPES[kind])
    return columns


# -- the two formats ---------------------------------------------------------------------------------------------------


@contextmanager
def _writing(out: BinaryIO, schema: pa.Schema, file_format: FileFormat) -> Iterator[Callable[[pa.Table], None]]:
    """A function that writes tables of `schema` to `out`; the file is whole when the context ends."""
    if file_format == "parquet":
        with pa_parquet.ParquetWriter(out, schema, compression="zstd") as writer:
            yield writer.write_table
        return
    text = pa.schema([(field.name, _text_type(field.type)) for field in schema])
    options = pa_csv.WriteOptions(quoting_style="needed")
    with pa_csv.CSVWriter(out, text, write_options=options) as writer:
        yield lambda table: writer.write_table(_as_text(table, text))


def _text_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_timestamp(kind) or pa.types.is_dictionary(kind) else kind


def _as_text(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        _iso(column, column.type.tz) if pa.types.is_timestamp(column.type) else column.cast(field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.table(columns, schema=schema)


def _iso(instants: pa.ChunkedArray, time_zone: str) -> pa.Array:
    """ISO 8601 with nanoseconds and offset: `2026-03-29T03:00:00.000000000+02:00`, or `Z` for UTC."""
    missing = np.asarray(instants.is_null())
    at_ns = np.asarray(instants.cast(pa.int64()).fill_null(0))
    offset_s = np.zeros_like(at_ns)
    endings: npt.NDArray[Any] = np.full(at_ns.size, "Z", dtype="U6")
    if time_zone != "UTC":
        quarters, which = np.unique(at_ns // 10**9 // _QUARTER_S, return_inverse=True)
        found = [_offset(int(quarter) * _QUARTER_S, ZoneInfo(time_zone)) for quarter in quarters]
        offset_s = np.array([seconds for seconds, _ in found], np.int64)[which]
        endings = np.array([ending for _, ending in found], dtype="U6")[which]
    shown = np.datetime_as_string((at_ns + offset_s * 10**9).view("<M8[ns]"), unit="ns")
    return pa.array(np.char.add(shown, endings), pa.string(), mask=missing)


def _offset(at_s: int, zone: ZoneInfo) -> tuple[int, str]:
    """Seconds east of UTC at a time, and how ISO 8601 writes them."""
    local = datetime.fromtimestamp(at_s, UTC).astimezone(zone)
    offset = local.utcoffset()
    return int(offset.total_seconds()) if offset else 0, local.isoformat()[-6:]


def _check_zone(time_zone: str) -> None:
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigurationError(f"time zone {time_zone!r} is not known; write one like 'Europe/Berlin'") from error
