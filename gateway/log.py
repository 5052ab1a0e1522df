"""What the gateway tells the system's journal: little, however bad the radio is. An SD card wears out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import structlog

Level = Literal["debug", "info", "warning", "error"]
_MINUTE_S: Final = 60.0
_MAX_KINDS: Final = 1_000  # of messages; a gateway has a few dozen, times its wearables


class QuietLog:
    """Says at most `per_minute` messages of a kind; how many more there were stands in the next one that is said."""

    def __init__(self, name: str, *, per_minute: int, monotonic: Callable[[], float]) -> None:
        self._log = structlog.get_logger(name)
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # (minute's begin, messages in it)

    def say(self, level: Level, event: str, *, about: str = "", **facts: object) -> None:
        """Say `event`; `about`: the device or part, each of which has its own rate."""
        key, now_s = (event, about), self._monotonic()
        began_s, count = self._said.get(key, (now_s, 0))
        if now_s - began_s >= _MINUTE_S:
            unsaid = max(0, count - self._per_minute)
            began_s, count = now_s, 0
            facts |= {"unsaid": unsaid} if unsaid else {}
        if len(self._said) >= _MAX_KINDS:
            self._said.clear()
        self._said[key] = (began_s, count + 1)
        if count < self._per_minute:
            getattr(self._log, level)(event, **({"about": about} if about else {}), **facts)
