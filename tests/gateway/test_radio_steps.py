"""The steps that run programs: right arguments, bounded, and a failure that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.bleak_edge import RadioCallError
from gateway.bluez_watch import BluezWatch
from gateway.radio_status import Commands
from gateway.radio_steps import take_step
from gateway.recovery import Step


async def run(step: Step, commands: Commands) -> None:
    await take_step(step, "hci1", None, BluezWatch(lambda _before, _after: None), commands)


async def test_the_program_gets_the_adapter(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f'echo "$1 $2" > {told}'
    await run(Step.RESET_ADAPTER, Commands(reset_adapter=("sh", "-c", script, "sh", "{adapter}", "{index}")))
    assert told.read_text() == "hci1 1\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("sh", "-c", "echo not permitted >&2; exit 4"), "not permitted.*right"),
        (("false",), "failed \\(1\\)"),
        (("/no/such/program",), "cannot be run.*install it"),
        (("sleep", "60"), "did not end within"),
        ((), "no program is configured"),
    ],
)
async def test_a_failure_says_what_to_do(command: tuple[str, ...], told: str) -> None:
    with pytest.raises(RadioCallError, match=told):
        await run(Step.RESTART_BLUETOOTHD, Commands(restart_bluetoothd=command, timeout_s=0.3))


async def test_an_adapter_cannot_be_switched_without_a_bus() -> None:
    with pytest.raises(RadioCallError, match="no D-Bus connection"):
        await run(Step.POWER_CYCLE, Commands())
