"""The kinds of panels. Each has a title, a description, a unit and a sentence for when it is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    common,
    dashboard,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueTextMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    Threshold,
    ThresholdsMode,
    ValueMapping,
)

from languages import Language, Place, Query, source, target

Properties = list[DynamicConfigValue]
NOTHING: Final = "Nothing in this time. Are site, bed and patient right? Does the pipeline board show gateways?"
_REF_IDS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
GAP_S: Final = 90  # readings that are further apart have a gap between them; the slowest wearables tell once a minute
_COURSE: Final = "blue"
_LETTERS: Final = len(_REF_IDS)  # queries of one panel at most


@dataclass(frozen=True, slots=True)
class Panel:
    """What all kinds share. `x`, `y`, `w`, `h`: Grafana's grid of 24 columns."""

    title: str
    description: str
    unit: str
    at: tuple[int, int, int, int]
    queries: Sequence[Query] = ()
    nothing: str = NOTHING
    decimals: int | None = None
    mappings: Sequence[ValueMapping] = ()
    overrides: Mapping[str, Properties] = field(default_factory=dict)
    transformations: Sequence[DataTransformerConfig] = ()
    empty_cell: str = ""

    def dress(self, builder: Any, language: Language) -> Any:
        """`builder` with what all kinds share; the builders have no common type for it."""
        assert len(self.queries) <= _LETTERS
        x, y, w, h = self.at
        place = self.queries[0].place if self.queries else Place.READINGS
        builder = (
            builder.title(self.title)
            .description(self.description)
            .unit(self.unit)
            .no_value(self.nothing)
            .datasource(source(place, language))
            .grid_pos(GridPos(h=h, w=w, x=x, y=y))
        )
        for ref_id, query in zip(_REF_IDS, self.queries, strict=False):
            builder = builder.with_target(target(query, ref_id, language))
        if self.empty_cell:  # or each empty cell would say what the empty panel says
            for kind in ("string", "number"):
                builder = builder.override_by_field_type(kind, [DynamicConfigValue("noValue", self.empty_cell)])
        for name, properties in self.overrides.items():
            builder = builder.override_by_name(name, properties)
        for transformation in self.transformations:
            builder = builder.with_transformation(transformation)
        if self.mappings:
            builder = builder.mappings(list(self.mappings))
        return builder if self.decimals is None else builder.decimals(self.decimals)


def _legend(*calcs: str) -> common.VizLegendOptions:
    mode = LegendDisplayMode.TABLE if calcs else LegendDisplayMode.LIST
    return (
        common.VizLegendOptions().display_mode(mode).placement(LegendPlacement.BOTTOM).show_legend(True).calcs([*calcs])
    )


def chart(
    panel: Panel, language: Language, *, points: bool = False, low: float | None = None, high: float | None = None,
    spans_s: Sequence[float] = (), one_line: bool = False,
) -> Any:  # fmt: skip
    """Courses over time. A gap stays a gap: no line is drawn over missing values.

    `low` and `high`: what the axis reaches at least, so that a shape means the same from day to day. `spans_s`, for
    each query: how far apart two of its points may be and still be joined. `one_line`: the series are parts of one.
    Red and yellow are priorities, so courses are shades of one colour and told apart by their names.
    """
    builder = timeseries.Panel().legend(_legend("lastNotNull", "min", "max"))
    builder = builder.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI)).span_nulls(False)
    builder = builder.show_points(VisibilityMode.AUTO).line_width(1)
    mode = FieldColorModeId.FIXED if one_line else FieldColorModeId.SHADES
    builder = builder.color_scheme(dashboard.FieldColor().mode(mode).fixed_color(_COURSE))
    if points:
        builder = builder.draw_style(GraphDrawStyle.POINTS).point_size(3)
    if low is not None:
        builder = builder.axis_soft_min(low)
    if high is not None:
        builder = builder.axis_soft_max(high)
    for ref_id, span_s in zip(_REF_IDS, spans_s, strict=False):
        joined = [DynamicConfigValue("custom.spanNulls", span_s * 1_000)]
        builder = builder.override_by_query(ref_id, joined)
    return panel.dress(builder, language)


def numbers(panel: Panel, language: Language, color: str = "") -> Any:
    """Large numbers with their names."""
    colored = color or panel.mappings
    builder = stat.Panel().color_mode(BigValueColorMode.VALUE if colored else BigValueColorMode.NONE)
    builder = builder.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    if color:  # of one and more only: "none" in red would look like an alarm
        steps = [Threshold(value=None, color="text"), Threshold(value=1, color=color)]
        limits = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
        builder = builder.thresholds(limits)
        builder = builder.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    return panel.dress(builder, language)


def names(panel: Panel, language: Language) -> Any:
    """The names of the series, large: what counts is who answers, not the number."""
    builder = stat.Panel().color_mode(BigValueColorMode.NONE).text_mode(BigValueTextMode.NAME)
    builder = builder.text(common.VizTextDisplayOptions().value_size(36))
    builder = builder.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    return panel.dress(builder, language)


def bands(panel: Panel, language: Language, *, span_s: float = 0) -> Any:
    """States over time, one band for each series, with the words in the bands; a state lasts `span_s` at most."""
    builder = statetimeline.Panel().show_value(VisibilityMode.AUTO).merge_values(True).row_height(0.8)
    return panel.dress(builder.legend(_legend()).span_nulls(span_s * 1_000 or False), language)


def bars(panel: Panel, language: Language) -> Any:
    """Horizontal bars, one for each series."""
    builder = bargauge.Panel().reduce_options(common.ReduceDataOptions().calcs(["sum"]).values(False))
    builder = builder.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(_COURSE))
    return panel.dress(builder.min(0), language)


def columns(panel: Panel, language: Language) -> Any:
    """Stacked columns over time."""
    builder = barchart.Panel().legend(_legend("sum")).show_value(VisibilityMode.NEVER)
    builder = builder.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.SHADES).fixed_color(_COURSE))
    return panel.dress(builder, language)


@dataclass(frozen=True, slots=True)
class Rows:
    """The questions behind a table: InfluxQL names its columns itself; MetricsQL has one question for each column.

    `key`: the tags that make a row, the first of them joins the answers. `told`: name of the column for the time of
    InfluxQL answer number `answer`. `hidden`: columns that nobody has to see, where there are any. `order`: the
    columns from the left.
    """

    key: tuple[str, ...]
    influxql: Sequence[tuple[str, Place]]
    metricsql: Mapping[str, tuple[str, Place]]
    told: str = ""
    answer: int = 1
    hidden: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


def grid(panel: Panel, rows: Rows, language: Language, *, sort: str, descending: bool, join: bool = True) -> Any:
    """A table, sorted by its column `sort`. `join`: several answers become one row for each `key`."""
    if language is Language.INFLUXQL:
        asked = [Query(text, "", place=place, table=True) for text, place in rows.influxql]
    else:
        asked = [Query("", text, place=place, table=True) for text, place in rows.metricsql.values()]
    names = _columns(rows, len(asked), language)
    steps = [DataTransformerConfig("joinByField", options={"byField": rows.key[0], "mode": "outer"})] if join else []
    if not join and len(asked) > 1:
        steps = [DataTransformerConfig("merge", options={})]
    organised = DataTransformerConfig("organize", options=names)
    dressed = Panel(
        panel.title, panel.description, panel.unit, panel.at, asked, panel.nothing, panel.decimals, panel.mappings,
        panel.overrides, [*steps, organised, *panel.transformations], "–",
    )  # fmt: skip
    order = common.TableSortByFieldState().display_name(sort).desc(descending)
    return dressed.dress(table.Panel().sort_by([order]), language)


def _columns(rows: Rows, asked: int, language: Language) -> dict[str, object]:
    """Options of `organize`: the times and tags that nobody asked for go, the rest gets its name and its place.

    A plain "Time" must not be named when several are numbered: Grafana would take it for all of them.
    """
    times = ["Time"] if asked == 1 else [f"Time {n + 1}" for n in range(asked)]
    if language is Language.INFLUXQL:
        renamed = {times[rows.answer - 1]: rows.told} if rows.told else {}
        spare: list[str] = []
        hidden = rows.hidden
    else:
        # One answer keeps the plain name, several are told apart by their letter.
        letters = dict(zip(rows.metricsql, _REF_IDS, strict=False))
        values = {name: f"Value #{letter}" if asked > 1 else "Value" for name, letter in letters.items()}
        renamed = {value: name for name, value in values.items() if name not in rows.hidden}
        spare = ["__name__", "db", "transition", "kind", "number", "site"]
        hidden = tuple(values[name] for name in rows.hidden if name in values)
    excluded = [name for name in (*times, *spare, *hidden) if name not in renamed and name not in rows.key]
    original = {name: value for value, name in renamed.items()}
    places = {original.get(name, name): place for place, name in enumerate(rows.order)}
    return {"excludeByName": dict.fromkeys(excluded, True), "renameByName": renamed, "indexByName": places}
