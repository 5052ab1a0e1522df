"""The live side of the station: one view of the ward, its clocks, and the acknowledgement of an alarm."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from typing import Final, Protocol, TypeVar

import msgspec

from alerts.attention import Acknowledged, Paused
from alerts.station.snapshot import STALE_AFTER_S, ShownAlarm, Snapshot, each_shown, show_alarms
from alerts.station.words import clock_with_seconds
from alerts.view import OpenAlarm, Tile

PORTION_S: Final = 0.005  # so long may a screen keep an alarm waiting; the tiles of two thousand beds take 0.3 s

_T = TypeVar("_T")


class LiveView(Protocol):
    """What the alert engine shows. All answer at once, from memory; called on the event loop."""

    def each_tile(self) -> Iterator[Tile]:
        """Every patient of the ward; taken in portions."""
        ...

    def bed(self, patient: str) -> str | None:
        """The bed of a patient of the ward; `None` for anybody else."""
        ...

    def alarms(self) -> Sequence[OpenAlarm]:
        """Every open alarm."""
        ...

    def trouble(self) -> str:
        """What keeps the server from watching anybody, as a sentence for a nurse; empty when nothing does."""
        ...

    def acknowledge(self, alarm_id: str, actor: str) -> Acknowledged:
        """Note that `actor` took notice of an open alarm; durable on return. May raise `WardlightError`."""
        ...

    def pause_audio(self, alarm_id: str, actor: str) -> Paused:
        """Pause the sound of an open alarm for a while; as `acknowledge`."""
        ...

    def pause_alarms(self, patient: str, actor: str, reason: str) -> Paused:
        """Pause all alarms of a patient for a while; as `acknowledge`."""
        ...

    def resume_alarms(self, patient: str, actor: str) -> Paused:
        """End such a pause; as `acknowledge`."""
        ...


class Board:
    """What is rendered for every browser.

    `boot` and `token` are new with each start of the server; `up_s` is a monotonic time, so that a browser can tell how
    old news is without trusting anybody's wall clock. `warning`: why alarms may reach nobody but this page.
    """

    def __init__(
        self,
        live: LiveView,
        *,
        zone: tzinfo,
        now_ns: Callable[[], int],
        monotonic_s: Callable[[], float] = time.monotonic,
        assets: str = "",
        warning: Callable[[], str] = str,
    ) -> None:
        self.live = live
        self.zone = zone
        self.now_ns = now_ns
        self.token = secrets.token_urlsafe(24)
        self._boot = secrets.token_hex(8)
        self._monotonic_s = monotonic_s
        self._assets = assets
        self._warning = warning

    async def snapshot(self) -> Snapshot:
        """The ward as it is at the moment of the call; what the event loop has to do meanwhile comes first."""
        now_ns, up_s, alarms = self.now_ns(), self._monotonic_s(), self.live.alarms()
        trouble, warning = self.live.trouble(), self._warning()
        tiles = await unhurried(self.live.each_tile())
        return Snapshot(
            boot=self._boot,
            assets=self._assets,
            token=self.token,
            up_s=round(up_s, 3),
            clock=clock_with_seconds(now_ns, self.zone),
            stale_after_s=STALE_AFTER_S,
            trouble=trouble,
            warning=warning,
            tiles=await unhurried(each_shown(tiles, alarms, now_ns, self.zone)),
            alarms=show_alarms(alarms, now_ns, self.zone),
        )

    async def encoded(self) -> bytes:
        """The snapshot as one line of JSON: the payload of an event."""
        return msgspec.json.encode(await self.snapshot())

    def alarms(self) -> tuple[str, list[ShownAlarm]]:
        """The time, and the open alarms alone."""
        now_ns = self.now_ns()
        return clock_with_seconds(now_ns, self.zone), show_alarms(self.live.alarms(), now_ns, self.zone)

    def acknowledged_by(self, alarm_id: str) -> str:
        """Who took notice of an open alarm; `"somebody"` when that is not known."""
        found = next((alarm for alarm in self.live.alarms() if alarm.alarm_id == alarm_id), None)
        return (found and found.acknowledged_by) or "somebody"


async def unhurried(found: Iterator[_T]) -> list[_T]:
    """The list of `found`, made in portions of `PORTION_S`: whatever else is due runs between them."""
    made: list[_T] = []
    began_s = time.monotonic()
    for each in found:
        made.append(each)
        if time.monotonic() - began_s >= PORTION_S:
            await asyncio.sleep(0)
            began_s = time.monotonic()
    return made
