"""`python -m simulators.bluez simulation.json`: bluetoothd of a simulation as a process of its own.

It takes commands until the bus is gone or it is killed. The file is a `SimulationSpec` as JSON.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from simulators.bluez import control
from simulators.bluez.daemon import Bluetoothd, SimulationSpec


async def serve(spec: SimulationSpec) -> None:
    """Own `org.bluez`; say `ready` on standard output when all is set up."""
    async with Bluetoothd(spec) as daemon, control.serve(daemon, spec.control):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await daemon.gone.wait()


signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches all of its processes: the parent decides
asyncio.run(serve(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=SimulationSpec)))
