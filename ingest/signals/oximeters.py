"""What is remembered of every wearable to judge its own numbers: its pulse, its perfusion, its wave, its saturation.

Pure arrays. `saturation` is `signals.oxygen` for single readings, each at its own time, with what else is known then:
the oximeter's pulse and perfusion, and a heart rate by ECG from another device of the same patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.signals import oxygen
from ingest.signals.lines import CLOCK_SLACK_NS, put_back, taken
from ingest.signals.oxygen import OxygenState
from vitals.model import Quality, Reason, Vital

if TYPE_CHECKING:
    from ingest.signals.fusion import Codes, Floats
    from ingest.signals.lines import Lines, Spoken
    from ingest.streams import Indices, Mask, Times

BESIDE_NS: Final = 5_000_000_000  # so far apart two readings may be to be compared
TRUST_NS: Final = 10_000_000_000  # so long a verdict on the wave stands: it comes anew every 5 s

#: Said by the device itself with certainty: nothing is bridged over it.
_REASONS: Final = np.arange(256)  # a reason is one byte
_IS_CERTAIN: Final = np.isin(_REASONS, [Reason.PROBE_OFF, Reason.DEVICE_FAULT])
_IS_VAGUE: Final = np.isin(_REASONS, [Reason.NO_READING, Reason.SEARCHING, Reason.POOR_SIGNAL])


@dataclass(slots=True)
class Wearables:
    """State of n wearables, all (n,); a time of 0 means never. `trust`, `trust_reason`: of the pulse wave."""

    pulse_per_min: Floats
    pulse_ns: Times
    perfusion_pct: Floats
    perfusion_ns: Times
    trust: Codes
    trust_reason: Codes
    trust_ns: Times
    oxygen: OxygenState

    @classmethod
    def of(cls, count: int) -> Wearables:
        """Nothing known."""
        numbers = [np.zeros(count) for _ in range(2)]
        times = [np.zeros(count, np.int64) for _ in range(3)]
        codes = [np.zeros(count, np.uint8) for _ in range(2)]
        return cls(numbers[0], times[0], numbers[1], times[1], codes[0], codes[1], times[2], OxygenState.of(count))

    def clear(self, rows: Indices) -> None:
        """Forget these wearables."""
        self.pulse_ns[rows] = self.perfusion_ns[rows] = self.trust_ns[rows] = 0
        self.oxygen.clear(rows)


def note(state: Wearables, rows: Indices, vital: Indices, derived: Mask, spoken: Spoken) -> None:
    """Remember pulse rate and perfusion that wearables said, and what their waves were found to be; each row once."""
    for number, values, times_ns in (
        (Vital.PULSE_RATE, state.pulse_per_min, state.pulse_ns),
        (Vital.PERFUSION_INDEX, state.perfusion_pct, state.perfusion_ns),
    ):
        said = (vital == number) & ~derived & (spoken["quality"] != Quality.TEST)
        values[rows[said]], times_ns[rows[said]] = spoken["value"][said], spoken["at_ns"][said]
    found = (vital == Vital.SIGNAL_QUALITY) & derived
    state.trust[rows[found]], state.trust_ns[rows[found]] = spoken["quality"][found], spoken["at_ns"][found]
    state.trust_reason[rows[found]] = spoken["reason"][found]


def doubt(state: Wearables, rows: Indices, own: Mask, spoken: Spoken) -> None:
    """Let the wave of a wearable qualify its `own` optical numbers; changes `spoken`."""
    judged = own & (state.trust_ns[rows] > 0) & (np.abs(spoken["at_ns"] - state.trust_ns[rows]) <= TRUST_NS)
    if not judged.any():  # no wave tells anything
        return
    missing = np.isnan(spoken["value"])
    doubted = judged & ~missing & (state.trust[rows] >= Quality.DOUBTFUL)
    spoken["quality"][doubted] = np.maximum(spoken["quality"][doubted], np.uint8(Quality.DOUBTFUL))
    off = judged & missing & (state.trust_reason[rows] == Reason.PROBE_OFF) & _IS_VAGUE[spoken["reason"]]
    spoken["reason"][off] = Reason.PROBE_OFF


def saturation(state: Wearables, rows: Indices, spoken: Spoken, heart_rate: Floats) -> None:
    """Judge one SpO2 reading of each of `rows`; changes `spoken`. `heart_rate`: NaN where none is known."""
    at_ns = spoken["at_ns"].copy()
    part = taken(state.oxygen, rows)
    part.clear(np.flatnonzero(part.seen_at_ns > spoken["received_at_ns"] + CLOCK_SLACK_NS))  # our clock was set back
    readings = oxygen.Readings(
        sampled_at_ns=at_ns,
        spo2_pct=spoken["value"].copy(),
        pulse_rate=_beside(state.pulse_per_min[rows], state.pulse_ns[rows], at_ns),
        perfusion_pct=_beside(state.perfusion_pct[rows], state.perfusion_ns[rows], at_ns),
        heart_rate=heart_rate,
        reason=spoken["reason"].copy(),
    )
    certain = np.isnan(readings.spo2_pct) & _IS_CERTAIN[spoken["reason"]]
    part.good_at_ns[certain] = 0
    found = oxygen.advance(part, readings, at_ns)
    put_back(state.oxygen, rows, part)
    spoken["value"], spoken["reason"] = found.spo2_pct, found.reason
    for name in ("at_ns", "sampled_at_ns"):
        spoken[name][found.held] -= found.age_ns[found.held]
    spoken["raw"][found.held] = found.spo2_pct[found.held]
    own = np.where(found.quality == Quality.USABLE, np.uint8(0), found.quality)
    spoken["quality"] = np.maximum(spoken["quality"], own)


def heart_rate_beside(lines: Lines, hearts: Indices, spoken: Spoken) -> Floats:
    """The heart rate by ECG next to each reading, (n,); NaN without one. `hearts`: of the same patients."""
    heard = lines.spoken.take(hearts, axis=0)
    near = np.abs(spoken["at_ns"][:, None] - heard["at_ns"]) <= BESIDE_NS
    good = (heard["source"] > 0) & (heard["rank"] == 0) & (heard["quality"] <= Quality.DOUBTFUL)
    usable = good & near & ~np.isnan(heard["value"])
    place = usable.argmax(axis=1)
    each = np.arange(len(hearts))
    return np.where(usable[each, place], heard["value"][each, place], np.nan)


def _beside(values: Floats, times_ns: Times, at_ns: Times) -> Floats:
    return np.where((times_ns > 0) & (np.abs(at_ns - times_ns) <= BESIDE_NS), values, np.nan)
