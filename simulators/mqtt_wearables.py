"""Wearables with Wi-Fi: each is an MQTT client of its own and publishes readable JSON, without a gateway and a spool.

    with WifiWard(scenario, url="mqtt://127.0.0.1:1883", start_ns=..., seed=1) as ward:
        ward.run(wait_until)          # wait_until(due_ns) waits, and returns True when it is time to stop
    ward.truth                        # every reading that was handed to a client

They speak MQTT 3.1.1, as such devices do, at QoS 1, under their own name in the gateway's place of the topic. What they
cannot send is lost when their short queue is full; while a scenario takes their gateway away (here: the access point)
they send nothing. paho runs one thread per client.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from threading import Condition
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from simulators import gateway
from simulators.story import Scenario
from simulators.timeline import Network
from simulators.truth import Truth
from vitals.control import encode_status
from vitals.errors import ConfigurationError, RetryableError
from vitals.model import DeviceBatch, GatewayBatch, GatewayStatus, Presence
from vitals.topics import Topic, TopicName
from vitals.wire_json import encode_json

MAX_CLIENTS: Final = 64  # one thread each; a ward, not a load test
MAX_QUEUED: Final = 120  # messages: two minutes, what the memory of a small device holds
DRAIN_S: Final = 10.0  # at the end, for the acknowledgements still under way
_KEEP_ALIVE_S: Final = 15
_DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class WifiWearable:
    """One wearable's connection. `dropped`: messages that found the queue full."""

    def __init__(self, device: str, *, site: str, url: str, start_ns: int) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ConfigurationError(f"url {url!r}: write one like 'mqtt://ward-server:1883'")
        self._device = device
        self._site = site
        self._address = (parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme])
        self._client = paho.Client(CallbackAPIVersion.VERSION2, device, protocol=MQTTProtocolVersion.MQTTv311)
        self._client.max_queued_messages_set(MAX_QUEUED)
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._client.will_set(self._topic("status"), self._status(Presence.LOST, start_ns), qos=1, retain=True)
        self._client.on_publish = self._on_publish
        self._answer = Condition()
        self._unanswered = 0  # messages without a PUBACK; counted, because paho answers on its own thread
        self.dropped = 0

    def connect(self, now_ns: int) -> None:
        """Connect and say so; raises `RetryableError` when the server cannot be reached."""
        host, port = self._address
        try:
            self._client.connect(host, port, _KEEP_ALIVE_S)
        except OSError as error:
            raise RetryableError(f"{self._device} cannot reach {host}:{port}: {error}") from error
        self._client.loop_start()
        self._send("status", self._status(Presence.ONLINE, now_ns), retain=True)

    def publish(self, batch: GatewayBatch) -> bool:
        """Queue a second's message; `False` when the queue is full and it is lost."""
        queued = self._send("batch", encode_json(batch))
        self.dropped += not queued
        return queued

    def close(self, now_ns: int, drain_s: float = DRAIN_S) -> int:
        """Wait up to `drain_s` for acknowledgements, say goodbye, and return how many messages went unanswered."""
        self._send("status", self._status(Presence.OFFLINE, now_ns), retain=True)
        with self._answer:
            self._answer.wait_for(lambda: self._unanswered == 0, drain_s)
        self._client.disconnect()
        self._client.loop_stop()
        return self._unanswered

    def _send(self, name: TopicName, payload: bytes, *, retain: bool = False) -> bool:
        with self._answer:
            self._unanswered += 1  # before publishing: the answer may come before `publish` returns
        info = self._client.publish(self._topic(name), payload, qos=1, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            self._on_publish()
            return False
        return True

    def _on_publish(self, *_: object) -> None:
        with self._answer:
            self._unanswered -= 1
            self._answer.notify_all()

    def _topic(self, name: TopicName) -> str:
        return str(Topic(self._site, self._device, name))

    def _status(self, presence: Presence, at_ns: int) -> bytes:
        return encode_status(GatewayStatus(self._device, presence, at_ns))


class WifiWard:
    """Every device of a scenario as a Wi-Fi wearable. `truth`: what was queued; `unanswered`: after closing."""

    def __init__(self, scenario: Scenario, *, url: str, start_ns: int, seed: int = 1) -> None:
        devices = [d.device for p in scenario.patients for d in p.devices]
        if len(devices) > MAX_CLIENTS:
            raise ConfigurationError(f"{len(devices)} Wi-Fi wearables: at most {MAX_CLIENTS} run in one process")
        self.truth = Truth()
        self.unanswered = 0
        self._now_ns = start_ns
        self._states = gateway.start(scenario, start_ns=start_ns, seed=seed)
        self._wearables = {d: WifiWearable(d, site=scenario.site, url=url, start_ns=start_ns) for d in devices}

    def __enter__(self) -> Self:
        with ExitStack() as connected:  # one that cannot connect must not leave the others' threads behind
            for wearable in self._wearables.values():
                wearable.connect(self._now_ns)
                connected.callback(wearable.close, self._now_ns, drain_s=0.0)
            connected.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unanswered = sum(wearable.close(self._now_ns) for wearable in self._wearables.values())

    @property
    def dropped(self) -> int:
        """Messages that found a full queue and are lost."""
        return sum(wearable.dropped for wearable in self._wearables.values())

    def run(self, wait_until: Callable[[int], bool]) -> None:
        """Live second by second until `wait_until` returns True. Each second goes out when it is over."""
        while True:
            stepped = [gateway.step(state) for state in self._states]
            self._states = tuple(state for state, _ in stepped)
            self._now_ns = stepped[0][1].due_ns
            if wait_until(self._now_ns):
                return
            for _, second in stepped:
                if second.network is Network.UP:
                    self._publish(second.batch)

    def _publish(self, batch: GatewayBatch) -> None:
        for device in batch.devices:
            if self._wearables[device.device].publish(_own(batch, device)):
                self.truth.add_device(device)


def _own(batch: GatewayBatch, device: DeviceBatch) -> GatewayBatch:
    """The message of one device in its own name."""
    return replace(batch, gateway=device.device, devices=(device,))
