"""Wi-Fi wearables against a real broker, read by an independent client."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators.mqtt_wearables import MAX_CLIENTS, WifiWard
from simulators.scenario import shipped_scenario
from simulators.story import Scenario, ScenarioDevice, ScenarioGateway, ScenarioPatient, decode_scenario
from simulators.truth import Truth
from vitals.control import decode_status
from vitals.errors import ConfigurationError, RetryableError
from vitals.model import Presence
from vitals.topics import Topic
from vitals.wire import decode, from_wire

if TYPE_CHECKING:
    from conftest import Mosquitto

START_NS = 1_700_000_000_000_000_000
SECONDS = 4
STORY = """
name = "two"
[[gateways]]
gateway = "access-point"
events = [{ kind = "gateway_loss", at_s = 1, for_s = 1 }]
[[patients]]
patient = "P-0001"
bed = "1-01"
gateway = "access-point"
devices = [{ device = "ox-1", kind = "oximeter" }, { device = "strap-1", kind = "strap" }]
"""


class Listener:
    """Everything published under `wardlight/#`, as (topic, payload)."""

    def __init__(self, port: int) -> None:
        self.messages: SimpleQueue[tuple[Topic, bytes]] = SimpleQueue()
        subscribed: SimpleQueue[None] = SimpleQueue()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, "listener")
        self.client.on_message = lambda *a: self.messages.put((Topic.parse(a[2].topic), a[2].payload))
        self.client.on_subscribe = lambda *_: subscribed.put(None)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("wardlight/#", qos=1)
        subscribed.get(timeout=10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.slow
def test_what_they_say_arrives_as_json_under_their_own_names(mosquitto: Mosquitto) -> None:
    listener = Listener(mosquitto.port)
    story = decode_scenario(STORY.encode())
    with WifiWard(story, url=mosquitto.url, start_ns=START_NS) as ward:
        ward.run(lambda due_ns: due_ns > START_NS + SECONDS * 1_000_000_000)
    heard, gone = Truth(), set()
    presences: list[Presence] = []
    while len(gone) < 2:
        topic, payload = listener.messages.get(timeout=10)
        assert payload.startswith(b"{")
        if topic.name == "status":
            status = decode_status(payload)
            presences.append(status.presence)
            if status.presence is Presence.OFFLINE:
                gone.add(topic.gateway)
        else:
            batch = from_wire(decode(payload).batch)
            assert [d.device for d in batch.devices] == [topic.gateway] == [batch.gateway]
            heard.add(batch)
    listener.close()
    assert sorted(presences) == [Presence.ONLINE] * 2 + [Presence.OFFLINE] * 2
    assert gone == {"ox-1", "strap-1"}
    assert ward.truth.compare({s: heard.rows(s) for s in heard.streams()}).exact
    spo2 = next(s for s in heard.streams() if s[1].name == "SPO2")
    assert heard.rows(spo2).size == SECONDS - 1  # the access point was gone for one
    assert (ward.unanswered, ward.dropped) == (0, 0)


@pytest.mark.slow
def test_a_server_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    ward = WifiWard(shipped_scenario("calm"), url=f"mqtt://127.0.0.1:{unused_tcp_port}", start_ns=START_NS)
    with pytest.raises(RetryableError, match=f"patch-01 cannot reach 127.0.0.1:{unused_tcp_port}"), ward:
        pass


@pytest.mark.parametrize("url", ["localhost:1883", "http://ward", "mqtt://"])
def test_a_wrong_address_says_how_to_write_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="mqtt://ward-server:1883"):
        WifiWard(shipped_scenario("calm"), url=url, start_ns=START_NS)


def test_more_than_a_ward_is_refused() -> None:
    patients = tuple(
        ScenarioPatient(patient=f"P-{n}", bed=f"{n}", gateway="g", devices=(ScenarioDevice(f"d-{n}"),))
        for n in range(MAX_CLIENTS + 1)
    )
    story = Scenario(name="many", gateways=(ScenarioGateway("g"),), patients=patients)
    with pytest.raises(ConfigurationError, match="at most 64"):
        WifiWard(story, url="mqtt://127.0.0.1", start_ns=START_NS)
