"""One connection of ingest to a broker, driven by the event loop (`vitals.mqtt_pump`).

Acknowledging is ours (`manual_ack`), and it belongs to the connection that brought the message: a packet identifier
means another message, or none, on the next one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.broker_config import BrokerConfig
from vitals.errors import RetryableError
from vitals.mqtt_pump import MqttPump
from vitals.topics import TOPIC_VERSION

_ANSWER_S: Final = 10.0  # to CONNECT and SUBSCRIBE
_SUBSCRIPTIONS: Final = (
    ("batch", SubscribeOptions.RETAIN_DO_NOT_SEND),  # readings are never retained
    ("status", SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE),
)


OnMessage = Callable[["BrokerLink", str, bytes, int, int], None]


class LinkLostError(RetryableError):
    """The connection could not be made, or ended. The message says what an operator can do about it."""


class BrokerLink:
    """A connection that lives once. `on_message` gets `(link, topic, payload, qos, mid)`, on the event loop.

    Making one reads the password: raises `ConfigurationError` when that fails. `lost` is done, with the reason, when
    the connection has ended.
    """

    def __init__(self, config: BrokerConfig, on_message: OnMessage) -> None:
        self._config = config
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[LinkLostError] = self._loop.create_future()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._client = self._make_client()
        self._pump = MqttPump(self._client, taken=self._arrived, failed=self._not_mqtt)

    async def open(self) -> None:
        """Connect and subscribe. Messages of the session may arrive before this returns. Raises `LinkLostError`."""
        config = self._config
        connect = partial(
            self._client.connect,
            config.host,
            config.port,
            config.keep_alive_s,
            clean_start=False,
            properties=_connect_properties(config),
        )
        connecting = self._loop.run_in_executor(None, connect)
        try:
            await asyncio.shield(connecting)
            self._pump.adopt()
        except asyncio.CancelledError:
            connecting.add_done_callback(self._abandon)  # the thread cannot be stopped, its socket can
            raise
        except (OSError, ValueError) as error:
            raise LinkLostError(f"broker {config.place} cannot be reached ({error}): is it running?") from error
        either: list[asyncio.Future[Any]] = [self._opened, self.lost]
        await asyncio.wait(either, timeout=_ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if self.lost.done():
            raise self.lost.result()
        if not self._opened.done():
            raise LinkLostError(f"broker {config.place} does not answer: is it an MQTT 5 broker?")

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Send with QoS 0; nothing happens on a link that is not open."""
        if self._opened.done() and not self.lost.done():
            self._client.publish(topic, payload, qos=0, retain=retain)
            self._pump.arm()

    def acknowledge(self, mid: int) -> None:
        """PUBACK, unless the connection has ended: then the broker sends the message again."""
        if not self.lost.done():
            self._client.ack(mid, 1)
            self._pump.arm()

    def pause(self) -> None:
        """Read no more. After 1.5 times the keep-alive the broker closes the connection; it keeps the messages."""
        self._pump.pause()

    def resume(self) -> None:
        """Read on."""
        self._pump.resume()

    def close(self) -> None:
        """Say goodbye when that is possible without waiting, and close the socket. The session stays."""
        self._pump.close()
        self._lose("closed by ingest")

    def _abandon(self, connecting: asyncio.Future[Any]) -> None:
        if connecting.exception() is None:
            self.close()

    # -- set-up ------------------------------------------------------------------------------------------------------

    def _make_client(self) -> paho.Client:
        config = self._config
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if config.user is not None:
            client.username_pw_set(config.user, config.password())
        if config.tls:
            client.tls_set_context(_tls(config))
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_socket_register_write = lambda *_: None  # paho shall queue and not write: the pump does
        return client

    # -- paho's side -------------------------------------------------------------------------------------------------

    def _connected(self, _client: object, _data: object, _flags: object, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._lose(f"broker {self._config.place} refused ingest ({reason}): check user, password and certificate")
            return
        everybody = f"wardlight/v{TOPIC_VERSION}/{self._config.site}/+"
        self._client.subscribe(
            [(f"{everybody}/{name}", SubscribeOptions(qos=1, retainHandling=keep)) for name, keep in _SUBSCRIPTIONS]
        )

    def _subscribed(
        self, _client: object, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            self._lose(f"broker {self._config.place} refused a subscription ({refused[0]}): allow ingest to read #")
        elif not self._opened.done():
            self._opened.set_result(None)

    def _not_mqtt(self, error: Exception) -> None:
        self._lose(f"broker {self._config.place} sent what is not MQTT 5 ({error!r}): which server is it?")

    def _arrived(self, message: paho.MQTTMessage) -> None:
        self._on_message(self, message.topic, bytes(message.payload), message.qos, message.mid)

    def _disconnected(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._lose(f"the connection to broker {self._config.place} ended ({reason})")

    def _lose(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(LinkLostError(why))


def _connect_properties(config: BrokerConfig) -> Any:
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves it untyped
    properties.SessionExpiryInterval = config.session_expiry_s
    properties.ReceiveMaximum = config.receive_max
    properties.MaximumPacketSize = config.max_packet_bytes
    return properties


def _tls(config: BrokerConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.certificate_file is not None:
        context.load_cert_chain(config.certificate_file, config.key_file)
    return context
