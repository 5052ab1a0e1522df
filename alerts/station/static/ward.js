// The ward: all tiles and all open alarms.

import { Alarms } from "./alarms.js";
import { Link } from "./link.js";
import { flashTogether, setText, setUpSettings, showTrouble } from "./screen.js";
import { Tiles } from "./tiles.js";

const byBed = document.getElementById("by-bed");
const tiles = new Tiles(document.getElementById("tiles"));
const beds = new Intl.Collator("en", { numeric: true });
let last = null;

function show(snapshot) {
  last = snapshot;
  const ordered = byBed.checked ? snapshot.tiles.toSorted((a, b) => beds.compare(a.bed, b.bed)) : snapshot.tiles;
  tiles.show(ordered, snapshot.stale_after_s);
  alarms.show(snapshot.alarms);
  showTrouble(snapshot);
  setText(document.getElementById("clock"), snapshot.clock);
  setText(document.getElementById("count"), `${snapshot.tiles.length} beds · ${count(snapshot.alarms)}`);
  requestAnimationFrame(flashTogether);
}

function count(open) {
  const calling = open.filter((alarm) => alarm.audible).length;
  const alarmWord = open.length === 1 ? "alarm" : "alarms";
  return open.length ? `${open.length} ${alarmWord}, ${calling} to acknowledge` : "no alarm";
}

setUpSettings();
byBed.checked = localStorage.getItem("by-bed") === "yes";
byBed.addEventListener("change", () => {
  localStorage.setItem("by-bed", byBed.checked ? "yes" : "no");
  if (last) show(last);
});

const link = new Link(show, (ageS) => {
  tiles.tick(ageS);
  alarms.tick(ageS);
});
const alarms = new Alarms(document.getElementById("alarms"), link);
