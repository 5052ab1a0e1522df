"""`kill -9` of the gateway and of its broker while wearables stream: is every notification stored exactly once?

    python bench/chaos_ble.py --gateway-kills 50 --broker-kills 20 --wearables 20 --seed 7

Simulated wearables on a simulated BlueZ, the real gateway, mosquitto and `wardlight serve`, each a process of its own.
The radio's ledger tells what was delivered; the store must hold all of it once, less at most what the gateway had heard
and not yet committed when it was killed. That is counted, with the age of the oldest such notification. Prints the seed
first and the counts as JSON last; exit code 0: exact. The clock of this computer is taken for synchronised.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `gateway` before its benchmark
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "gateway"))  # reads numbered straps

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import serials
from chaos_processes import Victim, free_port, listens, mosquitto, server

from gateway.app import Surroundings, run
from gateway.ble import OnHeard, Radio
from gateway.bluetooth import allowed, radio_settings
from gateway.config import GatewayConfig, decode_config
from gateway.gatt import heart_rate
from gateway.radio_status import RadioEvent
from gateway.timekeeper import ClockReading
from ingest.store.reader import StoreReader
from simulators.bluez import Faults, PeripheralSpec, SimulatedBluez, Timing, simulated_bluez
from simulators.bluez.ledger import Delivery
from vitals.columns import SAMPLE_DTYPE

SITE = "chaos"
START_S = 60.0  # for the processes, on a busy machine
DRAIN_S = 120.0
SETTLED_S = 10.0  # nothing new was stored for so long: nothing will be
ADOPT_S = 1.0  # how soon links are taken over that BlueZ has kept; five times as soon as usual, to kill more work
GROUP_COMMIT_S = 2.5  # a second of readings, and what a busy disk needs: older ones may not be lost by a kill
DYING_NS = 200_000_000  # a notification that is on the bus while the bus finds out that its reader is dead
_END_NS = 1 << 62
_ADAPTERS = 3
_TIMING = Timing(second_s=0.5)


@dataclass(slots=True)
class Verdict:
    """Counts over all wearables. `uncommitted`: lost by kills of the gateway, the oldest `oldest_lost_s` before one."""

    delivered: int = 0
    stored: int = 0
    twice: int = 0
    invented: int = 0
    lost: int = 0  # and no kill explains it
    uncommitted: int = 0
    oldest_lost_s: float = 0.0
    lost_ages_s: list[float] = field(default_factory=list)  # of those that no kill explains: before the next kill
    gaps_without_reason: int = 0

    @property
    def exact(self) -> bool:
        """Whether every notification is stored once, but for what a kill may take."""
        return self.delivered > 0 and self.twice + self.invented + self.lost == 0


def address(number: int) -> str:
    """Of the n-th strap."""
    return f"C0:00:00:00:00:{number:02X}"


class Chaos:
    """One run in `folder`, against a simulated BlueZ that runs already."""

    def __init__(self, options: argparse.Namespace, folder: Path, bluez: SimulatedBluez) -> None:
        self._random = random.Random(options.seed)
        self._options = options
        self._bluez = bluez
        self._store = folder / "data" / "vitals.db"
        self._runtime = folder / "run"
        self._broker_port = free_port()
        url = f"mqtt://127.0.0.1:{self._broker_port}"
        self.broker = mosquitto(folder / "broker", self._broker_port)
        self.server = server(folder / "data", self._ward(folder), 0, url, forked=False)
        program = [sys.executable, __file__, "--be-gateway", str(self._settings(folder, url))]
        self.gateway = Victim("gateway", program, "", [], folder)
        self.killed_at_ns: list[int] = []  # of the gateway, monotonic

    def _names(self) -> Iterator[tuple[str, str, str]]:
        for number in range(1, self._options.wearables + 1):
            yield f"w-{number}", address(number), f"P-{number:04}"

    def _ward(self, folder: Path) -> Path:
        file = folder / "ward.toml"
        patients = [
            f'\n[[patients]]\npatient = "{patient}"\nbed = "{name}"\ndevices = ["{name}"]\n'
            for name, _, patient in self._names()
        ]
        file.write_text(f'site = "{SITE}"\n' + "".join(patients))
        return file

    def _settings(self, folder: Path, url: str) -> Path:
        file = folder / "gateway.toml"
        text = f'site = "{SITE}"\ngateway = "gw-1"\nruntime_folder = "{self._runtime}"\n'
        text += f'[uplink]\nurl = "{url}"\nreconnect_max_s = 1.0\n[spool]\nfolder = "{folder / "spool"}"\n'
        text += '[radio]\nrecovery = ["restart_scan", "power_cycle"]\n'  # this computer's bluetoothd is not ours
        text += "".join(f'[[device]]\nname = "{n}"\naddress = "{a}"\n' for n, a, _ in self._names())
        file.write_text(text)
        return file

    async def run(self) -> Verdict:
        """Kill, drain, judge; raises `TimeoutError` when nothing streams any more."""
        try:
            for process in (self.broker, self.server, self.gateway):
                process.start()
            if not listens(self._broker_port, START_S):
                raise TimeoutError(self.broker.complain())
            await self._until_delivered()
            kills = [self.gateway] * self._options.gateway_kills + [self.broker] * self._options.broker_kills
            self._random.shuffle(kills)
            for victim in kills:
                await self._kill(victim)
            await self._until_delivered()
            return await self._drained()
        finally:
            for process in (self.gateway, self.server, self.broker):
                process.stop()

    async def _kill(self, victim: Victim) -> None:
        """At a random moment: while it starts, while links are made, while all of them stream."""
        of_gateway = victim is self.gateway
        await asyncio.sleep(self._random.uniform(0.0, self._options.calm_s if of_gateway else 2.0))
        victim.kill()
        if of_gateway:
            self.killed_at_ns.append(time.monotonic_ns() + DYING_NS)
        await asyncio.sleep(self._random.uniform(0.0, 1.0))
        victim.start()

    async def _until_delivered(self) -> None:
        """Wait until a gateway that starts now hears something."""
        began_s, before = time.monotonic(), len(self._delivered())
        while len(self._delivered()) == before:
            if time.monotonic() > began_s + START_S:
                raise TimeoutError(f"nothing streams\n{self.gateway.complain()}\n{self.server.complain()}")
            await asyncio.sleep(0.2)

    def _delivered(self) -> list[Delivery]:
        return self._bluez.deliveries(uuid=heart_rate.MEASUREMENT)

    async def _drained(self) -> Verdict:
        """The wearables fall silent; when everything has arrived, or nothing more comes, judge."""
        for _, who, _ in self._names():
            await self._bluez.set_faults(who, Faults(silent_after_s=0.0))
        began_s = changed_s = time.monotonic()
        verdict = Verdict()
        while time.monotonic() < min(began_s + DRAIN_S, changed_s + SETTLED_S):
            await asyncio.sleep(1.0)
            fresh = self.judge()
            changed_s = time.monotonic() if fresh.stored != verdict.stored or self._waiting() else changed_s
            verdict = fresh
        return verdict

    def _waiting(self) -> int:
        return int(json.loads((self._runtime / "status.json").read_bytes())["waiting"])

    def judge(self) -> Verdict:
        """The store against the ledger."""
        verdict = Verdict()
        by_address: dict[str, list[Delivery]] = {}
        for delivery in self._delivered():
            by_address.setdefault(delivery.address, []).append(delivery)
        with StoreReader(self._store) as reader:
            for name, who, patient in self._names():
                said = serials.stored(_rows(reader, patient, name))
                self._compare(verdict, said, by_address.get(who, []))
        return verdict

    def _compare(self, verdict: Verdict, said: serials.Stored, deliveries: list[Delivery]) -> None:
        expected = dict(zip(serials.delivered(deliveries), deliveries, strict=True))
        verdict.delivered += len(deliveries)
        verdict.stored += len(said.serials)
        verdict.twice += serials.twice(said)
        verdict.invented += serials.invented(said, list(expected))
        verdict.gaps_without_reason += len(serials.silent_gaps(said))
        missing = expected.keys() - set(said.serials)
        verdict.lost += serials.missing(said, list(expected)) - len(missing)  # readings of which a half is missing
        for age_s in map(self._before_a_kill_s, (expected[number] for number in missing)):
            is_explained = age_s <= GROUP_COMMIT_S
            verdict.uncommitted += is_explained
            verdict.lost += not is_explained
            verdict.lost_ages_s += [] if is_explained else [round(age_s, 3)]
            verdict.oldest_lost_s = max(verdict.oldest_lost_s, age_s if is_explained else 0.0)

    def _before_a_kill_s(self, delivery: Delivery) -> float:
        later = [at_ns - delivery.monotonic_ns for at_ns in self.killed_at_ns if at_ns >= delivery.monotonic_ns]
        return min(later, default=_END_NS) / 1e9


def _rows(reader: StoreReader, patient: str, device: str) -> np.ndarray:
    found = reader.samples(patient, None, 0, _END_NS)
    rows = np.zeros(len(found), SAMPLE_DTYPE)
    for column in ("vital", "sampled_at_ns", "sequence", "raw", "reason"):
        rows[column] = getattr(found, column)
    return rows[found.device == found.devices.index(device)] if device in found.devices else rows[:0]


def be_gateway(settings: Path) -> None:
    """`wardlight gateway run`, with a clock that is said to be synchronised; until it is killed."""

    def radio(config: GatewayConfig, on_heard: OnHeard, on_event: Callable[[RadioEvent], None]) -> Radio:
        return Radio(
            {device.address: allowed(device) for device in config.device},
            on_heard=on_heard,
            on_event=on_event,
            monotonic_ns=time.monotonic_ns,
            settings=replace(radio_settings(config.radio), adopt_s=ADOPT_S),
        )

    clocks = Surroundings(radio, lambda: ClockReading(time.time_ns(), time.monotonic_ns(), True))
    asyncio.run(run(decode_config(settings.read_bytes()), surroundings=clocks))


async def chaos(options: argparse.Namespace) -> int:
    """One run; the exit code."""
    straps = [
        PeripheralSpec(address=address(n), kind="strap", options={"numbered": True})
        for n in range(1, options.wearables + 1)
    ]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wardlight-chaos-") as folder:
        async with simulated_bluez(straps, adapters=_ADAPTERS, timing=_TIMING) as bluez:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bluez.address  # for the gateways
            run_ = Chaos(options, Path(folder), bluez)
            try:
                verdict = await run_.run()
            except TimeoutError as error:
                print(f"chaos: {error}", file=sys.stderr)
                return 2
    counts = {
        "seed": options.seed,
        "exact": verdict.exact,
        "gateway_kills": run_.gateway.kills,
        "broker_kills": run_.broker.kills,
        "wearables": options.wearables,
        **asdict(verdict),
        "duplicates_refused": run_.server.duplicates,
        "wall_s": round(time.monotonic() - began_s, 1),
    }
    print(json.dumps(counts))
    return 0 if verdict.exact else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway-kills", type=int, default=50)
    parser.add_argument("--broker-kills", type=int, default=20)
    parser.add_argument("--wearables", type=int, default=20)
    parser.add_argument("--calm-s", type=float, default=12.0, help="longest life of a gateway")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--be-gateway", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_gateway is not None:
        be_gateway(options.be_gateway)
        return 0
    print(f"seed {options.seed}", file=sys.stderr)
    return asyncio.run(chaos(options))


if __name__ == "__main__":
    sys.exit(main())
