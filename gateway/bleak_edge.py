"""The edge to bleak and D-Bus: every call ends in time, every way they fail is one typed error.

BlueZ can leave any call unanswered, and a cancelled bleak call first talks to BlueZ again to tidy up, which can hang
as well. So a call runs in its own task: it is cancelled when its time is over, once more when it clings to its tidying
(the second time bleak only closes its D-Bus connection), and left behind in the end. What is left behind is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from bleak.backends.bluezdbus import manager as bleak_manager
from bleak.exc import BleakError
from bleak_retry_connector.bleak_manager import _reset_dbus_socket_cache
from dbus_fast import AuthError, DBusError, Message

from vitals.errors import RetryableError

TIDY_S: Final = (3.0, 1.0, 1.0)  # BlueZ needs about 2 s to disconnect; then the call is cancelled again

DRAIN_S: Final = 1.0  # a bus that runs answers within milliseconds
_BUS: Final = "org.freedesktop.DBus"

_ERRORS: Final = (
    BleakError,
    TimeoutError,
    OSError,  # BrokenPipeError, FileNotFoundError (no bus), ConnectionError
    EOFError,  # the bus closed the connection
    KeyError,  # BlueZ removed an object that bleak was reading
    AttributeError,  # a reply that never came because the connection closed: bleak looks into None
    AssertionError,  # the same, where bleak asserts
    DBusError,
    AuthError,
)

T = TypeVar("T")


class RadioCallError(RetryableError):
    """BlueZ, the bus or the wearable did not do what it was asked for. The message is for people."""


class _Strays:
    """Calls that were given up but have not ended; kept so that they are not collected while they run."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    def keep(self, task: asyncio.Task[Any]) -> None:
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody else asks; unasked, it would be reported as forgotten


_strays: Final = _Strays()


def stray_calls() -> int:
    """How many given-up calls have not ended."""
    return len(_strays.tasks)


async def bounded(call: Coroutine[Any, Any, T], within_s: float, what: str) -> T:
    """The result of `call`; raises `RadioCallError`, at the latest about 5 s after `within_s`. `what`: for its text."""
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait({task}, timeout=within_s)
    except asyncio.CancelledError:
        await give_up(task)
        raise
    if not task.done():
        await give_up(task)
        raise RadioCallError(f"{what}: no answer within {within_s:g} s")
    try:
        return task.result()
    except _ERRORS as error:
        raise RadioCallError(f"{what}: {str(error) or type(error).__name__}") from error
    except asyncio.CancelledError as error:  # of the call, not of ours: bleak was torn down under it
        raise RadioCallError(f"{what}: cancelled") from error


async def give_up(task: asyncio.Task[Any]) -> None:
    """Cancel a call, as often as it needs, without waiting for ever. Whatever it raises is nobody's concern."""
    _strays.keep(task)
    for wait_s in TIDY_S:
        if task.done():
            return
        task.cancel()
        await asyncio.wait({task}, timeout=wait_s)


async def drain_bleak() -> None:
    """Until bleak has read everything that BlueZ sent before now, or no longer can.

    That BlueZ is gone is heard on another connection, and can be heard earlier than its last notifications.
    """
    manager = bleak_manager._global_instances.get(asyncio.get_running_loop())  # noqa: SLF001  no public way
    bus = manager._bus if manager is not None else None  # noqa: SLF001  likewise
    for _ in range(2):  # the loop reads what is there; a write to a bus that died would throw it away
        await asyncio.sleep(0)
    if bus is not None and bus.connected:
        ping = Message(destination=_BUS, path="/org/freedesktop/DBus", interface=f"{_BUS}.Peer", member="Ping")
        with suppress(RadioCallError):
            await bounded(bus.call(ping), DRAIN_S, "the D-Bus")


def discard_bleak_state() -> None:
    """Make bleak forget what it believes of BlueZ, after bluetoothd or the bus was gone.

    bleak keeps one manager per event loop and does not notice that bluetoothd died: it goes on to believe in devices
    that no longer exist. Closing its connection makes it report every link as lost; the next call builds a new one.
    """
    manager = bleak_manager._global_instances.pop(asyncio.get_running_loop(), None)  # noqa: SLF001  no public way
    if manager is not None and (bus := manager._bus) is not None:  # noqa: SLF001  likewise
        bus.disconnect()
    _reset_dbus_socket_cache()  # it would never look for the bus again after it once was away
