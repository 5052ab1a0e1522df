"""The whole chain under load: from the publication of a reading to the disk, and to an alarm handed to a channel.

    python bench/ingest.py --wearables 20000 --seconds 60
    python bench/ingest.py --wearables 5000 --seconds 60 --broker

Every wearable says heart rate, SpO2 and respiratory rate at 1 Hz; a message holds the second of `--per-message`
wearables; every message has its own connection (a gateway) with the endpoint. The server is the real one, in its own
process, pinned to one core; the fleet runs in this process on another. Each second `--abnormal` more patients go beyond
their limits. With `--broker` a real mosquitto stands between, with the configuration that we ship. The first
`--warm-up` seconds, when every patient and device is new to the server, count for none of the figures but the memory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from publisher import Tally, all_acknowledged, connect_fleet, run_seconds

from simulators.fleet import Fleet

NEW_S = 5  # a server that meets its fleet for the first time: numbers for names, and rows for streams
SLOTS = 100  # the fleet's gateways speak at 100 different moments of a second


def main() -> None:
    """Run the rounds and print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wearables", type=int, default=2_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--per-message", type=int, default=20)
    parser.add_argument("--abnormal", type=int, default=2, help="patients that begin to alarm, per second")
    parser.add_argument("--warm-up", type=int, default=NEW_S, help="seconds before the figures begin")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--broker", action="store_true", help="through a real mosquitto")
    parser.add_argument("--profile", type=Path, help="write a cProfile of the server here")
    arguments = parser.parse_args()
    results = [run_round(arguments) for _ in range(arguments.rounds)]
    for result in results:
        print_round(result)
    print(json.dumps({"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "rounds": results}))


def run_round(arguments: argparse.Namespace) -> dict[str, Any]:
    """One fresh server, one load."""
    fleet = Fleet(wearables=arguments.wearables, per_message=arguments.per_message)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardlight-bench-")))
        broker = stack.enter_context(mosquitto(folder)) if arguments.broker else None
        server = stack.enter_context(started(folder, fleet, broker, arguments.profile))
        port = broker or int(answer(server)["port"])
        if broker:
            answer(server)
        sent = asyncio.run(load(fleet, port, arguments, lambda: tell(server, "measure")))
        tell(server, "stop")
        return {"wearables": arguments.wearables, "seconds": arguments.seconds, **sent, **answer(server)}


async def load(fleet: Fleet, port: int, arguments: argparse.Namespace, measure: Callable[[], None]) -> dict[str, Any]:
    """Publish, and wait until everything is acknowledged; `measure` is called when the figures begin."""
    tally = Tally()
    random = np.random.default_rng(1)
    connections = await connect_fleet("127.0.0.1", port, list(fleet.gateways), tally)
    offsets_ns = (np.arange(len(fleet.gateways)) % SLOTS) * (1_000_000_000 // SLOTS)
    start_ns = time.time_ns()
    payloads: list[bytes] = []
    before = 0
    began_s = 0.0

    def message(gateway: int, second: int) -> tuple[str, bytes]:
        nonlocal payloads, before, began_s
        if gateway == 0:
            if second == arguments.warm_up:
                measure()
                before, began_s = len(tally.acknowledge_delays_s), time.monotonic()
            if second > arguments.warm_up:
                fleet.make_abnormal(random.integers(0, arguments.wearables, arguments.abnormal))
            payloads = fleet.second(sampled_at_ns=start_ns + second * 1_000_000_000 + offsets_ns, sequence=second + 1)
        return fleet.topics[gateway], payloads[gateway]

    await run_seconds(connections, message, arguments.warm_up + arguments.seconds)
    complete = await all_acknowledged(tally, 60.0)
    took_s = time.monotonic() - began_s
    for connection in connections:
        connection.close()
    delays_ms = np.array(tally.acknowledge_delays_s[before:]) * 1e3
    return {
        "published": tally.published,
        "acknowledged": tally.acknowledged,
        "complete": complete,
        "took_s": round(took_s, 2),
        "acknowledged_ms": {
            "p50": round(float(np.median(delays_ms)), 1),
            "p99": round(float(np.percentile(delays_ms, 99)), 1),
        },
    }


@contextlib.contextmanager
def started(folder: Path, fleet: Fleet, broker: int | None, profile: Path | None) -> Iterator[subprocess.Popen[str]]:
    """The server process, on one core of its own where there are two."""
    script = Path(__file__).with_name("ingest_server.py")
    profiler = ["-m", "cProfile", "-o", str(profile)] if profile else []
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent)}
    server = subprocess.Popen(
        [sys.executable, *profiler, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(server.pid, {cores[0]})
        os.sched_setaffinity(0, set(cores[1:]))
    try:
        url = f"mqtt://127.0.0.1:{broker}" if broker else None
        settings = {"data": str(folder / "data"), "ward": msgspec.to_builtins(fleet.ward()), "broker": url}
        tell(server, json.dumps(settings))
        yield server
    finally:
        with contextlib.suppress(BrokenPipeError):
            server.communicate(timeout=30)
        os.sched_setaffinity(0, set(cores))


def tell(server: subprocess.Popen[str], word: str) -> None:
    """Send the server a line."""
    assert server.stdin is not None
    server.stdin.write(word + "\n")
    server.stdin.flush()


def answer(server: subprocess.Popen[str]) -> dict[str, Any]:
    """The server's next line."""
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise SystemExit("the server ended early; its error is above")
    found: dict[str, Any] = json.loads(line)
    return found


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """A real mosquitto on a free port with the queue settings that we ship; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
        "max_queued_messages 0\nmax_queued_bytes 1073741824\nmax_inflight_messages 0\nmax_connections -1\n"
    )
    broker = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield port
    finally:
        broker.terminate()
        broker.wait(10)


def print_round(result: dict[str, Any]) -> None:
    """One round, for people."""
    readings, took_s, cpu_s = result["readings"], result["took_s"], result["cpu_s"]
    puback, stored, alarm = result["acknowledged_ms"], result["stored_ms"], result["alarm_ms"]
    print(f"\n{result['wearables']:,} wearables for {result['seconds']} s: {readings:,} readings in {took_s} s")
    print(
        f"  {result['acknowledged']:,} of {result['published']:,} messages acknowledged, {result['rejected']} rejected"
    )
    print(
        f"  server CPU {cpu_s} s, {cpu_s / took_s:.0%} of a core, {cpu_s / readings * 1e5:.2f} s per 100,000 readings"
    )
    print(f"  publish → PUBACK             p50 {puback['p50']} ms, p99 {puback['p99']} ms")
    print(f"  publish → stored             p50 {stored['p50']} ms, p99 {stored['p99']} ms, worst {stored['worst']} ms")
    print(f"  publish → alarm handed over  p50 {alarm['p50']} ms, p99 {alarm['p99']} ms, worst {alarm['worst']} ms")
    print(f"  {result['alarms']} alarms, {result['commits']:,} commits, peak memory {result['peak_memory_mb']} MB")


def machine() -> str:
    """What ran this."""
    python, system = platform.python_version(), f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} × {platform.machine()}, Python {python}, {system}"


if __name__ == "__main__":
    main()
