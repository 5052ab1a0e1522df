// What the database answered as Grafana's data frames, with the panel's transformations and field settings applied.
// Transformations, units, words and colours are Grafana's own code (@grafana/data); the reading of an InfluxQL answer
// follows its documentation, since Grafana does that in its server.

import { lastValueFrom } from "rxjs";
import {
  FieldType, getDisplayProcessor, getFieldDisplayName, standardTransformers, standardTransformersRegistry, toDataFrame,
  transformDataFrame,
} from "@grafana/data";

standardTransformersRegistry.setInit(() =>
  // Some stand there under an older name, too.
  [...new Map(Object.values(standardTransformers).map((info) => [info.id, info])).values()].map((info) => ({
    ...info, transformation: () => Promise.resolve(info), editor: () => null, imageDark: "", imageLight: "",
  })),
);

/** The frames of `panel`; empty when nothing answered. */
export async function framesOf(panel, answers, theme) {
  const plain = panel.targets.flatMap((target) => {
    const series = answers[target.refId] ?? [];
    return target.resultFormat === "table" ? table(target, series) : courses(target, series);
  });
  const frames = await lastValueFrom(transformDataFrame(panel.transformations ?? [], plain));
  let seriesIndex = 0;
  for (const frame of frames) {
    for (const field of frame.fields) {
      dress(field, frame, frames, panel.fieldConfig, theme, field.type === FieldType.number ? seriesIndex++ : 0);
    }
  }
  return frames;
}

function courses(target, series) {
  return series.map(({ tags = {}, columns, values }) => {
    const name = (target.alias ?? columns[1]).replace(/\$tag_(\w+)/g, (_, tag) => tags[tag] ?? "");
    const numbers = { name, type: FieldType.number, values: values.map((row) => row[1]), config: { displayNameFromDS: name } };
    return toDataFrame({ refId: target.refId, fields: [timesOf(values), numbers] });
  });
}

function table(target, series) {
  if (!series.length) return [];
  const tags = Object.keys(series[0].tags ?? {});
  const rows = series.flatMap((each) => each.values.map((row) => [row[0], ...tags.map((tag) => each.tags[tag]), ...row.slice(1)]));
  const fields = [...tags, ...series[0].columns.slice(1)].map((name, index) => {
    const values = rows.map((row) => row[index + 1] ?? null);
    const isText = values.some((value) => typeof value === "string");
    return { name, type: isText ? FieldType.string : FieldType.number, values, config: {} };
  });
  return [toDataFrame({ refId: target.refId, fields: [timesOf(rows), ...fields] })];
}

function timesOf(rows) {
  return { name: "Time", type: FieldType.time, values: rows.map((row) => row[0]), config: {} };
}

function dress(field, frame, frames, fieldConfig, theme, seriesIndex) {
  field.config = { ...structuredClone(fieldConfig.defaults), ...field.config };
  field.config.custom = { ...structuredClone(fieldConfig.defaults.custom ?? {}) };
  if (field.type === FieldType.time) field.config.unit = undefined;
  const name = getFieldDisplayName(field, frame, frames);
  const options = { byName: name, byFrameRefID: frame.refId, byType: field.type };
  for (const { matcher, properties } of fieldConfig.overrides ?? []) {
    if (options[matcher.id] === matcher.options) for (const each of properties) set(field.config, each.id, each.value);
  }
  field.config.color ??= { mode: "palette-classic" };
  field.state = { ...field.state, displayName: field.config.displayName ?? name, seriesIndex };
  field.display = getDisplayProcessor({ field, theme, timeZone: "utc" });
}

function set(config, path, value) {
  const keys = path.split(".");
  const last = keys.pop();
  const place = keys.reduce((at, key) => (at[key] ??= {}), config);
  place[last] = value;
}
