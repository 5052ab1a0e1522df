"""Questions in the two languages of the databases: InfluxQL (InfluxDB 1, 2, 3) and MetricsQL (VictoriaMetrics).

What is `vitals`/`spo2` in InfluxDB is the metric `vitals_spo2` in VictoriaMetrics, with the same tags; it keeps no
text, so beds and alarm identifiers cannot be asked for there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import DataSourceRef

SITE: Final = '"site" =~ /^${site:regex}$/'
PATIENT: Final = f'{SITE} AND "patient" =~ /^${{patient:regex}}$/'
BED: Final = f'{SITE} AND "bed" =~ /^${{bed:regex}}$/'  # of `bed` only: vitals do not know where their patient lies
BEST: Final = '"device" =~ /:best$/'  # what stands for the patient (docs/decisions/0010)
M_SITE: Final = 'site=~"$site"'
M_PATIENT: Final = f'{M_SITE},patient=~"$patient"'
M_BED: Final = f'{M_SITE},bed=~"$bed"'
M_BEST: Final = 'device=~".*:best"'


class Language(StrEnum):
    """What a board's queries are written in."""

    INFLUXQL = "influxql"
    METRICSQL = "metricsql"

    @property
    def plugin(self) -> str:
        """Grafana's data source for it: both come with Grafana."""
        return "influxdb" if self is Language.INFLUXQL else "prometheus"


class Place(StrEnum):
    """Which of the two data source variables a query goes to: rollups may have a database of their own."""

    READINGS = "${readings}"
    ROLLUPS = "${rollups}"


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `legend` names a series, with tags in braces. `table`: rows of now, not a course.

    `step`: how fine MetricsQL asks at the finest, for what is stored in such steps.
    """

    influxql: str
    metricsql: str
    legend: str = ""
    place: Place = Place.READINGS
    table: bool = False
    step: str = ""


class Target(Dataquery, Builder[Dataquery]):
    """A query as a panel holds it; the foundation SDK has no type for InfluxQL."""

    def __init__(self, payload: dict[str, object]) -> None:
        self._payload = payload

    def build(self) -> Dataquery:
        """The builder is the value."""
        return self

    def to_json(self) -> dict[str, object]:
        """As it stands in the board."""
        return self._payload


def source(place: str, language: Language) -> DataSourceRef:
    """The data source that a variable names."""
    return DataSourceRef(type_val=language.plugin, uid=place)


def target(query: Query, ref_id: str, language: Language) -> Target:
    """`query` in `language`."""
    payload: dict[str, object] = {"refId": ref_id, "datasource": source(query.place, language)}
    if language is Language.INFLUXQL:
        payload |= {
            "query": query.influxql,
            "rawQuery": True,
            "resultFormat": "table" if query.table else "time_series",
        }
        if query.legend:
            payload["alias"] = re.sub(r"{(\w+)}", r"$tag_\1", query.legend)
        return Target(payload)
    payload |= {"expr": query.metricsql, "editorMode": "code", "range": not query.table, "instant": query.table}
    payload["format"] = "table" if query.table else "time_series"
    if query.step:
        payload["interval"] = query.step
    if query.legend:
        payload["legendFormat"] = re.sub(r"{(\w+)}", r"{{\1}}", query.legend)
    return Target(payload)
