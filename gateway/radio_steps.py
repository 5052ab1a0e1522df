"""Takes the steps of the recovery ladder: each bounded in time, each saying how it went, none of them fatal."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from gateway.ble_scanner import Scanner
from gateway.bleak_edge import RadioCallError
from gateway.bluez_watch import BluezWatch
from gateway.radio_status import Commands
from gateway.recovery import Step

OFF_S: Final = 1.0  # a controller that is switched on again at once may not have lost its state
_TOLD_BYTES: Final = 200  # of what a program says

WORDS: Final = {
    Step.RESTART_SCAN: "restarted the scan",
    Step.POWER_CYCLE: "switched the adapter off and on",
    Step.RESET_ADAPTER: "reset the adapter",
    Step.RESTART_BLUETOOTHD: "restarted bluetoothd",
    Step.REBOOT: "rebooted the computer",
}


async def take_step(step: Step, adapter: str, scanner: Scanner | None, watch: BluezWatch, commands: Commands) -> None:
    """Do it; raises `RadioCallError` that says what an operator can do."""
    match step:
        case Step.RESTART_SCAN:
            if scanner is not None:
                scanner.restart()
        case Step.POWER_CYCLE:
            with suppress(RadioCallError):  # one that is off already, or hangs: switching it on is what counts
                await watch.set_powered(adapter, on=False)
            await asyncio.sleep(OFF_S)
            await watch.set_powered(adapter, on=True)
        case Step.RESET_ADAPTER:
            await _run(commands.reset_adapter, adapter, commands.timeout_s)
        case Step.RESTART_BLUETOOTHD:
            await _run(commands.restart_bluetoothd, adapter, commands.timeout_s)
        case Step.REBOOT:
            await _run(commands.reboot, adapter, commands.timeout_s)


async def _run(command: tuple[str, ...], adapter: str, timeout_s: float) -> None:
    if not command:
        raise RadioCallError("no program is configured for this step")
    arguments = [part.format(adapter=adapter, index=adapter.removeprefix("hci")) for part in command]
    said = " ".join(arguments)
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise RadioCallError(f"`{said}` cannot be run ({error.strerror}): install it or configure another") from error
    try:
        async with asyncio.timeout(timeout_s):
            _, complaint = await process.communicate()
    except TimeoutError as error:
        raise RadioCallError(f"`{said}` did not end within {timeout_s:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        told = complaint.decode(errors="replace").strip()[:_TOLD_BYTES]
        raise RadioCallError(f"`{said}` failed ({told or process.returncode}): does the gateway's user have the right?")
