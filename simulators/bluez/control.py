"""The control channel: what a test or a person tells the simulation while it runs.

One JSON object a line in, one a line out, over a Unix socket: `{"command": "drop", "address": "C0:00:00:00:00:01"}` →
`{"status": null, "copies": 0, "error": ""}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Struct

from simulators.bluez.faults import AdapterFaults, Faults

if TYPE_CHECKING:
    from simulators.bluez.daemon import Bluetoothd

MAX_LINE_BYTES: Final = 1 << 20  # the status of MAX_PERIPHERALS is 60 kB


class AdapterStatus(Struct, frozen=True):
    """An adapter now."""

    name: str
    powered: bool
    discovering: bool
    links: int


class PeripheralStatus(Struct, frozen=True):
    """A peripheral now. `listening`: UUIDs that a client has subscribed to, on the standing link."""

    address: str
    kind: str
    name: str
    connected: bool
    listening: tuple[str, ...]
    delivered: int
    refused: int


class Status(Struct, frozen=True):
    """The simulation now."""

    adapters: tuple[AdapterStatus, ...]
    peripherals: tuple[PeripheralStatus, ...]

    def peripheral(self, address: str) -> PeripheralStatus:
        """One of them; raises `StopIteration` for an unknown address."""
        return next(p for p in self.peripherals if p.address == address)

    def adapter(self, name: str) -> AdapterStatus | None:
        """One of them, `None` when it is not plugged in."""
        return next((a for a in self.adapters if a.name == name), None)


class Answer(Struct, frozen=True):
    """`copies`: of a push, how many clients got it. `error`: why the command was not done."""

    status: Status | None = None
    copies: int = 0
    error: str = ""


DONE: Final = Answer()


class Drop(Struct, frozen=True, tag_field="command", tag="drop"):
    """The radio link breaks: the wearable is still there and advertises."""

    address: str

    def apply(self, daemon: Bluetoothd) -> Answer:
        if (device := daemon.peripherals[self.address].device) is not None:
            device.lose()
        return DONE


class Power(Struct, frozen=True, tag_field="command", tag="power"):
    """Switch an adapter."""

    adapter: str
    on: bool

    def apply(self, daemon: Bluetoothd) -> Answer:
        daemon.adapters[self.adapter].set_power(on=self.on)
        return DONE


class Plug(Struct, frozen=True, tag_field="command", tag="plug"):
    """Plug an adapter in, or pull it out."""

    adapter: str
    inserted: bool

    def apply(self, daemon: Bluetoothd) -> Answer:
        (daemon.add_adapter if self.inserted else daemon.remove_adapter)(self.adapter)
        return DONE


class SetFaults(Struct, frozen=True, tag_field="command", tag="faults"):
    """A peripheral behaves like this from now on."""

    address: str
    faults: Faults

    def apply(self, daemon: Bluetoothd) -> Answer:
        daemon.peripherals[self.address].set_faults(self.faults)
        return DONE


class SetAdapterFaults(Struct, frozen=True, tag_field="command", tag="adapter_faults"):
    """An adapter behaves like this from now on."""

    adapter: str
    faults: AdapterFaults

    def apply(self, daemon: Bluetoothd) -> Answer:
        daemon.adapters[self.adapter].set_faults(self.faults)
        return DONE


class Push(Struct, frozen=True, tag_field="command", tag="push"):
    """Notify a value now."""

    address: str
    uuid: str
    value: bytes

    def apply(self, daemon: Bluetoothd) -> Answer:
        return Answer(copies=daemon.peripherals[self.address].push(self.uuid, self.value))


class MoveHandles(Struct, frozen=True, tag_field="command", tag="move_handles"):
    """The GATT table is another one at the next connection, as after a firmware update."""

    address: str

    def apply(self, daemon: Bluetoothd) -> Answer:
        daemon.peripherals[self.address].moves += 1
        return DONE


class Ask(Struct, frozen=True, tag_field="command", tag="status"):
    """How things are."""

    def apply(self, daemon: Bluetoothd) -> Answer:
        return Answer(status=daemon.status())


class Die(Struct, frozen=True, tag_field="command", tag="die"):
    """SIGKILL between two notifications, so that the ledger tells exactly what was sent."""

    def apply(self, daemon: Bluetoothd) -> Answer:
        daemon.die()
        return DONE


Command: TypeAlias = Drop | Power | Plug | SetFaults | SetAdapterFaults | Push | MoveHandles | Ask | Die


def execute(daemon: Bluetoothd, command: Command) -> Answer:
    """Do what a command says; an address or adapter that does not exist is an error in the answer."""
    try:
        return command.apply(daemon)
    except KeyError as unknown:
        return Answer(error=f"there is no {unknown} in this simulation")


@asynccontextmanager
async def serve(daemon: Bluetoothd, path: Path) -> AsyncIterator[None]:
    """Take commands at a Unix socket."""
    server = await asyncio.start_unix_server(partial(_attend, daemon), path, limit=MAX_LINE_BYTES)
    try:
        yield
    finally:
        server.close()


async def _attend(daemon: Bluetoothd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(msgspec.json.encode(_understood(daemon, line)) + b"\n")
            await writer.drain()
    except ConnectionError:
        pass  # whoever asked is gone
    finally:
        writer.close()


def _understood(daemon: Bluetoothd, line: bytes) -> Answer:
    try:
        return execute(daemon, msgspec.json.decode(line, type=Command))
    except msgspec.DecodeError as error:
        return Answer(error=str(error))


async def send(path: Path, command: Command) -> Answer:
    """Have a command executed by the daemon at `path`; raises `OSError` when there is none."""
    reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE_BYTES)
    try:
        writer.write(msgspec.json.encode(command) + b"\n")
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ConnectionResetError("the simulated bluetoothd is gone")
    return msgspec.json.decode(line, type=Answer)
