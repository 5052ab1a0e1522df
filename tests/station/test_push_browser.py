"""The phone's page and its service worker in a real Chromium: subscribed, pushed to, seen, acknowledged.

No push service can be reached here, so the browser's `subscribe` is replaced by a double that hands out an address of
the double of a push service; and pushes are delivered to the worker through the DevTools protocol. All else is real.
"""

from __future__ import annotations

import itertools
import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from phone_world import CHANNEL, PhoneWorld, phone_world
from test_station_browser import CHROMIUM, DRIVER, PHONE, chromium, complaints, overflows, text_of, until

from alerts.notify.receipts import Said

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM.exists() and DRIVER.exists()), reason="no /usr/bin/chromium with chromedriver"),
    pytest.mark.xdist_group("browser"),
]

SUBSCRIBE_DOUBLE = """
  let given = JSON.parse(localStorage.getItem("double"));
  const double = (found) => found && ({ ...found, toJSON: () => found, unsubscribe: async () => {
    localStorage.removeItem("double"); given = null; return true; } });
  PushManager.prototype.getSubscription = async () => double(given);
  PushManager.prototype.subscribe = async (options) => {
    window.askedFor = options;
    given = %s;
    localStorage.setItem("double", JSON.stringify(given));
    return double(given);
  };
"""


class DevTools:
    """The browser's own protocol, for what the driver does not reach: service workers."""

    def __init__(self, driver: Any) -> None:
        import websocket

        address = driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        with urllib.request.urlopen(f"http://{address}/json/version") as answer:
            url = json.load(answer)["webSocketDebuggerUrl"]
        self._socket = websocket.create_connection(url, suppress_origin=True, timeout=20)
        self._numbers = itertools.count(1)
        self.heard: list[dict[str, Any]] = []

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        more = {"sessionId": session} if session else {}
        self._socket.send(json.dumps({"id": number, "method": method, "params": params} | more))
        while True:
            told = json.loads(self._socket.recv())
            if told.get("id") == number:
                assert "error" not in told, told
                return dict(told["result"])
            self.heard.append(told)

    def wait_for(self, method: str) -> dict[str, Any]:
        """The parameters of the next event of this kind, or of one that came already."""
        found = [told for told in self.heard if told["method"] == method]
        while not found:
            told = json.loads(self._socket.recv())
            self.heard.append(told)
            found = [told] if told.get("method") == method else []
        return dict(found[-1]["params"])

    def attach(self, kind: str, part: str) -> str:
        """A session with the first target of a kind whose address contains `part`."""
        targets = self.call("Target.getTargets")["targetInfos"]
        (found,) = [t for t in targets if t["type"] == kind and part in t["url"]]
        return str(self.call("Target.attachToTarget", targetId=found["targetId"], flatten=True)["sessionId"])

    def evaluate(self, session: str, script: str) -> Any:
        found = self.call(
            "Runtime.evaluate", session, expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")


class Phone:
    """A browser on the phone's page, and its worker."""

    def __init__(self, driver: Any, world: PhoneWorld, url: str) -> None:
        self.driver = driver
        self.world = world
        self.url = url.rstrip("/")
        self.tools = DevTools(driver)
        fake = msgspec.json.encode(world.service.phone().endpoint(world.service.base)).decode()
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SUBSCRIBE_DOUBLE % fake})
        driver.execute_cdp_cmd("Browser.grantPermissions", {"origin": self.url, "permissions": ["notifications"]})

    def says(self, selector: str) -> str:
        return text_of(self.driver, selector)

    def shows(self, name: str) -> bool:
        return bool(self.driver.find_element("id", name).is_displayed())

    def press(self, name: str) -> None:
        button = self.driver.find_element("id", name)
        until(self.driver, lambda: button.is_displayed() and button.is_enabled())
        button.click()

    def push(self, payload: str) -> None:
        session = self.tools.attach("page", "/push")
        self.tools.call("ServiceWorker.enable", session)
        (registration,) = self.tools.wait_for("ServiceWorker.workerRegistrationUpdated")["registrations"]
        number = registration["registrationId"]
        self.tools.call(
            "ServiceWorker.deliverPushMessage", session, origin=self.url, registrationId=number, data=payload
        )

    def notifications(self) -> list[dict[str, Any]]:
        script = """registration.getNotifications().then((all) => all.map((n) => (
          { title: n.title, body: n.body, tag: n.tag, actions: n.actions.map((a) => a.title) })))"""
        return list(self.tools.evaluate(self.worker(), script))

    def touch(self, action: str = "") -> None:
        """What the browser does when somebody touches the only notification, but for the gesture."""
        script = """registration.getNotifications().then(([notification]) => {
          self.dispatchEvent(new NotificationEvent("notificationclick", { notification, action: %s })); })"""
        self.tools.evaluate(self.worker(), script % json.dumps(action))

    def worker(self) -> str:
        return self.tools.attach("service_worker", "push-worker.js")

    def said(self) -> list[Said]:
        return [receipt.said for receipt in self.world.receipts()]

    def until(self, condition: Callable[[], object]) -> None:
        until(self.driver, condition)


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    with (
        phone_world(tmp_path_factory.mktemp("world")) as (world, url),
        chromium(tmp_path_factory.mktemp("phone"), PHONE) as driver,
    ):
        found = Phone(driver, world, url)
        yield found
        found.tools.close()


def test_an_uninvited_phone_is_told_what_to_ask_for(phone: Phone) -> None:
    phone.driver.get(f"{phone.url}/push")
    phone.until(lambda: phone.says("#state") == "Not subscribed")
    assert not phone.shows("subscribe")
    field = phone.driver.find_element("id", "invitation")
    field.send_keys(phone.url + phone.world.invitation())
    assert phone.shows("subscribe")
    assert overflows(phone.driver) == []
    assert complaints(phone.driver) == []


def test_an_invited_phone_subscribes_with_one_press_within_reach(phone: Phone) -> None:
    phone.driver.get(phone.url + phone.world.invitation())
    phone.until(lambda: phone.says("#state") == f"Invited to: {CHANNEL}")
    assert phone.says("#simulated").startswith("SIMULATED DATA")
    button = phone.driver.find_element("id", "subscribe").rect
    assert button["height"] >= 90
    assert button["y"] > PHONE[1] / 2
    assert overflows(phone.driver) == []
    phone.press("subscribe")
    phone.until(lambda: phone.says("#state") == f"This phone gets: {CHANNEL}")
    asked = phone.driver.execute_script("return window.askedFor")
    assert asked == {"userVisibleOnly": True, "applicationServerKey": phone.world.channel.public_key}
    assert len(phone.world.channel.phones.all()) == 1
    assert "invitation" not in phone.driver.current_url
    phone.driver.refresh()
    phone.until(lambda: phone.says("#state") == f"This phone gets: {CHANNEL}")
    phone.press("test")
    phone.until(lambda: [p for f in phone.world.service.phones.values() for _, p in f.got])
    (pushed,) = [p for f in phone.world.service.phones.values() for _, p in f.got]
    phone.push(json.dumps(pushed))
    phone.until(lambda: phone.says("#result") == "✓ The test message reached this phone.")
    assert phone.said() == [Said.DELIVERED]
    assert complaints(phone.driver) == []


def test_a_push_is_shown_and_delivered_then_seen_then_acknowledged(phone: Phone) -> None:
    before = len(phone.said())
    payload = phone.world.payload("a-0201", "*** Bed 3-02: SpO₂ low", "82 % (limit 88). Look at the patient now.")
    phone.push(payload)
    phone.until(lambda: phone.said()[before:] == [Said.DELIVERED])
    (shown,) = [n for n in phone.notifications() if "3-02" in n["title"]]
    assert shown["body"] == "82 % (limit 88). Look at the patient now."
    assert shown["actions"] == ["Acknowledge"]
    for other in [n for n in phone.notifications() if "3-02" not in n["title"]]:
        phone.tools.evaluate(
            phone.worker(),
            f"registration.getNotifications({{ tag: {json.dumps(other['tag'])} }}).then(([n]) => n.close())",
        )
    phone.touch()
    phone.until(lambda: phone.said()[before:] == [Said.DELIVERED, Said.SEEN])
    phone.until(lambda: phone.says("#message-title") == "*** Bed 3-02: SpO₂ low")
    assert not phone.shows("test")  # nothing to press by mistake beside the one button
    assert not phone.shows("stop")
    button = phone.driver.find_element("id", "acknowledge").rect
    assert button["height"] >= 90
    assert button["y"] + button["height"] <= PHONE[1]
    assert overflows(phone.driver) == []
    phone.press("acknowledge")
    phone.until(lambda: phone.says("#message-result") == "✓ Acknowledged by night-nurse")
    assert not phone.shows("acknowledge")
    assert phone.said()[before:] == [Said.DELIVERED, Said.SEEN, Said.ACKNOWLEDGED]
    assert ("a-0201", "night-nurse") in phone.world.ward.acknowledged


def test_the_button_of_a_notification_acknowledges_without_the_page(phone: Phone) -> None:
    phone.push(phone.world.payload("a-0401", "*** Bed 3-04: PR low", "38 /min (limit 40)."))
    phone.until(lambda: any("3-04" in n["title"] for n in phone.notifications()))
    phone.touch("acknowledge")
    phone.until(lambda: ("a-0401", "night-nurse") in phone.world.ward.acknowledged)
    told = ("✓ Acknowledged: Bed 3-04: PR low", "By night-nurse.")  # replaces the other: for a moment there is none
    phone.until(lambda: told in [(n["title"], n["body"]) for n in phone.notifications()])


def test_a_summary_says_how_many_its_button_is_about(phone: Phone) -> None:
    one = json.loads(phone.world.payload("a-0202", "*** 3 alarms are open", "a\nb\nc"))
    phone.push(json.dumps(one | {"acknowledge": 3}))
    phone.until(lambda: any("Acknowledge these 3" in n["actions"] for n in phone.notifications()))


def test_what_is_over_says_so_and_is_not_acknowledged(phone: Phone) -> None:
    payload = phone.world.payload("a-0501", "* Bed 3-05: sensor off", "Put the sensor back on.")
    phone.world.ward.end("a-0501")
    phone.push(payload)
    phone.until(lambda: any(n["title"] == "Over: Bed 3-05: sensor off" for n in phone.notifications()))


def test_an_opened_message_is_acknowledged_on_the_page_or_says_why_not(phone: Phone) -> None:
    message = json.loads(phone.world.payload("a-1201", "** Bed 3-12: SpO₂ low", "87 % (limit 88)."))
    forged = message | {"receipt": message["receipt"][:-2] + "AA"}
    for told, result in ((forged, "This is no address of a message from this server."), (message, "✓ Acknowledged")):
        phone.driver.get("about:blank")
        fragment = urllib.parse.quote(json.dumps(told))
        phone.driver.get(f"{phone.url}/push#message={fragment}")
        phone.until(lambda: phone.says("#state").startswith("This phone gets"))
        phone.press("acknowledge")
        phone.until(lambda result=result: phone.says("#message-result").startswith(result))


def test_a_phone_that_stops_is_forgotten_at_both_ends(phone: Phone) -> None:
    phone.driver.get(f"{phone.url}/push")
    phone.press("stop")
    phone.until(lambda: phone.says("#stop") == "Press again: no more alarms here")
    assert len(phone.world.channel.phones.all()) == 1
    phone.press("stop")
    phone.until(lambda: phone.says("#state") == "Not subscribed")
    assert phone.world.channel.phones.all() == ()
