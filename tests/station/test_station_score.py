"""What the patient's page says of a partial early-warning score."""

from __future__ import annotations

from alerts.station.scores import show_score
from alerts.view import PartialScore, ScoredPart

S = 1_000_000_000
NOW_NS = 1_750_000_000 * S


def test_a_partial_score_is_never_called_more_than_that() -> None:
    parts = (ScoredPart("respiration", 2, NOW_NS - 40 * S), ScoredPart("temperature", 1, NOW_NS - 7_500 * S))
    missing = ("SpO₂", "oxygen or air", "blood pressure", "pulse", "consciousness")
    shown = show_score(PartialScore(3, 18, parts, missing, ("SpO₂",), scale_2=True, at_ns=NOW_NS), NOW_NS)
    assert shown is not None
    assert (shown.title, shown.points) == ("Partial early warning", "3 to 18")
    assert shown.parts == "respiration 2 (40 s ago) · temperature 1 (2 h 05 min ago) · SpO₂ on scale 2"
    assert shown.missing == "missing: oxygen or air, blood pressure, pulse, consciousness; too old: SpO₂"


def test_only_a_complete_one_is_a_news2_and_without_one_nothing_is_shown() -> None:
    shown = show_score(PartialScore(4, 4, (), (), (), scale_2=False, at_ns=NOW_NS), NOW_NS)
    assert shown is not None
    assert (shown.title, shown.points, shown.missing) == ("NEWS2", "4", "")
    assert show_score(None, NOW_NS) is None
