"""A private D-Bus system bus: a real `dbus-daemon` with the limits of a real system bus and nobody else on it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from vitals.errors import ConfigurationError, PermanentError

DBUS_DAEMON: Final = shutil.which("dbus-daemon")
_START_S: Final = 10.0  # a bus that is not up by then is broken

# 256 connections per user, the default of a system bus: whoever leaks connections fails here as on a Raspberry Pi.
_CONFIGURATION: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <limit name="max_connections_per_user">256</limit>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true"/>
    <allow receive_requested_reply="true"/>
  </policy>
</busconfig>
"""


class PrivateBus:
    """`dbus-daemon` listening in `folder`. `address`: for `DBUS_SYSTEM_BUS_ADDRESS`; the same after a restart."""

    def __init__(self, folder: Path) -> None:
        if DBUS_DAEMON is None:
            raise ConfigurationError("dbus-daemon is not installed: `apt-get install dbus` brings it")
        self._socket = folder / "bus"
        self._configuration = folder / "bus.conf"
        self._log = folder / "bus.log"
        self.address = f"unix:path={self._socket}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return when it accepts connections."""
        self._configuration.write_text(_CONFIGURATION.format(socket=self._socket), encoding="utf-8")
        self._socket.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(DBUS_DAEMON),
                f"--config-file={self._configuration}",
                "--nofork",
                "--nopidfile",
                "--print-address",
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(_START_S):
            if not await self._process.stdout.readline():
                raise PermanentError(f"dbus-daemon did not start: {self._log.read_text(encoding='utf-8').strip()}")

    async def kill(self) -> None:
        """`kill -9`: every connection is gone."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None
