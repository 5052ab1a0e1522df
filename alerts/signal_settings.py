"""How alarm signals may be kept quiet, and when they call again: part of a ward's preset."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from alerts.events import Priority

_Pause = Annotated[float, Meta(ge=10, le=600)]
_Interval = Annotated[float, Meta(ge=30, le=14_400)]


class Signals(Struct, frozen=True, forbid_unknown_fields=True):
    """How long people may keep alarms quiet, when they are reminded, and when an alarm counts as coming and going.

    `severe_pause_s` bounds every pause for alarms of high priority. `reminder_*_s`: after an acknowledgement, while the
    condition holds. An alarm that came `chatter_times` within `chatter_within_s` is held open until it has been absent
    for `chatter_hold_s`; alarms of high priority never are.
    """

    audio_pause_s: _Pause = 120
    alarm_pause_s: _Pause = 120
    severe_pause_s: Annotated[float, Meta(ge=10, le=120)] = 120
    reminder_high_s: _Interval = 120
    reminder_medium_s: _Interval = 600
    reminder_low_s: _Interval = 3_600
    chatter_times: Annotated[int, Meta(ge=3, le=20)] = 4
    chatter_within_s: Annotated[float, Meta(ge=60, le=3_600)] = 600
    chatter_hold_s: Annotated[float, Meta(ge=10, le=600)] = 180

    def reminder_ns(self, priority: Priority) -> int:
        """How long after an acknowledgement people are reminded."""
        by_priority = {
            Priority.HIGH: self.reminder_high_s,
            Priority.MEDIUM: self.reminder_medium_s,
            Priority.LOW: self.reminder_low_s,
        }
        return round(by_priority[priority] * 1e9)
