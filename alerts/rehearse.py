"""Rehearsal: recorded days once more through the engine, with other settings than today's. Pure.

    outcome = rehearse(recorded, Variant("proposed", preset))

It is the engine itself that is fed, in steps of `STEP_NS` and as if live. What a rehearsal cannot show:
acknowledgements, gateways that are down and late messages, because recorded days hold readings and nothing else. Every
patient has a gateway of their own here. Not counted is what is raised after a patient's last reading, nor what calls
nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from alerts.adaptive import Adaptive, baselines, overrides
from alerts.engine import Engine
from alerts.events import AlarmEvent, calls_nobody
from alerts.limits import Preset, VitalLimits, limits_of
from alerts.measure_settings import LIMITS_ALONE
from alerts.reference import Episode, Verdict, delay_ns, family_of, verdict
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from alerts.spans import AlarmSpan, spans_of
from vitals.columns import Rows, SampleBlock
from vitals.derived import is_virtual
from vitals.model import Quality, Reason, Vital
from vitals.ward import Patient, Ward

STEP_NS: Final = 10_000_000_000  # well inside the live window; event times do not depend on it
_DAY_NS: Final = 86_400_000_000_000
_SPO2_PLAIN_PCT: Final = 90.0  # the limit without delay that studies compare with (STANDARDS 2.8)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Days of a ward. `block`: rows in the order of `sampled_at_ns`, judged by ingest, best values among them."""

    ward: Ward
    block: SampleBlock

    @property
    def patient_days(self) -> float:
        """Days of monitoring, all patients together: from each one's first reading to the last."""
        return sum(last - first for first, last in extents(self.block).values()) / _DAY_NS


@dataclass(frozen=True, slots=True)
class Variant:
    """Settings to rehearse. `as_received`: each device's numbers as it said them, no filter, quality or best value."""

    name: str
    preset: Preset
    adaptive: Adaptive | None = None
    as_received: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a variant does on recorded days.

    `spans`: the alarms. `delays_ns`: parallel to the episodes; `None` for one without an alarm. `limits`: what
    adapted, by patient, as in a ward file.
    """

    name: str
    patient_days: float
    spans: tuple[AlarmSpan, ...]
    delays_ns: tuple[int | None, ...]
    limits: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)

    @property
    def by_condition(self) -> Counter[str]:
        return Counter(span.condition for span in self.spans)

    @property
    def verdicts(self) -> Counter[Verdict]:
        return Counter(verdict(delay) for delay in self.delays_ns)

    def per_bed_day(self, alarms: int | None = None) -> float:
        """`alarms` (all of them unless told) per bed and day."""
        count = len(self.spans) if alarms is None else alarms
        return count / self.patient_days if self.patient_days else 0.0


def plain_thresholds(preset: Preset) -> Preset:
    """The limits of `preset` as bare thresholds, SpO2 at 90 %: no delay, no hysteresis, nothing severe or held."""
    bare = {
        name: VitalLimits(
            unit=limits.unit,
            hysteresis=0,
            low=_SPO2_PLAIN_PCT if name == "spo2" else limits.low,
            low_delay_s=0,
            high=limits.high,
            high_delay_s=0,
        )
        for name, limits in preset.vitals.items()
    }
    none_comes_and_goes = msgspec.structs.replace(preset.signals, chatter_within_s=0)
    return msgspec.structs.replace(
        preset, name="plain", vitals=bare, signals=none_comes_and_goes, measures=LIMITS_ALONE
    )


def changed(preset: Preset, fields: Mapping[tuple[str, str], float]) -> Preset:
    """`preset` with (vital, field) set to values; raises `ConfigurationError` for what no patient could have."""
    given: dict[str, dict[str, float]] = {}
    for (vital, name), value in fields.items():
        given.setdefault(vital, {})[name] = value
    return msgspec.structs.replace(preset, vitals=limits_of(preset, "of the grid", given))


def only(recorded: Recorded, vitals: Collection[Vital]) -> Recorded:
    """The days with nothing but readings that are judged as one of `vitals`."""
    kept = [vital for vital in Vital if vital in vitals or family_of(vital) in vitals]
    rows = recorded.block.rows
    return Recorded(recorded.ward, replace(recorded.block, rows=rows[np.isin(rows["vital"], kept)]))


def as_received(block: SampleBlock) -> SampleBlock:
    """The block without what ingest made of it: numbers as the devices said them, each of equal worth."""
    real = ~np.array([is_virtual(device) for device in block.devices], np.bool_)
    rows = block.rows[real[block.rows["device"]]].copy()
    present = (rows["reason"] == Reason.PRESENT) & (rows["quality"] != Quality.TEST)
    rows["value"][present] = rows["raw"][present]
    rows["quality"][present] = Quality.UNKNOWN
    return replace(block, rows=rows)


def extents(block: SampleBlock) -> dict[str, tuple[int, int]]:
    """The first and the last moment of each patient who has readings."""
    found: dict[str, tuple[int, int]] = {}
    for index, patient in enumerate(block.patients):
        at_ns = block.rows["sampled_at_ns"][block.rows["device"] == index]
        if at_ns.size:
            first, last = found.get(patient, (int(at_ns[0]), int(at_ns[-1])))
            found[patient] = (min(first, int(at_ns[0])), max(last, int(at_ns[-1])))
    return found


def rehearse(
    recorded: Recorded,
    variant: Variant,
    episodes: Sequence[Episode] = (),
    advance: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Let the engine live through the recorded days; `advance` is told the share that is done."""
    block = as_received(recorded.block) if variant.as_received else recorded.block
    run = _Run(recorded.ward, variant, block)
    spans = spans_of(run.events(advance))
    last = {patient: end_ns for patient, (_, end_ns) in extents(block).items()}
    calling = [span for span in spans if not calls_nobody(span.condition, span.priority)]
    counted = tuple(s for s in calling if s.raised_at_ns <= last.get(s.patient, 0))
    delays = tuple(delay_ns(episode, counted) for episode in episodes)
    return Outcome(variant.name, recorded.patient_days, counted, delays, run.adapted)


class _Run:
    """One passage of a block through one engine; `adapted`: the limits that gave way, by patient."""

    def __init__(self, ward: Ward, variant: Variant, block: SampleBlock) -> None:
        self._variant = variant
        gateways = tuple(f"of-{patient}" for patient in block.patients)
        rows = block.rows.copy()
        rows["received_at_ns"], rows["uncertainty_ms"], rows["clock"] = rows["sampled_at_ns"], 0, 0
        self._block = replace(block, gateways=gateways, rows=rows, waveforms=())
        begin_ns = int(rows["sampled_at_ns"][0]) if len(rows) else 0
        heard = tuple(p for p in ward.patients if p.patient in block.patients)
        self._engine = Engine(msgspec.structs.replace(ward, patients=heard), variant.preset, begin_ns)
        self._learning: dict[str, int] = {}
        if variant.adaptive is not None:
            baseline_ns = variant.adaptive.baseline_ns
            self._learning = {p: first + baseline_ns for p, (first, _) in extents(block).items()}
        self.adapted: dict[str, dict[str, dict[str, float]]] = {}

    def events(self, advance: Callable[[float], None]) -> Iterator[AlarmEvent]:
        """Everything the engine decides."""
        at_ns = self._block.rows["sampled_at_ns"]
        if not at_ns.size:
            return
        begin_ns, end_ns = int(at_ns[0]), int(at_ns[-1])
        steps = (end_ns - begin_ns) // STEP_NS + 1
        edges = np.searchsorted(at_ns, begin_ns + STEP_NS * np.arange(1, steps + 1)).tolist()
        for number, (first, last) in enumerate(zip([0, *edges], edges, strict=False), start=1):
            now_ns = begin_ns + number * STEP_NS
            part = replace(self._block, rows=self._block.rows[first:last])
            yield from self._engine.step([(now_ns, part)], number, now_ns)
            if due := [patient for patient, until_ns in self._learning.items() if until_ns <= now_ns]:
                self._adapt(due, now_ns)
            if number % 100 == 0 or number == steps:
                advance(number / steps)

    def _adapt(self, patients: Sequence[str], now_ns: int) -> None:
        """Give these patients their own limits, as the service does it: its state carries over to the new rules."""
        assert self._variant.adaptive is not None
        before = len(self.adapted)
        for patient in patients:
            rows = self._rows_until(patient, self._learning.pop(patient))
            own = next((p.limits for p in self._engine.ward.patients if p.patient == patient), {})
            limits = limits_of(self._variant.preset, patient, own)
            if found := overrides(self._variant.adaptive, limits, baselines(rows)):
                self.adapted[patient] = found
        if len(self.adapted) > before:
            kept = decode_snapshot(encode_snapshot(self._engine, now_ns))
            self._engine = restore(kept, with_limits(self._engine.ward, self.adapted), self._variant.preset)

    def _rows_until(self, patient: str, until_ns: int) -> Rows:
        rows = self._block.rows[: int(np.searchsorted(self._block.rows["sampled_at_ns"], until_ns))]
        own = np.array([name == patient for name in self._block.patients], np.bool_)
        chosen: Rows = rows[own[rows["device"]]]
        return chosen


def with_limits(ward: Ward, limits: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Ward:
    """`ward` with these limits of patients, over those that it has."""
    return msgspec.structs.replace(ward, patients=tuple(_limited(p, limits.get(p.patient, {})) for p in ward.patients))


def _limited(patient: Patient, limits: Mapping[str, Mapping[str, float]]) -> Patient:
    merged = {name: {**patient.limits.get(name, {}), **fields} for name, fields in limits.items()}
    return msgspec.structs.replace(patient, limits={**patient.limits, **merged})
