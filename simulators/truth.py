"""What was really produced: the ledger that a store is compared with, reading for reading. Pure.

    truth = Truth()
    truth.add(batch)                                  # every GatewayBatch that was given to a spool
    difference = truth.compare(stored)                # stored: (device, vital) -> rows of TRUTH_DTYPE
    assert difference.exact

A ledger keeps 19 bytes per reading: an hour of twelve patients is about 4 MB.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from vitals.model import DeviceBatch, GatewayBatch, Vital

MAX_READINGS: Final = 50_000_000  # 1 GB of ledger: a run beyond it has to be checked in parts

# One reading: its key within the stream, and its value (NaN where missing, with the reason).
TRUTH_DTYPE: Final = np.dtype([("sampled_at_ns", "<i8"), ("sequence", "<u2"), ("reason", "u1"), ("value", "<f8")])
Stream: TypeAlias = tuple[str, Vital]
Rows: TypeAlias = npt.NDArray[Any]  # structured, TRUTH_DTYPE


@dataclass(slots=True)
class _Ledger:
    """One stream in the order of production, a column per field of `TRUTH_DTYPE`."""

    sampled_at_ns: array[int] = field(default_factory=lambda: array("q"))
    sequence: array[int] = field(default_factory=lambda: array("H"))
    reason: array[int] = field(default_factory=lambda: array("B"))
    value: array[float] = field(default_factory=lambda: array("d"))

    def rows(self) -> Rows:
        rows = np.empty(len(self.value), TRUTH_DTYPE)
        for name in TRUTH_DTYPE.fields or ():
            rows[name] = getattr(self, name)
        return rows


@dataclass(frozen=True, slots=True)
class Difference:
    """How a store differs from what was produced; `example` describes one of each kind, for the person who looks.

    `missing`: produced and not stored; `extra`: stored and not produced, a duplicate among them; `changed`: stored with
    another value or reason.
    """

    produced: int
    stored: int
    missing: int
    extra: int
    changed: int
    example: str = ""

    @property
    def exact(self) -> bool:
        """Every reading stored exactly once, as it was."""
        return not (self.missing or self.extra or self.changed)


class Truth:
    """Everything that was produced, by stream; at most `MAX_READINGS`, then `add` raises `OverflowError`."""

    def __init__(self) -> None:
        self._ledgers: dict[Stream, _Ledger] = {}
        self.readings = 0

    def add(self, batch: GatewayBatch) -> None:
        """Note every reading of a gateway's second."""
        for device in batch.devices:
            self.add_device(device)

    def add_device(self, device: DeviceBatch) -> None:
        """Note every reading of one wearable's second."""
        self._reserve(len(device.samples))
        for s in device.samples:
            ledger = self._ledger((device.device, s.vital))
            ledger.sampled_at_ns.append(s.sampled_at_ns)
            ledger.sequence.append(s.sequence)
            ledger.reason.append(s.reason)
            ledger.value.append(float("nan") if s.value is None else s.value)

    def add_rows(self, stream: Stream, rows: Rows) -> None:
        """Note many readings of one stream at once; `rows`: shape (n,), `TRUTH_DTYPE`."""
        self._reserve(rows.size)
        ledger = self._ledger(stream)
        ledger.sampled_at_ns.extend(rows["sampled_at_ns"].tolist())
        ledger.sequence.extend(rows["sequence"].tolist())
        ledger.reason.extend(rows["reason"].tolist())
        ledger.value.extend(rows["value"].tolist())

    def streams(self) -> tuple[Stream, ...]:
        """The streams that have produced anything, in order of appearance."""
        return tuple(self._ledgers)

    def rows(self, stream: Stream) -> Rows:
        """One stream in the order of production: shape (n,), `TRUTH_DTYPE`; empty when it produced nothing."""
        ledger = self._ledgers.get(stream)
        return ledger.rows() if ledger else np.empty(0, TRUTH_DTYPE)

    def compare(self, stored: Mapping[Stream, Rows]) -> Difference:
        """Hold what a store has against what was produced; the order of rows within a stream does not matter."""
        return _total(
            _compare(stream, self.rows(stream), stored.get(stream, np.empty(0, TRUTH_DTYPE)))
            for stream in {**self._ledgers, **stored}
        )

    def _ledger(self, stream: Stream) -> _Ledger:
        return self._ledgers.setdefault(stream, _Ledger())

    def _reserve(self, readings: int) -> None:
        if self.readings + readings > MAX_READINGS:
            raise OverflowError(f"a ledger holds {MAX_READINGS:,} readings; check the run in parts")
        self.readings += readings


def _compare(stream: Stream, produced: Rows, stored: Rows) -> Difference:
    """One stream. Keys are compared first; values only where a key stands exactly once on both sides."""
    wanted, wanted_at, wanted_count = _keys(produced)
    found, found_at, found_count = _keys(stored)
    common, in_wanted, in_found = np.intersect1d(wanted, found, assume_unique=True, return_indices=True)
    missing = np.setdiff1d(wanted, common, assume_unique=True)
    surplus = found_count.copy()
    surplus[in_found] -= wanted_count[in_wanted]
    before, after = produced[wanted_at[in_wanted]], stored[found_at[in_found]]
    same = (before["reason"] == after["reason"]) & (
        (before["value"] == after["value"]) | (np.isnan(before["value"]) & np.isnan(after["value"]))
    )
    lost = int(wanted_count.sum()) - int(np.minimum(wanted_count[in_wanted], found_count[in_found]).sum())
    extra, changed = int(surplus.clip(0).sum()), int((~same).sum())
    name = f"{stream[0]} {Vital(stream[1]).name.lower()}"
    examples = [f"{name}: {missing[0]} is missing"] if missing.size else []
    examples += [f"{name}: {found[surplus > 0][0]} is stored and was not produced, or twice"] if extra else []
    examples += [f"{name}: {before[~same][0]} became {after[~same][0]}"] if changed else []
    return Difference(produced.size, stored.size, lost, extra, changed, "; ".join(examples))


def _keys(rows: Rows) -> tuple[Rows, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The distinct keys in order, where each first stands, and how often."""
    keys = np.empty(rows.size, [("sampled_at_ns", "<i8"), ("sequence", "<u2")])
    keys["sampled_at_ns"], keys["sequence"] = rows["sampled_at_ns"], rows["sequence"]
    return np.unique(keys, return_index=True, return_counts=True)


def _total(parts: Iterable[Difference]) -> Difference:
    every = list(parts)
    return Difference(
        produced=sum(d.produced for d in every),
        stored=sum(d.stored for d in every),
        missing=sum(d.missing for d in every),
        extra=sum(d.extra for d in every),
        changed=sum(d.changed for d in every),
        example=next((d.example for d in every if d.example), ""),
    )
