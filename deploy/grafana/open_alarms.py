"""Which alarms are open: the last transition of each tells. Asked for seven days back, whatever the board shows.

No transition is named here: `open` stands with each (`wardlight/influx_alarms.py`), and an entry about none has none.
"""

from __future__ import annotations

from typing import Final

from alerts.events import Priority

LOOK_BACK: Final = "7d"  # an alarm that is open for longer is not counted, and the descriptions say so
_LAST: Final = (
    'SELECT last("open") AS "open", "priority_level", "value", "limit", "bed" FROM "alarm" '
    f"WHERE time > now() - {LOOK_BACK} AND {{where}} GROUP BY "
    '"patient", "condition", "device", "gateway"'
)
#: InfluxQL; `.format(what=…, where=…, rest=…)`.
OPEN_INFLUXQL: Final = f'SELECT {{what}} FROM ({_LAST}) WHERE "open" = 1 {{rest}}'
#: MetricsQL; `.format(selector=…)`: when each open alarm last changed, with its labels. Two changes within one
#: millisecond may be taken in the wrong order.
OPEN_METRICSQL: Final = (
    f"topk(1, tlast_over_time(alarm_open{{{{{{selector}}}}}}[{LOOK_BACK}])) by (patient, condition, device, gateway) "
    f"if (last_over_time(alarm_open{{{{{{selector}}}}}}[{LOOK_BACK}]) == 1)"
)


def open_influxql(what: str, where: str, rest: str = "") -> str:
    """`what` of the open alarms of `where`."""
    return OPEN_INFLUXQL.format(what=what, where=where, rest=rest)


def open_metricsql(selector: str) -> str:
    """The open alarms of `selector`."""
    return f"({OPEN_METRICSQL.format(selector=selector)})"


def open_by_priority(selector: str, by: str) -> str:
    """MetricsQL: the highest priority that is open for each `by`."""
    return " or ".join(
        f'({int(priority)} * clamp_max(count(label_match({open_metricsql(selector)}, "priority", '
        f'"{priority.name.lower()}")) by ({by}), 1))'
        for priority in sorted(Priority, reverse=True)
    )
