"""What a screen shows: one tile per patient and the list of open alarms. Values of one moment, nothing to compute.

Four things stay tellable on every screen: value, age, validity, and why there is none. A value older than `STALE_NS`
is never in `TileVital.value`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from alerts.events import Kind, Priority
from vitals.model import Quality, Reason, Vital

STALE_NS: Final = 30_000_000_000  # no new sample for this long: the value is not current (STANDARDS 2.6)


class Origin(Enum):
    """What kind of device a value comes from, as far as what it measures tells."""

    UNKNOWN = "unknown"
    STRAP = "strap"  # the heart's own signal, and no oxygen
    COMBINED = "combined"  # both: a patch, or a bedside monitor
    OXIMETER = "oximeter"
    OPTICAL = "optical"  # a pulse rate only
    PULSE_WAVE = "pulse_wave"  # worked out by the server from a wearable's waveform


class Doubt(Enum):
    """What is doubtful about a value."""

    NONE = "none"
    POOR_SIGNAL = "poor_signal"
    LOW_PERFUSION = "low_perfusion"
    SOURCES_DISAGREE = "sources_disagree"
    PULSE_DISAGREES = "pulse_disagrees"  # the oximeter counts another pulse than the heart's


@dataclass(frozen=True, slots=True)
class TileVital:
    """One vital of one patient: what stands for the patient, or what one device says.

    `value`: current, in the unit of `vitals.model.VITALS`, or `None` with a `reason` other than `PRESENT`.
    `last_value`: the last one there was, and `sampled_at_ns` its time (`None` when there never was one); to be shown
    only together with its age. `priority`: of the worst open alarm of this vital, `None` without one. `device`: that
    measured it, `origin` what kind that is.
    """

    vital: Vital
    value: float | None
    reason: Reason
    quality: Quality
    sampled_at_ns: int | None
    last_value: float | None
    device: str
    priority: Priority | None = None
    origin: Origin = Origin.UNKNOWN
    doubt: Doubt = Doubt.NONE

    def age_s(self, now_ns: int) -> float | None:
        """Seconds since the last value was produced; `None` when there never was one."""
        return None if self.sampled_at_ns is None else max(0.0, (now_ns - self.sampled_at_ns) / 1e9)


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """One observation of a score: what people call it, its points, and when it was taken."""

    name: str
    points: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class PartialScore:
    """A partial early-warning score (`alerts.news2`), as of `at_ns`: from `lower` to `upper` points.

    It is a NEWS2 only with nothing `missing`. `stale`: what of that is known and too old. `scale_2`: of SpO2.
    """

    lower: int
    upper: int
    parts: tuple[ScoredPart, ...]
    missing: tuple[str, ...]
    stale: tuple[str, ...]
    scale_2: bool
    at_ns: int


@dataclass(frozen=True, slots=True)
class Tile:
    """One patient.

    `reason`: `PRESENT` while any vital is current, otherwise why nothing is (`NEVER_SEEN`, `GATEWAY_DOWN`, …).
    `battery_pct`: the lowest last report of the patient's devices. `priority`: of the worst open alarm, a gateway's
    that lists this bed included; `acknowledged`: whether every alarm of that priority is acknowledged. `sources`: what
    each device says of what `vitals` tell.
    """

    patient: str
    bed: str
    reason: Reason
    vitals: tuple[TileVital, ...]
    battery_pct: float | None
    priority: Priority | None
    acknowledged: bool
    sources: tuple[TileVital, ...] = ()
    paused: PausedAlarms | None = None
    score: PartialScore | None = None


@dataclass(frozen=True, slots=True)
class PausedAlarms:
    """All alarms of a patient are quiet until `until_ns`: by whom and why."""

    until_ns: int
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm whose condition is present (or latched). `alerts.notify.message` has the words for it.

    `patient` and `bed` are empty for a gateway's or a channel's alarm. `raised_at_ns`: event time. `value`, `limit`:
    of the latest transition. `audible`: its signal calls (not acknowledged). `announced`: `False` while it rests on
    old data only. `paused_until_ns`: when its pause ends by itself, 0 without one.
    """

    alarm_id: str
    patient: str
    bed: str
    kind: Kind
    condition: str
    priority: Priority
    raised_at_ns: int
    value: float | None
    limit: float | None
    reason: Reason
    device: str
    gateway: str
    detail: str
    beds: tuple[str, ...]
    audible: bool
    announced: bool
    acknowledged_by: str
    acknowledged_at_ns: int | None
    paused_by: str = ""
    paused_until_ns: int = 0
