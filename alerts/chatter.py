"""An alarm that comes and goes again and again: it is held open, once, instead of calling each time.

Only below high priority, only of patients, and only from live data: whoever is severely ill calls every time. While an
alarm is held open its text says so; a rise in priority calls as ever.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from alerts.events import Key, Priority
from alerts.signal_settings import Signals

CHATTER: Final = "comes and goes"  # the vote that holds such an alarm open
COMES_AND_GOES: Final = "comes and goes"


class Chatter:
    """When each alarm came, and since when the held ones have been quiet; all in event time."""

    def __init__(self, settings: Signals) -> None:
        self._times = settings.chatter_times
        self._within_ns = round(settings.chatter_within_s * 1e9)
        self._hold_ns = round(settings.chatter_hold_s * 1e9)
        self.came_ns: defaultdict[Key, list[int]] = defaultdict(list)
        self.quiet_since_ns: dict[Key, int] = {}

    def came(self, key: Key, at_ns: int) -> None:
        """An alarm was raised."""
        self.came_ns[key] = [*self.came_ns[key], at_ns][-self._times :]

    def holds(self, key: Key, priority: Priority, at_ns: int) -> bool:
        """Whether an alarm that would end now is to be held open."""
        came = self.came_ns.get(key, [])
        often = len(came) >= self._times and at_ns - came[0] <= self._within_ns
        if not often or priority is Priority.HIGH:
            return False
        self.quiet_since_ns[key] = at_ns
        return True

    def returned(self, key: Key, at_ns: int) -> None:
        """The condition of a held alarm is present again."""
        if key in self.quiet_since_ns:
            del self.quiet_since_ns[key]
            self.came(key, at_ns)

    def forget(self, key: Key) -> None:
        """Count anew: what came and went so far did so under another limit."""
        self.came_ns.pop(key, None)
        self.quiet_since_ns.pop(key, None)

    def over(self, now_ns: int) -> list[Key]:
        """The held alarms that have been quiet for long enough; those too old to count are forgotten."""
        found = [key for key, since_ns in self.quiet_since_ns.items() if now_ns - since_ns >= self._hold_ns]
        for key in found:
            del self.quiet_since_ns[key]
            self.came_ns.pop(key, None)
        for key in [k for k, came in self.came_ns.items() if now_ns - came[-1] > self._within_ns]:
            if key not in self.quiet_since_ns:
                del self.came_ns[key]
        return found
