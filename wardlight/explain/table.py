"""The table of all frames that can be explained, and how people may name one. Pure."""

from __future__ import annotations

import re
from typing import Final

from gateway.gatt.frame import uuid16
from vitals.errors import ConfigurationError
from wardlight.explain.frames import FrameKind
from wardlight.explain.standard import STANDARD_FRAMES
from wardlight.explain.vendors import VENDOR_FRAMES

FRAMES: Final[tuple[FrameKind, ...]] = (*STANDARD_FRAMES, *VENDOR_FRAMES)
_SIG: Final = uuid16(0)[8:]


def frame_kind(text: str) -> FrameKind:
    """The kind that `text` names: "2A37", "0x2a37", a 128-bit UUID or a name; raises `ConfigurationError`."""
    wanted = text.strip().lower()
    number = re.fullmatch(r"(?:0x)?([0-9a-f]{4})", wanted)
    uuid = uuid16(int(number[1], 16)) if number else wanted
    found = [kind for kind in FRAMES if wanted in kind.names or kind.uuid == uuid]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(kind.names[0] for kind in found)
        raise ConfigurationError(f"several kinds of frame come over {text}: name one of {names}")
    raise ConfigurationError(f"{text!r} is no frame that Wardlight knows; it knows\n{known_frames()}")


def known_frames() -> str:
    """One line per kind: how it may be named, and what it is."""
    return "\n".join(f"  {', '.join((*_number(kind), *kind.names)):<28} {kind.title}" for kind in FRAMES)


def _number(kind: FrameKind) -> tuple[str, ...]:
    return (kind.uuid[4:8].upper(),) if kind.uuid.endswith(_SIG) else ()
