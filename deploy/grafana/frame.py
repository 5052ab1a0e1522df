"""What every board has: its name, variables, links to the others and to the station, and the alarms as annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from languages import M_PATIENT, M_SITE, PATIENT, Language, Place, Target, source
from open_alarms import open_metricsql

TAG: Final = "wardlight"
STATION: Final = "http://127.0.0.1:8080"  # where the station page is served; `wardlight boards install --station`
_SOURCES: Final = {  # uid of the data sources that `wardlight boards install` and compose make
    Language.INFLUXQL: {"readings": ("Wardlight readings", "wardlight-readings"),
                        "rollups": ("Wardlight rollups", "wardlight-rollups")},
    Language.METRICSQL: {"readings": ("Wardlight metrics", "wardlight-metrics"),
                         "rollups": ("Wardlight metrics", "wardlight-metrics")},
}  # fmt: skip
BOARDS: Final = {
    "ward": "Ward overview",
    "patient": "Patient",
    "alarms": "Alarm quality",
    "gateways": "Gateways and pipeline",
    "night": "Night review",
}


def uid(name: str, language: Language) -> str:
    """The lasting name of a board; both languages may stand in one Grafana."""
    return f"wardlight-{name}" + ("" if language is Language.INFLUXQL else "-vm")


def board(
    name: str, description: str, language: Language, panels: Sequence[Any], *, span: str, refresh: str,
    variables: Sequence[str] = ("site",), one_patient: bool = False, alarms: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The board as it is imported; panels are numbered in the order of `panels`."""
    made = (
        dashboard.Dashboard(f"{BOARDS[name]}" + ("" if language is Language.INFLUXQL else " (VictoriaMetrics)"))
        .uid(uid(name, language)).description(description).tags([TAG, language.value]).timezone("browser")
        .time(span, "now").refresh(refresh).tooltip(DashboardCursorSync.CROSSHAIR).editable()
    )  # fmt: skip
    for variable in _sources(language) + [_variable(each, language, one_patient) for each in variables]:
        made = made.with_variable(variable)
    made = made.with_variable(
        dashboard.TextBoxVariable("station")
        .label("Station page")
        .default_value(STATION)
        .hide(VariableHide.HIDE_VARIABLE)
    )
    if alarms:
        made = made.annotation(_annotation(language))
    for number, panel in enumerate(panels, start=1):
        made = made.with_panel(panel.id(number))
    return made.links(_links(name, language)).build().to_json()


def _sources(language: Language) -> list[Any]:
    return [
        dashboard.DatasourceVariable(name)
        .label(f"Data source of {name}")
        .type(language.plugin)
        .current(VariableOption(text=text, value=value))
        for name, (text, value) in _SOURCES[language].items()
    ]


def _variable(name: str, language: Language, one_patient: bool) -> Any:
    where = "" if name == "site" else ' WHERE "site" =~ /^${site:regex}$/'
    selector = "" if name == "site" else f"{{{M_SITE}}}"
    question = {
        Language.INFLUXQL: f'SHOW TAG VALUES FROM "vitals" WITH KEY = "{name}"{where}',
        Language.METRICSQL: f"label_values(vitals_spo2_reason{selector}, {name})",
    }[language]
    built = (
        dashboard.QueryVariable(name).label(name.capitalize()).query(question)
        .datasource(source(Place.READINGS, language)).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )  # fmt: skip
    if name == "site" or one_patient:
        return built
    return built.multi(True).include_all(True).all_value(".*").current(VariableOption(text="All", value="$__all"))


def _links(here: str, language: Language) -> list[Any]:
    others = [
        dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(f"/d/{uid(name, language)}")
        .keep_time(name not in ("night", "alarms")).include_vars(True).tooltip(f"Open the board {title}")
        for name, title in BOARDS.items() if name != here
    ]  # fmt: skip
    station = dashboard.DashboardLink("Station page").type(DashboardLinkType.LINK).url("${station}/")
    return [*others, station.target_blank(True).tooltip("Live tiles and acknowledgement: the page that alarms")]


def _annotation(language: Language) -> Any:
    if language is Language.INFLUXQL:
        text = (
            'SELECT "value", "limit", "bed", "condition", "priority", "transition", "number" FROM "alarm" '
            f'WHERE $timeFilter AND {PATIENT} AND "transition" =~ /^(raised|escalated|acknowledged|ended)$/'
        )
        payload: dict[str, object] = {
            "query": text, "rawQuery": True, "resultFormat": "table", "fromAnnotations": True, "name": "Alarms",
            "textColumn": "condition", "tagsColumn": "priority,transition",
        }  # fmt: skip
    else:
        payload = {"expr": open_metricsql(M_PATIENT), "range": True, "instant": False}
        payload |= {"legendFormat": "{{condition}}, {{priority}}", "interval": "1m"}
    payload |= {"refId": "Anno", "datasource": source(Place.READINGS, language)}
    return (
        dashboard.AnnotationQuery().name("Alarms").datasource(source(Place.READINGS, language)).enable(True)
        .icon_color("orange").target(Target(payload))
    )  # fmt: skip
