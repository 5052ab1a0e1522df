"""The one scan of an adapter: on whenever it can be, off while a wearable connects, made anew after every trouble.

Controllers fail at scanning and connecting at once, and two scanners on one adapter fail each other. A scanner that
lived through a power cycle or a restart of bluetoothd hears nothing and cannot be stopped: it is thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gateway.bleak_edge import RadioCallError, bounded
from gateway.devices.driver import Seen

RETRY_S: Final = 5.0  # after a scan could not be started; sooner would only fill the log

Sighting: TypeAlias = Callable[[BLEDevice, Seen], None]


def seen_of(device: BLEDevice, advertisement: AdvertisementData) -> Seen:
    """An advertisement in the drivers' words. bleak's -127 dBm is "not told"."""
    return Seen(
        address=device.address.upper(),
        name=advertisement.local_name or device.name or "",
        rssi_dbm=advertisement.rssi if advertisement.rssi != -127 else None,
        services=frozenset(uuid.lower() for uuid in advertisement.service_uuids),
        manufacturer_data=advertisement.manufacturer_data,
    )


def is_advertisement(advertisement: AdvertisementData) -> bool:
    """Whether something was on the air; bleak also calls back when a connected device's properties change."""
    return not advertisement.platform_data[1].get("Connected", False)


def make_scanner(adapter: str, hear: Callable[[BLEDevice, AdvertisementData], None]) -> BleakScanner:
    """An active scan. With duplicates: without, BlueZ is silent about whoever stays where it is."""
    return BleakScanner(hear, scanning_mode="active", bluez={"adapter": adapter, "filters": {"DuplicateData": True}})


class Scanner:
    """Scans through `adapter` while `enable`d and not at `rest`. `on_change`: it began, ended or failed."""

    def __init__(self, adapter: str, sighting: Sighting, on_change: Callable[[], None], *, call_s: float) -> None:
        self.scanning = False
        self.error = ""  # why it does not scan although it should
        self._adapter = adapter
        self._sighting = sighting
        self._on_change = on_change
        self._call_s = call_s
        self._scanner: BleakScanner | None = None
        self._enabled = False
        self._resting = 0  # connections that want silence
        self._stale = False
        self._wake = asyncio.Event()
        self._settled = asyncio.Condition()

    @property
    def at_rest(self) -> bool:
        """Whether it is silent because a wearable connects."""
        return self._resting > 0

    def enable(self, on: bool) -> None:
        """Scan, or do not: the adapter is on, or off."""
        self._enabled = on
        self._wake.set()

    def lost(self) -> None:
        """What scanned is void: bluetoothd or the adapter was gone. Forget it without talking to it."""
        self._scanner = None
        self._became(scanning=False)
        self._wake.set()

    def restart(self) -> None:
        """Stop and start."""
        self._stale = True
        self._wake.set()

    @asynccontextmanager
    async def rest(self) -> AsyncIterator[None]:
        """No scan inside. Does not wait longer for that than a call may take."""
        self._resting += 1
        self._wake.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._call_s), self._settled:
                    await self._settled.wait_for(lambda: not self.scanning)
            yield
        finally:
            self._resting -= 1
            self._wake.set()

    async def run(self) -> None:
        """Keep the scan as it should be until cancelled; then stop it."""
        try:
            while True:
                await self._adjust()
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S if self.error else None):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            await self._stop()

    async def _adjust(self) -> None:
        if self._scanner is not None and (self._stale or not self._wanted):
            await self._stop()
        self._stale = False
        if self._wanted and self._scanner is None:
            await self._start()
        async with self._settled:
            self._settled.notify_all()

    @property
    def _wanted(self) -> bool:
        return self._enabled and not self._resting

    async def _start(self) -> None:
        scanner = make_scanner(self._adapter, self._hear)
        self._scanner = scanner
        try:
            await bounded(scanner.start(), self._call_s, f"starting the scan on {self._adapter}")
        except RadioCallError as error:
            if self._scanner is scanner:
                self._scanner = None
                self.error = str(error)
                self._on_change()
            return
        if self._scanner is scanner:  # not lost meanwhile
            self._became(scanning=True)

    async def _stop(self) -> None:
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            with suppress(RadioCallError):  # one that survived a power cycle cannot be stopped
                await bounded(scanner.stop(), self._call_s, f"stopping the scan on {self._adapter}")
        self._became(scanning=False)

    def _became(self, *, scanning: bool) -> None:
        self.error = ""
        changed, self.scanning = self.scanning != scanning, scanning
        if changed:
            self._on_change()

    def _hear(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        if is_advertisement(advertisement):
            self._sighting(device, seen_of(device, advertisement))
