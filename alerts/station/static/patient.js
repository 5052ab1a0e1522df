// One patient: the live tile, the patient's open alarms, and the record, which is fetched again every few seconds.

import { Alarms } from "./alarms.js";
import { Link } from "./link.js";
import { duration, flashTogether, setText, setUpSettings, showTrouble } from "./screen.js";
import { Pausing } from "./pause.js";
import { Sources } from "./sources.js";
import { Tiles } from "./tiles.js";

const REFRESH_MS = 10000;
const LATE_S = 30;
const main = document.getElementById("main");
const record = document.getElementById("record");
const patient = main.dataset.patient;
const tiles = new Tiles(document.getElementById("tiles"));
const sources = new Sources(document.getElementById("sources"));
let readAt = performance.now();
let trouble = "";

function show(snapshot) {
  const own = snapshot.tiles.filter((tile) => tile.patient === patient);
  const bed = own[0]?.bed;
  tiles.show(own, snapshot.stale_after_s);
  sources.show(own[0]?.sources ?? [], snapshot.stale_after_s);
  showScore(own[0]?.score);
  pausing.show(own[0]);
  showTrouble(snapshot);
  alarms.show(snapshot.alarms.filter((alarm) => alarm.patient === patient || alarm.beds.includes(bed)));
  setText(document.getElementById("clock"), snapshot.clock);
  requestAnimationFrame(flashTogether);
}

function showScore(score) {
  document.getElementById("score").hidden = !score;
  for (const name of ["title", "points", "parts", "missing"]) setText(document.getElementById(`score-${name}`), score?.[name] ?? "");
}

async function refresh() {
  const width = Math.floor(record.clientWidth);
  try {
    const response = await fetch(`/patients/${encodeURIComponent(patient)}/record?width=${width}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!response.ok) throw new Error(page.querySelector("main")?.textContent ?? `answer ${response.status}`);
    record.replaceChildren(...page.body.childNodes);
    readAt = performance.now();
    trouble = "";
  } catch (error) {
    trouble = error instanceof TypeError ? "no connection to the server" : error.message.trim();
  }
  setTimeout(refresh, REFRESH_MS);
}

function judgeRecord() {
  const ageS = (performance.now() - readAt) / 1000;
  record.classList.toggle("late", ageS > LATE_S || trouble !== "");
  const late = document.getElementById("record-late");
  if (late) setText(late, record.classList.contains("late") ? `– not refreshed for ${duration(ageS)}: ${trouble}` : "");
  else if (trouble) setText(record.firstElementChild, `No chart: ${trouble}`);
}

record.addEventListener("pointermove", (event) => {
  const chart = event.target.closest("svg.chart");
  if (chart) readOut(chart, event.clientX - chart.getBoundingClientRect().left);
});
record.addEventListener("pointerout", () => {
  for (const readout of record.querySelectorAll(".readout")) setText(readout, "");
});

// The value under the pointer, and when it was: exact, because the chart carries its numbers.
function readOut(chart, x) {
  const columns = JSON.parse(chart.dataset.columns);
  const column = Math.floor(x - Number(chart.dataset.left));
  if (column < 0 || column >= columns.length) return;
  const minutes = ((columns.length - column) / columns.length) * 60;
  const cell = columns[column];
  const text = cell === null ? "no value" : Array.isArray(cell) ? `${cell[0]} to ${cell[1]}` : `${cell}`;
  setText(chart.closest("figure").querySelector(".readout"), `${text}, ${minutes.toFixed(0)} min ago`);
}

setUpSettings();
const link = new Link(show, (ageS) => {
  tiles.tick(ageS);
  sources.tick(ageS);
  alarms.tick(ageS);
  pausing.tick();
  judgeRecord();
});
const alarms = new Alarms(document.getElementById("alarms"), link);
const pausing = new Pausing(patient, link);
refresh();
