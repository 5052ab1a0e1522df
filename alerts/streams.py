"""What the engine keeps of every stream: one row of an array for each (patient, device, vital).

Ten thousand patients are a few megabytes, a snapshot is one copy, and whole blocks of samples are judged at once.

Of some vitals ingest makes one best value per patient out of what the devices say; that is a stream of its own, and it
speaks for the patient as long as it has values. `best_of` leads from a device's stream to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from alerts.events import Kind
from alerts.limits import SIGNAL_VITALS, Rule, Rules, Source
from vitals.columns import Rows
from vitals.derived import is_best, is_virtual
from vitals.model import ClockSource, Quality, Reason, Vital

NEVER: Final = 0  # as a time: it has not happened
CLOCK_AHEAD_NS: Final = 2_000_000_000  # a sample further ahead of its arrival is timed by its arrival
UNTIMED_MS: Final = 30_000.0  # so is a sample whose own time is less certain than that
BEHIND_NS: Final = 5_000_000_000  # a best value that old, next to a device's own, no longer speaks for the patient
JUDGED: Final[Mapping[int, int]] = MappingProxyType(  # what a device measures → the best value it may become
    {
        Vital.HEART_RATE: Vital.HEART_RATE,
        Vital.PULSE_RATE: Vital.HEART_RATE,
        Vital.SPO2: Vital.SPO2,
        Vital.RESP_RATE: Vital.RESP_RATE,
    }
)
_VITALS: Final = 32  # more than there are, so that the lookup table need not grow
_IS_KEPT: Final = np.arange(256) < _VITALS  # by the number of a vital, one byte
_IS_KEPT[Vital.RR_INTERVAL] = False  # beats, not a periodic measurement: nothing here limits or shows them
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
        ("source", "<i4"),  # of a best value: the slot of the device it was taken from; -1 for none
    ]
)


class StreamTable:
    """Rows of `STATE_DTYPE`, and who they belong to.

    A *slot* is one device on one patient: `slots[i]` is `(patient, device)`, and `unreal[i]` tells whether the server
    itself makes that device's numbers. Of streams, `low` and `high`: what a value may be without any rule taking
    interest. `quiet`: no condition of the stream is pending or present. `rules`: what is checked of it. `virtual`: of
    a device that does not exist, but that the server made numbers of. `best`: a patient's best value. `best_of`: the
    stream of the best value that this one may become; -1 for none.
    """

    def __init__(self, rules: Mapping[str, Rules]) -> None:
        self._rules_of = rules
        self.slots: list[tuple[str, str]] = []
        self._slot_of: dict[tuple[str, str], int] = {}
        self.unreal: Bools = np.zeros(0, np.bool_)
        self._stream_of = np.full((0, _VITALS), -1, np.int64)
        self.size = 0
        self.state = np.zeros(0, STATE_DTYPE)
        self.low: npt.NDArray[np.float64] = np.zeros(0)
        self.high: npt.NDArray[np.float64] = np.zeros(0)
        self.rule_low: npt.NDArray[np.float64] = np.zeros(0)  # what `low` is for the rules alone
        self.heeded: npt.NDArray[np.float64] = np.zeros(0)
        self.quiet: Bools = np.zeros(0, np.bool_)
        self.watched: Bools = np.zeros(0, np.bool_)  # its silence is a finding
        self.virtual: Bools = np.zeros(0, np.bool_)
        self.best: Bools = np.zeros(0, np.bool_)
        self.best_of: Indices = np.zeros(0, np.int64)
        self.rules: list[tuple[Rule, ...]] = []
        self._best: dict[tuple[str, int], int] = {}
        self._family: defaultdict[tuple[str, int], list[int]] = defaultdict(list)

    def slot(self, patient: str, device: str) -> int:
        """The slot of a device on a patient of the ward, made when new; -1 for a patient who is not on the ward."""
        wearer = (patient, device)
        found = self._slot_of.get(wearer, -1)
        if found < 0 and patient in self._rules_of:
            found = self._slot_of[wearer] = len(self.slots)
            self.slots.append(wearer)
            if found >= len(self._stream_of):
                more = _GROWTH + found
                self._stream_of = np.concatenate([self._stream_of, np.full((more, _VITALS), -1, np.int64)])
                self.unreal = np.concatenate([self.unreal, np.zeros(more, np.bool_)])
            self.unreal[found] = is_virtual(device)
        return found

    def slots_of(self, patients: Iterable[str], devices: Iterable[str]) -> Indices:
        """The slot of each of these devices on the patient beside it."""
        wearers = list(zip(patients, devices, strict=True))
        found = np.fromiter(map(self._slot_of.get, wearers, repeat(-1)), np.int64, len(wearers))
        for place in np.flatnonzero(found < 0).tolist():
            found[place] = self.slot(*wearers[place])
        return found

    def streams(self, slots: Indices, vitals: npt.NDArray[np.uint8]) -> Indices:
        """The stream of each (slot, vital), made when new; -1 where the slot is -1 or the vital is not kept."""
        kept = (slots >= 0) & _IS_KEPT[vitals]
        if not kept.any():
            return np.full(slots.shape, -1, np.int64)
        found = np.where(kept, self._stream_of[np.where(kept, slots, 0), np.where(kept, vitals, 0)], -1)
        new = np.flatnonzero(kept & (found < 0))
        if new.size:
            self.add(*zip(*sorted(set(zip(slots[new].tolist(), vitals[new].tolist(), strict=True))), strict=True))
            found[new] = self._stream_of[slots[new], vitals[new]]
        return found

    def add(self, slots: Sequence[int], vitals: Sequence[int]) -> range:
        """Make the streams of slots and the vitals beside them, each pair new; their numbers."""
        new = range(self.size, self.size + len(slots))
        while new.stop > len(self.state):
            self._grow()
        self.size = new.stop
        made = slice(new.start, new.stop)
        rows = self.state[made]
        rows["slot"], rows["vital"], rows["gateway"], rows["reason"] = slots, vitals, -1, Reason.NEVER_SEEN
        rows["value"], rows["source"] = np.nan, -1
        self._stream_of[slots, vitals] = new
        self.quiet[made], self.heeded[made] = True, -np.inf
        self.virtual[made] = self.unreal[list(slots)]
        self.watched[made] = np.isin(vitals, SIGNAL_VITALS) & ~self.virtual[made]
        self.rules += [()] * len(new)
        self.set_rules(new)
        for stream, slot, vital in zip(new, slots, vitals, strict=True):
            self._relate(stream, *self.slots[slot], vital)
        return new

    def set_rules(self, streams: Sequence[int]) -> None:
        """Let the rules of their patients hold for these streams, as they are now."""
        known: dict[tuple[int, bool], tuple[tuple[Rule, ...], tuple[float, float]]] = {}  # most patients share theirs
        rows = self.state[streams]
        for stream, slot, vital in zip(streams, rows["slot"].tolist(), rows["vital"].tolist(), strict=True):
            unreal = bool(self.unreal[slot])
            of_patient = self._rules_of[self.slots[slot][0]]
            shared = of_patient.get(Vital(vital), ()) if vital in _KNOWN else ()
            if (id(shared), unreal) not in known:
                # There is no such device that could have a technical condition.
                rules = tuple(r for r in shared if r.kind is Kind.PHYSIOLOGICAL) if unreal else shared
                known[id(shared), unreal] = rules, _calm_range(rules)
            self.rules[stream], (self.rule_low[stream], self.high[stream]) = known[id(shared), unreal]
        self.low[streams] = np.maximum(self.rule_low[streams], np.nextafter(self.heeded[streams], np.inf))

    def heed(self, streams: Indices, highest: npt.NDArray[np.float64]) -> None:
        """Let values of streams up to `highest` need thought, though no rule takes interest in them."""
        self.heeded[streams] = highest
        self.low[streams] = np.maximum(self.rule_low[streams], np.nextafter(highest, np.inf))

    def _relate(self, stream: int, patient: str, device: str, vital: int) -> None:
        """Connect the streams of a patient's devices with the stream of the best value, whichever comes first."""
        key = (patient, int(JUDGED.get(vital, vital)))
        self.best[stream], self.best_of[stream] = is_best(device), -1
        if self.best[stream] and vital in JUDGED.values():
            self._best[key] = stream
            self.best_of[self._family[key]] = stream
        elif vital in JUDGED:
            self.best_of[stream] = self._best.get(key, -1)
        self._family[key].append(stream)

    def family(self, stream: int) -> list[int]:
        """All streams of the patient that tell the same as `stream`; a pulse rate tells a heart rate."""
        row = self.state[stream]
        vital = int(row["vital"])
        return self._family[self.slots[int(row["slot"])][0], int(JUDGED.get(vital, vital))]

    def telling(self, patient: str, vital: int) -> list[int]:
        """The streams that tell a vital of a patient, its best value first; a pulse rate tells a heart rate."""
        found = self._family.get((patient, int(JUDGED.get(vital, vital))), ())
        return sorted(found, key=lambda stream: not self.best[stream])

    def speaks(self, stream: int, at_ns: int) -> bool:
        """Whether a value of `stream` at `at_ns` stands for the patient: there is no best value that is as new."""
        best = int(self.best_of[stream])
        return best < 0 or at_ns - int(self.state["valid_at_ns"][best]) > BEHIND_NS

    def of_slot(self, slot: int) -> Indices:
        """The streams of a slot."""
        row = self._stream_of[slot]
        found: Indices = row[row >= 0]
        return found

    def told_by(self, stream: int, source: int = -1) -> str:
        """The device that a value of `stream` comes from: of a best value the one in slot `source`, where known."""
        return self.slots[source if source >= 0 else int(self.state["slot"][stream])][1]

    def forget_after(self, now_ns: int) -> list[int]:
        """Let nothing known be of later than `now_ns`, because the clock was set back: what comes now is newer.

        The streams of which something was.
        """
        ahead: list[int] = np.flatnonzero(self.state["newest_at_ns"] > now_ns).tolist()
        for name in ("newest_at_ns", "fresh_at_ns", "valid_at_ns"):
            self.state[name] = np.minimum(self.state[name], now_ns)
        return ahead

    def _grow(self) -> None:
        more = max(_GROWTH, len(self.state))
        self.state = np.concatenate([self.state, np.zeros(more, STATE_DTYPE)])
        self.low = np.concatenate([self.low, np.zeros(more)])
        self.high = np.concatenate([self.high, np.zeros(more)])
        self.rule_low = np.concatenate([self.rule_low, np.zeros(more)])
        self.heeded = np.concatenate([self.heeded, np.zeros(more)])
        self.quiet = np.concatenate([self.quiet, np.zeros(more, np.bool_)])
        self.watched = np.concatenate([self.watched, np.zeros(more, np.bool_)])
        self.virtual = np.concatenate([self.virtual, np.zeros(more, np.bool_)])
        self.best = np.concatenate([self.best, np.zeros(more, np.bool_)])
        self.best_of = np.concatenate([self.best_of, np.full(more, -1, np.int64)])


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
