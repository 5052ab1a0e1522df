// Small tools to put texts on the screen without flicker: an element is touched only where something differs.

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, text) {
  if (element.className !== text) element.className = text;
}

// What keeps the server itself from watching anybody, or its alarms from getting through: above everything else.
export function showTrouble(snapshot) {
  for (const what of ["trouble", "warning"]) {
    const banner = document.getElementById(what);
    banner.hidden = snapshot[what] === "";
    setText(banner.querySelector("span"), snapshot[what]);
  }
}

export function piece(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

// Makes the children of `parent` one element per item, in the order of `items`, keeping the elements that exist.
// Returns whether elements that were there before changed places.
export function arrange(parent, items, keyOf, make, fill) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const before = [...parent.children].map((child) => child.dataset.key).join("\n");
  const wanted = items.map((item) => {
    const key = keyOf(item);
    const element = known.get(key) ?? make(item);
    element.dataset.key = key;
    known.delete(key);
    fill(element, item);
    return element;
  });
  for (const gone of known.values()) gone.remove();
  wanted.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
  return before !== [...parent.children].map((child) => child.dataset.key).join("\n");
}

// `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`, as the server writes it.
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) {
    const minutes = String(Math.floor((whole % 3600) / 60)).padStart(2, "0");
    return `${Math.floor(whole / 3600)} h ${minutes} min`;
  }
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

// Everything that flashes does so together: a ward of lights out of step is noise.
export function flashTogether() {
  for (const animation of document.getAnimations()) {
    if (animation.startTime !== null && animation.startTime !== 0) animation.startTime = 0;
  }
}

export function setUpSettings() {
  const day = document.getElementById("day");
  const initials = document.getElementById("initials");
  day.checked = localStorage.getItem("day") === "yes";
  initials.value = localStorage.getItem("initials") ?? "";
  const paint = () => (document.documentElement.dataset.theme = day.checked ? "day" : "night");
  day.addEventListener("change", () => {
    localStorage.setItem("day", day.checked ? "yes" : "no");
    paint();
  });
  initials.addEventListener("input", () => localStorage.setItem("initials", initials.value.trim()));
  paint();
}
