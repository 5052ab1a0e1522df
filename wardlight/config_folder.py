"""The server's folder `configs`: signed settings, a file for each gateway, sent to it and kept for when it comes.

    configs/pi-1.json  ─▶  wardlight/v1/SITE/pi-1/config

The server neither makes nor reads them: who signed is a matter between the signer and the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from gateway.remote_config import MAX_DOCUMENT_BYTES
from vitals.topics import Topic, valid_name

LOOK_EVERY_S: Final = 2.0
MAX_FILES: Final = 5_000  # gateways: half of the topics that the endpoint remembers, the other half is receipts

_log: Final = structlog.get_logger("configs")

Stamp = tuple[int, int, int]  # a file that was exchanged has another


class ConfigFolder:
    """See the module's text. `publish(topic, payload)`: retained; an empty payload takes the last one back."""

    def __init__(self, folder: Path, site: str, publish: Callable[[str, bytes], None]) -> None:
        self._folder = folder
        self._site = site
        self._publish = publish
        self._seen: dict[str, Stamp] = {}
        self._told: set[str] = set()

    async def run(self) -> None:
        """Send what is new, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Send what is new or changed since the last look, and take back what is gone."""
        found = await asyncio.to_thread(self._read)
        for gateway, payload in found:
            self._publish(str(Topic(self._site, gateway, "config")), payload)
            _log.info("settings sent" if payload else "settings taken back", gateway=gateway, bytes=len(payload))

    def _read(self) -> list[tuple[str, bytes]]:
        stamps = self._stamps()
        found = [(gone, b"") for gone in self._seen.keys() - stamps.keys()]
        for gateway, stamp in stamps.items():
            if self._seen.get(gateway) != stamp and (payload := self._payload(gateway)) is not None:
                found.append((gateway, payload))
        self._seen = stamps
        return found

    def _stamps(self) -> dict[str, Stamp]:
        try:
            files = sorted(self._folder.glob("*.json"))
        except OSError as error:
            self._complain(str(self._folder), f"cannot be read ({error.strerror}): settings are not sent")
            return self._seen
        if len(files) > MAX_FILES:
            self._complain(str(self._folder), f"more than {MAX_FILES:,} files: remove those of gateways that are gone")
        stamps = {}
        for file in files[:MAX_FILES]:
            if not valid_name(file.stem):
                self._complain(file.name, "is not named after a gateway: rename it")
                continue
            try:
                stat = file.stat()
            except OSError:  # gone since, or a link to nowhere
                continue
            stamps[file.stem] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return stamps

    def _payload(self, gateway: str) -> bytes | None:
        file = self._folder / f"{gateway}.json"
        try:
            with file.open("rb") as opened:
                payload = opened.read(MAX_DOCUMENT_BYTES + 1)
        except OSError as error:
            self._complain(file.name, f"cannot be read ({error.strerror}): let the server's user read it")
            return None
        if not 0 < len(payload) <= MAX_DOCUMENT_BYTES:
            self._complain(file.name, "is empty or too large: make it with `wardlight gateway sign`")
            return None
        return payload

    def _complain(self, name: str, why: str) -> None:
        """Once for each file and reason, until the server starts again."""
        if f"{name} {why}" not in self._told:
            self._told.add(f"{name} {why}")
            _log.warning("settings for a gateway", file=name, why=why)
