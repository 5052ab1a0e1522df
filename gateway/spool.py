"""The gateway's spool: what was heard and is not yet receipted, on disk.

A message is stored before anything of it is sent, and leaves only when ingest has said that it is durable there. It
is a thin layer over the journal: the journal's sequences number the messages, and one cursor, moved by receipts, says
what may go.

A size bounds it, and an age only when somebody vouches for the clock (`drop_older`): a Raspberry Pi has none of its
own, and one jump to 2100 would empty the spool. What ingest cannot read is set aside in a folder next to it.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import msgspec
from msgspec import Raw, Struct

from vitals.errors import JournalFullError, PermanentError
from vitals.journal import Bounds, Journal, Record, WhenFull
from vitals.model import ClockSource, ClockTrust, DeviceBatch, GatewayBatch
from vitals.wire import MAX_DEVICES, MAX_PAYLOAD_BYTES, WireBatch, WireDevice, to_wire
from vitals.wire_json import VERSION

SPOOL_BYTES: Final = 1 << 30  # two days of 12 wearables with PPG (5 kB/s), months without; fits any card
_HEADER_BYTES: Final = 256  # room for the envelope around a stored message
_KIND_DEVICES: Final = 1  # the stored form below; a new form gets a new number
_CURSOR: Final = "uplink"
_EPOCH: Final = "epoch"
_ASIDE: Final = "aside"
MAX_ASIDE: Final = 100  # files; the ones after that are only counted
_EPOCH_BITS: Final = 62  # fits a signed 64-bit column, and two spools never draw the same
_FOR_EVER_NS: Final = (1 << 62) - 1  # receipted records go at once, whatever time the clock showed when they came


class _Kept(Struct, array_like=True, frozen=True, gc=False):
    """A stored message: what is known when it is heard. The envelope's other fields are set at sending."""

    clock_source: ClockSource
    uncertainty_ms: float
    devices: Raw


_ENCODER: Final = msgspec.msgpack.Encoder()
_KEPT: Final = msgspec.msgpack.Decoder(_Kept)
_NOTHING_KEPT: Final = _Kept(ClockSource.DEVICE, 0.0, Raw(_ENCODER.encode([])))


class Spool:
    """Messages of one gateway. Safe to call from several threads; one process at a time.

    `epoch` names one life of the spool's file. A spool that is lost or replaced starts a new one, so that its
    sequences, which begin at 1 again, are never taken for those of the old.
    """

    def __init__(self, path: Path, gateway: str, *, max_bytes: int = SPOOL_BYTES) -> None:
        bounds = Bounds(max_bytes, max_age_s=None, keep_read_s=0.0, when_full=WhenFull.DROP_OLDEST)
        self.gateway = gateway
        self.aside_folder = path.with_name(path.name + ".aside")
        self._journal = Journal(path, bounds=bounds)
        self.epoch = self._begin_epoch()
        self._receipted = self._saved = self._journal.cursor(_CURSOR)
        self._oldest = self._journal.oldest
        kept_aside = self._journal.mark(_ASIDE)
        self._aside = set(msgspec.msgpack.decode(kept_aside, type=list[int]) if kept_aside else ())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Save how far receipts came, and close."""
        self.tidy()
        self._journal.close()

    def append(self, devices: tuple[DeviceBatch, ...], *, clock: ClockTrust, now_ns: int, ages: bool = True) -> int:
        """Store what was heard, durably, and return the newest sequence. Takes a disk flush: call it from a thread.

        `clock`: the trust in the samples' times; `now_ns`: when it was heard; `ages`: whether that time is good enough
        to drop it for its age one day. More than one message can hold becomes several. At the bound the oldest
        messages are given up, see `drops`. Raises `JournalFullError` when the disk is full, and `PermanentError` for
        one device whose readings alone exceed a message.
        """
        batch = GatewayBatch(self.gateway, self.epoch, 0, 0, now_ns, clock, devices)
        payloads = list(_messages(to_wire(batch).devices, clock))
        if payloads:
            receipted = self._receipted
            self._journal.append(
                [(_KIND_DEVICES, payload) for payload in payloads],
                now_ns=now_ns if ages else _FOR_EVER_NS,
                cursors={_CURSOR: receipted},
            )
            self._saved = max(self._saved, receipted)  # the receipts so far rode on this flush
        return self.newest

    def read(self, after: int, *, limit: int, max_bytes: int) -> list[Record]:
        """Up to `limit` stored messages after sequence `after`, oldest first, of about `max_bytes` together."""
        records = self._journal.read(after, limit=limit, max_bytes=max_bytes)
        self._oldest = self._journal.oldest
        for record in records:
            if record.sequence not in self._aside and _read(record) is None:
                self._set_aside(record)  # the disk changed it: nobody can read it any more
        return records

    def message(self, record: Record, *, now_ns: int) -> bytes:
        """The wire form of a stored message, as sent at `now_ns`.

        One that was set aside is sent empty, so that ingest does not wait for it.
        `oldest` is what the spool holds now, not what it held when the message was stored: what ingest does not get
        any more it must not wait for.
        """
        kept = None if record.sequence in self._aside else _read(record)
        kept = kept or _NOTHING_KEPT
        return _ENCODER.encode(
            WireBatch(
                VERSION,
                self.gateway,
                self.epoch,
                record.sequence,
                min(max(self._oldest, self._receipted + 1), record.sequence),
                now_ns,
                kept.clock_source,
                kept.uncertainty_ms,
                cast("list[WireDevice]", kept.devices),  # already encoded: msgspec copies it as it is
            )
        )

    def receipt(self, through: int) -> None:
        """Ingest holds everything up to `through`. Remembered at once; on disk with the next `append` or `tidy`.

        A crash in between only means that messages are sent twice, which changes nothing at ingest.
        """
        self._receipted = max(self._receipted, min(through, self.newest))

    def tidy(self) -> None:
        """Save how far receipts came and delete what they freed. Takes disk flushes: call it from a thread."""
        receipted = self._receipted
        if receipted > self._saved:
            self._journal.move(_CURSOR, receipted)
            self._saved = receipted
        self._journal.trim(now_ns=_FOR_EVER_NS)

    def set_aside(self, sequence: int) -> None:
        """Put a message that ingest cannot read where an operator finds it. Takes disk flushes: call it from a thread.

        Raises `JournalFullError` when the disk is full; nothing has changed then.
        """
        for record in self._journal.read(sequence - 1, limit=1):
            if record.sequence == sequence and sequence not in self._aside:
                self._set_aside(record)

    def _set_aside(self, record: Record) -> None:
        try:
            self.aside_folder.mkdir(mode=0o700, exist_ok=True)
            if len(list(self.aside_folder.iterdir())) < MAX_ASIDE:
                name = f"{self.epoch}-{record.sequence}.msgpack"
                (self.aside_folder / name).write_bytes(record.payload)
        except OSError as error:
            raise JournalFullError(f"{self.aside_folder} cannot be written ({error}): free disk space") from error
        self._aside.add(record.sequence)
        waiting = sorted(sequence for sequence in self._aside if sequence > self._receipted)
        self._journal.move(_CURSOR, self._receipted, marks={_ASIDE: msgspec.msgpack.encode(waiting)})

    def limit(self, max_bytes: int) -> None:
        """From now on hold no more than so many bytes. Takes a disk flush when something has to go."""
        self._journal.bounds = replace(self._journal.bounds, max_bytes=max_bytes)
        if self._journal.size_bytes > max_bytes:
            self._journal.trim(now_ns=_FOR_EVER_NS)
            self._oldest = self._journal.oldest

    def drop_older(self, max_age_s: float, *, now_ns: int) -> None:
        """Give up what was heard longer ago; `now_ns` is a time that can be trusted. Takes a disk flush."""
        ageless = self._journal.bounds
        self._journal.bounds = replace(ageless, max_age_s=max_age_s)
        try:
            self._journal.trim(now_ns=now_ns)
        finally:
            self._journal.bounds = ageless
        self._oldest = self._journal.oldest

    def listen(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `wake` after each append, from the appending thread, while the context lasts."""
        return self._journal.listen(wake)

    @property
    def newest(self) -> int:
        """The sequence of the newest message; 0 in a new spool. Whom an append wakes sees it."""
        return self._journal.newest

    @property
    def receipted(self) -> int:
        """The highest sequence that ingest holds, and everything before it."""
        return self._receipted

    @property
    def waiting(self) -> int:
        """How many messages wait for a receipt."""
        return newest - max(self._receipted, self._journal.oldest - 1) if (newest := self.newest) else 0

    @property
    def oldest(self) -> int:
        """The sequence of the oldest message held, as last seen; 0 in a new spool."""
        return self._oldest

    @property
    def size_bytes(self) -> int:
        """What is held."""
        return self._journal.size_bytes

    @property
    def dropped(self) -> int:
        """How many messages had to be given up unreceipted since the epoch began."""
        return sum(self.drops.values())

    @property
    def drops(self) -> dict[str, int]:
        """The same by reason: `size` or `age`."""
        found: Counter[str] = Counter()
        for gap in self._journal.gaps():
            found[gap.reason] += gap.last - gap.first + 1
        return dict(found)

    @property
    def aside(self) -> int:
        """How many messages were set aside because nobody can read them, since the process began or still waiting."""
        return len(self._aside)

    def renew_epoch(self) -> None:
        """Begin a new epoch with what is held. Takes a disk flush: call it from a thread.

        For a spool that went back in time (a restored image, a card that lied about a flush): its sequences are
        ingest's already, and new readings under them would be refused as duplicates.
        """
        self.epoch = self._draw_epoch()

    def _begin_epoch(self) -> int:
        known = self._journal.mark(_EPOCH)
        return self._draw_epoch() if known is None else int.from_bytes(known, "big")

    def _draw_epoch(self) -> int:
        epoch = 1 + secrets.randbelow((1 << _EPOCH_BITS) - 1)  # 0 means "no spool" on the wire
        self._journal.move(_CURSOR, 0, marks={_EPOCH: epoch.to_bytes(8, "big")})
        return epoch


def _read(record: Record) -> _Kept | None:
    """A stored message, `None` when it cannot be read."""
    try:
        return _KEPT.decode(record.payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _messages(devices: list[WireDevice], clock: ClockTrust) -> Iterator[bytes]:
    """The stored form of `devices`, halved until each part keeps the bounds of a message."""
    if not devices:
        return
    payload = _ENCODER.encode([clock.source, clock.uncertainty_ms, devices])
    if len(devices) <= MAX_DEVICES and len(payload) <= MAX_PAYLOAD_BYTES - _HEADER_BYTES:
        yield payload
        return
    if len(devices) == 1:
        raise PermanentError(
            f"device {devices[0].device}: {len(payload):,} bytes in one message of at most {MAX_PAYLOAD_BYTES:,}; "
            "its driver has to hand over less at a time"
        )
    half = len(devices) // 2
    yield from _messages(devices[:half], clock)
    yield from _messages(devices[half:], clock)
