// The connection to the server, and how old its news is. A value shown as current that is not is the worst fault this
// page can have, so the age is judged by this computer's own monotonic clock, and doubt counts as "not current".

const CURRENT_FOR_S = 4; // the server speaks every second; three missed beats are not a hiccup
const SILENT_S = 6; // a connection that says nothing for so long is dead, whatever the browser believes
const REOPEN_S = 2;
const FORGET_PER_S = 0.001; // crystals differ by 0.01 %; ten times that keeps an old best estimate from lasting for ever
const SUSPENDED_S = 3; // the wall clock ran on while the monotonic one stood still: the computer slept

const monotonicS = () => performance.now() / 1000;
const wallS = () => Date.now() / 1000;

// How old the last event is, delay on the way included. The event says when it was made by the server's monotonic clock
// (`upS`). The largest difference between that and our clock belongs to the event that was delayed least; against it, the
// others show how much longer they took.
export class Currency {
  #boot = "";
  #best = 0;
  #upS = 0;
  #heardS = 0;
  #heardWallS = 0;

  heard(boot, upS, nowS, nowWallS) {
    const difference = upS - nowS;
    const forgotten = this.#best - FORGET_PER_S * (nowS - this.#heardS);
    this.#best = boot === this.#boot ? Math.max(difference, forgotten) : difference;
    this.#boot = boot;
    this.#upS = upS;
    this.#heardS = nowS;
    this.#heardWallS = nowWallS;
  }

  ageS(nowS, nowWallS) {
    if (!this.#boot) return Infinity;
    const slept = nowWallS - this.#heardWallS - (nowS - this.#heardS);
    return nowS + this.#best - this.#upS + (slept > SUSPENDED_S ? slept : 0);
  }
}

// Keeps one event stream open. `onSnapshot(snapshot)` for each event; `onTick(ageS, current)` four times a second.
export class Link {
  #source = null;
  #openedS = 0;
  #arrivedS = 0;
  #closedS = 0;
  #currency = new Currency();
  #clock = "";
  #wasCurrent = null;

  constructor(onSnapshot, onTick) {
    this.onSnapshot = onSnapshot;
    this.onTick = onTick;
    this.token = "";
    this.current = false;
    this.#open();
    setInterval(() => this.#tick(), 250);
    document.addEventListener("visibilitychange", () => this.#tick());
    addEventListener("pagehide", () => this.#source?.close()); // browsers allow six connections to one server
    addEventListener("pageshow", (event) => event.persisted && this.#open());
  }

  #open() {
    this.#source?.close();
    this.#openedS = this.#arrivedS = monotonicS();
    this.#source = new EventSource("/events");
    this.#source.addEventListener("ward", (event) => this.#arrived(event.data));
  }

  #arrived(data) {
    const snapshot = JSON.parse(data);
    if (snapshot.assets !== document.documentElement.dataset.assets) return location.reload();
    this.#arrivedS = monotonicS();
    this.#currency.heard(snapshot.boot, snapshot.up_s, this.#arrivedS, wallS());
    this.token = snapshot.token;
    this.#clock = snapshot.clock;
    this.onSnapshot(snapshot);
    this.#tick();
  }

  #tick() {
    const nowS = monotonicS();
    const ageS = this.#currency.ageS(nowS, wallS());
    this.current = ageS < CURRENT_FOR_S;
    if (this.current !== this.#wasCurrent) this.#tell();
    this.#wasCurrent = this.current;
    this.onTick(ageS, this.current);
    this.#revive(nowS);
  }

  #revive(nowS) {
    if (this.#source.readyState === EventSource.CLOSED) {
      this.#closedS ||= nowS;
      if (nowS - this.#closedS < REOPEN_S) return;
    } else if (nowS - Math.max(this.#openedS, this.#arrivedS) < SILENT_S) return;
    this.#closedS = 0;
    this.#open();
  }

  #tell() {
    document.documentElement.dataset.current = this.current ? "yes" : "no";
    if (this.current) return;
    const since = this.#clock ? ` since ${this.#clock}` : "";
    document.getElementById("lost-title").textContent = `NOT CURRENT${since}`;
    document.getElementById("lost-text").textContent = this.#clock
      ? "No connection to the server. Look after the patients directly; trying again."
      : "Waiting for the first values …";
  }
}
