"""The store as a whole: whatever the order of writes, seals and restarts, it holds each key once, in order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from store_material import SECOND_NS, START_NS, Reading, block, reading

from ingest.store.answers import Samples, SeriesName
from ingest.store.queries import END_NS
from ingest.store.reader import StoreReader
from ingest.store.rollup import MINUTE_NS
from ingest.store.rows import BUCKET_NS
from ingest.store.writer import RESEAL_NS, StoreWriter
from vitals.errors import ConfigurationError, PermanentError, RetryableError
from vitals.model import Reason, Vital

PATIENTS = ("P-0001", "")
VITALS = (Vital.PULSE_RATE, Vital.SPO2)


def readings() -> st.SearchStrategy[Reading]:
    """Readings that collide in their keys often, devices changing hands now and then."""
    return st.builds(
        reading,
        device=st.sampled_from(["ox-1", "ox-2", "ox-3"]),
        vital=st.sampled_from([int(vital) for vital in VITALS]),
        at_s=st.integers(0, 1_000) | st.sampled_from([0, 59, 60, 299, 300, 599, 600]),
        sequence=st.integers(0, 2),
        value=st.none() | st.integers(0, 200).map(float) | st.floats(allow_nan=False, allow_infinity=False, width=32),
        patient=st.sampled_from(["P-0001", "P-0001", "P-0001", ""]),
    )


def listed(samples: Samples) -> list[tuple[object, ...]]:
    """Samples as plain tuples: device, vital, time, sequence, value, raw, reason."""
    value = [None if np.isnan(v) else v for v in samples.value.tolist()]
    raw = [None if np.isnan(v) else v for v in samples.raw.tolist()]
    device = [samples.devices[index] for index in samples.device.tolist()]
    rest = (samples.sampled_at_ns, samples.sequence)
    columns = (device, samples.vital.tolist(), *(c.tolist() for c in rest), value, raw, samples.reason.tolist())
    return list(zip(*columns, strict=True))


def expected(stored: dict[tuple[object, ...], Reading], patient: str, vital: Vital) -> list[tuple[object, ...]]:
    """What the store must answer, by a dictionary."""
    rows = [
        (r.device, r.vital, r.sampled_at_ns, r.sequence, r.value, None if np.isnan(r.raw) else r.raw, r.reason)
        for r in stored.values()
        if r.patient == patient and r.vital == vital
    ]
    return sorted(rows, key=lambda row: (row[2], row[0], row[3]))


def minutes_by_hand(rows: list[tuple[object, ...]]) -> dict[tuple[object, int], tuple[object, ...]]:
    """(device, minute) → count, missing, minimum, maximum, mean, covered seconds, reasons that are most frequent."""
    groups: dict[tuple[object, int], list[tuple[object, ...]]] = {}
    for row in rows:
        groups.setdefault((row[0], row[2] // MINUTE_NS * MINUTE_NS), []).append(row)
    found = {}
    for key, members in groups.items():
        values = [row[4] for row in members if row[4] is not None]
        reasons = Counter(row[6] for row in members if row[4] is None)
        most = max(reasons.values(), default=0)
        found[key] = (
            len(values),
            len(members) - len(values),
            min(values, default=None),
            max(values, default=None),
            sum(values) / len(values) if values else None,
            len({row[2] // SECOND_NS for row in members if row[4] is not None}),
            {reason for reason, count in reasons.items() if count == most} or {int(Reason.PRESENT)},
        )
    return found


class StoreMachine(RuleBasedStateMachine):
    """Writes with duplicates and late data, seals, and restarts, against a dictionary in which the first write wins."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "store.db"
        self.writer = StoreWriter(self.path)
        self.reader = StoreReader(self.path)
        self.stored: dict[tuple[object, ...], Reading] = {}
        self.now_ns = START_NS
        self.position = 0

    def teardown(self) -> None:
        self.reader.close()
        self.writer.close()
        self.folder.cleanup()

    @rule(batches=st.lists(st.lists(readings(), max_size=25), max_size=3))
    def write(self, batches: list[list[Reading]]) -> None:
        self.position += 1
        self.writer.write([block(batch) for batch in batches], position=self.position)
        for batch in batches:
            for r in batch:
                self.stored.setdefault(r.key, r)

    @rule(forward_s=st.integers(0, 400), units=st.none() | st.integers(1, 2))
    def seal(self, forward_s: int, units: int | None) -> None:
        self.now_ns += forward_s * SECOND_NS
        self.writer.seal(self.now_ns, units=units)

    @rule()
    def restart(self) -> None:
        self.writer.close()
        self.writer = StoreWriter(self.path)
        assert self.writer.position == self.position

    @invariant()
    def holds_each_key_once_in_order(self) -> None:
        for patient in PATIENTS:
            for vital in VITALS:
                rows = expected(self.stored, patient, vital)
                assert listed(self.reader.samples(patient, vital, 0, END_NS)) == rows
                self._minutes_are_those_of(patient, vital, rows)
        assert self.reader.count().samples == len(self.stored)

    def _minutes_are_those_of(self, patient: str, vital: Vital, rows: list[tuple[object, ...]]) -> None:
        minutes = self.reader.minutes(patient, vital, 0, END_NS)
        by_hand = minutes_by_hand(rows)
        keys = [
            (minutes.devices[device], minute)
            for device, minute in zip(minutes.device.tolist(), minutes.minute_ns.tolist(), strict=True)
        ]
        assert sorted(keys) == sorted(by_hand)
        assert keys == sorted(keys, key=lambda key: (key[1], key[0]))
        for index, key in enumerate(keys):
            count, missing, minimum, maximum, mean, covered_s, reasons = by_hand[key]
            assert (minutes.count[index], minutes.missing[index]) == (count, missing)
            assert minutes.covered_s[index] == covered_s
            assert int(minutes.reason[index]) in reasons
            if count:
                assert (minutes.minimum[index], minutes.maximum[index]) == (minimum, maximum)
                assert minutes.mean[index] == pytest.approx(mean, rel=1e-9, abs=1e-9)
            else:
                assert np.isnan([minutes.minimum[index], minutes.maximum[index], minutes.mean[index]]).all()


StoreMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=10, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyOrderOfWritesSealsAndRestarts = StoreMachine.TestCase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def all_of(path: Path, patient: str = "P-0001") -> list[tuple[object, ...]]:
    with StoreReader(path) as reader:
        return listed(reader.samples(patient, None, 0, END_NS))


def test_a_new_store_is_empty(path: Path) -> None:
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        assert writer.position == 0
        assert writer.seal(START_NS) == 0
        assert reader.patients() == ()
        assert reader.extent("P-0001") is None
        assert len(reader.samples("P-0001", None, 0, END_NS)) == 0
        assert len(reader.last("P-0001")) == 0
        assert len(reader.minutes("P-0001", Vital.SPO2, 0, END_NS)) == 0
        assert reader.count().samples == 0


def test_a_row_comes_back_as_it_was_written(path: Path) -> None:
    given = block([reading(1, 97.5, raw=1e300), reading(2, None, raw=-0.0, reason=int(Reason.OUT_OF_RANGE))])
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        writer.write([given], position=1)
        for _ in range(2):
            found = reader.samples("P-0001", Vital.PULSE_RATE, 0, END_NS)
            for name in ("sampled_at_ns", "raw", "value", "reason", "quality", "clock", "uncertainty_ms", "sequence"):
                np.testing.assert_array_equal(getattr(found, name), given.rows[name], err_msg=name)
            np.testing.assert_array_equal(found.received_at_ns, given.rows["received_at_ns"] // 10**6 * 10**6)
            assert writer.seal(START_NS + BUCKET_NS * 2) in (0, 1)


def test_sealing_waits_for_the_end_of_the_bucket_and_its_grace(path: Path) -> None:
    with StoreWriter(path) as writer:
        writer.write([block([reading(299)])], position=1)
        assert writer.seal(START_NS + BUCKET_NS + 29 * SECOND_NS) == 0
        assert writer.seal(START_NS + BUCKET_NS + 30 * SECOND_NS) == 1
        assert writer.seal(START_NS + BUCKET_NS + 30 * SECOND_NS) == 0


def test_a_late_sample_is_merged_into_its_blob_and_rollup(path: Path) -> None:
    later_ns = START_NS + BUCKET_NS * 3
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        writer.write([block([reading(0, 70.0), reading(2, 90.0)])], position=1)
        assert writer.seal(later_ns) == 1
        writer.write([block([reading(1, 110.0), reading(2, 1.0)])], position=2)
        assert writer.seal(later_ns + RESEAL_NS) == 1
        assert reader.samples("P-0001", Vital.PULSE_RATE, 0, END_NS).value.tolist() == [70.0, 110.0, 90.0]
        minutes = reader.minutes("P-0001", Vital.PULSE_RATE, 0, END_NS)
        assert (minutes.count.tolist(), minutes.mean.tolist(), minutes.maximum.tolist()) == ([3], [90.0], [110.0])
        assert reader.count().samples == 3


def test_paced_sealing_merges_late_samples_once_a_minute(path: Path) -> None:
    later_ns = START_NS + BUCKET_NS * 3
    with StoreWriter(path) as writer:
        writer.write([block([reading(0)])], position=1)
        assert writer.seal(later_ns, units=4) == 1
        writer.write([block([reading(1)])], position=2)
        assert writer.seal(later_ns + RESEAL_NS - 1, units=4) == 0
        assert writer.seal(later_ns + RESEAL_NS, units=4) == 1


def test_a_device_that_changes_hands_keeps_each_reading_with_its_first_patient(path: Path) -> None:
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        writer.write([block([reading(0, patient="P-0001")]), block([reading(1, patient="P-0002")])], position=1)
        writer.write([block([reading(0, patient="P-0002")])], position=2)  # the same message again, after the change
        for _ in range(2):
            assert [row[2] for row in all_of(path, "P-0001")] == [START_NS]
            assert [row[2] for row in all_of(path, "P-0002")] == [START_NS + SECOND_NS]
            minutes = [reader.minutes(p, Vital.PULSE_RATE, 0, END_NS).count.tolist() for p in ("P-0001", "P-0002")]
            assert minutes == [[1], [1]]
            writer.seal(START_NS + BUCKET_NS * 2)
        assert reader.patients() == ("P-0001", "P-0002")


def test_the_interval_is_half_open(path: Path) -> None:
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        writer.write([block([reading(at) for at in (0, 59, 60, 120)])], position=1)
        found = reader.samples("P-0001", Vital.PULSE_RATE, np.int64(START_NS), np.int64(START_NS + MINUTE_NS))
        assert (found.sampled_at_ns - START_NS).tolist() == [0, 59 * SECOND_NS]
        minutes = reader.minutes("P-0001", Vital.PULSE_RATE, START_NS + 1, START_NS + 2 * MINUTE_NS)
        assert (minutes.minute_ns - START_NS).tolist() == [MINUTE_NS]


def test_last_is_the_newest_of_each_stream_hot_or_sealed(path: Path) -> None:
    spo2 = {"vital": int(Vital.SPO2)}
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        writer.write([block([reading(1, 70.0), reading(5, 71.0), reading(3, 96.0, **spo2)])], position=1)
        writer.seal(START_NS + BUCKET_NS * 3)
        writer.write([block([reading(4, 69.0), reading(700, None, **spo2)])], position=2)  # one of them late
        found = {row[1]: (row[2] - START_NS, row[4]) for row in listed(reader.last("P-0001"))}
        assert found == {Vital.PULSE_RATE: (5 * SECOND_NS, 71.0), Vital.SPO2: (700 * SECOND_NS, None)}


def test_series_and_extent(path: Path) -> None:
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        writer.write([block([reading(1), reading(301, device="ox-2", vital=int(Vital.SPO2))])], position=1)
        for _ in range(2):
            assert reader.series("P-0001") == (SeriesName("ox-1", Vital.PULSE_RATE), SeriesName("ox-2", Vital.SPO2))
            assert reader.extent("P-0001") == (START_NS, START_NS + 2 * BUCKET_NS)
            writer.seal(START_NS + BUCKET_NS * 9)


def test_many_devices_spread_over_shards_and_pieces(path: Path) -> None:
    batch = [reading(second, device=f"ox-{n}") for n in range(100) for second in range(40)]
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        for start in range(0, len(batch), 500):
            writer.write([block(batch[start : start + 500])], position=start)
        assert reader.count().samples == 4_000
        assert writer.seal(START_NS + BUCKET_NS * 2) == 100
        assert reader.count().samples == 4_000
        assert reader.count().series == 100


def test_one_process_writes(path: Path) -> None:
    with StoreWriter(path), pytest.raises(ConfigurationError, match="in use"):
        StoreWriter(path)
    StoreWriter(path).close()


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.db"
    rubbish.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(PermanentError, match="move it aside"):
        StoreWriter(rubbish)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        StoreReader(tmp_path / "absent.db")


def test_a_full_disk_is_retryable_and_loses_nothing(path: Path) -> None:
    with StoreWriter(path) as writer:
        writer.write([block([reading(0, device="ox-1")])], position=1)
        pages = writer._db.execute("PRAGMA page_count").fetchone()[0]
        writer._db.execute(f"PRAGMA max_page_count={pages}")
        big = block([reading(second, device=f"ox-{n}") for n in range(40) for second in range(1, 40)])
        with pytest.raises(RetryableError, match="free disk space"):
            writer.write([big], position=2)
        assert (writer.position, len(all_of(path))) == (1, 1)
        writer._db.execute("PRAGMA max_page_count=100000")
        assert writer.write([big], position=2) == 1_560
        assert (writer.position, len(all_of(path))) == (2, 1_561)
        writer.seal(START_NS + BUCKET_NS * 2)
    assert len(all_of(path)) == 1_561


def test_a_best_value_keeps_where_it_came_from_hot_and_sealed(tmp_path: Path) -> None:
    best = [
        reading(s, 80.0, device="P-0001:best", source="strap-1" if s < 3 else "ox-1", vital=Vital.HEART_RATE)
        for s in range(6)
    ]
    none = reading(6, None, device="P-0001:best", vital=Vital.HEART_RATE)
    own = reading(1, 80.0, device="strap-1", vital=Vital.HEART_RATE, sequence=3)
    path = tmp_path / "store.db"
    with StoreWriter(path) as writer, StoreReader(path) as reader:
        writer.write([block([*best[:3], own])], position=1)
        writer.write([block([*best, none])], position=2)  # a repetition changes nothing
        for sealed in (False, True):
            if sealed:
                writer.seal(START_NS + 10**12)
            found = reader.samples("P-0001", None, START_NS, START_NS + 10**12)
            told = [(found.devices[d], found.devices[s]) for d, s in zip(found.device, found.source, strict=True)]
            assert told.count(("strap-1", "strap-1")) == 1
            assert [source for device, source in told if device == "P-0001:best"] == [
                *["strap-1"] * 3,
                *["ox-1"] * 3,
                "P-0001:best",
            ]
            assert found.sequence.tolist().count(3) == 1
            assert found.sequence.max() == 3
            newest = reader.last("P-0001")
            assert "P-0001:best" in {newest.devices[s] for s in newest.source}
