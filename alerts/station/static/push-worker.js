// The phone's service worker: shows each message, and tells the server that it came, was seen, or was acknowledged.
// The page asks it to report too, so that there is one way to do so.

const TRIES_MS = [0, 1000, 4000, 15000];
const ANSWER_MS = 10000;
const LATE_MS = 120000; // as the server's own summaries say LATE
const VIBRATION = { high: [400, 100, 400, 100, 400, 400, 400, 100, 400], medium: [300, 150, 300, 150, 300], low: [] };

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => event.waitUntil(arrive(event.data.json())));

self.addEventListener("notificationclick", (event) => {
  const message = event.notification.data;
  event.notification.close();
  event.waitUntil(event.action === "acknowledge" ? acknowledge(message) : look(message));
});

self.addEventListener("message", (event) => {
  const { state, message } = event.data;
  event.waitUntil(report(message, state).then((told) => event.ports[0].postMessage(told)));
});

self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));

// Delivered is what the person can see: first the notification, then the receipt.
async function arrive(message) {
  await show(message);
  const told = await report(message, "delivered");
  await tellPages({ arrived: message });
  if (told.open === false && message.acknowledge) await showPlain(message, `Over: ${bare(message)}`, "It has ended meanwhile.");
}

function show(message) {
  const lateMin = Math.floor((Date.now() - message.decided_at_ns / 1e6) / 60000);
  const late = lateMin * 60000 >= LATE_MS ? `LATE by ${lateMin} min. ` : "";
  return self.registration.showNotification(message.title, {
    body: late + message.text,
    tag: message.tag, // a newer message about the same alarm takes the place of the older one
    renotify: true,
    requireInteraction: message.priority === "high",
    vibrate: VIBRATION[message.priority],
    timestamp: message.decided_at_ns / 1e6,
    icon: "/static/icon.svg",
    data: message,
    actions: message.acknowledge ? [{ action: "acknowledge", title: acknowledgeWord(message) }] : [],
  });
}

// A summary says of how many: nobody silences what was not read.
function acknowledgeWord(message) {
  return message.acknowledge > 1 ? `Acknowledge these ${message.acknowledge}` : "Acknowledge";
}

function showPlain(message, title, body, more = {}) {
  const quiet = { tag: message.tag, silent: true, icon: "/static/icon.svg", data: message };
  return self.registration.showNotification(title, { ...quiet, body, ...more });
}

async function look(message) {
  await Promise.all([report(message, "seen"), open(message)]);
}

async function open(message) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((client) => new URL(client.url).pathname === "/push");
  if (!page) return self.clients.openWindow(`/push#message=${encodeURIComponent(JSON.stringify(message))}`);
  page.postMessage({ opened: message });
  return page.focus();
}

async function acknowledge(message) {
  const told = await report(message, "acknowledged");
  await tellPages({ acknowledged: message, told });
  if (told.ok) return showPlain(message, `✓ Acknowledged: ${bare(message)}`, told.by ? `By ${told.by}.` : "");
  return showPlain(message, `NOT acknowledged: ${bare(message)}`, told.error, {
    silent: false,
    renotify: true,
    requireInteraction: true,
    actions: told.final ? [] : [{ action: "acknowledge", title: "Try again" }],
  });
}

// What the server says, or that it cannot be reached. `final`: asking again changes nothing.
async function report(message, state) {
  for (const wait of TRIES_MS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      const answer = await fetch(message.receipt, posted({ id: message.id, state }));
      const told = await answer.json();
      if (answer.status < 500) return { ...told, ok: answer.ok, final: true };
    } catch {
      continue; // no network, or no answer in time
    }
  }
  return { ok: false, final: false, error: "This phone does not reach the server. Go to the patient." };
}

function posted(body) {
  const headers = { "content-type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MS) };
}

async function tellPages(what) {
  for (const page of await self.clients.matchAll({ type: "window", includeUncontrolled: true })) page.postMessage(what);
}

// The browser has exchanged the phone's address: the server learns the new one from who knows the old one.
async function renew({ oldSubscription, newSubscription }) {
  const { key } = await (await fetch("/push/about")).json();
  const options = { userVisibleOnly: true, applicationServerKey: key };
  const subscription = newSubscription ?? (await self.registration.pushManager.subscribe(options));
  await fetch("/push/subscribe", posted({ instead_of: oldSubscription?.endpoint ?? "", subscription }));
}

function bare(message) {
  return message.title.replace(/^\*+ /, "");
}
