"""Which notifications of a numbered strap became readings: the ledger's numbers and those that were stored.

A numbered strap hides a serial number in its two RR intervals (`simulators.bluez.wearables.strap`). The second of them
ends at the notification, as its heart rate does, and tells the number modulo 600; the order tells the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gateway.gatt import heart_rate
from gateway.gatt.heart_rate import HeartRateMeasurement
from simulators.bluez.ledger import Delivery
from simulators.bluez.wearables.strap import serial_intervals, serial_of
from vitals.model import Reason, Vital

BUSY_NS: Final = 500_000_000  # of real time
TURN: Final = 600  # serial numbers until the second interval is the same again


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of one strap, oldest first. `serials`: of its readings; `at_ns`: when, UTC; `lost_at_ns`: when
    its radio was said to be lost; `intervals`: how many RR intervals were stored."""

    serials: tuple[int, ...]
    at_ns: tuple[int, ...]
    lost_at_ns: tuple[int, ...]
    intervals: int


def delivered(deliveries: Iterable[Delivery]) -> list[int]:
    """The numbers that a strap's radio delivered, in order."""
    return [serial_of(HeartRateMeasurement.decode(d.value)) for d in deliveries if d.uuid == heart_rate.MEASUREMENT]


def stored(rows: np.ndarray[Any, Any]) -> Stored:
    """What `rows` of one strap tell: columns `vital`, `sampled_at_ns`, `sequence`, `raw`, `reason`."""
    rows = np.sort(rows, order=["sampled_at_ns", "sequence"])
    present = rows["reason"] == Reason.PRESENT
    rates = rows[present & (rows["vital"] == Vital.HEART_RATE)]
    beats = rows[present & (rows["vital"] == Vital.RR_INTERVAL)]
    last = beats[beats["sequence"] == 0]  # a first interval that was held up shares the time of an earlier notification
    value_of = dict(zip(last["sampled_at_ns"].tolist(), last["raw"].tolist(), strict=True))
    lost = rows[(rows["reason"] == Reason.RADIO_LOST) & (rows["vital"] == Vital.HEART_RATE)]
    return Stored(
        serials=_unwound([_second(value_of[at_ns]) for at_ns in rates["sampled_at_ns"].tolist()]),
        at_ns=tuple(rates["sampled_at_ns"].tolist()),
        lost_at_ns=tuple(lost["sampled_at_ns"].tolist()),
        intervals=len(beats),
    )


def twice(said: Stored) -> int:
    """Readings that are there more than once, and RR intervals that are too many."""
    return len(said.serials) - len(set(said.serials)) + max(0, said.intervals - 2 * len(said.serials))


def invented(said: Stored, expected: Sequence[int]) -> int:
    """Readings that were never delivered."""
    return len(set(said.serials) - set(expected))


def missing(said: Stored, expected: Sequence[int]) -> int:
    """Deliveries without a reading, or with half of one."""
    lost = Counter(expected) - Counter(said.serials)
    return sum(lost.values()) + max(0, 2 * len(said.serials) - said.intervals)


def silent_gaps(said: Stored) -> list[tuple[int, int]]:
    """Serial numbers between which some were missed although nobody said within that time that the radio is lost.

    A simulator that got no processor for a moment skips notifications on a link that stands: shorter gaps are its own.
    """
    pairs = zip(said.serials, said.serials[1:], said.at_ns, said.at_ns[1:], strict=False)
    told = np.array(said.lost_at_ns, np.int64)
    return [
        (before, after)
        for before, after, from_ns, to_ns in pairs
        if after > before + 1 and to_ns - from_ns > BUSY_NS and not np.any((told >= from_ns) & (told <= to_ns))
    ]


def _second(milliseconds: float) -> int:
    return round(milliseconds * heart_rate.RR_UNITS_PER_S / 1000) - serial_intervals(0)[1]


def _unwound(turns: Sequence[int]) -> tuple[int, ...]:
    found: list[int] = []
    for turn in turns:
        found.append(found[-1] + (turn - found[-1]) % TURN if found else turn)
    return tuple(found)
