"""Real recordings through the real chain: spool, uplink, endpoint, journal, store and alarms, value for value."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
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
from simulators.recordings import Recording, read_recordings
from simulators.replay import ReplayPlan, expected_readings, plan_replay, replay_ward
from vitals.model import Quality, Reason, Vital
from wardlight.layout import DataFolder, now_ns
from wardlight.replay import replay
from wardlight.server import Server, ServerConfig, serving
from wardlight.verify import compare_with_store

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
AS_FAST_AS_POSSIBLE = 1e9

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
        assert missing_with_reason(server, recordings) == 6, "three times no saturation and no pulse rate"


def opened(server: Server) -> list[AlarmEvent]:
    """When alarms began."""
    return [e for e in read_events(server.alarms) if e.transition is Transition.RAISED]


def missing_with_reason(server: Server, recordings: Sequence[Recording]) -> int:
    """How many stored readings have no value; each has a reason, and none has both."""
    count = 0
    for number, _ in enumerate(recordings, 1):
        patient = f"R-{number:04}"
        extent = server.reader.extent(patient)
        assert extent is not None
        samples = server.reader.samples(patient, None, *extent)
        missing = np.isnan(samples.raw)
        assert np.array_equal(missing, samples.reason == Reason.NO_READING)
        count += int(missing.sum())
    return count


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
        assert samples.devices == (f"{recordings[0].device}:ppg",)
        assert set(samples.vital) == {Vital.PULSE_RATE}
        assert len(samples.value) > seconds / 2
        assert len(set(samples.sampled_at_ns)) == len(samples.value)
        assert set(samples.quality) <= {Quality.USABLE, Quality.DOUBTFUL}
        assert not [e for e in opened(server) if e.condition in ("poor_signal", "probe_off")]
