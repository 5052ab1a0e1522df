// What each device of one patient says, whether or not it is what the tile shows.

import { arrange, duration, piece, setClass, setText } from "./screen.js";
import { absence, currency } from "./tiles.js";

export class Sources {
  #sources = [];
  #staleAfterS = 30;

  constructor(parent) {
    this.parent = parent;
  }

  show(sources, staleAfterS) {
    this.#sources = sources;
    this.#staleAfterS = staleAfterS;
    arrange(this.parent, sources, (source) => source.key, () => piece("source-piece"), name);
    this.parent.parentElement.hidden = sources.length === 0;
  }

  // `newsAgeS`: seconds since the event was made.
  tick(newsAgeS) {
    this.#sources.forEach((source, index) => paint(this.parent.children[index], source, newsAgeS, this.#staleAfterS));
  }
}

function name(element, source) {
  setText(element.querySelector(".label"), source.reading.label);
  setText(element.querySelector(".kind"), source.kind);
  setText(element.querySelector(".name"), source.device);
}

function paint(element, source, newsAgeS, staleAfterS) {
  const { reading } = source;
  const [current, ageS] = currency(reading, newsAgeS, staleAfterS);
  const told = current ? reading.doubt : absence(reading, ageS);
  setClass(element, `device${source.used && current ? " used" : ""}${current ? "" : " absent"}${current && told ? " unsure" : ""}`);
  setText(element.querySelector(".value"), current ? `${reading.text} ${reading.unit}` : "–");
  setText(element.querySelector(".age"), current ? duration(ageS) : "");
  setText(element.querySelector(".doubt"), [source.used && current ? "shown above" : "", told].filter(Boolean).join(", "));
}
