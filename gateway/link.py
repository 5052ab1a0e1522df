"""One MQTT 5 connection of a gateway, driven by the event loop (`vitals.mqtt_pump`).

A `Link` lives once: the spool, not an MQTT session, remembers what to send again.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from gateway.config import UplinkConfig
from vitals.mqtt_pump import MqttPump
from vitals.topics import Topic, TopicName

_ANSWER_S: Final = 10.0  # the server's answer to CONNECT and SUBSCRIBE: it may be reading a long journal
_RECEIVE_MAXIMUM: Final = 65_535  # MQTT 5, 3.2.2.3.3: what a server means that names none


class LinkLostError(Exception):
    """The connection could not be made, or ended. The message says what an operator can do about it."""


class Link:
    """A connection that delivers receipts and publishes under this gateway's topics, at QoS 1.

    `on_receipt` gets each receipt's payload, `on_config` each settings document; `on_change` is called when something
    may be sent again or the link was lost. All run on the event loop. `will`: what the server publishes as this
    gateway's status when the link breaks.
    """

    def __init__(
        self,
        config: UplinkConfig,
        *,
        will: bytes,
        on_receipt: Callable[[bytes], None],
        on_change: Callable[[], None],
        on_config: Callable[[bytes], None] | None = None,
    ) -> None:
        self.lost: LinkLostError | None = None
        self.refused = 0  # messages that the server acknowledged with an error
        self._config = config
        self._takers: dict[str, Callable[[bytes], None]] = {self._topic("receipt"): on_receipt}
        if on_config is not None:
            self._takers[self._topic("config")] = on_config
        self._on_change = on_change
        self._unanswered: set[int] = set()  # packet identifiers of messages without a PUBACK
        self._receive_maximum = _RECEIVE_MAXIMUM
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._handover = threading.Lock()
        self._arrived = self._abandoned = False
        self._client = self._make_client(will)
        self._pump = MqttPump(self._client, taken=self._take, failed=self._not_mqtt)

    async def open(self) -> None:
        """Connect and subscribe to receipts; raises `LinkLostError`."""
        try:
            await self._loop.run_in_executor(None, self._connect)
            self._client.on_disconnect = self._disconnected  # not sooner: that thread has no part in futures
            self._pump.adopt()
        except asyncio.CancelledError:
            self._abandon()
            raise
        except (OSError, ValueError) as error:
            raise LinkLostError(
                f"{self._config.url} cannot be reached ({error}): check the address, the network and the server"
            ) from error
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._opened
        except TimeoutError as error:
            raise LinkLostError(f"{self._config.url} does not answer: is it an MQTT server?") from error

    @property
    def room(self) -> int:
        """How many more messages the server takes before it has answered earlier ones."""
        return self._receive_maximum - len(self._unanswered)

    def publish(self, name: TopicName, payload: bytes, *, retain: bool = False) -> None:
        """Send at QoS 1; `on_change` follows with the server's answer. Does nothing on a lost link."""
        if self.lost is None:
            info = self._client.publish(self._topic(name), payload, qos=1, retain=retain)
            self._unanswered.add(info.mid)  # in time: answers are read by the loop, not by `publish`
            self._pump.arm()

    @property
    def answered(self) -> bool:
        """Whether the server has answered everything."""
        return not self._unanswered

    def close(self) -> None:
        """Say goodbye when that is possible without waiting, and close the socket."""
        self._pump.close()
        self._opened.cancel()
        self._lose("closed by this gateway")

    def _connect(self) -> None:
        """In a thread, which cannot be stopped: should nobody wait for it any more, it cleans up by itself."""
        address = self._config.address
        self._client.connect(address.host, address.port, self._config.keep_alive_s, clean_start=True)
        with self._handover:
            self._arrived = True
            if self._abandoned and (sock := self._client.socket()) is not None:
                sock.close()

    def _abandon(self) -> None:
        """Whoever comes second, the thread that connects or the loop that left, closes the socket."""
        with self._handover:
            self._abandoned = True
            if self._arrived:
                self.close()

    # -- set-up ------------------------------------------------------------------------------------------------------

    def _make_client(self, will: bytes) -> paho.Client:
        config = self._config
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{config.site}.{config.gateway}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)  # the window is the uplink's, see `room`
        client.will_set(self._topic("status"), will, qos=1, retain=True)
        if config.username is not None:
            client.username_pw_set(config.username, _secret(config.password_file))
        if config.address.tls:
            client.tls_set_context(_tls(config))
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        return client

    def _topic(self, name: TopicName) -> str:
        return str(Topic(self._config.site, self._config.gateway, name))

    # -- paho's side -------------------------------------------------------------------------------------------------

    def _connected(self, _client: object, _data: object, _flags: object, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            self._lose(f"{self._config.url} refused this gateway ({reason}): check its user, certificate and name")
            return
        self._receive_maximum = getattr(properties, "ReceiveMaximum", _RECEIVE_MAXIMUM)
        for topic in self._takers:
            self._client.subscribe(topic, qos=1)

    def _take(self, message: paho.MQTTMessage) -> None:
        if taker := self._takers.get(message.topic):
            taker(bytes(message.payload))

    def _not_mqtt(self, error: Exception) -> None:
        self._lose(f"{self._config.url} sent what is not MQTT 5 ({error!r}): which server is it?")

    def _subscribed(
        self, _client: object, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            topics = " and ".join(self._takers)
            self._lose(f"{self._config.url} refused {topics} ({reasons[0]}): allow it for this gateway")
        elif not self._opened.done():
            self._opened.set_result(None)

    def _published(self, _client: object, _data: object, mid: int, reason: ReasonCode, _properties: object) -> None:
        self._unanswered.discard(mid)
        if reason.is_failure:
            self.refused += 1
        self._on_change()

    def _disconnected(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._lose(f"the connection to {self._config.url} ended ({reason})")

    def _lose(self, why: str) -> None:
        if self.lost is not None:
            return
        self.lost = LinkLostError(why)
        if not self._opened.done():
            self._opened.set_exception(self.lost)
        self._on_change()


def _secret(file: str | None) -> str | None:
    return None if file is None else Path(file).read_text(encoding="utf-8").strip()


def _tls(config: UplinkConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.certificate_file is not None:
        context.load_cert_chain(config.certificate_file, config.key_file)
    return context
