"""Calls to BlueZ end in time, whatever they cling to, and fail in one way."""

from __future__ import annotations

import asyncio

import pytest
from bleak.exc import BleakDBusError, BleakError

from gateway import bleak_edge
from gateway.bleak_edge import RadioCallError, bounded, stray_calls


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bleak_edge, "TIDY_S", (0.01, 0.01))


@pytest.mark.parametrize(
    "error",
    [
        BleakError("failed to discover services"),
        BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"]),
        TimeoutError(),
        EOFError(),
        BrokenPipeError(),
        OSError("no bus"),
        KeyError("org.bluez.GattService1"),
    ],
)
async def test_every_failure_is_one_error(error: Exception) -> None:
    async def call() -> None:
        raise error

    with pytest.raises(RadioCallError, match=r"asking: .+") as caught:
        await bounded(call(), 1.0, "asking")
    assert caught.value.__cause__ is error


async def test_a_fault_of_the_program_is_not_hidden() -> None:
    async def call() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await bounded(call(), 1.0, "asking")


async def test_a_call_that_hangs_is_given_up() -> None:
    with pytest.raises(RadioCallError, match="no answer within"):
        await bounded(asyncio.Event().wait(), 0.01, "asking")
    assert stray_calls() == 0


async def test_a_call_that_clings_to_its_tidying_is_left_behind_and_counted() -> None:
    enough = asyncio.Event()

    async def call() -> None:
        while not enough.is_set():
            try:
                await enough.wait()
            except asyncio.CancelledError:
                continue
        raise BleakError("nobody listens")

    with pytest.raises(RadioCallError, match="no answer within"):
        await bounded(call(), 0.01, "asking")
    assert stray_calls() == 1
    enough.set()
    async with asyncio.timeout(5):
        while stray_calls():  # noqa: ASYNC110  it ends on the next turns of the loop
            await asyncio.sleep(0)


async def test_whoever_waits_can_be_cancelled() -> None:
    ended = asyncio.Event()

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(bounded(call(), 60.0, "asking"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
