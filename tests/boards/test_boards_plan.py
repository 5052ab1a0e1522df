"""What would change, and whose edits stand in the way."""

from __future__ import annotations

from typing import Any

import pytest

from wardlight.boards_plan import Step, differing, fingerprint, marked, planned
from wardlight.boards_rule import arrival_rule, rules

BOARD: dict[str, Any] = {"uid": "a", "title": "A", "tags": ["wardlight"], "panels": [{"title": "P", "unit": "x"}]}


def _step(wanted: dict[str, Any], there: dict[str, Any] | None) -> Step:
    return planned([wanted], {} if there is None else {"a": there})[0].step


def test_each_state_has_its_step() -> None:
    newer = {**BOARD, "panels": [{"title": "P", "unit": "y"}]}
    assert _step(BOARD, None) is Step.CREATE
    assert _step(BOARD, marked(BOARD)) is Step.KEEP
    assert _step(newer, marked(BOARD)) is Step.UPDATE
    assert _step(BOARD, {**marked(BOARD), "title": "Mine"}) is Step.EDITED
    assert _step(newer, {**marked(BOARD), "title": "Mine"}) is Step.EDITED
    assert _step(BOARD, BOARD) is Step.FOREIGN


def test_what_grafana_counts_is_no_edit() -> None:
    assert _step(BOARD, {**marked(BOARD), "id": 7, "version": 12}) is Step.KEEP


def test_marking_twice_is_marking_once() -> None:
    assert marked(marked(BOARD)) == marked(BOARD)
    assert fingerprint(marked(BOARD)) == fingerprint(BOARD)


def test_a_difference_names_its_panel() -> None:
    other = {**BOARD, "panels": [{"title": "P", "unit": "y"}]}
    assert differing(BOARD, other) == ['panels[P].unit: "x" → "y"']


def test_many_differences_are_cut_short_and_counted() -> None:
    other = {**BOARD, **{f"k{n}": n for n in range(30)}}
    assert differing(BOARD, other)[-1] == "and 10 more"


@pytest.mark.parametrize("language", ["influxql", "metricsql"])
def test_silence_of_the_database_alarms(language: str) -> None:
    rule = arrival_rule(language, "wardlight-readings", "wardlight")
    assert rule["noDataState"] == "Alerting"
    assert rule["condition"] in {step["refId"] for step in rule["data"]}


@pytest.mark.parametrize(("language", "count"), [("influxql", 1), ("metricsql", 2)])
def test_the_heartbeat_is_asked_for_where_it_can_be(language: str, count: int) -> None:
    found = rules(language, "wardlight-metrics", "wardlight")
    assert len({rule["uid"] for rule in found}) == len(found) == count
    beats = [rule for rule in found if "wardlight_heartbeat_age_seconds" in str(rule["data"])]
    assert [rule["noDataState"] for rule in beats] == ["OK"] * (count - 1)
