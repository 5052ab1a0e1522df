"""A program of the site as a channel: a siren, a lamp, a pager of the house.

It is run with the priority and the title as its last two arguments and the body on its standard input. 0 means that it
did its work; anything else, or no end in time, counts as a failure and is tried again. No shell is involved.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from alerts.notify.channels import SEND_TIMEOUT_S
from alerts.notify.message import Message
from alerts.notify.outbox import Delivered, Outcome, Retry, Subscription
from vitals.errors import ConfigurationError


class SirenChannel:
    """Runs `command` for each message; raises `ConfigurationError` when there is no such program."""

    def __init__(
        self, subscription: Subscription, command: Sequence[str], *, timeout_s: float = SEND_TIMEOUT_S
    ) -> None:
        self.subscription = subscription
        program = shutil.which(command[0]) if command else None
        if program is None:
            raise ConfigurationError(
                f"alerts: channel {subscription.name!r}: {command[0] if command else ''!r} is no program that can be "
                "run; write its full path and make it executable"
            )
        self._command = (str(Path(program).absolute()), *command[1:])
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> Outcome:
        """See `Channel`. A program that does not end is killed, with everything that it started."""
        priority = message.priority.name.lower()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                priority,
                message.title,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return Retry(f"the program cannot be run: {error.strerror}")
        try:
            async with asyncio.timeout(self._timeout_s):
                await process.communicate(message.body.encode())
        except TimeoutError:
            return Retry(f"the program did not end within {self._timeout_s:g} s")
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Delivered() if process.returncode == 0 else Retry(f"the program ended with {process.returncode}")
