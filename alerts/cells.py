"""One sample in the words of the rules, and what a stream is after it. Pure.

The same steps serve the samples that come in order (`alerts.walk`) and those that come late and are walked again
(`alerts.retrace`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Final, NamedTuple

from alerts.conditions import MOST_COVER_NS, Tracker, observe
from alerts.limits import Rule, Source
from vitals.model import Quality, Reason

LIVE_WINDOW_NS: Final = 30_000_000_000  # older than this when processed: backlog, which is journalled but not notified
_POOR: Final = frozenset(
    {Reason.NO_READING, Reason.SEARCHING, Reason.POOR_SIGNAL, Reason.OUT_OF_RANGE, Reason.NOT_A_NUMBER}
)
_OF_SERVICES: Final = Reason.RADIO_LOST  # reasons from here on say that no sample came at all


class Sample(NamedTuple):
    """A sample as it is remembered."""

    at_ns: int
    value: float
    reason: int
    quality: int


class Reading(NamedTuple):
    """One sample, in the words of the rules. `source`: see `alerts.streams.STATE_DTYPE`; -1 when not known."""

    at_ns: int
    value: float
    reason: int
    quality: int
    has_value: bool
    doubtful: bool
    live: bool
    source: int

    @property
    def is_judged(self) -> bool:
        """Whether it says anything of the patient or the device."""
        return self.quality != Quality.TEST and self.reason < _OF_SERVICES

    def flag(self, source: Source) -> float:
        """Whether what a flag rule looks for is the case, as 1 or 0."""
        if source is Source.POOR_SIGNAL:
            return float(self.doubtful or self._is_poor())
        wanted = Reason.PROBE_OFF if source is Source.PROBE_OFF else Reason.DEVICE_FAULT
        return float(self.reason == wanted)

    def _is_poor(self) -> bool:
        return not self.has_value and (self.reason in _POOR or self.reason == Reason.PRESENT)


def reading_of(at_ns: int, value: float, reason: int, quality: int, source: int = -1, *, now_ns: int) -> Reading:
    """A sample as it is judged at `now_ns`."""
    has_value = reason == Reason.PRESENT and quality != Quality.UNUSABLE and not isnan(value)
    live = now_ns - at_ns <= LIVE_WINDOW_NS
    return Reading(at_ns, value, reason, quality, has_value, quality == Quality.DOUBTFUL, live, source)


@dataclass(slots=True)
class Cell:
    """One row of `STATE_DTYPE` while it is being worked on; the fields are in that order."""

    newest_at_ns: int = 0
    fresh_at_ns: int = 0
    valid_at_ns: int = 0
    gap_ns: int = 0
    value: float = 0.0
    reason: int = 0
    quality: int = 0
    gateway: int = 0
    slot: int = 0
    vital: int = 0
    source: int = 0

    def as_row(self) -> tuple[float, ...]:
        return (
            self.newest_at_ns,
            self.fresh_at_ns,
            self.valid_at_ns,
            self.gap_ns,
            self.value,
            self.reason,
            self.quality,
            self.gateway,
            self.slot,
            self.vital,
            self.source,
        )

    def keep(self, reading: Reading) -> None:
        """Be what the stream is after a reading that is newer than all before it."""
        at_ns = reading.at_ns
        if reading.has_value:
            gap = at_ns - self.valid_at_ns
            if self.valid_at_ns > 0 and gap <= MOST_COVER_NS:
                self.gap_ns = gap
            self.valid_at_ns, self.value = at_ns, reading.value
        if reading.reason < _OF_SERVICES:
            self.fresh_at_ns = at_ns
        self.newest_at_ns, self.source = at_ns, reading.source
        self.reason, self.quality = reading.reason, reading.quality


def follow(tracker: Tracker, rule: Rule, reading: Reading, since_any_ns: int, since_value_ns: int) -> bool | None:
    """Let a rule's tracker see a reading; whether its level changed, `None` for a rule that sees nothing in it.

    `since_any_ns`, `since_value_ns`: the time that the reading covers after any other, and after the last value.
    """
    if rule.source is not Source.VALUE:
        return observe(tracker, rule, reading.flag(rule.source), since_any_ns)
    if not reading.has_value:
        return None
    return observe(tracker, rule, reading.value, since_value_ns, doubtful=reading.doubtful)
