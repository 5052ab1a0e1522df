// The list of open alarms and their acknowledgement. Nothing is shown as acknowledged before the server says so, and a
// press never lands on another alarm than the one that was under the finger.

import { arrange, duration, piece, setClass, setText } from "./screen.js";

const SETTLE_MS = 600; // after the list moved under the finger, presses are not taken for so long
const GIVE_UP_MS = 8000;

export class Alarms {
  #alarms = [];
  #known = null;
  #busy = new Set();
  #failed = new Map();
  #movedAt = -Infinity;
  #pressed = null;
  #offered = null;

  constructor(list, link) {
    this.list = list;
    this.link = link;
    this.thumb = document.getElementById("thumb");
    this.button = document.getElementById("thumb-button");
    list.addEventListener("click", (event) => {
      const button = event.target.closest("button.acknowledge");
      if (button) this.#press(button.closest(".alarm").dataset.key);
    });
    this.button.addEventListener("pointerdown", () => (this.#pressed = this.#offered));
    this.button.addEventListener("click", () => {
      const id = this.#pressed ?? this.#offered;
      this.#pressed = null;
      if (id === this.#offered) this.#press(id);
      else this.#fail(this.#offered, "Another alarm came up. Look, and press again.");
    });
  }

  show(alarms) {
    this.#alarms = alarms;
    for (const id of this.#failed.keys()) if (!alarms.some((alarm) => alarm.id === id)) this.#failed.delete(id);
    const hadRows = this.list.children.length > 0;
    const moved = arrange(this.list, alarms, (a) => a.id, () => piece("alarm-piece"), (e, a) => this.#fill(e, a));
    if (moved && hadRows) this.#movedAt = performance.now();
    document.getElementById("no-alarms").hidden = alarms.length > 0;
    this.#offer();
    this.#announce();
  }

  get #settling() {
    return performance.now() - this.#movedAt < SETTLE_MS;
  }

  tick(newsAgeS) {
    this.#alarms.forEach((alarm, index) => {
      const row = this.list.children[index];
      setText(row.querySelector(".since"), `since ${alarm.since} · ${duration(alarm.lasts_s + newsAgeS)}`);
      this.#ready(row.querySelector("button"), alarm.id);
    });
    this.#ready(this.button, this.#offered);
  }

  #ready(button, id) {
    button.disabled = this.#busy.has(id) || !this.link.current;
    button.classList.toggle("settling", this.#settling);
  }

  #fill(row, alarm) {
    setClass(row, `alarm ${alarm.priority} ${alarm.kind}${alarm.audible ? "" : " taken"}`);
    const texts = {
      marker: alarm.marker,
      word: alarm.priority,
      bed: alarm.bed,
      title: alarm.title,
      number: alarm.value,
      limit: alarm.limit && `limit ${alarm.limit}`,
      detail: alarm.detail,
      acknowledged: alarm.acknowledged && `✓ acknowledged by ${alarm.acknowledged}`,
      quiet: alarm.paused,
      failed: this.#failed.get(alarm.id) ?? "",
    };
    for (const [name, text] of Object.entries(texts)) setText(row.querySelector(`.${name}`), text);
    const button = row.querySelector("button");
    button.hidden = !alarm.audible && !alarm.paused;
    setText(button, this.#busy.has(alarm.id) ? "Sending …" : "Acknowledge");
    button.setAttribute("aria-label", `Acknowledge ${alarm.bed} ${alarm.title}`);
  }

  // The big button at the thumb offers the worst alarm that still calls, and moves on only when there is a worse one.
  #offer() {
    const calling = this.#alarms.filter((alarm) => alarm.audible);
    const kept = calling.find((alarm) => alarm.id === this.#offered);
    const next = kept && kept.priority === calling[0].priority ? kept : calling[0];
    if (next && next.id !== this.#offered) this.#movedAt = performance.now();
    this.#offered = next?.id ?? null;
    this.button.classList.toggle("settling", this.#settling);
    this.thumb.hidden = !next;
    document.body.classList.toggle("has-thumb", Boolean(next));
    if (!next) return;
    setClass(this.thumb, `thumb ${next.priority}`);
    setText(document.getElementById("thumb-what"), `${next.marker} ${next.bed} ${next.title} ${next.value}`);
    setText(this.button.lastElementChild, this.#busy.has(next.id) ? "Sending …" : "Acknowledge");
    setText(document.getElementById("thumb-failed"), this.#failed.get(next.id) ?? "");
  }

  #announce() {
    const calling = this.#alarms.filter((alarm) => alarm.audible);
    const fresh = this.#known ? calling.filter((alarm) => !this.#known.has(`${alarm.id} ${alarm.priority}`)) : calling;
    this.#known = new Set(calling.map((alarm) => `${alarm.id} ${alarm.priority}`));
    if (!fresh.length) return;
    const said = fresh.slice(0, 3).map((a) => `${a.priority} priority, ${a.bed}, ${a.title} ${a.value}`);
    setText(document.getElementById("announce"), said.join(". "));
  }

  #press(id) {
    if (!id || this.#busy.has(id)) return;
    if (!this.link.current) return this.#fail(id, "Not acknowledged: no connection.");
    if (this.#settling) {
      return this.#fail(id, "The list has just moved. Look, and press again.");
    }
    this.#send(id);
  }

  async #send(id) {
    this.#busy.add(id);
    this.#failed.delete(id);
    this.show(this.#alarms);
    try {
      const response = await fetch(`/api/alarms/${encodeURIComponent(id)}/acknowledge`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-wardlight-token": this.link.token },
        body: JSON.stringify({ actor: localStorage.getItem("initials") ?? "" }),
        signal: AbortSignal.timeout(GIVE_UP_MS),
      });
      if (!response.ok) this.#failed.set(id, await explanation(response));
    } catch {
      this.#failed.set(id, "NOT acknowledged: the server did not answer. Press again.");
    } finally {
      this.#busy.delete(id);
      this.show(this.#alarms);
    }
  }

  #fail(id, text) {
    this.#failed.set(id, text);
    this.show(this.#alarms);
  }
}

export async function explanation(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error;
  } catch {
    return text || `NOT acknowledged: the server answered ${response.status}.`;
  }
}
