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

from alerts.alarms import AlarmBook, Finding
from alerts.causes import COUNTED_WITH
from alerts.events import EARLY_WARNING, Key, Kind, Priority
from alerts.looks import LOOK_NS, MINUTE_NS, Looks
from alerts.measure_settings import EarlyWarning
from alerts.measure_votes import explained_by
from alerts.news2 import AGE_LIMIT_NS, NAMES, Observation, Parameter, Score, assess
from alerts.streams import NEVER, StreamTable
from alerts.view import PartialScore, ScoredPart
from alerts.walk import LIVE_WINDOW_NS
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


@dataclass(slots=True)
class Scored:
    """Of one patient. `before`: the priority that the minute before asked for; `present`: the one that is held."""

    before: int = 0
    present: int = 0


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

    def judge(self, streams: Iterable[int], now_ns: int) -> None:
        """Score the patients whose minute is over, as these streams say."""
        for patient, minute in self._due(set(streams)):
            score, at_ns = self._assess(patient, minute)
            self._vote(patient, score, at_ns, now_ns)

    def score(self, patient: str, now_ns: int) -> PartialScore | None:
        """What a screen shows; `None` while nothing is known of the last minutes."""
        streams = self._family(patient) if patient in self.patients else []
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
        of_patient = self._family(patient)[0]
        at_ns = minute * MINUTE_NS - int(self.looks.phase_ns[of_patient])
        seen = self._observations(patient, minute - 1, at_ns)
        return assess(seen, now_ns=at_ns, scale_2=self.patients[patient].spo2_scale == 2), at_ns

    def _due(self, streams: set[int]) -> Iterator[tuple[str, int]]:
        """Patient and minute, of each patient of whom no other stream was there before."""
        slots, state = self.table.slots, self.table.state
        of_patient: dict[str, set[int]] = {}
        for stream in sorted(streams):
            of_patient.setdefault(slots[int(state["slot"][stream])][0], set()).add(stream)
        for patient, mine in of_patient.items():
            if patient in self.patients:
                minute = max(self._minute(stream) for stream in mine)
                if all(self._minute(s) < minute for s in self._family(patient) if s not in mine):
                    yield patient, minute

    def _family(self, patient: str) -> list[int]:
        """The streams of a patient that are scored."""
        return [stream for vital in _MEASURED.values() for stream in self.table.telling(patient, vital)]

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
