"""Real recordings through the real chain: spool, uplink, endpoint, journal, store and alarms, value for value."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from alerts.config import AlertConfig, read_preset
from alerts.events import AlarmEvent, Transition
from alerts.log import read_events
from gateway.config import UplinkConfig
from gateway.spool import Spool
from gateway.uplink import Uplink
from ingest.endpoint import EndpointConfig
from ingest.store.answers import Samples
from simulators.recordings import Recording, read_recordings
from simulators.replay import ReplayPlan, expected_readings, plan_replay, replay_ward
from vitals.derived import is_best, is_virtual
from vitals.model import Quality, Reason, Vital
from wardlight.layout import DataFolder, now_ns
from wardlight.replay import replay
from wardlight.server import Server, ServerConfig, serving
from wardlight.verify import compare_with_store

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
AS_FAST_AS_POSSIBLE = 1e9
#: What the sources of a best value tell, by its own vital.
BEST_OF = {
    Vital.HEART_RATE: (Vital.HEART_RATE, Vital.PULSE_RATE),
    Vital.SPO2: (Vital.SPO2,),
    Vital.RESP_RATE: (Vital.RESP_RATE,),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not DATA.is_dir(), reason="no recordings: set WARDLIGHT_DATA to their folder"),
]


@asynccontextmanager
async def replayed(recordings: Sequence[Recording], folder: Path) -> AsyncIterator[tuple[Server, ReplayPlan]]:
    """A server that has taken in all of `recordings`, stored and judged."""
    plan = plan_replay(recordings, now_ns=now_ns(), speed=AS_FAST_AS_POSSIBLE)
    config = ServerConfig(
        data=DataFolder(folder / "data"),
        ward=replay_ward(recordings),
        preset=read_preset(AlertConfig(), Path()),
        endpoint=EndpointConfig(port=0),
    )
    async with serving(config) as server:
        assert server.endpoint is not None
        url = f"mqtt://127.0.0.1:{server.endpoint.port}"
        uplink_config = UplinkConfig(url=url, site="replay", gateway="replay", oldest_first=True)
        with Spool(folder / "spool.db", "replay") as spool:
            uplink = Uplink(uplink_config, spool, now_ns=now_ns, monotonic=time.monotonic)
            assert await replay(recordings, uplink, spool, plan, gateway="replay")
        await server.settled()
        yield server, plan


async def test_every_bidmc_numeric_is_stored_as_it_was_recorded(tmp_path: Path) -> None:
    recordings = read_recordings([DATA / "bidmc"])
    assert len(recordings) == 20
    async with replayed(recordings, tmp_path) as (server, plan):
        difference = compare_with_store(expected_readings(recordings, plan.start_ns), server.reader)
        assert difference.produced == 20 * 4 * 481
        assert difference.exact, difference.example
        assert best_values_are_what_the_device_said(server, recordings) == {
            Vital.HEART_RATE,
            Vital.SPO2,
            Vital.RESP_RATE,
        }
        assert missing_with_reason(server, recordings) == sum(
            int(np.isnan(n.values).sum()) for r in recordings for n in r.numerics
        )
        alarmed = {e.patient for e in opened(server) if e.condition == "spo2_low"}
        assert alarmed == {f"R-{i:04}" for i, r in enumerate(recordings, 1) if lowest_covered_s(r, 88.0) >= 15}
        assert alarmed, "one of the recordings has a lasting low saturation"


async def test_the_waveforms_of_a_recording_are_stored_sample_for_sample(tmp_path: Path) -> None:
    recordings = read_recordings([DATA / "bidmc" / "bidmc_07.npz"])
    trace = recordings[0].traces[0]
    async with replayed(recordings, tmp_path) as (server, plan):
        end_ns = plan.start_ns + 600 * 10**9
        blocks = server.reader.waveforms("R-0001", trace.waveform, plan.start_ns, end_ns)
        stored = np.concatenate([block.counts for block in blocks])
        assert np.array_equal(stored, trace.counts[: stored.size])
        assert stored.size >= trace.counts.size - 125, "all but the second that had not ended"
        assert all(block.filtered.size == block.counts.size for block in blocks)


async def test_the_night_of_an_oximeter_ring_is_stored_as_it_was_recorded(tmp_path: Path) -> None:
    recordings = read_recordings([DATA / "o2ring"])
    async with replayed(recordings, tmp_path) as (server, plan):
        difference = compare_with_store(expected_readings(recordings, plan.start_ns), server.reader)
        assert difference.produced > 13_000
        assert difference.exact, difference.example
        assert best_values_are_what_the_device_said(server, recordings) == {Vital.HEART_RATE, Vital.SPO2}
        assert missing_with_reason(server, recordings) == 6, "three times no saturation and no pulse rate"


def opened(server: Server) -> list[AlarmEvent]:
    """When alarms began."""
    return [e for e in read_events(server.alarms) if e.transition is Transition.RAISED]


def stored(server: Server, recordings: Sequence[Recording]) -> Iterator[Samples]:
    """All that is stored of each patient."""
    for number, _ in enumerate(recordings, 1):
        patient = f"R-{number:04}"
        extent = server.reader.extent(patient)
        assert extent is not None
        yield server.reader.samples(patient, None, *extent)


def missing_with_reason(server: Server, recordings: Sequence[Recording]) -> int:
    """How many readings of the wearables have no value; each has a reason, and none has both."""
    count = 0
    for samples in stored(server, recordings):
        own = np.array([not is_virtual(device) for device in samples.devices])[samples.device]
        missing = np.isnan(samples.raw)
        assert np.array_equal(missing[own], samples.reason[own] == Reason.NO_READING)
        assert np.array_equal(missing, samples.reason != Reason.PRESENT), "best values too are missing with a reason"
        count += int(missing[own].sum())
    return count


def best_values_are_what_the_device_said(server: Server, recordings: Sequence[Recording]) -> set[Vital]:
    """The vitals that have best values: each told once, and as its source said at that time, or missing."""
    told = set()
    for samples in stored(server, recordings):
        columns = (samples.vital, samples.sampled_at_ns, samples.value, samples.device, samples.source)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        said = {(vital, at_ns, device): value for vital, at_ns, value, device, _ in rows}
        best = [row for row in rows if is_best(samples.devices[row[3]]) and row[0] in BEST_OF]
        assert len({(vital, at_ns) for vital, at_ns, *_ in best}) == len(best) > 0
        for vital, at_ns, value, device, source in best:
            if np.isnan(value):
                assert source == device, "nobody measured it"
            else:
                assert source != device
                assert value in [said.get((counted, at_ns, source)) for counted in BEST_OF[vital]]
                told.add(Vital(vital))
    return told


def lowest_covered_s(recording: Recording, limit: float) -> int:
    """The longest run of 1 Hz saturations below `limit`, counted from the recording itself."""
    values = next(n.values for n in recording.numerics if n.vital is Vital.SPO2)
    longest = run = 0
    for value in values:
        run = run + 1 if value < limit else 0
        longest = max(longest, run)
    return longest


async def test_a_runner_without_a_pulse_rate_of_the_wearable_gets_a_derived_one(tmp_path: Path) -> None:
    recordings = read_recordings([min((DATA / "ieee_spc2015_train").glob("*.mat"))])
    async with replayed(recordings, tmp_path) as (server, plan):
        seconds = recordings[0].duration_s
        samples = server.reader.samples("R-0001", None, plan.start_ns, plan.start_ns + seconds * 10**9)
        derived = f"{recordings[0].device}:ppg"
        assert set(samples.devices) == {derived, "R-0001:best"}
        of_wave = samples.device == samples.devices.index(derived)
        rates = of_wave & (samples.vital == Vital.PULSE_RATE)
        assert set(samples.vital[of_wave]) == {Vital.PULSE_RATE, Vital.SIGNAL_QUALITY}
        assert rates.sum() > seconds / 2
        assert len(set(samples.sampled_at_ns[rates])) == rates.sum()
        assert set(samples.quality[rates]) <= {Quality.USABLE, Quality.DOUBTFUL}
        assert set(samples.vital[~of_wave]) == {Vital.HEART_RATE}
        assert best_values_are_what_the_device_said(server, recordings) == {Vital.HEART_RATE}
        assert not [e for e in opened(server) if e.condition in ("poor_signal", "probe_off")]
