// Pausing all alarms of a patient: by a person, for two minutes at most, and never shown before the server says so.

import { explanation } from "./alarms.js";
import { setText } from "./screen.js";

const GIVE_UP_MS = 8000;

export class Pausing {
  #paused = false;
  #busy = false;

  constructor(patient, link) {
    this.patient = patient;
    this.link = link;
    this.button = document.getElementById("pause");
    this.reason = document.getElementById("pause-reason");
    this.failed = document.getElementById("pause-failed");
    this.button.addEventListener("click", () => this.#send());
  }

  show(tile) {
    this.#paused = Boolean(tile?.paused);
    this.reason.hidden = this.#paused;
    setText(this.button, this.#busy ? "Sending …" : this.#paused ? "Resume alarms now" : "Pause alarms 2 min");
    this.tick();
  }

  tick() {
    this.button.disabled = this.#busy || !this.link.current;
  }

  async #send() {
    this.#busy = true;
    setText(this.failed, "");
    const what = this.#paused ? "resume-alarms" : "pause-alarms";
    try {
      const response = await fetch(`/api/patients/${encodeURIComponent(this.patient)}/${what}`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-wardlight-token": this.link.token },
        body: JSON.stringify({ actor: localStorage.getItem("initials") ?? "", reason: this.reason.value }),
        signal: AbortSignal.timeout(GIVE_UP_MS),
      });
      if (!response.ok) setText(this.failed, await explanation(response));
    } catch {
      setText(this.failed, "NOT changed: the server did not answer. Press again.");
    } finally {
      this.#busy = false;
      this.tick();
    }
  }
}
