"""Prometheus metrics of the databases that readings are forwarded to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from ingest.influx.service import TargetHealth

_PREFIX: Final = "wardlight_influx_"


def influx_metrics(found: Sequence[TargetHealth]) -> Iterator[Metric]:
    """Health, lag and counts of each target; the rate is the increase of `wardlight_influx_lines_total`."""
    for name, text, value in _GAUGES:
        yield _filled(GaugeMetricFamily(_PREFIX + name, text, labels=_LABELS), found, value)
    for name, text, value in _COUNTERS:
        yield _filled(CounterMetricFamily(_PREFIX + name, text, labels=_LABELS), found, value)


_LABELS: Final = ("target", "kind")
_Value = Callable[["TargetHealth"], float]
_GAUGES: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("up", "Whether the target took the last lines.", lambda h: float(not h.traffic.error)),
    ("needs_attention", "Whether a person has to look at it.", lambda h: float(h.failing)),
    ("lag_records", "Journal records the target does not have yet.", lambda h: h.lag_records),
    ("lag_seconds", "Age of the oldest of them.", lambda h: h.lag_s),
    ("alarm_lag_records", "Records of the alarm journal it does not have yet.", lambda h: h.alarm_lag_records),
    ("owed_hours", "Hours to be sent from the embedded store.", lambda h: h.owed_hours),
)
_COUNTERS: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("lines", "Lines the target accepted.", lambda h: h.traffic.lines),
    ("rollup_lines", "Lines of minutes and quarters of an hour among them.", lambda h: h.rollup_lines),
    ("posts", "Requests sent.", lambda h: h.traffic.posts),
    ("retries", "Requests that had to wait and were sent again.", lambda h: h.traffic.retries),
    ("poison_lines", "Lines the target refused, kept in the poison journal.", lambda h: h.traffic.poison),
    ("expired_readings", "Readings not sent: older than the target keeps.", lambda h: h.traffic.expired),
    ("unreadable", "Journal records that had to be skipped.", lambda h: h.unreadable),
    ("restarts", "Restarts of a target that forgets, after which its tail was sent again.", lambda h: h.restarts),
)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, found: Sequence[TargetHealth], value: _Value) -> Metric:
    for health in found:
        family.add_metric([health.name, health.kind], value(health))
    return family
