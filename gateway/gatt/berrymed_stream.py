"""Finds the packets in BerryMed's stream of bytes. Pure.

A notification usually carries four BCI packets, or one BERRY frame, but its borders mean nothing: what is found depends
on the bytes alone, however they were cut. A packet of five bytes has no checksum, and bytes out of the middle of a
BERRY frame may look like one; so the stream is believed to be BCI only after four packets in a row and the beginning of
a fifth. No 21 bytes of a BERRY stream look like that: among them are its sync bytes FF AA, and two bytes with the
highest bit set never follow each other in BCI. Of those four the first three are not used, since they may still be the
end of a BERRY frame: finding into step costs 30 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.gatt.bci import PACKET_BYTES, BciPacket
from gateway.gatt.berrymed import BERRY_SIZE, BERRY_SYNC, BerryFrame, BerryVersion, decode_berry
from gateway.gatt.frame import FrameError

Found: TypeAlias = BciPacket | BerryFrame | BerryVersion

EVIDENCE: Final = 4 * PACKET_BYTES + 1  # bytes that look like BCI until it is believed
_PATTERN: Final = (b"\1" + bytes(PACKET_BYTES - 1)) * 4 + b"\1"  # the highest bits of so many packets
_HIGHEST_BITS: Final = bytes(byte >> 7 for byte in range(256))
UNCERTAIN: Final = 3 * PACKET_BYTES  # of them that may still belong to a BERRY frame


@dataclass(frozen=True, slots=True)
class BerryStream:
    """`rest`: what is not yet a packet, fewer than `EVIDENCE` bytes. `in_step`: BCI packets follow one another."""

    rest: bytes = b""
    in_step: bool = False

    def feed(self, data: bytes) -> tuple[BerryStream, tuple[Found, ...], int]:
        """The stream after `data`, what it held, and how many bytes had to be passed over."""
        held = self.rest + data
        found: list[Found] = []
        at, skipped, in_step = 0, 0, self.in_step
        while at < len(held):
            size, what = _next(held[at : at + EVIDENCE], in_step=in_step)
            if size == 0:
                break
            if what is not None:
                found.append(what)
                in_step &= not isinstance(what, BerryFrame)
            elif size == UNCERTAIN:
                in_step = True
            else:
                skipped += size
                in_step = False
            at += size
        return BerryStream(held[at:], in_step), tuple(found), skipped


def _next(held: bytes, *, in_step: bool) -> tuple[int, Found | None]:
    """How many bytes to take from the front of `held`, at least one byte, and what they are.

    (0, None): more must come to tell. (1, None): the first byte begins nothing. (`UNCERTAIN`, None): from there on the
    stream is in step.
    """
    if held[: len(BERRY_SYNC)] == BERRY_SYNC:
        return _berry(held)
    needed = PACKET_BYTES if in_step else EVIDENCE
    if not _may_be_bci(held[:needed]):
        return 1, None
    if len(held) < needed:
        return 0, None
    return (PACKET_BYTES, BciPacket.decode(held[:PACKET_BYTES])) if in_step else (UNCERTAIN, None)


def _berry(held: bytes) -> tuple[int, Found | None]:
    if len(held) < BERRY_SIZE:
        return 0, None
    try:
        return BERRY_SIZE, decode_berry(held[:BERRY_SIZE])
    except FrameError:
        return 1, None


def _may_be_bci(held: bytes) -> bool:
    """Whether `held`, which may be cut anywhere, is the front of packets that follow one another."""
    return held.translate(_HIGHEST_BITS) == _PATTERN[: len(held)]
