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

from languages import BED, M_BED, M_SITE, SITE, Language, Place, source
from marks import annotations

_QUESTIONS: Final = {  # of each variable: in InfluxQL, and the labels that narrow it in MetricsQL
    "site": ('SHOW TAG VALUES FROM "bed" WITH KEY = "site"', ""),
    "bed": (f'SHOW TAG VALUES FROM "bed" WITH KEY = "bed" WHERE {SITE}', f"{{{M_SITE}}}"),
    "patient": (
        f'SELECT last("wearer") FROM "bed" WHERE $timeFilter AND {BED} GROUP BY "bed", "patient"', f"{{{M_BED}}}"
    ),
}  # fmt: skip
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
        for annotation in annotations(language):
            made = made.annotation(annotation)
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
    """Site, then its beds, then who lay in them in the time that is shown: a choice of beds narrows the patients.

    "All patients" stands for those listed. With a pattern for anybody, a chosen bed would change nothing.
    """
    question, selected = _QUESTIONS[name]
    built = (
        dashboard.QueryVariable(name).label(name.capitalize())
        .query(question if language is Language.INFLUXQL else f"label_values(bed_occupied{selected}, {name})")
        .datasource(source(Place.READINGS, language)).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
    )  # fmt: skip
    if name == "site" or (name == "patient" and one_patient):
        return built
    several = built.multi(True).include_all(True).current(VariableOption(text="All", value="$__all"))
    return several.all_value(".*") if name == "bed" else several


def _links(here: str, language: Language) -> list[Any]:
    others = [
        dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(f"/d/{uid(name, language)}")
        .keep_time(name not in ("night", "alarms")).include_vars(True).tooltip(f"Open the board {title}")
        for name, title in BOARDS.items() if name != here
    ]  # fmt: skip
    station = dashboard.DashboardLink("Station page").type(DashboardLinkType.LINK).url("${station}/")
    found = [*others, station.target_blank(True).tooltip("Live tiles and acknowledgement: the page that alarms")]
    if here == "patient":
        page = dashboard.DashboardLink("This patient, live").type(DashboardLinkType.LINK)
        page = page.url("${station}/patients/${patient}").target_blank(True)
        found.append(page.tooltip("The patient on the station page: values of this second, limits, acknowledgement"))
    return found
