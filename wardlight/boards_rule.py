"""The alert rules that Grafana gets, about the pipeline only: patients are Wardlight's. Pure.

Readings stopped reaching the database (`arrival_rule`): in both languages. Alarms do not get through
(`self_test_rule`): Wardlight's own heartbeat, which stands on `/metrics` and not in the database, so Grafana can ask
for it only where a VictoriaMetrics scrapes that.
"""

from __future__ import annotations

from typing import Any, Final

SILENT_FOR: Final = "5m"  # as long as an outage of a database takes to be raised by Wardlight itself
ARRIVAL_UID: Final = "wardlight-heartbeat"
SELF_TEST_UID: Final = "wardlight-self-test"
RULE_UIDS: Final = (ARRIVAL_UID, SELF_TEST_UID)
_LOOK_BACK_S: Final = 600
_BEAT_LATE_S: Final = 300  # two rounds of the self-test and a little: as docs/notifications.md proposes for Prometheus
_QUESTIONS: Final = {
    "influxql": {
        "query": 'SELECT count("presence") FROM "gateway" WHERE time > now() - 2m',
        "rawQuery": True,
        "resultFormat": "time_series",
    },
    "metricsql": {"expr": "sum(count_over_time(gateway_presence[2m]))", "instant": True},
}
#: The age at the last scrape and what has passed since: a server that is gone goes on ageing. Of a server that was
#: never scraped within the week there is no answer.
BEAT_AGE: Final = (
    "last_over_time(wardlight_heartbeat_age_seconds[7d]) + time() - "
    "tlast_over_time(wardlight_heartbeat_age_seconds[7d])"
)


def rules(language: str, source_uid: str, folder_uid: str) -> list[dict[str, Any]]:
    """Every rule for a data source in `language`."""
    found = [arrival_rule(language, source_uid, folder_uid)]
    return [*found, self_test_rule(source_uid, folder_uid)] if language == "metricsql" else found


def arrival_rule(language: str, source_uid: str, folder_uid: str) -> dict[str, Any]:
    """Nothing of any gateway reaches the database. No data counts as alarming, that being its point."""
    return _rule(
        ARRIVAL_UID, "Wardlight: readings do not reach the database", source_uid, folder_uid,
        question=_QUESTIONS[language], evaluator={"type": "lt", "params": [1]}, nothing="Alerting",
        summary="No gateway's status arrived in the database for some minutes",
        description="Look at the station page first: monitoring goes on without the database. Then run "
        "wardlight influx status, and see docs/influxdb.md. Patient alarms do not come from Grafana.",
    )  # fmt: skip


def self_test_rule(source_uid: str, folder_uid: str) -> dict[str, Any]:
    """The synthetic patient's alarm does not come through, or its server is gone. In MetricsQL only.

    No data is quiet: a VictoriaMetrics that does not scrape `/metrics` would alarm for ever.
    """
    return _rule(
        SELF_TEST_UID, "Wardlight: alarms may not be getting through", source_uid, folder_uid,
        question={"expr": BEAT_AGE, "instant": True}, evaluator={"type": "gt", "params": [_BEAT_LATE_S]}, nothing="OK",
        summary="The self-test did not come through for five minutes, or the server is gone",
        description="Watch the patients directly until it is clear what happened. Then look at the station page, the "
        "server's log and its disk, and see docs/notifications.md, Heartbeat.",
    )  # fmt: skip


def _rule(
    uid: str, title: str, source_uid: str, folder_uid: str, *, question: dict[str, Any], evaluator: dict[str, Any],
    nothing: str, summary: str, description: str,
) -> dict[str, Any]:  # fmt: skip
    """A rule in the form of Grafana's provisioning interface. `nothing`: what no data counts as."""
    span = {"from": _LOOK_BACK_S, "to": 0}
    asked = {"refId": "A", "datasourceUid": source_uid, "relativeTimeRange": span}
    model = {"refId": "A", **question}
    reduce = {"type": "reduce", "expression": "A", "reducer": "last", "refId": "B"}
    threshold = {"type": "threshold", "expression": "B", "refId": "C", "conditions": [{"evaluator": evaluator}]}
    return {
        "uid": uid,
        "title": title,
        "ruleGroup": "wardlight-pipeline",
        "folderUID": folder_uid,
        "orgID": 1,
        "condition": "C",
        "for": SILENT_FOR,
        "noDataState": nothing,
        "execErrState": "Error",
        "labels": {"service": "wardlight"},
        "annotations": {"summary": summary, "description": description},
        "data": [
            {**asked, "model": model},
            {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": span, "model": reduce},
            {"refId": "C", "datasourceUid": "__expr__", "relativeTimeRange": span, "model": threshold},
        ],
    }
