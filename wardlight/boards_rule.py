"""The one alert rule that Grafana gets: readings stopped reaching the database. Patients are Wardlight's. Pure."""

from __future__ import annotations

from typing import Any, Final

SILENT_FOR: Final = "5m"  # as long as an outage of a database takes to be raised by Wardlight itself
_LOOK_BACK_S: Final = 600
_QUESTIONS: Final = {
    "influxql": {
        "query": 'SELECT count("presence") FROM "gateway" WHERE time > now() - 2m',
        "rawQuery": True,
        "resultFormat": "time_series",
    },
    "metricsql": {"expr": "sum(count_over_time(gateway_presence[2m]))", "instant": True},
}


def heartbeat_rule(language: str, source_uid: str, folder_uid: str, uid: str) -> dict[str, Any]:
    """The rule in the form of Grafana's provisioning interface; no data counts as alarming, that being its point."""
    span = {"from": _LOOK_BACK_S, "to": 0}
    asked = {"refId": "A", "datasourceUid": source_uid, "relativeTimeRange": span}
    model = {"refId": "A", **_QUESTIONS[language]}
    # Any value at all is a heartbeat: the threshold only has to be there.
    threshold = {"type": "threshold", "expression": "B", "refId": "C", "conditions": [_below_one()]}
    reduce = {"type": "reduce", "expression": "A", "reducer": "last", "refId": "B"}
    return {
        "uid": uid,
        "title": "Wardlight: readings do not reach the database",
        "ruleGroup": "wardlight-pipeline",
        "folderUID": folder_uid,
        "orgID": 1,
        "condition": "C",
        "for": SILENT_FOR,
        "noDataState": "Alerting",
        "execErrState": "Error",
        "labels": {"service": "wardlight"},
        "annotations": {
            "summary": "No gateway's status arrived in the database for some minutes",
            "description": "Look at the station page first: monitoring goes on without the database. Then run "
            "wardlight influx status, and see docs/influxdb.md. Patient alarms do not come from Grafana.",
        },
        "data": [
            {**asked, "model": model},
            {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": span, "model": reduce},
            {"refId": "C", "datasourceUid": "__expr__", "relativeTimeRange": span, "model": threshold},
        ],
    }


def _below_one() -> dict[str, Any]:
    return {"evaluator": {"type": "lt", "params": [1]}}
