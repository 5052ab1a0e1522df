"""How often Python looks for reference cycles.

A second of 20,000 wearables makes hundreds of thousands of objects that go without a collector's help. Looking through
them with Python's own thresholds took 11 % of the server's time (bench/ingest.py).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_THRESHOLDS: Final = (50_000, 20, 100)  # containers more than before, then young rounds: a few MB wait at most


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Let garbage of the cyclic kind wait longer while the context lasts."""
    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
