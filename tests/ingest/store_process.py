"""A process that writes and seals a store until it is killed: `python store_process.py PATH SEED FIRST`.

Write `n` holds the second `n` of five devices, and again, late and in part, the second `n - 400`. It prints the number
of each write that was acknowledged. Sealing runs in a second thread, as it does in the service.
"""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

from store_material import SECOND_NS, START_NS, Reading, block, reading

from ingest.store.writer import StoreWriter
from vitals.model import Vital

DEVICES = 5
LATE_S = 400  # sealed already: a bucket and its grace


def second(number: int) -> list[Reading]:
    """The readings of write `number`: every one follows from its key."""
    return [
        reading(at_s, float(at_s * 7 % 50 + device), device=f"ox-{device}", vital=int(vital))
        for at_s in (number, number - LATE_S)
        for device in range(DEVICES)
        for vital in (Vital.PULSE_RATE, Vital.SPO2)
        if at_s >= 0 and (at_s == number or device != at_s % DEVICES)
    ]


class Writing:
    """The writer's progress, and the signal that it made some."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.progress = threading.Event()


def main(path: Path, seed: int, first: int) -> None:
    """Write from number `first` on, for ever."""
    choice = random.Random(seed)
    with StoreWriter(path) as writer:
        writing = Writing(first)
        threading.Thread(target=_seal_on, args=(writer, writing), daemon=True).start()
        while True:
            numbers = range(writing.next, writing.next + choice.randint(1, 40))
            writer.write([block(second(number)) for number in numbers], position=numbers[-1])
            writing.next = numbers.stop
            writing.progress.set()
            sys.stdout.write(f"{numbers[-1]}\n")
            sys.stdout.flush()


def _seal_on(writer: StoreWriter, writing: Writing) -> None:
    while writing.progress.wait():
        writing.progress.clear()
        writer.seal(START_NS + writing.next * SECOND_NS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
