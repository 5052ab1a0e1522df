"""A patient's record as the page shows it: the charts of the last hour and the alarms of the last day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final, Protocol

from alerts.events import AlarmEvent, Kind, Transition
from alerts.limits import Rules
from alerts.limits_in_force import InForce
from alerts.notify.message import MARKERS
from alerts.station import words
from alerts.station.chart import AlarmBand, ChartContent, Frame, LimitLine, draw
from alerts.station.desaturations import Desaturation, ShownDesaturation, desaturations, event_bands
from alerts.station.desaturations import shown as shown_desaturations
from alerts.station.episodes import Episode, episodes
from alerts.station.limits import ShownLimit
from alerts.station.limits import shown as shown_limits
from alerts.station.trace import Readings, best_course, doubtful, present, summary
from alerts.view import OpenAlarm
from vitals.model import VITALS, Vital

CHART_NS: Final = 3600 * words.NS
ALARMS_NS: Final = 24 * 3600 * words.NS
CHART_HEIGHT_PX: Final = 170
USUAL: Final = {  # what the scale spans at least, so that a quiet hour does not look like a storm
    Vital.SPO2: (84.0, 100.0),
    Vital.HEART_RATE: (40.0, 130.0),
    Vital.PULSE_RATE: (40.0, 130.0),
    Vital.RESP_RATE: (5.0, 35.0),
}
NO_RULES: Final[Rules] = {}
_FOUND: Final = {
    Transition.ANNOTATED: "found afterwards, in readings that came late; nobody was called",
    Transition.DISPROVED: "not so, as readings that came late show",
}


class History(Protocol):
    """Stored readings. Called from a worker thread; may raise `WardlightError`."""

    def samples(self, patient: str, vital: Vital, start_ns: int, end_ns: int) -> Readings:
        """Readings with `start_ns` <= `sampled_at_ns` < `end_ns`, oldest first."""
        ...


class AlarmLog(Protocol):
    """The alarm journal, for reading. Called from a worker thread; may raise `WardlightError`."""

    def alarm_events(self, patient: str, start_ns: int, end_ns: int) -> Sequence[AlarmEvent]:
        """Transitions of the patient's alarms with `start_ns` <= `at_ns` < `end_ns`, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class ShownChart:
    """One chart with what stands above it; the texts are empty without a value, `svg` without any reading."""

    vital: str
    label: str
    unit: str
    svg: str
    last: str
    last_at: str
    low: str
    high: str
    doubtful: bool


@dataclass(frozen=True, slots=True)
class ShownEpisode:
    """One line of the alarm history. `note`: of what readings that came late showed."""

    priority: str
    marker: str
    title: str
    value: str
    limit: str
    since: str
    until: str
    lasted: str
    acknowledged: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """Everything of the fragment; `as_of` is the time up to which it was read."""

    as_of: str
    charts: list[ShownChart]
    alarms: list[ShownEpisode]
    desaturations: list[ShownDesaturation]
    limits: list[ShownLimit]


@dataclass(frozen=True, slots=True)
class RecordReader:
    """Reads records. `limits`: the rules in force for a patient; `in_force`: where they come from."""

    history: History
    alarm_log: AlarmLog
    limits: Callable[[str], Rules]
    zone: tzinfo
    in_force: Callable[[str], Sequence[InForce]] = lambda _patient: ()

    def read(self, patient: str, still_open: Sequence[OpenAlarm], now_ns: int, width_px: int) -> Record:
        """The patient's record at `now_ns`, its charts `width_px` wide; may raise `WardlightError`."""
        events = self.alarm_log.alarm_events(patient, now_ns - ALARMS_NS, now_ns + 1)
        alarms = episodes(events, [a for a in still_open if a.patient == patient])
        dips = self._desaturations(patient, now_ns)
        return Record(
            words.clock_with_seconds(now_ns, self.zone),
            list(self._charts(patient, alarms, dips, now_ns, width_px)),
            [_shown(alarm, now_ns, self.zone) for alarm in alarms],
            shown_desaturations(dips, self.zone, now_ns),
            shown_limits(self.in_force(patient), self.zone, now_ns),
        )

    def _desaturations(self, patient: str, now_ns: int) -> list[Desaturation]:
        told = (Vital.DESATURATION_DEPTH, Vital.DESATURATION_DURATION, Vital.DESATURATION_AREA)
        return desaturations(*(self.history.samples(patient, v, now_ns - ALARMS_NS, now_ns + 1) for v in told))

    def _charts(
        self, patient: str, alarms: Sequence[Episode], dips: Sequence[Desaturation], now_ns: int, width_px: int
    ) -> Iterator[ShownChart]:
        start_ns, rules = now_ns - CHART_NS, self.limits(patient)
        readings = _courses({v: self.history.samples(patient, v, start_ns, now_ns + 1) for v in USUAL})
        for vital in _worth_a_chart(readings):
            bands = alarm_bands(alarms, vital, self.zone)
            bands += event_bands(dips, self.zone) if vital is Vital.SPO2 else []
            content = ChartContent(vital, readings[vital], USUAL[vital], limit_lines(rules, vital), bands)
            heard = len(readings[vital].sampled_at_ns) > 0
            svg = draw(content, Frame(start_ns, now_ns, width_px, CHART_HEIGHT_PX), self.zone) if heard else ""
            yield self._chart(content, svg)

    def _chart(self, content: ChartContent, svg: str) -> ShownChart:
        found, vital = summary(content.readings), content.vital
        texts = ("", "", "", "")
        unsure = bool((doubtful(content.readings) & present(content.readings)).any())
        if found is not None:
            texts = (
                words.number(vital, found.last),
                words.clock_with_seconds(found.last_at_ns, self.zone),
                words.number(vital, found.low),
                words.number(vital, found.high),
            )
        return ShownChart(vital.name.lower(), words.SHORT_LABELS[vital], VITALS[vital].unit, svg, *texts, unsure)


def limit_lines(rules: Rules, vital: Vital) -> list[LimitLine]:
    """The limits of one vital as lines: every level of its physiological rules."""
    return [
        LimitLine(level.limit, "high" if rule.sign > 0 else "low", level.priority.name.lower())
        for rule in rules.get(vital, ())
        if rule.kind is Kind.PHYSIOLOGICAL
        for level in rule.levels
    ]


def alarm_bands(alarms: Sequence[Episode], vital: Vital, zone: tzinfo) -> list[AlarmBand]:
    """When an alarm of this vital was open."""
    return [
        AlarmBand(alarm.start_ns, alarm.end_ns, alarm.priority.name.lower(), _band_title(alarm, zone))
        for alarm in alarms
        if alarm.kind is Kind.PHYSIOLOGICAL
        and alarm.found is not Transition.DISPROVED
        and words.condition_vital(alarm.condition) is vital
    ]


def _courses(readings: dict[Vital, Readings]) -> dict[Vital, Readings]:
    """The patient's best values where there are any; the optical pulse is then part of the heart rate."""
    heart, pulse = readings[Vital.HEART_RATE], readings[Vital.PULSE_RATE]
    found = {vital: best_course(own) or own for vital, own in readings.items()}
    if (rate := best_course(heart, pulse)) is not None:
        found[Vital.HEART_RATE] = rate
        del found[Vital.PULSE_RATE]
    return found


def _worth_a_chart(readings: dict[Vital, Readings]) -> list[Vital]:
    """SpO₂ and respiration always; of the two pulses those with readings, and the optical one when neither has."""
    pulses = [v for v in (Vital.HEART_RATE, Vital.PULSE_RATE) if v in readings and len(readings[v].sampled_at_ns)]
    return [Vital.SPO2, *(pulses or [Vital.PULSE_RATE]), Vital.RESP_RATE]


def _band_title(alarm: Episode, zone: tzinfo) -> str:
    until = "now" if alarm.end_ns is None else words.clock(alarm.end_ns, zone)
    return f"{words.condition(alarm.condition)}, {words.clock(alarm.start_ns, zone)} to {until}"


def _shown(alarm: Episode, now_ns: int, zone: tzinfo) -> ShownEpisode:
    end_ns = now_ns if alarm.end_ns is None else alarm.end_ns
    acknowledged = ""
    if alarm.acknowledged_at_ns is not None:
        acknowledged = f"{alarm.acknowledged_by} at {words.clock(alarm.acknowledged_at_ns, zone, now_ns)}"
    return ShownEpisode(
        alarm.priority.name.lower(),
        MARKERS[alarm.priority],
        words.condition(alarm.condition),
        words.of_condition(alarm.condition, alarm.value),
        words.of_condition(alarm.condition, alarm.limit),
        words.clock(alarm.start_ns, zone, now_ns),
        "" if alarm.end_ns is None else words.clock(alarm.end_ns, zone, now_ns),
        words.duration((end_ns - alarm.start_ns) / words.NS),
        acknowledged,
        "" if alarm.found is None else _FOUND[alarm.found],
    )
