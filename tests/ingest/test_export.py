"""Export: every stored sample once, typed in Parquet, readable in CSV, with the ward's own time beside UTC."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from store_material import SECOND_NS, START_NS, block, reading

from ingest.export import PORTION_NS, export_alarms, export_vitals
from ingest.store.queries import END_NS
from ingest.store.reader import StoreReader
from ingest.store.rows import BUCKET_NS
from ingest.store.writer import StoreWriter
from vitals.errors import ConfigurationError
from vitals.model import Reason, Vital

BERLIN = "Europe/Berlin"
Row = dict[str, str]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[StoreWriter]:
    with StoreWriter(tmp_path / "store.db") as made:
        yield made


@pytest.fixture
def reader(writer: StoreWriter) -> Iterator[StoreReader]:
    with StoreReader(writer.path) as made:
        yield made


def as_csv(
    reader: StoreReader, start_ns: int = 0, end_ns: int = END_NS, time_zone: str = BERLIN
) -> list[dict[str, str]]:
    out = io.BytesIO()
    count = export_vitals(reader, "P-0001", start_ns, end_ns, time_zone=time_zone, file_format="csv", out=out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode())))
    assert len(rows) == count
    return rows


def test_a_row_says_everything(writer: StoreWriter, reader: StoreReader) -> None:
    writer.write(
        [
            block(
                [reading(0, 97.5, vital=int(Vital.SPO2)), reading(1, None, raw=412.0, reason=int(Reason.OUT_OF_RANGE))]
            )
        ],
        position=1,
    )
    first, second = as_csv(reader)
    assert first == {
        "sampled_at": "2026-01-01T00:00:00.000000000Z",
        "sampled_at_local": "2026-01-01T01:00:00.000000000+01:00",
        "vital": "spo2",
        "unit": "%",
        "value": "97.5",
        "raw": "97.5",
        "reason": "present",
        "quality": "usable",
        "device": "ox-1",
        "source": "ox-1",
        "sequence": "0",
        "clock": "synchronised",
        "uncertainty_ms": "50",
        "received_at": "2026-01-01T00:00:00.123000000Z",
    }
    assert (second["vital"], second["value"], second["raw"]) == ("pulse_rate", "", "412")
    assert second["reason"] == "out_of_range"


def test_local_time_follows_the_change_to_summer_time(writer: StoreWriter, reader: StoreReader) -> None:
    change_s = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp())
    start_s = START_NS // SECOND_NS
    writer.write([block([reading(change_s - start_s - 1), reading(change_s - start_s)])], position=1)
    assert [row["sampled_at_local"] for row in as_csv(reader)] == [
        "2026-03-29T01:59:59.000000000+01:00",
        "2026-03-29T03:00:00.000000000+02:00",
    ]
    assert as_csv(reader, time_zone="Asia/Kathmandu")[0]["sampled_at_local"] == "2026-03-29T06:44:59.000000000+05:45"


def test_parquet_carries_types(writer: StoreWriter, reader: StoreReader) -> None:
    writer.write([block([reading(0, 80.0), reading(1, None)])], position=1)
    out = io.BytesIO()
    assert export_vitals(reader, "P-0001", 0, END_NS, time_zone=BERLIN, file_format="parquet", out=out) == 2
    table = pa_parquet.read_table(io.BytesIO(out.getvalue()))
    assert table.schema.field("sampled_at").type == pa.timestamp("ns", "UTC")
    assert table.schema.field("sampled_at_local").type == pa.timestamp("ns", BERLIN)
    assert pa.types.is_dictionary(table.schema.field("reason").type)
    assert table["sampled_at"].cast(pa.int64()).to_pylist() == [START_NS, START_NS + SECOND_NS]
    assert table["value"].to_pylist() == [80.0, None]
    assert table["reason"].to_pylist() == ["present", "probe_off"]


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_long_export_goes_out_in_portions_and_says_how_far_it_is(
    writer: StoreWriter, reader: StoreReader, file_format: str
) -> None:
    hours = [reading(3_600 * hour + second) for hour in range(20) for second in range(3)]
    writer.write([block(hours[::2]), block(hours[1::2])], position=1)
    writer.seal(START_NS + 10 * 3_600 * SECOND_NS)
    fractions: list[float] = []
    out = io.BytesIO()
    count = export_vitals(
        reader, "P-0001", 0, END_NS, time_zone=BERLIN, file_format=file_format, out=out, progress=fractions.append
    )
    assert count == 60
    assert len(fractions) == -(-19 * 3_600 * SECOND_NS // PORTION_NS) + 1  # each portion, and the end
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    if file_format == "csv":
        times = [row["sampled_at"] for row in csv.DictReader(io.StringIO(out.getvalue().decode()))]
        assert len(times) == 60
        assert times == sorted(times)


def test_the_interval_is_half_open_and_may_be_empty(writer: StoreWriter, reader: StoreReader) -> None:
    assert as_csv(reader) == []
    writer.write([block([reading(0), reading(5)])], position=1)
    writer.seal(START_NS + 2 * BUCKET_NS)
    assert len(as_csv(reader, START_NS, START_NS + 5 * SECOND_NS)) == 1
    assert as_csv(reader, START_NS + BUCKET_NS, END_NS) == []


def test_an_unknown_time_zone_is_refused(reader: StoreReader) -> None:
    with pytest.raises(ConfigurationError, match="Europe/Berlin"):
        as_csv(reader, time_zone="Middle/Earth")


def test_alarms_are_written_as_the_caller_names_them() -> None:
    fields = {"raised_at_ns": int, "patient": str, "kind": str, "limit": float, "latched": bool}
    alarms = [
        {"raised_at_ns": START_NS, "patient": "P-0001", "kind": "spo2 low, for 15 s", "limit": 88.0, "latched": True},
        {"raised_at_ns": None, "patient": "P-0002", "kind": 'a "quoted" word', "latched": False},
    ]
    out = io.BytesIO()
    assert export_alarms(alarms, fields, time_zone=BERLIN, file_format="csv", out=out) == 2
    rows = list(csv.reader(io.StringIO(out.getvalue().decode())))
    assert rows == [
        ["raised_at", "raised_at_local", "patient", "kind", "limit", "latched"],
        [
            "2026-01-01T00:00:00.000000000Z",
            "2026-01-01T01:00:00.000000000+01:00",
            "P-0001",
            "spo2 low, for 15 s",
            "88",
            "true",
        ],
        ["", "", "P-0002", 'a "quoted" word', "", "false"],
    ]
    out = io.BytesIO()
    assert export_alarms(alarms, fields, time_zone=BERLIN, file_format="parquet", out=out) == 2
    assert pa_parquet.read_table(io.BytesIO(out.getvalue()))["limit"].to_pylist() == [88.0, None]
