"""A partial early-warning score of every patient, once a minute, from what wearables measure (`alerts.news2`). Pure.

The means of the last minute are scored, so that one odd value makes no points. What is missing makes the score wider
and is named; only what is certain, the lower bound, is held against the settings, and it has to be there in two minutes
that follow each other. A limit that is crossed tells the same: then no second alarm comes (`alerts.causes`).

Patients are scored when their own minute is over, which is at another second for each; of a backlog only the last
minute is. Nobody under 16 or pregnant is to be scored: `early_warning = false` of the patient in ward.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from alerts.alarms import AlarmBook, Finding
from alerts.causes import COUNTED_WITH
from alerts.cells import LIVE_WINDOW_NS
from alerts.events import EARLY_WARNING, Key, Kind, Priority
from alerts.looks import LOOK_NS, MINUTE_NS, Looks
from alerts.measure_settings import EarlyWarning
from alerts.measure_votes import explained_by
from alerts.news2 import AGE_LIMIT_NS, NAMES, Observation, Parameter, Score, assess, most_points, whole_points
from alerts.streams import NEVER, StreamTable
from alerts.view import PartialScore, ScoredPart
from vitals.model import Quality, Vital
from vitals.ward import Patient

SOURCE: Final = "score"  # the name of its vote
_MEASURED: Final = {
    Parameter.RESPIRATION: Vital.RESP_RATE,
    Parameter.SPO2: Vital.SPO2,
    Parameter.PULSE: Vital.HEART_RATE,
}
_BACK: Final = AGE_LIMIT_NS[Parameter.PULSE] // MINUTE_NS  # minutes in which a mean is looked for
_HYSTERESIS: Final = 1  # points
_SHOWN_NS: Final = AGE_LIMIT_NS[Parameter.PULSE]  # an older score is not shown
_MOST: Final = 20  # points that a score can have
_HIGHEST: Final = 330  # more than any of these vitals can be
_WHOLE: Final = np.zeros((max(Vital) + 1, _HIGHEST + 1), np.uint8)  # the points of each whole number of a vital
for _parameter, _vital in (*_MEASURED.items(), (Parameter.PULSE, Vital.PULSE_RATE)):
    _WHOLE[_vital] = whole_points(_parameter, _HIGHEST)


@dataclass(slots=True)
class Scored:
    """Of one patient. `before`: the priority that the minute before asked for; `present`: the one that is held."""

    before: int = 0
    present: int = 0


@dataclass(frozen=True, slots=True)
class _Family:
    """The streams of a patient that are scored. `least`: points of these below which nothing is asked for."""

    streams: tuple[int, ...]
    least: int


@dataclass(slots=True)
class EarlyWarnings:
    """`settings`: of a patient; who is not in `patients` is not scored. `scored`: where something is asked for."""

    table: StreamTable
    looks: Looks
    book: AlarmBook
    patients: Mapping[str, Patient]
    settings: Mapping[str, EarlyWarning]
    scored: dict[str, Scored] = field(default_factory=dict)
    _shown: dict[str, tuple[int, PartialScore]] = field(default_factory=dict)
    _families: dict[str, _Family] = field(default_factory=dict)
    _known: int = 0  # streams, when the families were found

    def judge(self, streams: Iterable[int], now_ns: int) -> None:
        """Score the patients whose minute is over, as these streams say, and who may have points enough."""
        due: dict[str, set[int]] = {}
        over = sorted(set(streams))
        for stream, slot in zip(over, self.table.state["slot"][over].tolist(), strict=True):
            patient = self.table.slots[slot][0]
            if patient in self.patients:
                due.setdefault(patient, set()).add(stream)
        for patient in self._with_points(list(due)):
            minute = max(self._minute(stream) for stream in due[patient])
            if all(self._minute(s) < minute for s in self._family(patient).streams if s not in due[patient]):
                score, at_ns = self._assess(patient, minute)
                self._vote(patient, score, at_ns, now_ns)

    def score(self, patient: str, now_ns: int) -> PartialScore | None:
        """What a screen shows; `None` while nothing is known of the last minutes."""
        streams = self._family(patient).streams if patient in self.patients else ()
        minute = max((self._minute(stream) for stream in streams), default=0)
        if minute <= 0:
            return None
        known = self._shown.get(patient)
        if known is None or known[0] != minute:
            known = self._shown[patient] = (minute, self._partial(patient, minute))
        return known[1] if now_ns - known[1].at_ns <= _SHOWN_NS and known[1].parts else None

    def _partial(self, patient: str, minute: int) -> PartialScore:
        score, at_ns = self._assess(patient, minute)
        parts = tuple(ScoredPart(NAMES[p], points, at_ns - score.ages_ns[p]) for p, points in score.points.items())
        missing, stale = (tuple(NAMES[p] for p in names) for names in (score.missing, score.stale))
        return PartialScore(score.lower, score.upper, parts, missing, stale, score.scale_2, at_ns)

    def _assess(self, patient: str, minute: int) -> tuple[Score, int]:
        """The score as of the beginning of a minute, and when that was."""
        at_ns = minute * MINUTE_NS - int(self.looks.phase_ns[self._family(patient).streams[0]])
        seen = self._observations(patient, minute - 1, at_ns)
        return assess(seen, now_ns=at_ns, scale_2=self.patients[patient].spo2_scale == 2), at_ns

    def _with_points(self, patients: list[str]) -> Iterator[str]:
        """Those whose minutes have enough points, each at its worst, or had; almost nobody has."""
        families = [self._family(patient) for patient in patients]
        streams = np.array([stream for family in families for stream in family.streams], np.int64)
        if not streams.size:
            return
        minutes = self.looks.kept["minutes"][streams]
        points = _WHOLE[self.table.state["vital"][streams][:, None], np.maximum(minutes + 50, 0) // 100]
        most = np.where(minutes < 0, 0, points).max(axis=1).astype(np.int64)
        starts = np.cumsum([0, *(len(family.streams) for family in families[:-1])])
        for patient, family, sum_of_most in zip(patients, families, np.add.reduceat(most, starts), strict=True):
            if patient in self.scored or sum_of_most >= family.least:
                yield patient

    def _family(self, patient: str) -> _Family:
        """The streams of a patient that are scored."""
        if self._known != self.table.size:
            self._families.clear()
            self._known = self.table.size
        family = self._families.get(patient)
        if family is None:
            family = self._families[patient] = self._found_family(patient)
        return family

    def _found_family(self, patient: str) -> _Family:
        streams = tuple(stream for vital in _MEASURED.values() for stream in self.table.telling(patient, vital))
        of_ward, settings = self.patients[patient], self.settings[patient]
        asked = (settings.advisory_at, settings.medium_at, settings.high_at)
        least = min((at for at in asked if at is not None), default=_MOST + 1)
        apart = most_points(Parameter.OXYGEN) if of_ward.oxygen else 0
        apart += most_points(Parameter.TEMPERATURE) if self.table.telling(patient, Vital.BODY_TEMPERATURE) else 0
        return _Family(streams, 0 if of_ward.spo2_scale == 2 else least - apart)

    def _minute(self, stream: int) -> int:
        """The minute that a stream's last look belongs to, from its second look on."""
        cell = (int(self.looks.kept["looked_at_ns"][stream]) + int(self.looks.phase_ns[stream])) // LOOK_NS
        return (cell - 2) // (MINUTE_NS // LOOK_NS)

    def _observations(self, patient: str, minute: int, at_ns: int) -> dict[Parameter, Observation]:
        found: dict[Parameter, Observation] = {}
        for parameter, vital in _MEASURED.items():
            means = [self._mean(stream, minute) for stream in self.table.telling(patient, vital)]
            known = [mean for mean in means if mean is not None]
            if known:  # of equally new ones the best value, which stands first
                found[parameter] = max(known, key=lambda mean: mean.at_ns)
        if (temperature := self._temperature(patient)) is not None:
            found[Parameter.TEMPERATURE] = temperature
        if (oxygen := self.patients[patient].oxygen) is not None:
            found[Parameter.OXYGEN] = Observation(float(oxygen), at_ns)
        return found

    def _mean(self, stream: int, minute: int) -> Observation | None:
        """The newest mean of a minute up to `minute` that is new enough."""
        for each in range(minute, minute - _BACK, -1):
            if (mean := self.looks.minute(stream, each)) is not None:
                return Observation(mean, (each + 1) * MINUTE_NS - int(self.looks.phase_ns[stream]))
        return None

    def _temperature(self, patient: str) -> Observation | None:
        state = self.table.state
        streams = self.table.telling(patient, Vital.BODY_TEMPERATURE)
        trusted = [
            Observation(float(state["value"][s]), int(state["valid_at_ns"][s]))
            for s in streams
            if state["valid_at_ns"][s] != NEVER and state["quality"][s] <= Quality.USABLE
        ]
        return max(trusted, key=lambda seen: seen.at_ns, default=None)

    def _vote(self, patient: str, score: Score, at_ns: int, now_ns: int) -> None:
        settings = self.settings[patient]
        scored = self.scored.get(patient) or Scored()
        asked = _asked(settings, score.lower)
        risen = min(asked, scored.before)  # in both minutes
        kept = min(scored.present, _asked(settings, score.lower + _HYSTERESIS))
        scored.before, scored.present = asked, max(risen, kept)
        if asked or scored.present:
            self.scored[patient] = scored
        else:
            self.scored.pop(patient, None)
        key = Key(EARLY_WARNING, patient)
        cause = explained_by(self.book, EARLY_WARNING, patient, scored.present) if scored.present else ""
        priority = 0 if cause else scored.present
        if priority or self.book.holds(key, SOURCE):
            detail = COUNTED_WITH[cause] if cause else _words(score)
            limit = _limit(settings, scored.present)
            live = now_ns - at_ns <= LIVE_WINDOW_NS
            finding = Finding(Kind.PHYSIOLOGICAL, at_ns, float(score.lower), limit, detail=detail, live=live)
            self.book.vote(key, SOURCE, priority, finding)


def _asked(settings: EarlyWarning, lower: int) -> int:
    """The priority that a lower bound asks for; 0 for none."""
    steps = {Priority.HIGH: settings.high_at, Priority.MEDIUM: settings.medium_at, Priority.LOW: settings.advisory_at}
    return next((int(priority) for priority, at in steps.items() if at is not None and lower >= at), 0)


def _limit(settings: EarlyWarning, priority: int) -> float | None:
    at = {3: settings.high_at, 2: settings.medium_at, 1: settings.advisory_at}.get(priority)
    return None if at is None else float(at)


def _words(score: Score) -> str:
    if score.complete:
        return ""
    missing = ", ".join(NAMES[parameter] for parameter in score.missing)
    return f"{score.lower} to {score.upper}, missing: {missing}"
