"""What the engine keeps of every stream: one row of an array for each (patient, device, vital).

Ten thousand patients are a few megabytes, a snapshot is one copy, and whole blocks of samples are judged at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from alerts.events import Kind
from alerts.limits import SIGNAL_VITALS, Rule, Rules, Source
from vitals.columns import Rows
from vitals.derived import is_derived
from vitals.model import ClockSource, Quality, Reason, Vital

NEVER: Final = 0  # as a time: it has not happened
CLOCK_AHEAD_NS: Final = 2_000_000_000  # a sample further ahead of its arrival is timed by its arrival
UNTIMED_MS: Final = 30_000.0  # so is a sample whose own time is less certain than that
_VITALS: Final = 16  # more than there are, so that the lookup table need not grow
_IGNORED: Final = (Vital.RR_INTERVAL,)  # beats, not a periodic measurement: nothing here limits or shows them
_KNOWN: Final = frozenset(Vital)  # a vital of a newer release is kept, but has no limits here
_GROWTH: Final = 256  # rows added at once

Indices = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STATE_DTYPE: Final = np.dtype(
    [
        ("newest_at_ns", "<i8"),  # event time of the newest sample of any kind; what is not newer is late
        ("fresh_at_ns", "<i8"),  # of the newest sample that shows the device at work, its value missing or not
        ("valid_at_ns", "<i8"),  # of the newest sample with a value
        ("gap_ns", "<i8"),  # between the last two samples with a value that were at most 10 s apart
        ("value", "<f8"),  # of the newest sample with a value
        ("reason", "u1"),  # of the newest sample
        ("quality", "u1"),
        ("gateway", "<i4"),  # that heard the newest sample; -1 for none
        ("slot", "<i4"),
        ("vital", "u1"),
    ]
)


class StreamTable:
    """Rows of `STATE_DTYPE`, and who they belong to.

    A *slot* is one device on one patient: `slots[i]` is `(patient, device)`. `low` and `high`: what a value of the
    stream may be without any rule taking interest. `quiet`: no condition of the stream is pending or present. `rules`:
    what is checked of the stream.
    """

    def __init__(self, rules: Mapping[str, Rules]) -> None:
        self._rules_of = rules
        self.slots: list[tuple[str, str]] = []
        self._slot_of: dict[tuple[str, str], int] = {}
        self._stream_of = np.full((0, _VITALS), -1, np.int64)
        self.size = 0
        self.state = np.zeros(0, STATE_DTYPE)
        self.low: npt.NDArray[np.float64] = np.zeros(0)
        self.high: npt.NDArray[np.float64] = np.zeros(0)
        self.quiet: Bools = np.zeros(0, np.bool_)
        self.watched: Bools = np.zeros(0, np.bool_)  # its silence is a finding
        self.rules: list[tuple[Rule, ...]] = []

    def slot(self, patient: str, device: str) -> int:
        """The slot of a device on a patient of the ward, made when new; -1 for a patient who is not on the ward."""
        key = (patient, device)
        found = self._slot_of.get(key, -1)
        if found < 0 and patient in self._rules_of:
            found = self._slot_of[key] = len(self.slots)
            self.slots.append(key)
            if found >= len(self._stream_of):
                more = np.full((_GROWTH + found, _VITALS), -1, np.int64)
                self._stream_of = np.concatenate([self._stream_of, more])
        return found

    def streams(self, slots: Indices, vitals: npt.NDArray[np.uint8]) -> Indices:
        """The stream of each (slot, vital), made when new; -1 where the slot is -1 or the vital is not kept."""
        kept = (slots >= 0) & (vitals < _VITALS) & ~np.isin(vitals, _IGNORED)
        if not kept.any():
            return np.full(slots.shape, -1, np.int64)
        found = np.where(kept, self._stream_of[np.where(kept, slots, 0), np.where(kept, vitals, 0)], -1)
        new = np.flatnonzero(kept & (found < 0))
        if new.size:
            for slot, vital in sorted({(int(slots[i]), int(vitals[i])) for i in new}):
                self.add(slot, vital)
            found[new] = self._stream_of[slots[new], vitals[new]]
        return found

    def add(self, slot: int, vital: int) -> int:
        """Make the stream of a slot's vital."""
        index = self.size
        if index >= len(self.state):
            self._grow()
        row = self.state[index]
        row["slot"], row["vital"], row["gateway"], row["reason"] = slot, vital, -1, Reason.NEVER_SEEN
        row["value"] = np.nan
        self._stream_of[slot, vital] = index
        self.size += 1
        patient, device = self.slots[slot]
        rules = self._rules_of[patient].get(Vital(vital), ()) if vital in _KNOWN else ()
        derived = is_derived(device)  # there is no such device that could have a technical condition
        self.rules.append(tuple(r for r in rules if r.kind is Kind.PHYSIOLOGICAL) if derived else rules)
        self.low[index], self.high[index] = _calm_range(self.rules[index])
        self.quiet[index] = True
        self.watched[index] = vital in SIGNAL_VITALS and not derived
        return index

    def of_slot(self, slot: int) -> Indices:
        """The streams of a slot."""
        row = self._stream_of[slot]
        found: Indices = row[row >= 0]
        return found

    def forget_after(self, now_ns: int) -> None:
        """Let nothing known be of later than `now_ns`, because the clock was set back: what comes now is newer."""
        for name in ("newest_at_ns", "fresh_at_ns", "valid_at_ns"):
            self.state[name] = np.minimum(self.state[name], now_ns)

    def _grow(self) -> None:
        more = max(_GROWTH, len(self.state))
        self.state = np.concatenate([self.state, np.zeros(more, STATE_DTYPE)])
        self.low = np.concatenate([self.low, np.zeros(more)])
        self.high = np.concatenate([self.high, np.zeros(more)])
        self.quiet = np.concatenate([self.quiet, np.zeros(more, np.bool_)])
        self.watched = np.concatenate([self.watched, np.zeros(more, np.bool_)])


def _calm_range(rules: tuple[Rule, ...]) -> tuple[float, float]:
    low, high = -np.inf, np.inf
    for rule in rules:
        if rule.source is Source.VALUE:
            edge = rule.sign * rule.levels[0].beyond  # the mildest limit is the innermost one
            low, high = (max(low, edge), high) if rule.sign < 0 else (low, min(high, edge))
    return float(low), float(high)


def event_times(rows: Rows) -> Indices:
    """When each row is taken to have happened: when it was sampled, unless that cannot be believed.

    A clock that is ahead must not make the true samples after it look late; one that knows nothing says nothing.
    """
    sampled, received = rows["sampled_at_ns"], rows["received_at_ns"]
    unbelievable = (sampled > received + CLOCK_AHEAD_NS) | (rows["uncertainty_ms"] > UNTIMED_MS)
    times: Indices = np.where(unbelievable, received, sampled)
    return times


def is_untrusted(rows: Rows, most_uncertain_ms: float) -> Bools:
    """Which rows carry a time that is not synchronised or too uncertain."""
    found: Bools = (rows["clock"] != ClockSource.SYNCHRONISED) | (rows["uncertainty_ms"] > most_uncertain_ms)
    return found


def is_calm_sample(rows: Rows) -> Bools:
    """Which rows have a value that is to be believed without a second look."""
    quality = rows["quality"]
    found: Bools = (rows["reason"] == Reason.PRESENT) & ((quality == Quality.UNKNOWN) | (quality == Quality.USABLE))
    return found
