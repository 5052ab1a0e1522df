"""A whole simulated Bluetooth world to run real clients against: `simulated_bluez`."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from simulators.bluez import control, ledger
from simulators.bluez.bus import PrivateBus
from simulators.bluez.control import Answer, Command, Status
from simulators.bluez.daemon import Bluetoothd, SimulationSpec
from simulators.bluez.faults import AdapterFaults, Faults, healed
from simulators.bluez.ledger import Delivery
from simulators.bluez.peripheral import MAX_PERIPHERALS, PeripheralSpec
from simulators.bluez.timing import FAST, Timing
from vitals.errors import ConfigurationError, PermanentError

_START_S: Final = 30.0  # a busy machine needs seconds to import numpy
_LOOK_EVERY_S: Final = 0.02


class SimulatedBluez:
    """A private bus and a bluetoothd on it. `address`: for the environment variable `DBUS_SYSTEM_BUS_ADDRESS`."""

    def __init__(self, spec: SimulationSpec, bus: PrivateBus, *, own_process: bool) -> None:
        self._spec = spec
        self._bus = bus
        self._own_process = own_process
        self._process: asyncio.subprocess.Process | None = None
        self._daemon: Bluetoothd | None = None
        self.address = bus.address

    # ── faults ──

    async def drop(self, address: str) -> None:
        """The radio link to a wearable breaks; it advertises again at once."""
        await self.send(control.Drop(address))

    async def power(self, adapter: str, *, on: bool) -> None:
        """Switch an adapter off or on."""
        await self.send(control.Power(adapter, on))

    async def remove_adapter(self, adapter: str) -> None:
        """Pull an adapter out."""
        await self.send(control.Plug(adapter, inserted=False))
        self._spec.adapters.pop(adapter)

    async def add_adapter(self, adapter: str) -> None:
        """Plug an adapter in."""
        await self.send(control.Plug(adapter, inserted=True))
        self._spec.adapters[adapter] = AdapterFaults()

    async def set_faults(self, address: str, faults: Faults) -> None:
        """A peripheral behaves like this from now on, also after the daemon was started again."""
        await self.send(control.SetFaults(address, faults))
        changed = [
            msgspec.structs.replace(p, faults=faults) if p.address == address else p for p in self._spec.peripherals
        ]
        self._spec = msgspec.structs.replace(self._spec, peripherals=tuple(changed))

    async def set_adapter_faults(self, adapter: str, faults: AdapterFaults) -> None:
        """An adapter behaves like this from now on."""
        await self.send(control.SetAdapterFaults(adapter, faults))
        self._spec.adapters[adapter] = faults

    async def move_handles(self, address: str) -> None:
        """The wearable's GATT table is another one at the next connection."""
        await self.send(control.MoveHandles(address))

    async def push(self, address: str, uuid: str, value: bytes) -> int:
        """Notify a value now; to how many clients (0: nobody has subscribed)."""
        return (await self.send(control.Push(address, uuid, value))).copies

    # ── processes ──

    async def start_daemon(self) -> None:
        """Start bluetoothd, and return when it owns `org.bluez`."""
        if self._own_process:
            await self._start_process()
        else:
            self._daemon = await Bluetoothd(self._spec).__aenter__()

    async def kill_daemon(self) -> None:
        """SIGKILL bluetoothd; the bus goes on. In the same process: its connection breaks without a word."""
        self._spec = msgspec.structs.replace(
            self._spec, adapters={name: healed(f, "daemon_restart") for name, f in self._spec.adapters.items()}
        )
        if self._process is not None:
            await self._kill_process(self._process)
            self._process = None
        if self._daemon is not None:
            await self._daemon.__aexit__(None, None, None)
            self._daemon = None

    async def restart_daemon(self) -> None:
        """Kill bluetoothd and start it again."""
        await self.kill_daemon()
        await self.start_daemon()

    async def restart_bus(self) -> None:
        """Kill dbus-daemon, which ends bluetoothd; start both again at the same address."""
        await self._bus.kill()
        await self.kill_daemon()
        await self._bus.start()
        await self.start_daemon()

    async def end(self) -> None:
        """Kill everything; takes milliseconds."""
        await self._bus.kill()
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None
        await self.kill_daemon()

    # ── looking ──

    async def status(self) -> Status:
        """How everything is now."""
        status = (await self.send(control.Ask())).status
        assert status is not None
        return status

    async def until(self, reached: Callable[[Status], bool], within_s: float = 20.0) -> Status:
        """Wait for a state; raises `TimeoutError`."""
        async with asyncio.timeout(within_s):
            while not reached(status := await self.status()):  # noqa: ASYNC110 - the state is in another process
                await asyncio.sleep(_LOOK_EVERY_S)
        return status

    def deliveries(self, address: str | None = None, uuid: str | None = None) -> list[Delivery]:
        """What the radio has delivered so far, in order."""
        every = ledger.read(self._spec.ledger)
        return [d for d in every if address in {None, d.address} and uuid in {None, d.uuid}]

    async def send(self, command: Command) -> Answer:
        """Have any command executed; raises `PermanentError` when it cannot be."""
        if self._daemon is not None:
            answer = control.execute(self._daemon, command)
        else:
            answer = await control.send(self._spec.control, command)
        if answer.error:
            raise PermanentError(answer.error)
        return answer

    # ── ──

    async def _start_process(self) -> None:
        path = Path(self._spec.folder) / "simulation.json"
        path.write_bytes(msgspec.json.encode(self._spec))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simulators.bluez", str(path), stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(_START_S):
            if not await self._process.stdout.readline():
                raise PermanentError("the simulated bluetoothd did not start: see its traceback above")

    async def _kill_process(self, process: asyncio.subprocess.Process) -> None:
        """Asked to, it dies between two notifications; a daemon that does not answer is killed from outside."""
        try:
            async with asyncio.timeout(2.0):
                await control.send(self._spec.control, control.Die())
        except (OSError, TimeoutError):
            pass
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _uncancelled(work: Coroutine[Any, Any, None]) -> None:
    """Finish `work` even when this task is cancelled meanwhile: no process may stay behind."""
    running = asyncio.ensure_future(work)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await running
        raise


@asynccontextmanager
async def simulated_bluez(
    peripherals: Sequence[PeripheralSpec],
    *,
    adapters: int = 1,
    adapter_faults: AdapterFaults | None = None,
    timing: Timing = FAST,
    own_process: bool = True,
    folder: Path | None = None,
) -> AsyncIterator[SimulatedBluez]:
    """A private bus with BlueZ and these peripherals. `adapters`: hci0, hci1 …, each with `adapter_faults`.

    `own_process` off: bluetoothd runs in the caller's event loop, which starts faster. `folder`: for the ledger; short,
    because sockets live in it (a path has room for 107 bytes); a temporary one when absent.
    """
    if len(peripherals) > MAX_PERIPHERALS or len({p.address for p in peripherals}) < len(peripherals):
        raise ConfigurationError(f"peripherals: give at most {MAX_PERIPHERALS}, each with its own address")
    own = Path(tempfile.mkdtemp(prefix="bluez-")) if folder is None else folder
    bus = PrivateBus(own)
    spec = SimulationSpec(
        address=bus.address,
        folder=str(own),
        peripherals=tuple(peripherals),
        adapters={f"hci{number}": adapter_faults or AdapterFaults() for number in range(adapters)},
        started_at_s=time.monotonic(),
        timing=timing,
    )
    bluez = SimulatedBluez(spec, bus, own_process=own_process)
    try:
        await bus.start()
        await bluez.start_daemon()
        yield bluez
    finally:
        await _uncancelled(bluez.end())
        if folder is None:
            shutil.rmtree(own, ignore_errors=True)
