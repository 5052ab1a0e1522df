"""Stored waveforms: each block once, raw and filtered as they came, hot and sealed alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from store_material import SECOND_NS, START_NS, block, reading

from ingest.store.reader import StoreReader
from ingest.store.retention import Kept, Retention
from ingest.store.rows import BUCKET_NS
from ingest.store.writer import RESEAL_NS, StoreWriter
from vitals.columns import WaveformRow
from vitals.model import Vital, Waveform


def second_of_light(at_s: int, offset: int = 0) -> WaveformRow:
    counts = (np.arange(125, dtype="<i4") * 7 % 50 + offset).astype("<i4")
    return WaveformRow(
        0,
        Waveform.PPG_INFRARED,
        START_NS + at_s * SECOND_NS,
        START_NS + at_s * SECOND_NS + 5_000_000,
        125.0,
        4,
        1,
        counts.tobytes(),
        (counts * 0.5).astype("<f4").tobytes(),
    )


def write(writer: StoreWriter, *rows: WaveformRow, device: str = "ox-1", patient: str = "P-0001") -> None:
    writer.write([block([], [(device, patient, row) for row in rows])], position=1)


def starts(reader: StoreReader, patient: str = "P-0001", start_s: int = 0, end_s: int = 10_000) -> list[int]:
    found = reader.waveforms(
        patient, Waveform.PPG_INFRARED, START_NS + start_s * SECOND_NS, START_NS + end_s * SECOND_NS
    )
    return [(one.started_at_ns - START_NS) // SECOND_NS for one in found]


def test_blocks_are_kept_once_and_in_order_before_and_after_sealing(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.db") as writer, StoreReader(tmp_path / "store.db") as reader:
        write(writer, second_of_light(301), second_of_light(1), second_of_light(0), second_of_light(1, offset=9))
        now_ns = START_NS + 2 * BUCKET_NS
        for late, expected in ((None, [0, 1, 301]), (2, [0, 1, 2, 301]), (1, [0, 1, 2, 301])):
            if late is not None:
                write(writer, second_of_light(late, offset=5))
            assert starts(reader) == expected
            assert reader.count().waveforms == len(expected)
            now_ns += RESEAL_NS
            writer.seal(now_ns)
            assert starts(reader) == expected
            assert reader.count().waveforms == len(expected)
        first = reader.waveforms("P-0001", Waveform.PPG_INFRARED, START_NS + SECOND_NS, START_NS + 2 * SECOND_NS)[0]
        assert first.counts.tobytes() == second_of_light(1).samples
        assert first.filtered.tobytes() == second_of_light(1).filtered
        assert (first.device, first.sample_rate_hz, first.quality) == ("ox-1", 125.0, 1)
        assert starts(reader, start_s=1, end_s=301) == [1, 2]


def test_a_block_belongs_to_the_patient_it_was_first_written_for(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.db") as writer, StoreReader(tmp_path / "store.db") as reader:
        write(writer, second_of_light(0))
        write(writer, second_of_light(0), second_of_light(1), patient="P-0002")
        for _ in range(2):
            assert (starts(reader), starts(reader, "P-0002")) == ([0], [1])
            writer.seal(START_NS + 2 * BUCKET_NS)


def test_each_kind_is_trimmed_in_its_time(tmp_path: Path) -> None:
    day_ns = 86_400 * SECOND_NS
    keep = Retention(samples_days=3, minutes_days=5, waveforms_days=1)
    with StoreWriter(tmp_path / "store.db") as writer, StoreReader(tmp_path / "store.db") as reader:
        writer.write([block([reading(0, 80.0)], [("ox-1", "P-0001", second_of_light(0))])], position=1)
        writer.seal(START_NS + 2 * BUCKET_NS)

        def left() -> tuple[int, int, int]:
            end_ns = START_NS + BUCKET_NS
            minutes = reader.minutes("P-0001", Vital.PULSE_RATE, START_NS, end_ns)
            return len(reader.samples("P-0001", None, START_NS, end_ns)), len(minutes), len(starts(reader))

        assert not any(writer.trim(START_NS + day_ns, keep).values())
        assert left() == (1, 1, 1)
        assert writer.trim(START_NS + 2 * day_ns, keep)[Kept.WAVEFORMS] == 1
        assert left() == (1, 1, 0)
        assert writer.trim(START_NS + 4 * day_ns, keep)[Kept.SAMPLES] == 1
        assert left() == (0, 1, 0)
        # A straggler of a trimmed bucket is stored, and the rollup of what was there stands.
        writer.write([block([reading(1, 200.0)])], position=2)
        writer.seal(START_NS + 4 * day_ns)
        assert reader.minutes("P-0001", Vital.PULSE_RATE, START_NS, START_NS + BUCKET_NS).mean.tolist() == [80.0]
        assert writer.trim(START_NS + 6 * day_ns, keep) == {Kept.SAMPLES: 1, Kept.MINUTES: 1, Kept.WAVEFORMS: 0}
        assert left() == (0, 0, 0)
