"""Rehearsal: constructed days through the engine with several settings."""

from __future__ import annotations

import numpy as np
import pytest
from alert_world import T0, S, block, preset, single_device_ward

from alerts.adaptive import decode_adaptive
from alerts.reference import Verdict, episodes
from alerts.rehearse import Recorded, Variant, changed, plain_thresholds, rehearse
from vitals.columns import SampleBlock
from vitals.errors import ConfigurationError
from vitals.model import Vital

ALMOST_PLAIN: dict[tuple[str, str], float] = {("spo2", "low"): 90, ("spo2", "low_delay_s"): 0}
ADAPTIVE = decode_adaptive(b"baseline_min = 1\n[vitals.spo2]\nlow_margin = 2\nlow_least = 85\n")


def days(values: list[float]) -> Recorded:
    """One oximeter, a value a second."""
    made = block([("d-0", Vital.SPO2, at_s, value) for at_s, value in enumerate(values)])
    rows = made.rows.copy()
    rows["raw"] = rows["value"]
    return Recorded(single_device_ward(1), SampleBlock(made.devices, made.patients, made.gateways, rows))


def test_a_delay_costs_nothing_but_the_short_dips() -> None:
    recorded = days([97.0] * 60 + [89.0] * 10 + [97.0] * 60 + [87.0] * 90 + [97.0] * 60)
    plain = plain_thresholds(preset())
    found = episodes(recorded.block, plain.vitals)
    assert [(e.start_ns - T0, e.end_ns - e.start_ns) for e in found] == [(129 * S, 90 * S)]
    bare = rehearse(recorded, Variant("plain", plain, as_received=True), found)
    waits = rehearse(recorded, Variant("waits", changed(plain, {("spo2", "low_delay_s"): 15})), found)
    assert (len(bare.spans), len(waits.spans)) == (2, 1)
    assert waits.delays_ns == (15 * S,)
    assert waits.verdicts == {Verdict.CAUGHT: 1}


def test_plain_thresholds_tell_every_crossing_even_of_what_comes_and_goes() -> None:
    recorded = days(([97.0] * 10 + [89.0] * 10) * 8 + [97.0] * 10)
    plain = plain_thresholds(preset())
    outcomes = [rehearse(recorded, Variant(p.name, p), []) for p in (plain, changed(preset(), ALMOST_PLAIN))]
    assert [len(outcome.spans) for outcome in outcomes] == [8, 4]


def test_a_lower_limit_misses_and_a_late_fall_is_told_late() -> None:
    recorded = days([97.0] * 60 + [89.0] * 90 + [97.0] * 60 + [89.0] * 80 + [84.0] * 30 + [97.0] * 60)
    plain = plain_thresholds(preset())
    found = episodes(recorded.block, plain.vitals)
    outcome = rehearse(recorded, Variant("85", changed(plain, {("spo2", "low"): 85})), found)
    assert outcome.verdicts == {Verdict.MISSED: 1, Verdict.LATE: 1}


def test_a_limit_gives_way_to_the_patients_own_baseline_only_after_it_was_told() -> None:
    recorded = days([87.0] * 300)
    found = episodes(recorded.block, plain_thresholds(preset()).vitals)
    outcome = rehearse(recorded, Variant("adaptive", preset(), ADAPTIVE), found)
    assert outcome.limits == {"P-0": {"spo2": {"low": 85}}}
    assert [span.ended_at_ns is not None for span in outcome.spans] == [True]
    assert outcome.verdicts == {Verdict.CAUGHT: 1}


def test_doubtful_readings_make_no_episode() -> None:
    recorded = days([97.0] * 10 + [85.0] * 100)
    rows = recorded.block.rows
    rows["quality"] = np.where(rows["raw"] < 90, 2, 0)
    assert episodes(recorded.block, plain_thresholds(preset()).vitals) == []


def test_nothing_adapts_below_what_a_default_may_be() -> None:
    with pytest.raises(ConfigurationError, match="85 %"):
        decode_adaptive(b"[vitals.spo2]\nlow_margin = 2\nlow_least = 80\n")
