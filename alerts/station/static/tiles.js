// The tiles: what each shows follows from the last event and from how long ago that was.

import { arrange, duration, piece, setClass, setText } from "./screen.js";

export class Tiles {
  #tiles = [];
  #staleAfterS = 30;

  constructor(parent) {
    this.parent = parent;
  }

  show(tiles, staleAfterS) {
    this.#tiles = tiles;
    this.#staleAfterS = staleAfterS;
    arrange(this.parent, tiles, (tile) => tile.patient, make, fill);
  }

  // `newsAgeS`: seconds since the event was made.
  tick(newsAgeS) {
    this.#tiles.forEach((tile, index) => this.#age(this.parent.children[index], tile, newsAgeS));
  }

  #age(element, tile, newsAgeS) {
    const vitals = element.querySelector(".vitals").children;
    let current = 0;
    const notes = new Map(); // what is wrong → the vitals of which it is true
    tile.vitals.forEach((vital, index) => {
      const [isCurrent, note] = paint(vitals[index], vital, newsAgeS, this.#staleAfterS);
      current += isCurrent;
      if (note) notes.set(note, [...(notes.get(note) ?? []), vital.label]);
    });
    const told = [...notes].map(([note, labels]) => `${labels.join(", ")}: ${note}`);
    setText(element.querySelector(".notes"), told.join(". "));
    const paused = element.querySelector(".paused");
    const leftS = Math.max(0, tile.paused_s - newsAgeS);
    setText(paused.firstElementChild, tile.paused ? `ALARMS PAUSED ${duration(Math.ceil(leftS))}` : "");
    setText(paused.lastElementChild, tile.paused);
    element.classList.toggle("has-pause", tile.paused !== "");
    const silence = element.querySelector(".silence");
    const silentS = tile.silent_s === null ? null : tile.silent_s + newsAgeS;
    const why = current ? "" : tile.why || (silentS === null ? "no device heard yet" : "no data");
    setText(silence.firstElementChild, why);
    setText(silence.lastElementChild, why && silentS !== null ? `since ${tile.since} · ${duration(silentS)}` : "");
    element.classList.toggle("silent", why !== "");
  }
}

function make(tile) {
  const element = piece("tile-piece");
  element.querySelector(".tile-link").href = `/patients/${encodeURIComponent(tile.patient)}`;
  return element;
}

function fill(element, tile) {
  const state = tile.priority || "calm";
  const kept = element.classList.contains("silent") ? " silent" : "";
  const technical = tile.technical ? " technical" : "";
  const paused = tile.paused ? " has-pause" : "";
  setClass(element, `tile ${state}${tile.acknowledged ? " taken" : ""}${technical}${paused}${kept}`);
  setText(element.querySelector(".bed"), tile.bed);
  setText(element.querySelector(".patient"), tile.patient);
  setText(element.querySelector(".marker"), tile.marker);
  setText(element.querySelector(".word"), tile.priority);
  setText(element.querySelector(".headline"), tile.acknowledged ? `✓ ${tile.headline}` : tile.headline);
  setText(element.querySelector(".battery"), tile.battery);
  arrange(element.querySelector(".vitals"), tile.vitals, (vital) => vital.vital, () => piece("vital-piece"), name);
}

function name(element, vital) {
  setText(element.querySelector(".label"), vital.label);
  setText(element.querySelector(".unit"), vital.unit);
}

// Whether a number may be taken for current, and how old it is.
export function currency(vital, newsAgeS, staleAfterS) {
  const ageS = vital.age_s === null ? null : vital.age_s + newsAgeS;
  return [vital.text !== "" && ageS !== null && ageS <= staleAfterS, ageS];
}

// One number. Returns whether it may be taken for current, and what there is to say about it.
function paint(element, vital, newsAgeS, staleAfterS) {
  const [current, ageS] = currency(vital, newsAgeS, staleAfterS);
  setClass(element, `vital ${current ? vital.priority : "absent"}${current && vital.doubt ? " doubt" : ""}`);
  setText(element.querySelector(".value"), current ? vital.text : "–");
  setText(element.querySelector(".source"), current ? vital.source : "");
  setText(element.querySelector(".age"), current ? duration(ageS) : "");
  return [current, current ? vital.doubt : absence(vital, ageS)];
}

export function absence(vital, ageS) {
  const why = vital.why || "no data";
  return ageS === null ? why : `${why} for ${duration(ageS)}${vital.last ? `, was ${vital.last}` : ""}`;
}
