"""The gateway alone: how soon a notification is a published message, and what it costs in CPU, memory and start.

    python bench/gateway.py --wearables 20 --calm-seconds 60 --urgent 1000

`wardlight gateway run` as a process of its own hears simulated wearables of all kinds, pulse waves and ECG among them,
through unmodified bleak and a BlueZ on a private bus. Two of them are probes, straps that say only what is pushed: one
stays calm and its readings wait for the end of their second, the other is beyond every limit and its readings do not.
A delay runs from the moment at which the simulated radio delivered a notification to that at which the message with
its reading was read from the network, by ingest's endpoint in this process, which acknowledges and receipts it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `gateway` before its benchmark

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psutil

from ingest.endpoint import Endpoint, EndpointConfig
from ingest.receipts import ReceiptLedger
from ingest.source import Incoming
from simulators.bluez import AdapterFaults, PeripheralSpec, SimulatedBluez, simulated_bluez, ward
from simulators.story import ScenarioDevice, ScenarioPatient
from vitals.control import encode_receipt
from vitals.model import Vital
from vitals.topics import Topic
from vitals.wire import decode

ROOT = Path(__file__).resolve().parents[1]
HEART_RATE = "00002a37-0000-1000-8000-00805f9b34fb"
SITE = "bench"
SLOTS = 7  # connections of an adapter
PROBES = ("calm", "urgent")
CALM = (*range(60, 96), *range(94, 60, -1))  # never leaves the calm band, never jumps
URGENT = tuple(range(121, 220))
PUSH_EVERY_S = 0.1
CONNECT_S = 180.0  # wearables connect one after the other, and this machine may be busy
SETTLE_S = 5.0  # after the last connection: set-up of the wearables, first status
FLUSHES = 200  # for a p99
ARRIVE_S = 5.0  # at the end, for the last message
BOUNDS = {"calm_p99_ms": 1_200.0, "urgent_p99_ms": 150.0, "rss_mb": 80.0, "import_s": 1.0}
IMPORT = (
    "import sys, time; began = time.process_time(); import wardlight.gateway, gateway.app, gateway.bluetooth;"
    "print(time.process_time() - began, *({'numpy', 'scipy'} & set(sys.modules)))"
)


@dataclass
class Received:
    """What the server's side saw: when each value of a probe arrived, in order, on the monotonic clock."""

    messages: int = 0
    arrivals_ns: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    ledger: ReceiptLedger = field(default_factory=ReceiptLedger)
    endpoint: Endpoint | None = None

    def take(self, incoming: Any) -> None:
        """Note the probes' readings, acknowledge, receipt."""
        at_ns = time.monotonic_ns()
        if not isinstance(incoming, Incoming):
            raise SystemExit(f"the endpoint rejected a message: {incoming}")
        incoming.acknowledge()
        if not incoming.topic.endswith("/batch"):
            return
        batch = decode(incoming.payload).batch
        self.messages += 1
        for device in batch.devices:
            if device.device in PROBES:
                for sample in device.samples:
                    if sample.vital == Vital.HEART_RATE and sample.value is not None:
                        self.arrivals_ns[device.device, int(sample.value)].append(at_ns)
        change = self.ledger.begin()
        change.receive(batch.gateway, batch.epoch, batch.sequence, batch.oldest)
        self.ledger.apply(change)
        assert self.endpoint is not None
        for receipt in change.receipts():
            self.endpoint.publish(str(Topic(SITE, receipt.gateway, "receipt")), encode_receipt(receipt))


def main() -> None:
    """Measure, print a table and a JSON line, and say which bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wearables", type=int, default=20, help="with the two probes")
    parser.add_argument("--calm-seconds", type=float, default=20.0, help="of ordinary readings, for CPU")
    parser.add_argument("--urgent", type=int, default=250, help="readings beyond the limits, one after the other")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a bound is missed")
    parser.add_argument("--profile", type=Path, help="write a cProfile of the gateway here")
    arguments = parser.parse_args()
    results = [asyncio.run(run_round(arguments)) for _ in range(arguments.rounds)]
    for result in results:
        print_round(result)
    print(json.dumps({"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "rounds": results}))
    missed = {name for result in results for name, bound in BOUNDS.items() if result[name] >= bound}
    if missed:
        print(f"BEYOND THE BOUND: {', '.join(sorted(missed))}", file=sys.stderr)
        sys.exit(arguments.strict)


async def run_round(arguments: argparse.Namespace) -> dict[str, Any]:
    """One fresh gateway."""
    import_s, heavy = import_time()
    specs = (*(probe(number, name) for number, name in enumerate(PROBES)), *ward.mixed(arguments.wearables - 2))
    adapters = -(-len(specs) // SLOTS)
    received = Received()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        limits = AdapterFaults(connection_slots=SLOTS)
        world = simulated_bluez(specs, adapters=adapters, adapter_faults=limits, folder=Path(folder))
        async with (
            world as bluez,
            listening(received) as port,
            running(specs, bluez, Path(folder), port, arguments) as gateway,
        ):
            found = await measure(bluez, gateway, len(specs), arguments)
            await asyncio.sleep(ARRIVE_S)
        disk_ms = flushes(Path(folder))
        delays_ms = {name: delays(name, specs, bluez, received) for name in PROBES}
    return {
        "wearables": len(specs),
        **found,
        **{f"{name}_{what}": value for name in PROBES for what, value in spread(delays_ms[name]).items()},
        "disk_p99_ms": disk_ms,
        "import_s": round(import_s, 2),
        "imports": heavy,
        "load": round(os.getloadavg()[0], 1),
    }


async def measure(
    bluez: SimulatedBluez, gateway: psutil.Process, wearables: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Ordinary readings for CPU and delay, then urgent ones in between."""
    await bluez.until(lambda status: sum(a.links for a in status.adapters) == wearables, CONNECT_S)
    await bluez.until(lambda status: all(p.listening for p in status.peripherals), CONNECT_S)
    await asyncio.sleep(SETTLE_S)
    before, cpu_before_s, began_s = len(bluez.deliveries()), cpu_s(gateway), time.monotonic()
    await push(bluez, 0, CALM, round(arguments.calm_seconds / PUSH_EVERY_S))
    spent_s, took_s = cpu_s(gateway) - cpu_before_s, time.monotonic() - began_s
    notifications = len(bluez.deliveries()) - before
    await push(bluez, 1, URGENT, arguments.urgent)
    return {
        "notifications_per_s": round(notifications / took_s, 1),
        "cpu_ms_per_notification": round(spent_s / notifications * 1e3, 3),
        "core_pct": round(spent_s / took_s * 100, 1),
        "rss_mb": round(gateway.memory_info().rss / 2**20, 1),
    }


async def push(bluez: SimulatedBluez, number: int, values: tuple[int, ...], count: int) -> None:
    """So many notifications of a probe, at moments that have no rhythm in common with the gateway's second."""
    for nth in range(count):
        await bluez.push(ward.address(1_000 + number), HEART_RATE, bytes((0, values[nth % len(values)])))
        await asyncio.sleep(random.uniform(0.5, 1.5) * PUSH_EVERY_S)


def delays(name: str, specs: tuple[PeripheralSpec, ...], bluez: SimulatedBluez, received: Received) -> list[float]:
    """Milliseconds from radio to message: the nth time that a value was said to the nth time that it arrived."""
    address = next(spec.address for spec in specs if ward.device_name(spec) == name)
    said: dict[int, list[int]] = defaultdict(list)
    for delivery in bluez.deliveries(address, HEART_RATE):
        said[delivery.value[1]].append(delivery.monotonic_ns)
    found = []
    for value, said_ns in said.items():
        arrived_ns = received.arrivals_ns[name, value]
        if len(arrived_ns) != len(said_ns):
            raise SystemExit(f"{name}: {value} was said {len(said_ns)} times and arrived {len(arrived_ns)} times")
        found += [(arrived - at) / 1e6 for at, arrived in zip(said_ns, arrived_ns, strict=True)]
    return found


def spread(delays_ms: list[float]) -> dict[str, float]:
    return {
        "count": len(delays_ms),
        "p50_ms": round(float(np.median(delays_ms)), 1),
        "p99_ms": round(float(np.percentile(delays_ms, 99)), 1),
        "worst_ms": round(max(delays_ms), 1),
    }


def probe(number: int, name: str) -> PeripheralSpec:
    """A strap that says only what is pushed."""
    patient = ScenarioPatient(patient=f"P-9{number:03}", bed=name, gateway="gw-sim", devices=(ScenarioDevice(name),))
    return PeripheralSpec(address=ward.address(1_000 + number), kind="strap", patient=patient, silent=True)


@asynccontextmanager
async def listening(received: Received) -> AsyncIterator[int]:
    """Ingest's endpoint on a free port."""
    endpoint = Endpoint(
        EndpointConfig(port=0), received.take, received.take, now_ns=time.time_ns, monotonic=time.monotonic
    )
    async with endpoint:
        received.endpoint = endpoint
        yield endpoint.port


@asynccontextmanager
async def running(
    specs: tuple[PeripheralSpec, ...], bluez: SimulatedBluez, folder: Path, port: int, arguments: argparse.Namespace
) -> AsyncIterator[psutil.Process]:
    """`wardlight gateway run`, stopped at the end."""
    own = folder / "gateway"
    own.mkdir()
    settings = folder / "gateway.toml"
    names = tuple(f"hci{number}" for number in range(-(-len(specs) // SLOTS)))
    url = f"mqtt://127.0.0.1:{port}"
    settings.write_text(ward.gateway_settings(specs, url=url, site=SITE, folder=str(own), adapters=names))
    profiler = ["-m", "cProfile", "-o", str(arguments.profile)] if arguments.profile else []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *profiler,
        *("-m", "wardlight", "gateway", "run", "--config", str(settings)),
        cwd=ROOT,
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bluez.address},
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


def flushes(folder: Path) -> float:
    """p99 of small disk flushes, milliseconds: what disk and load cost any program. An urgent reading waits for one."""
    spent_ms = []
    with (folder / "flushes").open("wb", buffering=0) as file:
        for _ in range(FLUSHES):
            file.write(bytes(4096))
            began_s = time.perf_counter()
            os.fdatasync(file.fileno())
            spent_ms.append((time.perf_counter() - began_s) * 1e3)
            time.sleep(PUSH_EVERY_S / 5)
    return round(float(np.percentile(spent_ms, 99)), 1)


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def import_time() -> tuple[float, list[str]]:
    """CPU seconds of the least disturbed of five fresh interpreters, and which heavy libraries came along."""
    said = [
        subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(5)
    ]
    return min(float(each.split()[0]) for each in said), said[0].split()[1:]


def print_round(result: dict[str, Any]) -> None:
    """One round, for people."""
    heavy = ", ".join(result["imports"]) or "no numpy, no scipy"
    print(f"\n{result['wearables']} wearables, {result['notifications_per_s']} notifications/s, load {result['load']}")
    for name, bound in (("calm", "calm_p99_ms"), ("urgent", "urgent_p99_ms")):
        print(
            f"  {name + ' reading → message read':<32}p50 {result[f'{name}_p50_ms']} ms, p99 {result[bound]} ms "
            f"(bound {BOUNDS[bound]:g}), worst {result[f'{name}_worst_ms']} ms, {result[f'{name}_count']} readings"
        )
    print(f"  disk flush alone                p99 {result['disk_p99_ms']} ms")
    print(f"  CPU of the gateway              {result['cpu_ms_per_notification']} ms per notification, ", end="")
    print(f"{result['core_pct']} % of a core")
    print(f"  memory                          {result['rss_mb']} MB (bound {BOUNDS['rss_mb']:g})")
    print(f"  import                          {result['import_s']} s of CPU (bound {BOUNDS['import_s']:g}), {heavy}")


def machine() -> str:
    """What ran this."""
    python, system = platform.python_version(), f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} × {platform.machine()}, Python {python}, {system}"


if __name__ == "__main__":
    main()
