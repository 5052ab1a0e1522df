"""From heard to stored: held while nobody knows the time, timed exactly once, and never lost on a kill."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.devices.driver import Heard, HeardSample, HeardWave
from gateway.held import Held
from gateway.recorder import Recorder
from gateway.spool import Spool
from gateway.spools import Spools
from gateway.timekeeper import AGE_AFTER_NS, Anchor, ClockReading
from vitals.clock import UNKNOWN_UNCERTAINTY_MS
from vitals.errors import JournalFullError
from vitals.model import ClockSource, Vital, Waveform
from vitals.wire import WireBatch, decode

S = 1_000_000_000
T0 = 1_790_000_000 * S


@dataclass
class Clocks:
    """A computer that booted at T0, whose wall clock says whatever it wants."""

    monotonic_ns: int = 5 * S
    error_ns: int = -400_000 * S
    synchronised: bool = False

    def read(self) -> ClockReading:
        return ClockReading(T0 + self.monotonic_ns + self.error_ns, self.monotonic_ns, self.synchronised)

    def synchronise(self) -> None:
        self.error_ns, self.synchronised = 0, True


@dataclass
class Desk:
    spools: Spools
    held: Held
    recorder: Recorder
    clocks: Clocks
    server: bool = False

    async def second(self, value: float = 97.0, *, wave: bool = False) -> None:
        at_ns = self.clocks.monotonic_ns
        waves = (HeardWave(Waveform.PPG_RED, at_ns, 50.0, bytes(200)),) if wave else ()
        self.recorder.hear("ox-1", Heard((HeardSample(Vital.SPO2, at_ns, value),), waves))
        self.clocks.monotonic_ns += S
        await self.recorder.store()


@contextmanager
def desk(folder: Path, clocks: Clocks, *, boot: str = "b", server: bool = False, **spools: Any) -> Iterator[Desk]:
    (folder / "run").mkdir(exist_ok=True)
    with ExitStack() as stack:
        kept = stack.enter_context(Spools(folder, folder / "run", "gw-1", **{"max_bytes": 1 << 24, **spools}))
        held = stack.enter_context(Held(folder / "held.db"))
        there = lambda: found.server  # noqa: E731  the desk needs the recorder first
        recorder = Recorder(kept, held, boot=boot, read_clocks=clocks.read, hold_s=60, server_is_there=there)
        found = Desk(kept, held, recorder, clocks, server)
        yield found


def messages(spool: Spool) -> list[WireBatch]:
    return [decode(spool.message(r, now_ns=1)).batch for r in spool.read(0, limit=10_000, max_bytes=1 << 30)]


def stored(spool: Spool) -> list[tuple[int, ClockSource]]:
    return [(s.sampled_at_ns - T0, m.clock_source) for m in messages(spool) for d in m.devices for s in d.samples]


async def test_held_until_the_time_is_known_and_then_timed(tmp_path: Path) -> None:
    with desk(tmp_path, Clocks()) as at:
        for _ in range(3):
            await at.second()
        assert (at.held.waiting, stored(at.spools.numbers)) == (3, [])
        at.clocks.synchronise()
        await at.second()
        known = ClockSource.SYNCHRONISED
        assert stored(at.spools.numbers) == [(n * S, known) for n in (8, 5, 6, 7)], "live first"
        assert at.held.waiting == 0


async def test_a_restart_in_the_same_boot_times_what_the_process_before_heard(tmp_path: Path) -> None:
    clocks = Clocks()
    with desk(tmp_path, clocks) as at:
        await at.second()
    with desk(tmp_path, clocks) as at:
        clocks.synchronise()
        await at.second()
        assert stored(at.spools.numbers) == [(n * S, ClockSource.SYNCHRONISED) for n in (6, 5)]


async def test_before_the_power_was_cut_only_bounds_are_known(tmp_path: Path) -> None:
    with desk(tmp_path, Clocks(), boot="a") as at:
        at.held.remember(Anchor("z", T0 - 7_200 * S, 1))
        for _ in range(2):
            await at.second()
    clocks = Clocks()
    clocks.synchronise()
    with desk(tmp_path, clocks, boot="b") as at:
        await at.second()
        now, *before = messages(at.spools.numbers)
        assert now.clock_source is ClockSource.SYNCHRONISED
        times = [d.samples[0].sampled_at_ns for m in before for d in m.devices]
        assert times[1] - times[0] == S
        assert all(m.clock_source is ClockSource.UNSYNCHRONISED for m in before)
        assert all(abs(t - (T0 - 3_600 * S)) < 5 * S for t in times)
        assert {m.uncertainty_ms for m in before} == {3_600_000.0}


async def test_with_the_server_there_readings_do_not_wait_for_ever(tmp_path: Path) -> None:
    with desk(tmp_path, Clocks(), server=True) as at:
        for _ in range(61):
            await at.second()
        assert at.held.waiting == 0
        found = messages(at.spools.numbers)
        assert len(found) == 61
        assert {(m.clock_source, m.uncertainty_ms) for m in found} == {
            (ClockSource.UNSYNCHRONISED, UNKNOWN_UNCERTAINTY_MS)
        }


async def test_a_link_that_comes_and_goes_does_not_keep_readings_back_for_ever(tmp_path: Path) -> None:
    with desk(tmp_path, Clocks()) as at:
        for number in range(4 * 62):
            at.server = number % 4 < 2
            await at.second()
        assert at.held.waiting > 0, "they wait for the server or the time while neither is there"
        at.server = True
        for _ in range(3):
            await at.second()
        assert at.held.waiting == 0


async def test_a_page_that_is_handed_over_twice_has_the_same_times(tmp_path: Path, monkeypatch: Any) -> None:
    clocks = Clocks()
    with desk(tmp_path, clocks) as at:
        for _ in range(3):
            await at.second()
        clocks.synchronise()
        move, calls = at.held._journal.move, 0

        def fails_late(*args: Any, **kwargs: Any) -> None:
            nonlocal calls
            calls += 1
            if calls > 1:  # the decision is on disk, the end of the page is not
                raise JournalFullError("disk full")
            move(*args, **kwargs)

        monkeypatch.setattr(at.held._journal, "move", fails_late)
        await at.second()
    clocks.error_ns = 100_000_000  # in between, the wall clock was slewed
    with desk(tmp_path, clocks) as at:
        await at.second()
        held = [at_ns for at_ns, _ in stored(at.spools.numbers) if at_ns < 8 * S]
        assert held == [5 * S, 6 * S, 7 * S] * 2


async def test_when_it_becomes_too_much_signals_go_before_numbers(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.synchronise()
    with desk(tmp_path, clocks, max_bytes=10_000) as at:
        for _ in range(100):
            await at.second(wave=True)
        assert [at_ns for at_ns, _ in stored(at.spools.numbers)] == [(5 + n) * S for n in range(100)]
        assert at.spools.numbers.size_bytes + at.spools.signals.size_bytes <= 10_500
        assert at.spools.drops == {"signals: size": 100 - len(messages(at.spools.signals))}
        for _ in range(250):
            await at.second(wave=True)
        assert at.spools.drops["numbers: size"] > 0
        assert len(messages(at.spools.signals)) <= 2
        assert stored(at.spools.numbers)[-1][0] == (5 + 349) * S


async def test_a_full_disk_does_not_end_it_and_numbers_go_on_in_memory(tmp_path: Path, monkeypatch: Any) -> None:
    clocks = Clocks()
    clocks.synchronise()
    with desk(tmp_path, clocks) as at:
        await at.second(wave=True)
        with monkeypatch.context() as patched:
            for spool in (at.spools.numbers, at.spools.signals):
                patched.setattr(spool._journal, "append", _full)
            await at.second(wave=True)
        assert "free disk space" in at.spools.fault
        assert stored(at.spools.spare) == [(6 * S, ClockSource.SYNCHRONISED)]
        await at.second(wave=True)
        assert at.spools.fault == ""
        assert [at_ns for at_ns, _ in stored(at.spools.numbers)] == [5 * S, 7 * S]
        assert at.spools.drops == {"signals: disk": 1}


async def test_age_drops_nothing_by_a_clock_that_is_not_beyond_doubt(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.synchronise()
    with desk(tmp_path, clocks, max_age_s=3_600.0) as at:
        await at.second()
        clocks.error_ns = 74 * 365 * 86_400 * S  # it says 2100, and that it is sure
        for _ in range(5):
            clocks.monotonic_ns += 60 * S
            await at.second()
        assert at.spools.drops == {}
    with desk(tmp_path, clocks, boot="c", max_age_s=3_600.0) as at:  # a new boot begins with that clock
        await at.second()
        assert at.spools.drops == {}


async def test_what_was_stored_without_a_time_never_ages(tmp_path: Path) -> None:
    with desk(tmp_path, Clocks(), server=True, max_age_s=3_600.0) as at:
        for _ in range(62):
            await at.second()
        at.clocks.synchronise()
        for _ in range(3):
            await at.second()
            at.clocks.monotonic_ns += AGE_AFTER_NS
        assert at.spools.drops == {}


async def test_what_is_old_goes_when_the_clock_is_right(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.synchronise()
    with desk(tmp_path, clocks, max_age_s=3_600.0) as at:
        await at.second()
        clocks.monotonic_ns += AGE_AFTER_NS
        await at.second()
        assert at.spools.drops == {"numbers: age": 1}
        assert [at_ns for at_ns, _ in stored(at.spools.numbers)] == [6 * S + AGE_AFTER_NS]


async def test_an_urgent_reading_is_stored_before_its_second_is_over(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.synchronise()
    with desk(tmp_path, clocks) as at:
        running = asyncio.create_task(at.recorder.run())
        stored_one = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(stored_one.set)

        with at.spools.numbers.listen(wake):
            at.recorder.hear("ox-1", Heard((HeardSample(Vital.SPO2, clocks.monotonic_ns, 80.0),)))
            await stored_one.wait()
        at.recorder.hear("ox-1", Heard((HeardSample(Vital.SPO2, clocks.monotonic_ns + 1, 80.0),)))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(stored(at.spools.numbers)) == 2, "what is left is stored on leaving"


def _full(*_: Any, **__: Any) -> int:
    raise JournalFullError("the spool could not be written: free disk space")


_HOLDS_FOR_EVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_recorder import Clocks, desk
async def main():
    clocks = Clocks(monotonic_ns=int(sys.argv[3]))
    with desk(Path(sys.argv[1]), clocks) as at:
        while True:
            await at.second()
            print(clocks.monotonic_ns, flush=True)
asyncio.run(main())
"""


@pytest.mark.slow
def test_readings_without_a_time_survive_kill_9(tmp_path: Path) -> None:
    returned = 5 * S
    for _ in range(3):
        command = [sys.executable, "-c", _HOLDS_FOR_EVER, str(tmp_path), str(Path(__file__).parent), str(returned)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(30)]
            process.kill()
            lines += process.stdout.readlines()
        returned = max(int(line) for line in lines if line.endswith("\n"))
        with Held(tmp_path / "held.db") as held:
            returned = max(returned, 5 * S + held.waiting * S)
    clocks = Clocks(monotonic_ns=returned)
    clocks.synchronise()
    with desk(tmp_path, clocks) as at:
        while at.held.waiting:
            asyncio.run(at.recorder.store())
        assert [at_ns for at_ns, _ in stored(at.spools.numbers)] == list(range(5 * S, returned, S))
