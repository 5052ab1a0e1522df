// One panel with the component of @grafana/ui that Grafana itself draws it with.

import { useLayoutEffect } from "react";
import { VizOrientation, dateTime, getDisplayProcessor } from "@grafana/data";
import { BarGauge, BigValue, BigValueColorMode, BigValueGraphMode, PanelChrome, TimeSeries } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import { Bands } from "./bands";
import { drawing } from "./marks";

/** `panel` in its frame; what nothing answered says so with the panel's own words. */
export function Panel({ panel, frames, marks, from, to, width, height, theme }) {
  const Kind = KINDS[panel.type] ?? Missing;
  const isEmpty = !frames.some((frame) => frame.length);
  return (
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
      {(innerWidth, innerHeight) =>
        isEmpty && panel.type !== "stat"
          ? <Nothing panel={panel} />
          : <Kind {...{ panel, frames, marks, from, to, theme }} width={innerWidth} height={innerHeight} />}
    </PanelChrome>
  );
}

function Nothing({ panel }) {
  return <div className="nothing">{panel.fieldConfig.defaults.noValue}</div>;
}

function Missing({ panel }) {
  return <div className="nothing">A {panel.type} is drawn by Grafana itself and by none of its libraries: no picture.</div>;
}

function Chart({ panel, frames, marks, from, to, width, height }) {
  const timeRange = { from: dateTime(from), to: dateTime(to), raw: { from: "", to: "" } };
  return (
    <TimeSeries frames={frames} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} {...{ width, height }}>
      {(config) => <Marks config={config} marks={marks} />}
    </TimeSeries>
  );
}

function Marks({ config, marks }) {
  useLayoutEffect(() => config.addHook("drawAxes", drawing(marks)), [config, marks]);
  return null;
}

function Numbers({ panel, frames, width, height, theme }) {
  const fields = frames.flatMap((frame) => frame.fields.filter((field) => field.type === "number"));
  const { options, fieldConfig } = panel;
  const shown = fields.map((field) => {
    const last = field.values.findLast((value) => value !== null);
    return { ...field.display(last ?? null), title: field.state.displayName };
  });
  const process = getDisplayProcessor({ field: { config: fieldConfig.defaults, type: "number" }, theme });
  const all = shown.length ? shown : [{ ...process(null), text: fieldConfig.defaults.noValue, title: "" }];
  return all.map((value) => (
    <BigValue key={value.title} theme={theme} width={width / all.length} height={height} colorMode={options.colorMode ?? BigValueColorMode.None}
      graphMode={BigValueGraphMode.None} textMode={options.textMode} text={options.text} value={all.length > 1 || options.textMode === "name" ? value : { ...value, title: undefined }} />
  ));
}

function Grid({ panel, frames, width, height, from, to }) {
  const timeRange = { from: dateTime(from), to: dateTime(to), raw: { from: "", to: "" } };
  return (
    <TableNG data={frames[0]} structureRev={1} sortBy={panel.options.sortBy} getActions={() => []} {...{ width, height, timeRange }}
      fieldConfig={panel.fieldConfig} cellHeight="sm" />
  );
}

function Bars({ frames, width, height, theme }) {
  const fields = frames.map((frame) => frame.fields[1]);
  const most = Math.max(...fields.map((field) => field.values[0]));
  return fields.map((field) => {
    const value = { ...field.display(field.values[0]), title: field.state.displayName };
    return (
      <BarGauge key={value.title} theme={theme} width={width} height={height / fields.length} value={value} itemSpacing={10}
        field={{ ...field.config, min: 0, max: most }} orientation={VizOrientation.Horizontal} displayMode="basic"
        text={{ valueSize: 16, titleSize: 14 }} />
    );
  });
}

const KINDS = { timeseries: Chart, stat: Numbers, table: Grid, "state-timeline": Bands, bargauge: Bars };
