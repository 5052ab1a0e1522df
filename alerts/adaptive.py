"""Limits fitted to the patient: proposals from a patient's own baseline, within bounds that nothing adapts past. Pure.

A limit on the shoulder of what is normal for a patient only makes noise. Here it gives way, by a margin from the
baseline, and never beyond `least` and `most`; severe limits stay as they are. It never becomes stricter than the
ward's. The baseline is the median of the patient's first minutes, during which the ward's limits hold: who is ill
when the monitoring begins raises an alarm before anything adapts. For rehearsal: the service itself adapts nothing, a
person writes the limits into the ward file.

    baseline_min = 5

    [vitals.spo2]
    low_margin = 2
    low_least = 85
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta, Struct

from alerts.limits import LEAST_SPO2_DEFAULT_PCT, VitalLimits
from alerts.reference import family_of
from vitals.columns import Rows
from vitals.errors import ConfigurationError
from vitals.model import VITAL_BY_NAME, VITALS, Quality, Reason, Vital

LEAST_VALUES: Final = 30  # a baseline of fewer readings is none: the ward's limits stay
_TRUSTED: Final = (Quality.UNKNOWN, Quality.USABLE)


class Margins(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a limit keeps from the baseline, in the vital's unit, and where it stops giving way; absent: it stays."""

    low_margin: Annotated[float, Meta(ge=0)] | None = None
    low_least: float | None = None
    high_margin: Annotated[float, Meta(ge=0)] | None = None
    high_most: float | None = None


class Adaptive(Struct, frozen=True, forbid_unknown_fields=True):
    """See the module's text."""

    vitals: dict[str, Margins]
    baseline_min: Annotated[float, Meta(ge=1, le=1440)] = 5.0

    @property
    def baseline_ns(self) -> int:
        return round(self.baseline_min * 60e9)


def decode_adaptive(text: bytes) -> Adaptive:
    """Read and check an adaptive file; raises `ConfigurationError` that names the setting and says what to write."""
    try:
        adaptive = msgspec.toml.decode(text, type=Adaptive)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"adaptive: {error}") from error
    for name, margins in adaptive.vitals.items():
        where = f"adaptive: vitals.{name}"
        if name not in VITAL_BY_NAME:
            raise ConfigurationError(f"{where}: there is no such vital; write one of them, such as spo2")
        for margin, bound in (("low_margin", "low_least"), ("high_margin", "high_most")):
            if (getattr(margins, margin) is None) != (getattr(margins, bound) is None):
                raise ConfigurationError(f"{where}: {margin} and {bound} belong together; write both or neither")
        if name == "spo2" and margins.low_least is not None and margins.low_least < LEAST_SPO2_DEFAULT_PCT:
            raise ConfigurationError(
                f"{where}.low_least {margins.low_least:g} is below {LEAST_SPO2_DEFAULT_PCT} %, "
                "the least that is set without a person; raise it"
            )
    return adaptive


def baselines(rows: Rows) -> dict[Vital, float]:
    """The median of the trusted values of each vital in `rows` (of one patient), by the vital that judges it."""
    trusted = rows[(rows["reason"] == Reason.PRESENT) & np.isin(rows["quality"], _TRUSTED)]
    found: dict[Vital, list[float]] = {}
    for number in np.unique(trusted["vital"]).tolist():
        vital = Vital(number)
        found.setdefault(family_of(vital), []).extend(trusted["value"][trusted["vital"] == number].tolist())
    return {vital: float(np.median(values)) for vital, values in found.items() if len(values) >= LEAST_VALUES}


def overrides(
    adaptive: Adaptive, limits: Mapping[str, VitalLimits], baseline: Mapping[Vital, float]
) -> dict[str, dict[str, float]]:
    """The limits that give way, as a patient's `limits` of a ward file: vital name → field → value."""
    given: dict[str, dict[str, float]] = {}
    for name, own in limits.items():
        vital = VITAL_BY_NAME[name]
        judged = family_of(vital)
        margins = adaptive.vitals.get(name) or adaptive.vitals.get(VITALS[judged].name)
        if margins is not None and judged in baseline:
            changed = {**_low(own, margins, baseline[judged]), **_high(own, margins, baseline[judged])}
            if changed:
                given[name] = changed
    return given


def _low(own: VitalLimits, margins: Margins, baseline: float) -> dict[str, float]:
    if own.low is None or margins.low_margin is None or margins.low_least is None:
        return {}
    least = max(margins.low_least, own.severe_low or margins.low_least)
    wanted = max(least, round(baseline - margins.low_margin))
    return {"low": wanted} if wanted < own.low else {}


def _high(own: VitalLimits, margins: Margins, baseline: float) -> dict[str, float]:
    if own.high is None or margins.high_margin is None or margins.high_most is None:
        return {}
    most = min(margins.high_most, own.severe_high or margins.high_most)
    wanted = min(most, round(baseline + margins.high_margin))
    return {"high": wanted} if wanted > own.high else {}
