"""The frames of vendors' own protocols. Pure. A new one is one line in `VENDOR_FRAMES`."""

from __future__ import annotations

from typing import Final

from wardlight.explain.frames import FrameKind

VENDOR_FRAMES: Final[tuple[FrameKind, ...]] = ()
