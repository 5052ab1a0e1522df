"""The ledger: every notification that the simulated radio delivered, in a file that survives kills.

A line is written when the kernel has taken the notification for the bus (or for the client's socket), and a kill that
is asked for through the control channel falls between two of these steps: what stands here was sent, and nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

MAX_LINE_BYTES: Final = 4096  # an ATT value has at most 512 bytes


class Delivery(Struct, frozen=True):
    """One notification. `sequence`: counts from 1 for each characteristic of each peripheral, over all restarts.

    `copies`: signals sent for it, one per subscribed client. `at_ns`: UTC; `monotonic_ns`: the same moment.
    """

    address: str
    uuid: str
    sequence: int
    value: bytes
    at_ns: int
    monotonic_ns: int
    copies: int = 1


def read(path: Path) -> Iterator[Delivery]:
    """Every delivery so far; a last line that a kill cut in two is not one."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield msgspec.json.decode(line, type=Delivery)


def _cut_torn_line(file: io.FileIO) -> None:
    """What a kill left without its end is no line."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - MAX_LINE_BYTES))
    tail = file.read()
    file.truncate(size - (len(tail) - tail.rfind(b"\n") - 1))


class Ledger:
    """Appends to `path`, and goes on counting where an earlier process stopped."""

    def __init__(self, path: Path) -> None:
        self._sequences = {(d.address, d.uuid): d.sequence for d in read(path)}
        self._file = path.open("a+b", buffering=0)
        _cut_torn_line(self._file)

    def note(self, address: str, uuid: str, value: bytes, *, at_ns: int, monotonic_ns: int, copies: int = 1) -> None:
        """Write a delivery down."""
        sequence = self._sequences.get((address, uuid), 0) + 1
        self._sequences[address, uuid] = sequence
        delivery = Delivery(address, uuid, sequence, value, at_ns, monotonic_ns, copies)
        self._file.write(msgspec.json.encode(delivery) + b"\n")

    def count(self, address: str) -> int:
        """Deliveries of a peripheral so far."""
        return sum(count for (owner, _), count in self._sequences.items() if owner == address)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
