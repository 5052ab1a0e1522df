"""Receipts: which messages of which gateway are in the journal.

A gateway numbers the messages of one spool life (an *epoch*) from 1 and keeps each until ingest has said that
everything up to it is durable. `ReceiptLedger` knows for every epoch the highest contiguous sequence (`through`) and
the ranges that came ahead of it. It tells a message sent again from a new one, and what a gateway gave up from what is
still on its way.

A change is computed first (`begin`, `receive`) and takes effect with `apply`, once the commit that carries its
marks is certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from vitals.errors import JournalCorruptError
from vitals.model import Receipt

MARK_PREFIX: Final = "receipt:"
MAX_GATEWAYS: Final = 10_000  # of one ingest; the one silent for longest is forgotten
MAX_EPOCHS: Final = 8  # per gateway: it has up to three spools at once, and a new epoch begins when one is lost
MAX_RANGES: Final = 64  # per epoch, ahead of `through`; what does not fit is asked for again by the missing receipt


@dataclass(frozen=True, slots=True)
class Epoch:
    """What is durable of one epoch: all up to `through`, and `ahead`: ranges (first, last) above it, ascending."""

    epoch: int
    through: int
    ahead: tuple[tuple[int, int], ...] = ()

    def holds(self, sequence: int) -> bool:
        """Whether the message is durable already."""
        return sequence <= self.through or any(first <= sequence <= last for first, last in self.ahead)

    def add(self, first: int, last: int) -> Epoch:
        """With the messages `first` to `last`; unchanged when that would need more than `MAX_RANGES` ranges."""
        through, ahead = self.through, list[tuple[int, int]]()
        for low, high in sorted((*self.ahead, (first, last))):
            if low <= through + 1:
                through = max(through, high)
            elif ahead and low <= ahead[-1][1] + 1:
                ahead[-1] = (ahead[-1][0], max(ahead[-1][1], high))
            else:
                ahead.append((low, high))
        return self if len(ahead) > MAX_RANGES else Epoch(self.epoch, through, tuple(ahead))

    def receipt(self, gateway: str) -> Receipt:
        """What its gateway is told."""
        return Receipt(gateway, self.epoch, self.through, self.ahead)

    def missing(self, below: int) -> int:
        """How many messages between `through` and `below`, neither included, are not durable."""
        gap = max(0, below - 1 - self.through)
        return gap - sum(max(0, min(last, below - 1) - first + 1) for first, last in self.ahead)


_Epochs = tuple[Epoch, ...]  # of one gateway, the last used one last


@dataclass(slots=True)
class LedgerChange:
    """What one commit adds to a ledger."""

    _ledger: Mapping[str, _Epochs]
    _changed: dict[str, _Epochs] = field(default_factory=dict)
    _receipts: dict[tuple[str, int], Receipt] = field(default_factory=dict)

    def receive(self, gateway: str, epoch: int, sequence: int, oldest: int) -> tuple[bool, int]:
        """Take note of a message: whether it is new, and how many messages its gateway gave up unsent.

        `oldest`: the lowest sequence that the gateway still holds; what is below and never came will never come.
        An `epoch` of 0 asks for no receipt: such a message is always new.
        """
        if epoch == 0:
            return True, 0
        epochs = self._changed.get(gateway) or self._ledger.get(gateway, ())
        known = next((e for e in epochs if e.epoch == epoch), None) or Epoch(epoch, 0)
        floor = min(oldest, sequence)
        lost = known.missing(floor)
        before = known if floor <= known.through + 1 else known.add(known.through + 1, floor - 1)
        new = not before.holds(sequence)
        after = before.add(sequence, sequence) if new else before
        others = tuple(e for e in epochs if e.epoch != epoch)
        self._changed[gateway] = (*others, after)[-MAX_EPOCHS:]
        self._receipts[gateway, epoch] = after.receipt(gateway)
        return new, lost

    def receipts(self) -> list[Receipt]:
        """The receipts of every epoch that a message came from, also of those that came again."""
        return list(self._receipts.values())

    def marks(self) -> dict[str, bytes]:
        """The journal marks that make the change durable."""
        return {MARK_PREFIX + gateway: _encode(epochs) for gateway, epochs in self._changed.items()}

    @property
    def changed(self) -> Mapping[str, _Epochs]:
        """The new entries by gateway."""
        return self._changed


class ReceiptLedger:
    """See the module's text."""

    def __init__(self, marks: Mapping[str, bytes] | None = None) -> None:
        """`marks`: the journal's, as `LedgerChange.marks` wrote them; raises `JournalCorruptError`."""
        entries = ((key.removeprefix(MARK_PREFIX), _decode(key, value)) for key, value in (marks or {}).items())
        self._epochs: dict[str, _Epochs] = dict(entries)
        self._forget()

    def begin(self) -> LedgerChange:
        """An empty change on top of the ledger as it is."""
        return LedgerChange(self._epochs)

    def apply(self, change: LedgerChange) -> None:
        """Make `change` part of the ledger; it was begun after the last `apply`."""
        for gateway, epochs in change.changed.items():
            self._epochs.pop(gateway, None)  # to the end: last used
            self._epochs[gateway] = epochs
        self._forget()

    def epochs(self, gateway: str) -> Iterable[Epoch]:
        """What is known of one gateway, the last used epoch last."""
        return self._epochs.get(gateway, ())

    def receipts(self) -> list[Receipt]:
        """What holds now, for the last used epoch of every gateway."""
        return [epochs[-1].receipt(gateway) for gateway, epochs in self._epochs.items() if epochs]

    def _forget(self) -> None:
        while len(self._epochs) > MAX_GATEWAYS:
            del self._epochs[next(iter(self._epochs))]


_MARK: Final = msgspec.msgpack.Decoder(list[tuple[int, int, tuple[tuple[int, int], ...]]])


def _encode(epochs: _Epochs) -> bytes:
    return msgspec.msgpack.encode([(e.epoch, e.through, e.ahead) for e in epochs])


def _decode(key: str, value: bytes) -> _Epochs:
    try:
        return tuple(Epoch(*entry) for entry in _MARK.decode(value))
    except msgspec.DecodeError as error:
        raise JournalCorruptError(f"the journal's mark {key!r} is unreadable ({error}): delete it to go on") from error
