"""The spool: durable before it is sent, freed by receipts only, bounded, and honest about what it gave up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scripted_ingest import CLOCK, GATEWAY, append, heard

from gateway.spool import Spool
from vitals.errors import ConfigurationError, PermanentError
from vitals.model import DeviceBatch, GatewayBatch, Waveform, WaveformBlock
from vitals.wire import MAX_DEVICES, MAX_PAYLOAD_BYTES, WireBatch, decode, encode


def messages(spool: Spool, after: int = 0) -> list[WireBatch]:
    records = spool.read(after, limit=10_000, max_bytes=1 << 30)
    return [decode(spool.message(record, now_ns=99)).batch for record in records]


def test_a_message_is_the_wire_format(spool: Spool) -> None:
    devices = heard(7, devices=3)
    assert spool.append(devices, clock=CLOCK, now_ns=1) == 1
    record = spool.read(0, limit=1, max_bytes=1)[0]
    assert spool.message(record, now_ns=99) == encode(GatewayBatch(GATEWAY, spool.epoch, 1, 1, 99, CLOCK, devices))


def test_whom_an_append_wakes_finds_what_was_appended(spool: Spool) -> None:
    """Otherwise the uplink goes back to sleep, and an urgent message waits for the next one."""
    seen: list[int] = []
    with spool.listen(lambda: seen.append(spool.newest)):
        append(spool, range(2))
    assert seen == [1, 2]


def test_nothing_heard_is_nothing_stored(spool: Spool) -> None:
    assert spool.append((), clock=CLOCK, now_ns=1) == 0
    assert messages(spool) == []


def test_sequences_and_epoch_survive_a_restart(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.db", GATEWAY) as first:
        append(first, range(3))
        first.receipt(3)
    with Spool(tmp_path / "spool.db", GATEWAY) as second:
        assert (second.epoch, second.receipted, second.newest) == (first.epoch, 3, 3)
        assert append(second, range(1)) == 4


def test_another_file_is_another_epoch(tmp_path: Path) -> None:
    with Spool(tmp_path / "a.db", GATEWAY) as a, Spool(tmp_path / "b.db", GATEWAY) as b:
        assert a.epoch != b.epoch
        assert 0 < a.epoch < 1 << 62


def test_only_a_receipt_frees(spool: Spool) -> None:
    append(spool, range(5))
    spool.tidy()
    assert [m.sequence for m in messages(spool)] == [1, 2, 3, 4, 5]
    spool.receipt(3)
    spool.tidy()
    assert [(m.sequence, m.oldest) for m in messages(spool)] == [(4, 4), (5, 4)]
    assert (spool.waiting, spool.dropped) == (2, 0)


def test_a_receipt_never_goes_back_and_never_beyond_what_exists(spool: Spool) -> None:
    append(spool, range(5))
    spool.receipt(4)
    spool.receipt(2)
    assert spool.receipted == 4
    spool.receipt(1_000)
    assert spool.receipted == 5


def test_a_receipt_reaches_the_disk_with_the_next_append(tmp_path: Path) -> None:
    folder = tmp_path / "spool.db"
    spool = Spool(folder, GATEWAY)
    append(spool, range(3))
    spool.receipt(2)
    append(spool, range(1))
    spool._journal.close()  # a crash: nothing is saved on the way out
    with Spool(folder, GATEWAY) as again:
        assert again.receipted == 2


def test_at_the_bound_the_oldest_go_and_the_message_says_so(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.db", GATEWAY, max_bytes=400) as spool:
        append(spool, range(100))
        kept = messages(spool)
        assert kept[-1].sequence == 100
        assert 1 < len(kept) < 100
        assert {m.oldest for m in kept} == {kept[0].sequence}
        assert spool.dropped == 100 - len(kept)
        assert spool.waiting == len(kept)


def test_what_was_receipted_is_not_dropped(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.db", GATEWAY, max_bytes=400) as spool:
        for number in range(100):
            append(spool, range(number, number + 1))
            spool.receipt(number)
        assert spool.dropped == 0


def test_a_clock_that_jumps_empties_nothing(spool: Spool) -> None:
    spool.append(heard(1), clock=CLOCK, now_ns=4_000_000_000_000_000_000)
    spool.append(heard(2), clock=CLOCK, now_ns=0)
    spool.tidy()
    assert len(messages(spool)) == 2
    spool.append(heard(3), clock=CLOCK, now_ns=0)
    spool.receipt(2)
    spool.tidy()
    assert [m.sequence for m in messages(spool)] == [3]


def test_more_than_a_message_holds_becomes_several(spool: Spool) -> None:
    devices = heard(1, devices=MAX_DEVICES + 1)
    assert spool.append(devices, clock=CLOCK, now_ns=1) == 2
    assert [d.device for m in messages(spool) for d in m.devices] == [d.device for d in devices]


def ppg(device: str, blocks: int) -> DeviceBatch:
    return DeviceBatch(device, waveforms=(WaveformBlock(Waveform.PPG_RED, 1, 125.0, bytes(60_000)),) * blocks)


def test_messages_keep_the_size_that_ingest_accepts(spool: Spool) -> None:
    spool.append((ppg("a", 10), ppg("b", 10), ppg("c", 1)), clock=CLOCK, now_ns=1)
    records = spool.read(0, limit=10, max_bytes=1 << 30)
    assert len(records) == 2
    assert all(len(spool.message(r, now_ns=1 << 62)) <= MAX_PAYLOAD_BYTES for r in records)


def test_a_device_that_no_message_holds_is_refused(spool: Spool) -> None:
    with pytest.raises(PermanentError, match="device a"):
        spool.append((ppg("a", 30),), clock=CLOCK, now_ns=1)


def test_one_process_at_a_time(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another process"):
        Spool(tmp_path / "spool.db", GATEWAY)


_APPENDS_FOR_EVER = """
import sys
from pathlib import Path
from gateway.spool import Spool
from vitals.model import ClockSource, ClockTrust, DeviceBatch, Sample, Vital
spool = Spool(Path(sys.argv[1]), "gw-1")
while True:
    number = spool.newest + 1
    devices = (DeviceBatch("ox-0", (Sample(Vital.PULSE_RATE, number, 60.0),)),)
    print(spool.append(devices, clock=ClockTrust(ClockSource.SYNCHRONISED, 5.0), now_ns=1), flush=True)
"""


@pytest.mark.slow
def test_what_append_returned_survives_kill_9(tmp_path: Path) -> None:
    file, returned = tmp_path / "spool.db", 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", _APPENDS_FOR_EVER, str(file)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(50)]
            process.kill()
            lines += process.stdout.readlines()
        assert int(lines[0]) > returned
        returned = max(int(line) for line in lines if line.endswith("\n"))
        with Spool(file, GATEWAY) as spool:
            kept = messages(spool)
            assert [m.sequence for m in kept] == list(range(1, spool.newest + 1))
            assert [m.devices[0].samples[0].sampled_at_ns for m in kept] == [m.sequence for m in kept]
            assert spool.newest >= returned
            returned = spool.newest
