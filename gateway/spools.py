"""Where everything that a gateway heard waits for its receipt: numbers, signals, and what the disk does not take.

Numbers and signals have a spool each, with an epoch each, under one bound: when it is reached the oldest signals go,
and numbers only when no signals are left. A third spool lives in memory (the runtime folder): when the disk is full or
fails, monitoring goes on through it, newest numbers first, while an operator is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.spool import Spool
from vitals.errors import JournalFullError
from vitals.model import ClockTrust, DeviceBatch

SPARE_BYTES: Final = 8 << 20  # of a Raspberry Pi's memory: an hour of 20 wearables' numbers
_SLACK: Final = 64  # a 64th of the bound is freed at once, so that dropping is rare


class Spools:
    """See the module's text. `fault`: what is wrong with the disk now, `""` when nothing is."""

    def __init__(
        self, folder: Path, runtime: Path, gateway: str, *, max_bytes: int, max_age_s: float | None = None
    ) -> None:
        self.fault = ""
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._lost: Counter[str] = Counter()
        with ExitStack() as opened:
            self.numbers = opened.enter_context(Spool(folder / "numbers.db", gateway, max_bytes=max_bytes))
            self.signals = opened.enter_context(Spool(folder / "signals.db", gateway, max_bytes=max_bytes))
            self.spare = opened.enter_context(Spool(runtime / "spare.db", gateway, max_bytes=SPARE_BYTES))
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Save how far receipts came, and close."""
        self._opened.close()

    @property
    def by_importance(self) -> tuple[Spool, ...]:
        """For the uplink: what is sent first."""
        return self.numbers, self.spare, self.signals

    @property
    def drops(self) -> dict[str, int]:
        """Messages that were given up, by kind and reason: `signals: size`, `numbers: age`, `signals: disk` …"""
        found = Counter(self._lost)
        for kind, spool in (("numbers", self.numbers), ("signals", self.signals), ("spare", self.spare)):
            found.update({f"{kind}: {reason}": count for reason, count in spool.drops.items()})
        return {why: count for why, count in found.items() if count}

    def append(self, devices: tuple[DeviceBatch, ...], *, clock: ClockTrust, now_ns: int, ages: bool = True) -> None:
        """Store what was heard, see `Spool.append`; a disk that does not take it is a `fault`, and no error."""
        numbers = tuple(replace(d, waveforms=()) for d in devices if d.samples)
        signals = tuple(replace(d, samples=()) for d in devices if d.waveforms)
        newest = self.numbers.newest
        fault = _try(self._make_room)
        store = partial(self.numbers.append, numbers, clock=clock, now_ns=now_ns, ages=ages)
        fault = _try(store) or fault
        if fault and numbers and self.numbers.newest == newest:
            spare = partial(self.spare.append, numbers, clock=clock, now_ns=now_ns, ages=ages)
            self._lost["numbers: disk"] += bool(_try(spare))
        if fault:
            self._lost["signals: disk"] += bool(signals)
        else:
            fault = _try(partial(self.signals.append, signals, clock=clock, now_ns=now_ns, ages=ages))
            self._lost["signals: disk"] += bool(fault)
        self.fault = fault

    def drop_older(self, *, now_ns: int) -> None:
        """Give up what is too old; `now_ns` is a time that can be trusted."""
        if (max_age_s := self._max_age_s) is not None:
            for spool in (self.numbers, self.signals):
                _try(partial(spool.drop_older, max_age_s, now_ns=now_ns))

    def _make_room(self) -> None:
        """Signals have what numbers leave; when both together are too much, the oldest signals go."""
        room = max(0, self._max_bytes - self.numbers.size_bytes)
        if self.signals.size_bytes > room:
            self.signals.limit(max(0, room - self._max_bytes // _SLACK))
        self.signals.limit(room)


def _try(work: Callable[[], object]) -> str:
    """What stood in the way, `""` when nothing did."""
    try:
        work()
    except JournalFullError as error:
        return str(error)
    return ""
