// The phone's page: subscribes this phone to a channel, tests it, and acknowledges the message that was touched.

import { duration, setText } from "./screen.js";

const SETTLE_MS = 700; // a press meant for what stood there before is not taken
const CONFIRM_MS = 5000; // a pocket does not press twice
const at = (id) => document.getElementById(id);
let registration = null;
let shown = null;

function say(title, text = "", visible = []) {
  setText(at("state"), title);
  setText(at("state-text"), text);
  for (const id of ["subscribe", "test", "stop", "invite"]) at(id).hidden = !visible.includes(id);
}

function result(element, text, bad = false) {
  element.classList.toggle("bad", bad);
  setText(element, text);
}

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  try {
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return { ...(await answer.json()), ok: answer.ok, status: answer.status };
  } catch {
    return { ok: false, status: 0, error: "The server does not answer. Try again." };
  }
}

// -- the invitation: its time, the channel, and a seal that only the server can check --

function invitation() {
  const text = at("invitation").value.trim() || location.hash;
  return /(?:invitation=)?([\w-]{30,})$/.exec(text)?.[1] ?? "";
}

function invitedTo(token) {
  try {
    const raw = atob(token.replaceAll("-", "+").replaceAll("_", "/"));
    return new TextDecoder().decode(Uint8Array.from(raw.slice(6, -16), (c) => c.charCodeAt(0)));
  } catch {
    return "";
  }
}

// -- this phone --

async function look() {
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return say("Not possible here", whyNot());
  registration = await navigator.serviceWorker.register("/push-worker.js", { scope: "/push" });
  await navigator.serviceWorker.ready;
  const subscription = await registration.pushManager.getSubscription();
  const told = subscription ? await post("/push/state", { endpoint: subscription.endpoint }) : { status: 404 };
  const token = invitation();
  if (token) return say(`Invited to: ${invitedTo(token) || "a channel"}`, "Alarms of this channel come to this phone.", ["subscribe"]);
  if (told.ok) return subscribed(told.channels);
  if (told.status !== 404) return say("State not known", told.error);
  return say("Not subscribed", "This phone gets no alarms. Ask for an invitation: a link that is good for some minutes.", ["invite"]);
}

function whyNot() {
  if (!window.isSecureContext) return "This page was not opened through https. Ask the people who run the server.";
  if (/iPhone|iPad/.test(navigator.userAgent)) return "Add this page to the Home Screen, open it there, and paste the invitation.";
  return "This browser does not know Web Push.";
}

function subscribed(channels) {
  say(`This phone gets: ${channels.join(", ")}`, "Leave its sound on. If nothing comes, somebody else is called.", ["test", "stop"]);
}

async function subscribe() {
  if ((await Notification.requestPermission()) !== "granted") {
    return result(at("result"), "NOT subscribed: notifications are blocked. Allow them for this site in the browser's settings.", true);
  }
  try {
    const told = await post("/push/subscribe", { invitation: invitation(), subscription: await ownSubscription() });
    if (!told.ok) return result(at("result"), told.error, true);
    history.replaceState(null, "", "/push");
    at("invitation").value = "";
    result(at("result"), "");
    return subscribed(told.channels);
  } catch (error) {
    return result(at("result"), `NOT subscribed: this browser's push service refuses (${error.name}). Try again.`, true);
  }
}

async function ownSubscription() {
  const { key } = await (await fetch("/push/about")).json();
  const options = { userVisibleOnly: true, applicationServerKey: key };
  try {
    return await registration.pushManager.subscribe(options);
  } catch (error) {
    if (error.name !== "InvalidStateError") throw error;
    await (await registration.pushManager.getSubscription()).unsubscribe(); // it belongs to a server that was replaced
    return registration.pushManager.subscribe(options);
  }
}

async function test() {
  const subscription = await registration.pushManager.getSubscription();
  result(at("result"), "Sent. Waiting for it …");
  const told = await post("/push/test", { endpoint: subscription.endpoint });
  if (!told.ok) result(at("result"), told.error, true);
}

async function stop() {
  if (!at("stop").dataset.asked) {
    at("stop").dataset.asked = "yes";
    setText(at("stop"), "Press again: no more alarms here");
    return setTimeout(forgetStop, CONFIRM_MS);
  }
  forgetStop();
  const subscription = await registration.pushManager.getSubscription();
  const told = await post("/push/unsubscribe", { endpoint: subscription.endpoint });
  if (!told.ok && told.status !== 404) return result(at("result"), told.error, true);
  await subscription.unsubscribe();
  result(at("result"), "");
  return look();
}

function forgetStop() {
  delete at("stop").dataset.asked;
  setText(at("stop"), "Stop on this phone");
}

// -- the message that was touched --

function showMessage(message) {
  shown = message;
  at("message").hidden = false;
  at("message").className = `told ${message.priority}`;
  setText(at("message-title"), message.title);
  setText(at("message-text"), message.text);
  result(at("message-result"), "");
  tick();
  setText(at("acknowledge"), message.acknowledge > 1 ? `Acknowledge these ${message.acknowledge}` : "Acknowledge");
  waitFor(message.acknowledge > 0);
  at("acknowledge").disabled = true;
  setTimeout(() => (at("acknowledge").disabled = false), SETTLE_MS);
}

function waitFor(isWaiting) {
  at("acknowledge").hidden = !isWaiting;
  document.body.classList.toggle("waiting", isWaiting);
}

function tick() {
  const ageS = shown ? (Date.now() - shown.decided_at_ns / 1e6) / 1000 : 0;
  if (shown) setText(at("message-age"), `Said ${duration(ageS)} ago. Not a live value.`);
}

function report(state, message) {
  const line = new MessageChannel();
  return new Promise((resolve) => {
    line.port1.onmessage = (event) => resolve(event.data);
    registration.active.postMessage({ state, message }, [line.port2]);
  });
}

async function acknowledge() {
  const message = shown;
  result(at("message-result"), "Asking the server …");
  acknowledged(message, await report("acknowledged", message));
}

function acknowledged(message, told) {
  if (shown?.id !== message.id) return;
  const by = told.by ? ` by ${told.by}` : "";
  result(at("message-result"), told.ok ? `✓ Acknowledged${by}` : told.error, !told.ok);
  waitFor(!told.ok && !told.final);
  at("message").classList.toggle("done", told.ok);
}

// A button does one thing at a time.
function press(id, action) {
  at(id).addEventListener("click", async () => {
    at(id).disabled = true;
    await action().finally(() => (at(id).disabled = false));
  });
}

function heard({ data }) {
  if (data.opened) showMessage(data.opened);
  if (data.acknowledged) acknowledged(data.acknowledged, data.told);
  if (data.arrived && !data.arrived.acknowledge) result(at("result"), "✓ The test message reached this phone.");
}

press("subscribe", subscribe);
press("test", test);
press("stop", stop);
press("acknowledge", acknowledge);
at("invite").addEventListener("submit", (event) => event.preventDefault());
at("invitation").addEventListener("input", () => (at("subscribe").hidden = !invitation()));
navigator.serviceWorker?.addEventListener("message", heard);
navigator.serviceWorker?.startMessages();
window.addEventListener("hashchange", () => location.reload());
setInterval(tick, 1000);
fetch("/push/about").then((answer) => answer.json()).then((about) => (at("simulated").hidden = !about.simulated));
const touched = /^#message=(.+)$/.exec(location.hash);
if (touched) {
  showMessage(JSON.parse(decodeURIComponent(touched[1])));
  history.replaceState(null, "", "/push");
}
look().catch(() => say("Not possible now", "The server does not answer, or this browser refuses. Reload this page."));
