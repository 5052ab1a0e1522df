"""Fetches recordings from a Viatom oximeter, block by block, in between live readings. Pure.

    IDLE ─offered─▶ OPENING ─opened─▶ READING ─all blocks─▶ CLOSING ─closed─▶ IDLE, or the next file

`request` says what to ask next; whoever asks reports the answer. A connection that ends leaves everything as it is:
after `reconnected` the same file is opened again, and goes on with the first block that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from gateway.gatt.frame import FrameError
from gateway.gatt.viatom import Command, Reply, Request
from gateway.gatt.viatom_file import HEADER_BYTES, decode_size, encode_name

MOST_FILES: Final = 8  # that wait to be fetched: twice what the devices keep
PATIENCE: Final = 3  # times that the same is asked in vain
MOST_KNOWN: Final = 64  # names of files that are done with; the oldest are forgotten


class Phase(Enum):
    IDLE = "idle"
    OPENING = "opening"
    READING = "reading"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Download:
    """`wanted`: files that wait, the next one first. `known`: those that are done with, of use or not.

    `name`, `size`, `data`: of the file that is being fetched; `block_bytes`: of each of its blocks but the last.
    `failures`: requests in a row that were not answered. `again`: it is closed only to be opened again later.
    """

    phase: Phase = Phase.IDLE
    wanted: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    name: str = ""
    size: int = 0
    data: bytes = b""
    block_bytes: int = 0
    failures: int = 0
    again: bool = False

    @property
    def complete(self) -> bool:
        """Whether all of the file is here."""
        return self.phase is Phase.CLOSING and 0 < self.size <= len(self.data)

    def offered(self, names: tuple[str, ...]) -> Download:
        """These files are of interest, oldest first; the newest are fetched first."""
        new = (name for name in reversed(names) if name not in {self.name, *self.known})
        return replace(self, wanted=tuple(new)[:MOST_FILES])

    def reconnected(self) -> Download:
        """The device has closed the file; what came of it stays."""
        if self.phase is Phase.CLOSING:
            return self.done()
        return replace(self, phase=Phase.IDLE if self.phase is Phase.IDLE else Phase.OPENING, failures=0)

    def request(self) -> tuple[Download, Request | None]:
        """What to ask for next."""
        if self.phase is Phase.IDLE:
            if not self.wanted:
                return self, None
            opening = Download(Phase.OPENING, self.wanted[1:], self.known, self.wanted[0])
            return opening, Request(Command.OPEN, payload=encode_name(opening.name))
        if self.phase is Phase.OPENING:
            return self, Request(Command.OPEN, payload=encode_name(self.name))
        if self.phase is Phase.READING:
            return self, Request(Command.READ, len(self.data) // self.block_bytes if self.data else 0)
        return self, Request(Command.CLOSE)

    def answered(self, request: Request, reply: Reply) -> Download:
        """The reply to `request`, which succeeded; raises `FrameError` for one that cannot belong to it."""
        if request.command is Command.OPEN:
            return self._opened(decode_size(reply.payload))
        if request.command is Command.READ:
            return replace(self._read(request, reply), failures=0)
        if reply.payload:
            raise FrameError("length", "payload", f"{len(reply.payload)} bytes; the answer to CLOSE has none")
        return self.done()

    def unanswered(self) -> Download:
        """A request got no answer in time: the same again, `PATIENCE` times in all; but closing is not insisted on."""
        if self.phase is Phase.CLOSING:
            return self.done()
        return replace(self, failures=self.failures + 1) if self.failures + 1 < PATIENCE else self.given_up()

    def interrupted(self) -> Download:
        """Close the file for now."""
        if self.phase is Phase.READING:
            return replace(self, phase=Phase.CLOSING, failures=0, again=True)
        return self

    def given_up(self) -> Download:
        """The file cannot be had: it is closed, and not asked for again."""
        return replace(self, phase=Phase.CLOSING, size=0, data=b"", block_bytes=0, failures=0)

    def done(self) -> Download:
        """The file is closed."""
        if self.again:
            return replace(self, phase=Phase.OPENING, failures=0, again=False)
        return Download(wanted=self.wanted, known=(*self.known, self.name)[-MOST_KNOWN:])

    def _opened(self, size: int) -> Download:
        """A file of another size than before is another file."""
        if size == self.size:
            return replace(self, phase=Phase.READING, failures=0)
        return replace(self, phase=Phase.READING, size=size, data=b"", block_bytes=0, failures=0)

    def _read(self, request: Request, reply: Reply) -> Download:
        block = reply.payload[: self.size - len(self.data)]
        if reply.block != request.block:
            raise FrameError("value", "block", f"block {reply.block} came, {request.block} was asked for")
        size = self.block_bytes or len(block)
        last = len(self.data) + len(block) == self.size
        if (not last and len(block) != size) or (not self.data and len(block) < HEADER_BYTES):
            raise FrameError("length", "payload", f"block {reply.block} has {len(block)} bytes, not {size}")
        phase = Phase.CLOSING if last else Phase.READING
        return replace(self, phase=phase, data=self.data + block, block_bytes=size)


NOTHING_WANTED: Final = Download()
