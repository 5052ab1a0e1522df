"""Recordings of a ring are fetched after a silence: once, at the right times, and never in the way of live readings."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_ring import BLOCK, SECOND, Bedside, Ring

from gateway.devices.driver import Resumes, begin_again
from gateway.devices.heart_rate import HeartRateDriver
from gateway.devices.silences import MOST_SPANS, NEVER_HEARD, Silences
from gateway.devices.viatom import ViatomDriver
from gateway.devices.viatom_download import NOTHING_WANTED, PATIENCE, Download
from gateway.devices.viatom_store import RELEASE
from gateway.gatt import viatom
from gateway.gatt.viatom import Command, Reply, Request
from gateway.gatt.viatom_file import Record
from vitals.model import Quality, Reason, Vital

HALF_S = 0.5  # the clock is read to the second
NIGHT = tuple(Record(90 + place % 10, 60 + place % 20) for place in range(300))  # 20 minutes


def after_a_silence(
    ring: Ring | None = None,
    *,
    begun_s: int = 0,
    records: tuple[Record, ...] = NIGHT[:150],
    silence_s: int = 600,
    worn: bool = False,
) -> Bedside:
    """Twenty seconds live, then a silence, in which the ring recorded and was taken off. Not yet connected again."""
    bed = Bedside(ring or Ring())
    bed.connect()
    bed.run(20)
    bed.away(silence_s)
    bed.ring.record(begun_s, records)
    bed.ring.worn = worn
    return bed


def live_s(bed: Bedside) -> list[float]:
    """When live readings came."""
    return [sample.at_monotonic_ns / SECOND for sample in bed.live if sample.vital is Vital.SPO2]


def longest_pause_s(times_s: list[float]) -> float:
    return max(after - before for before, after in pairwise(times_s))


def blocks_asked(bed: Bedside, since: int = 0) -> list[int]:
    return [request.block for request in bed.ring.asked[since:] if request.command is Command.READ]


def test_a_silence_is_filled_from_the_recording() -> None:
    bed = after_a_silence(begun_s=10)  # until 610 s
    bed.connect()
    bed.run(30)
    times_s = [sample.at_monotonic_ns / SECOND for sample in bed.stored if sample.vital is Vital.SPO2]
    assert 20 < min(times_s) < 25, "what was heard live is not told again"
    assert 600 < max(times_s) < 612
    assert len(times_s) == len({round(t) for t in times_s}) == pytest.approx(146, abs=2)
    for sample in bed.stored:
        place = (sample.at_monotonic_ns / SECOND - 10) / 4
        assert abs(place - round(place)) * 4 <= HALF_S + 0.3, "the clock was read to half a second"
        record = NIGHT[round(place)]
        assert sample.value == (record.spo2_pct if sample.vital is Vital.SPO2 else record.pulse_rate)
    assert bed.notes["recordings"].endswith("readings from times of silence")
    assert not bed.complaints


def test_a_recording_is_fetched_once() -> None:
    bed = after_a_silence()
    bed.connect()
    bed.run(30)
    stored, opened = len(bed.stored), [r for r in bed.ring.asked if r.command is Command.OPEN]
    assert stored
    assert len(opened) == 1
    bed.away(5)
    bed.connect()
    bed.run(700)
    assert len(bed.stored) == stored
    assert [r for r in bed.ring.asked if r.command is Command.OPEN] == opened


def test_what_was_recorded_before_the_first_reading_is_nobodys() -> None:
    ring = Ring()
    ring.record(-3600, NIGHT)
    bed = Bedside(ring)
    bed.connect()
    bed.run(60)
    assert not bed.stored
    assert not [r for r in ring.asked if r.command is Command.OPEN]


def test_a_short_break_is_no_silence() -> None:
    bed = Bedside(Ring())
    bed.connect()
    bed.run(20)
    bed.away(15)
    bed.ring.record(0, NIGHT[:20])
    bed.connect()
    bed.run(20)
    assert not bed.stored


def test_live_readings_go_on_while_a_recording_is_fetched() -> None:
    bed = after_a_silence(records=NIGHT * 5, silence_s=6000)
    begun_s, bed.delay_s = bed.now_s, 0.02
    bed.connect()
    bed.run(20)
    assert longest_pause_s([at_s for at_s in live_s(bed) if at_s > begun_s]) < 1.5
    assert blocks_asked(bed) == list(range(118)), "each block once"
    assert bed.stored


def test_stored_readings_come_in_portions() -> None:
    bed = after_a_silence(records=NIGHT * 5, silence_s=6000)
    bed.connect()
    sizes = []
    for _ in range(20):
        before = len(bed.stored)
        bed.run(1)
        sizes.append(len(bed.stored) - before)
    assert max(sizes) == 2 * RELEASE
    assert 2900 < sum(sizes) <= 3000


@pytest.mark.parametrize("lost_after", [3, 8, 12, 17, 23, 40, 60])
def test_a_download_that_was_interrupted_goes_on_where_it_ended(lost_after: int) -> None:
    whole = after_a_silence()
    whole.connect()
    whole.run(30)
    bed = after_a_silence()
    left = iter(range(lost_after))
    bed.radio = lambda _: next(left, None) is not None
    bed.connect()
    bed.run(1)
    kept, asked = bed.state.store.download, len(bed.ring.asked)
    bed.radio = lambda _: True
    bed.away(10)
    bed.connect()
    bed.run(40)
    reads = blocks_asked(bed, asked)
    assert reads == list(range(len(kept.data) // BLOCK, 13)), "blocks that are here are not fetched again"
    assert len(bed.stored) == len(whole.stored)
    for sample, other in zip(bed.stored, whole.stored, strict=True):
        assert (sample.vital, sample.value) == (other.vital, other.value)
        assert abs(sample.at_monotonic_ns - other.at_monotonic_ns) <= 1.5 * SECOND, "the clock was read anew"


def test_a_file_that_became_another_one_is_read_from_its_beginning() -> None:
    bed = after_a_silence()
    left = iter(range(40))
    bed.radio = lambda _: next(left, None) is not None
    bed.connect()
    assert len(bed.state.store.download.data) > BLOCK
    bed.ring.files = {name: data + bytes(5) for name, data in bed.ring.files.items()}
    bed.radio, asked = lambda _: True, len(bed.ring.asked)
    bed.away(5)
    bed.connect()
    bed.run(20)
    assert blocks_asked(bed, asked)[0] == 0


def test_a_block_that_never_comes_is_given_up_and_the_file_closed() -> None:
    bed = after_a_silence(Ring(mute={Command.READ}))
    begun_s = bed.now_s
    bed.connect()
    bed.run(60)
    assert blocks_asked(bed) == [0] * PATIENCE
    assert Command.CLOSE in {request.command for request in bed.ring.asked}
    assert longest_pause_s([at_s for at_s in live_s(bed) if at_s > begun_s]) < 4


@pytest.mark.parametrize("command", [Command.OPEN, Command.READ])
def test_a_refused_file_is_told_and_not_asked_for_again(command: Command) -> None:
    bed = after_a_silence(Ring(refuses={command: 9}))
    bed.connect()
    bed.run(60)
    assert len([r for r in bed.ring.asked if r.command is command]) == 1
    assert [c for c in bed.complaints if "status 9" in c]


def test_a_device_that_is_silent_while_a_file_is_open_is_read_when_it_is_taken_off() -> None:
    bed = after_a_silence(Ring(live_while_open=False), worn=True)
    bed.delay_s = 0.1
    bed.connect()
    bed.run(40)
    assert longest_pause_s(live_s(bed)[-10:]) < 2, "worn, it is listened to, and its file is closed"
    assert not bed.stored
    assert not bed.ring.open
    bed.ring.worn = False
    bed.ring.live_while_open = True
    bed.run(60)
    assert bed.stored


def test_a_clock_that_is_not_told_leaves_recordings_alone() -> None:
    ring = Ring()
    bed = Bedside(ring)
    bed.connect()
    bed.run(20)
    bed.away(600)
    ring.record(0, NIGHT)
    ring.clock_s = None
    bed.connect()
    bed.run(20)
    assert not bed.stored
    assert bed.notes["recordings"] == "not fetched: the device does not tell its time"


def test_a_recording_that_ends_in_the_future_is_refused() -> None:
    """The clock was set back since it was made: nobody knows when it was."""
    bed = after_a_silence(begun_s=500)
    bed.connect()
    bed.run(30)
    assert not bed.stored
    assert [c for c in bed.complaints if "ends in the future" in c]


def test_a_damaged_recording_is_told_and_left() -> None:
    bed = after_a_silence()
    bed.ring.files = {name: b"\x02" + data[1:] for name, data in bed.ring.files.items()}
    bed.connect()
    bed.run(60)
    assert not bed.stored
    assert [c for c in bed.complaints if "the file has version 2" in c]
    assert len([r for r in bed.ring.asked if r.command is Command.OPEN]) == 1


def test_records_without_a_reading_are_told_as_missing() -> None:
    bed = after_a_silence(records=(Record(None, None),) * 150)
    bed.connect()
    bed.run(30)
    assert bed.stored
    assert {sample.reason for sample in bed.stored} == {Reason.NO_READING}


def test_late_replies_are_taken_for_nothing_else() -> None:
    """A live reading that comes while a block is awaited, and a block that comes while a live reading is."""
    bed = after_a_silence()
    state = bed.state
    live = viatom.Live(97, 70, 90, worn=True).encode()
    for waiting, payload, block in (
        (Request(Command.READ, 3), live, 0),
        (Request(Command.READ, 3), bytes(BLOCK), 2),
        (Request(Command.LIVE), bytes(BLOCK), 0),
        (Request(Command.LIVE), live, 4),
        (Request(Command.INFO), live, 0),
        (Request(Command.OPEN), live, 0),
        (Request(Command.CLOSE), live, 0),
    ):
        download = Download(name="a", size=1000, data=bytes(3 * BLOCK), block_bytes=BLOCK)
        waits = replace(state, waiting=waiting, store=replace(state.store, download=download))
        after, heard = bed.driver.feed(waits, viatom.NOTIFY, Reply(0, block, payload).encode(), 10**12)
        assert heard.malformed, waiting
        assert not heard.samples
        assert after.waiting == waiting, "the right reply may still come"


def test_waves_are_placed_once_their_rate_is_known() -> None:
    bed = Bedside(Ring(knows_waves=True))
    bed.connect()
    bed.run(30)
    rates = {wave.sample_rate_hz for wave in bed.waves}
    assert rates == {125.0}
    starts = [wave.at_monotonic_ns / SECOND for wave in bed.waves]
    assert all(after - before == pytest.approx(1, abs=0.1) for before, after in pairwise(starts))
    assert all(len(wave.samples) == 250 and wave.quality is Quality.UNKNOWN for wave in bed.waves)


def test_a_driver_that_cannot_resume_begins() -> None:
    heart = HeartRateDriver()
    assert begin_again(heart, object()) == heart.begin()
    ring = ViatomDriver()
    assert isinstance(ring, Resumes)
    assert begin_again(ring, None) == ring.begin()
    state, _ = ring.begin()
    assert begin_again(ring, state) == ring.resume(state)


# -- silences ----------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.lists(st.integers(1, 200), max_size=300), st.tuples(st.integers(0, 5000), st.integers(0, 5000)))
def test_silences_are_bounded_and_lose_no_time(pauses_s: list[int], filled_s: tuple[int, int]) -> None:
    silences, at_ns, silent = NEVER_HEARD, 0, 0
    for pause_s in pauses_s:
        before_ns, at_ns = at_ns, at_ns + pause_s * SECOND
        first = silences.heard_ns is None
        silences = silences.hear(at_ns)
        if pause_s > 30 and not first:
            silent += pause_s * SECOND
            assert silences.holds((before_ns + at_ns) // 2)
    assert len(silences.spans) <= MOST_SPANS
    assert sum(end - begin for begin, end in silences.spans) >= silent
    begun, ended = sorted(each * SECOND for each in filled_s)
    left = silences.fill(begun, ended)
    assert not [at for at in range(begun + 1, ended, 7 * SECOND) if left.holds(at)]
    assert all(end > begin for begin, end in left.spans)


def test_a_filled_silence_is_cut_out() -> None:
    silences = Silences(((0, 1000 * SECOND),), 1000 * SECOND)
    assert silences.fill(100 * SECOND, 200 * SECOND).spans == ((0, 100 * SECOND), (200 * SECOND, 1000 * SECOND))
    assert silences.fill(-5, 990 * SECOND).spans == ()


def test_downloads_are_bounded() -> None:
    download = NOTHING_WANTED.offered(tuple(f"{n:014}.vld" for n in range(100)))
    assert download.wanted[0] == "00000000000099.vld", "the newest first"
    assert len(download.wanted) == 8
    for _ in range(200):
        download = download.offered(tuple(f"{n:014}.vld" for n in range(200)))
        download, request = download.request()
        assert request is not None
        download = download.given_up().done()
    assert len(download.known) == 64
