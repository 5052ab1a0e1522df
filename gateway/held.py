"""Readings that wait for the time to be known, on disk: monotonic time, and the boot that it belongs to.

A journal like the spool, so that a `kill -9` or a power cut loses nothing that `append` returned for. How a boot's
readings are timed is decided once and written down before the first of them is handed over: should the gateway die in
the middle, they get the same times again, and ingest knows them by their keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

import msgspec
from msgspec import Struct

from gateway.collect import HeardDevice
from gateway.timekeeper import Anchor, Timing, shifted
from vitals.journal import Bounds, Journal, WhenFull
from vitals.model import ClockSource, ClockTrust, DeviceBatch, GatewayBatch
from vitals.wire import WireBatch, WireDevice, from_wire, to_wire
from vitals.wire_json import VERSION

MAX_BYTES: Final = 256 << 20  # half a day of 20 wearables, some with waveforms
PAGE: Final = 64  # records timed and handed over at a time
_CURSOR: Final = "timed"
_ANCHOR: Final = "anchor"
_TIMING: Final = "timing"
_KIND: Final = 1
_BIAS_NS: Final = 1 << 60  # added to stored times: a stored file's may lie before the boot, and the wire has no sign
_FOR_EVER_NS: Final = (1 << 62) - 1
TimeOf: TypeAlias = Callable[[str, Callable[[], int]], Timing]


class _Kept(Struct, array_like=True, frozen=True, gc=False):
    boot: str
    heard_at_ns: int  # monotonic
    devices: list[WireDevice]


class _Decided(Struct, array_like=True, frozen=True):
    boot: str
    offset_ns: int
    source: ClockSource
    uncertainty_ms: float


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_KEPT: Final = msgspec.msgpack.Decoder(_Kept)


class Held:
    """See the module's text. One process at a time; calls take disk flushes: make them from a thread."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        bounds = Bounds(max_bytes, max_age_s=None, keep_read_s=0.0, when_full=WhenFull.DROP_OLDEST)
        self._journal = Journal(path, bounds=bounds)
        self._journal.move(_CURSOR, 0)
        self._position = self._journal.cursor(_CURSOR)
        self._newest = self._journal.newest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    @property
    def waiting(self) -> int:
        """How many batches wait for their time."""
        return self._newest - self._position

    @property
    def dropped(self) -> int:
        """How many had to be given up at the bound."""
        return sum(gap.last - gap.first + 1 for gap in self._journal.gaps())

    def anchor(self) -> Anchor | None:
        """The last time that was known, of this boot or an earlier one."""
        known = self._journal.mark(_ANCHOR)
        return None if known is None else Anchor(*msgspec.msgpack.decode(known, type=tuple[str, int, int]))

    def remember(self, anchor: Anchor) -> None:
        """Keep the last known time. Raises `JournalFullError`."""
        told = _ENCODE((anchor.boot, anchor.utc_ns, anchor.monotonic_ns))
        self._journal.move(_CURSOR, self._position, marks={_ANCHOR: told})

    def append(self, devices: tuple[HeardDevice, ...], *, boot: str, heard_at_ns: int) -> None:
        """Hold what was heard until `heard_at_ns`, monotonic. Raises `JournalFullError` when the disk is full."""
        wire = to_wire(GatewayBatch("-", 0, 0, 0, 0, _NOBODY, tuple(shifted(d, _BIAS_NS) for d in devices)))
        kept = _ENCODE(_Kept(boot, heard_at_ns, wire.devices))
        self._newest = self._journal.append([(_KIND, kept)], now_ns=0)

    def release(
        self,
        time_of: TimeOf,
        hand_over: Callable[[tuple[DeviceBatch, ...], Timing], None],
    ) -> int:
        """Time the next readings and hand them over, oldest first; how many batches still wait.

        `time_of(boot, last)`: how to time a boot, `last()` telling when its last reading was heard, monotonic; asked
        once a boot. `hand_over` returns when they are durable. Raises what it raises; nothing is lost then.
        """
        records = self._journal.read(self._position, limit=PAGE)
        if not records:
            self._position = self._newest
            return 0
        boot = _KEPT.decode(records[0].payload).boot
        by = self._decide(boot, time_of)
        records = list(takewhile(lambda record: _KEPT.decode(record.payload).boot == boot, records))
        for record in records:
            hand_over(_timed(_KEPT.decode(record.payload).devices, by.offset_ns - _BIAS_NS), by)
        self._position = records[-1].sequence
        self._journal.move(_CURSOR, self._position)
        self._journal.trim(now_ns=_FOR_EVER_NS)
        if not self.waiting:  # what comes later is timed by what is known then
            self._journal.move(_CURSOR, self._position, marks={_TIMING: b""})
        return self.waiting

    def _decide(self, boot: str, time_of: TimeOf) -> Timing:
        """How `boot` is timed: as decided before, or now and for good."""
        known = self._journal.mark(_TIMING)
        if known:
            decided = msgspec.msgpack.decode(known, type=_Decided)
            if decided.boot == boot:
                return Timing(decided.offset_ns, ClockTrust(decided.source, decided.uncertainty_ms))
        by = time_of(boot, partial(self._last_of, boot))
        told = _ENCODE(_Decided(boot, by.offset_ns, by.trust.source, by.trust.uncertainty_ms))
        self._journal.move(_CURSOR, self._position, marks={_TIMING: told})
        return by

    def _last_of(self, boot: str) -> int:
        """When the last reading of `boot` was heard, monotonic."""
        last, after = 0, self._position
        while records := self._journal.read(after, limit=PAGE):
            told = [
                kept.heard_at_ns for kept in (_KEPT.decode(record.payload) for record in records) if kept.boot == boot
            ]
            if not told:
                break
            last, after = told[-1], records[-1].sequence
        return last


_NOBODY: Final = ClockTrust(ClockSource.UNSYNCHRONISED, 0.0)


def _timed(devices: list[WireDevice], offset_ns: int) -> tuple[DeviceBatch, ...]:
    wire = WireBatch(VERSION, "-", 0, 0, 0, 0, ClockSource.UNSYNCHRONISED, 0.0, devices)
    return tuple(_moved(device, offset_ns) for device in from_wire(wire).devices)


def _moved(device: DeviceBatch, offset_ns: int) -> DeviceBatch:
    """`device` with every time moved; what would lie before 1970 cannot be said on the wire and is left out."""
    samples = (replace(s, sampled_at_ns=s.sampled_at_ns + offset_ns) for s in device.samples)
    waveforms = (replace(w, started_at_ns=w.started_at_ns + offset_ns) for w in device.waveforms)
    return replace(
        device,
        samples=tuple(s for s in samples if s.sampled_at_ns > 0),
        waveforms=tuple(w for w in waveforms if w.started_at_ns > 0),
    )
