"""A gateway without a server for a day: nothing is lost, and then everything arrives once, what is new first.

    python bench/gateway_day.py --hours 24

Twenty wearables with SpO2, pulse rate and heart rate each second, five of them with two 50 Hz pulse waves, go through
the gateway's real recorder and spools; only the clocks are simulated, so that a day takes minutes. Then the real uplink
brings it to ingest's endpoint, which acknowledges and receipts as ingest does, while one more wearable second is heard
now and then. Every reading carries a value and every signal a content that only its second has. Prints a JSON line;
exit code 0: all there, exactly once, live data first.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `gateway` before its benchmark

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

from gateway.config import SpoolConfig, UplinkConfig
from gateway.devices.driver import Heard, HeardSample, HeardWave
from gateway.held import Held
from gateway.recorder import Recorder
from gateway.spools import Spools
from gateway.timekeeper import ClockReading
from gateway.uplink import Uplink
from ingest.endpoint import Endpoint, EndpointConfig
from ingest.receipts import ReceiptLedger
from ingest.source import Incoming
from vitals.control import encode_receipt
from vitals.model import Vital, Waveform
from vitals.topics import Topic
from vitals.wire import decode

SITE, GATEWAY = "bench", "gw-1"
WEARABLES, WITH_WAVES = 20, 5
RATE_HZ = 50
NUMBERS = (Vital.SPO2, Vital.PULSE_RATE, Vital.HEART_RATE)
WAVES = (Waveform.PPG_RED, Waveform.PPG_INFRARED)
BEGAN_S = 1_700_000_000  # of the simulated day, UTC
LIVE_EVERY_S = 0.5  # of real time, while the backlog goes out
DRAIN_S = 3600.0
SHARED_MEMORY = Path("/dev/shm")  # a disk's flushes are not what is measured


class Ward:
    """What is worn, and the simulated clock. `now_s`: seconds since the day began."""

    def __init__(self) -> None:
        self.now_s = 0

    def clocks(self) -> ClockReading:
        """The simulated time, synchronised."""
        return ClockReading((BEGAN_S + self.now_s) * 10**9, self.now_s * 10**9, synchronised=True)

    def second(self, recorder: Recorder) -> None:
        """Every wearable tells its second."""
        at_ns = self.now_s * 10**9
        for place in range(WEARABLES):
            samples = tuple(HeardSample(vital, at_ns, value(place, vital, self.now_s)) for vital in NUMBERS)
            waves = tuple(
                HeardWave(wave, at_ns, float(RATE_HZ), signal(place, wave, self.now_s))
                for wave in (WAVES if place < WITH_WAVES else ())
            )
            recorder.hear(f"ox-{place}", Heard(samples, waves), -60)
        self.now_s += 1


def value(place: int, vital: Vital, second: int) -> float:
    """A reading that its neighbours do not have; calm, so that it waits for the end of its second."""
    return float(95 + (second + place + vital) % 5) if vital is Vital.SPO2 else float(60 + (second + place) % 9)


def signal(place: int, wave: Waveform, second: int) -> bytes:
    """A second of light that no other second has."""
    mark = (second * 64 + place * 2 + (wave is Waveform.PPG_RED)) & 0x7FFF_FFFF
    return b"".join(((mark ^ (n * 7919)) & 0x7FFF_FFFF).to_bytes(4, "little") for n in range(RATE_HZ))


class Server:
    """Counts what arrives, and receipts it."""

    def __init__(self) -> None:
        self.heard: Counter[tuple[str, int, int]] = Counter()  # device, vital or waveform, second of the day
        self.altered = 0
        self.messages = 0
        self.first_s: list[int] = []  # of the first messages with numbers: the second they are of
        self.newest_live_s = -1
        self._ledger = ReceiptLedger()
        self.endpoint: Endpoint | None = None

    def take(self, incoming: Any) -> None:
        """One message."""
        if not isinstance(incoming, Incoming):
            raise SystemExit(f"the endpoint rejected a message: {incoming}")
        incoming.acknowledge()
        if not incoming.topic.endswith("/batch"):
            return
        batch = decode(incoming.payload).batch
        self.messages += 1
        for device in batch.devices:
            place = int(device.device.removeprefix("ox-"))
            for sample in device.samples:
                second = sample.sampled_at_ns // 10**9 - BEGAN_S
                self.heard[device.device, int(sample.vital), second] += 1
                self.altered += sample.value != value(place, sample.vital, second)
                self.newest_live_s = max(self.newest_live_s, second)
            for block in device.waveforms:
                second = block.started_at_ns // 10**9 - BEGAN_S
                self.heard[device.device, int(block.waveform), second] += 1
                self.altered += block.samples != signal(place, block.waveform, second)
            if device.samples and len(self.first_s) < WEARABLES:
                self.first_s.append(device.samples[0].sampled_at_ns // 10**9 - BEGAN_S)
        change = self._ledger.begin()
        change.receive(batch.gateway, batch.epoch, batch.sequence, batch.oldest)
        self._ledger.apply(change)
        assert self.endpoint is not None
        for receipt in change.receipts():
            self.endpoint.publish(str(Topic(SITE, receipt.gateway, "receipt")), encode_receipt(receipt))


async def day(folder: Path, seconds: int, backlog_per_s: float) -> dict[str, Any]:
    """Hear, drain and count."""
    ward, server = Ward(), Server()
    with ExitStack() as opened:
        spools = opened.enter_context(
            Spools(folder, folder, GATEWAY, max_bytes=SpoolConfig().max_bytes, max_age_s=SpoolConfig().max_age_s)
        )
        held = opened.enter_context(Held(folder / "held.db"))
        recorder = Recorder(
            spools, held, boot="boot", read_clocks=ward.clocks, hold_s=60.0, server_is_there=lambda: False
        )
        began_s = time.monotonic()
        for _ in range(seconds):
            ward.second(recorder)
            await recorder.store()
        heard_in_s = time.monotonic() - began_s
        spooled = sum(spool.waiting for spool in spools.by_importance)
        size_bytes = spools.numbers.size_bytes + spools.signals.size_bytes
        disk_bytes = _on_disk(folder)
        began_s = time.monotonic()
        delays_s = await _drain(spools, recorder, ward, server, backlog_per_s)
        drained_in_s = time.monotonic() - began_s
        lost = dict(spools.drops)
    expected = ward.now_s * (WEARABLES * len(NUMBERS) + WITH_WAVES * len(WAVES))
    newest = seconds - 1
    return {
        "hours": round(seconds / 3600, 2),
        "live_seconds": ward.now_s - seconds,
        "readings_and_blocks": expected,
        "missing": expected - len(server.heard),
        "twice": sum(server.heard.values()) - len(server.heard),
        "altered": server.altered,
        "dropped": lost,
        "messages_spooled": spooled,
        "messages_received": server.messages,
        "mb_per_hour": round(size_bytes / 1e6 / (seconds / 3600), 2),
        "spooled_mb": round(size_bytes / 1e6, 1),
        "disk_mb": round(disk_bytes / 1e6, 1),
        "bound_mb": round(SpoolConfig().max_bytes / 1e6, 1),
        "live_first": min(server.first_s) > newest - 2 * len(server.first_s),
        "live_delay_max_s": round(max(delays_s, default=0.0), 2),
        "heard_in_s": round(heard_in_s, 1),
        "drained_in_s": round(drained_in_s, 1),
        "backlog_per_s": backlog_per_s,
    }


def _on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


async def _drain(spools: Spools, recorder: Recorder, ward: Ward, server: Server, backlog_per_s: float) -> list[float]:
    """Bring everything to the server; how long each live second took that was heard meanwhile."""
    endpoint = Endpoint(EndpointConfig(port=0), server.take, server.take, now_ns=time.time_ns, monotonic=time.monotonic)
    delays_s: list[float] = []
    async with endpoint:
        server.endpoint = endpoint
        config = UplinkConfig(
            url=f"mqtt://127.0.0.1:{endpoint.port}",
            site=SITE,
            gateway=GATEWAY,
            reconnect_min_s=0.05,
            backlog_per_s=backlog_per_s,
        )
        first, *others = spools.by_importance
        uplink = Uplink(config, first, now_ns=recorder.now_ns, monotonic=time.monotonic, also=others)
        running = asyncio.create_task(uplink.run())
        began_s = time.monotonic()
        while not await uplink.drained(LIVE_EVERY_S) and time.monotonic() < began_s + DRAIN_S:
            if server.messages:
                delays_s.append(await _live(recorder, ward, server))
        running.cancel()
        await asyncio.wait([running])
    return delays_s


async def _live(recorder: Recorder, ward: Ward, server: Server) -> float:
    """One more second is heard: how long until its numbers are at the server."""
    second, began_s = ward.now_s, time.monotonic()
    ward.second(recorder)
    await recorder.store()
    while server.newest_live_s < second and time.monotonic() < began_s + DRAIN_S:  # noqa: ASYNC110  a bound too
        await asyncio.sleep(0.01)
    return time.monotonic() - began_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--backlog-per-s", type=float, default=10_000.0, help="messages; a gateway's default is 100")
    parser.add_argument("--on-disk", action="store_true", help="not in memory: a day costs a flush per second")
    options = parser.parse_args()
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() and not options.on_disk else None
    with tempfile.TemporaryDirectory(prefix="wardlight-day-", dir=place) as folder:
        found = asyncio.run(day(Path(folder), round(options.hours * 3600), options.backlog_per_s))
    print(json.dumps(found))
    exact = not (found["missing"] or found["twice"] or found["altered"] or found["dropped"])
    return 0 if exact and found["live_first"] else 1


if __name__ == "__main__":
    sys.exit(main())
