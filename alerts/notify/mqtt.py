"""Alarm messages on an MQTT topic, for other systems of the house, with discovery for Home Assistant.

`wardlight/v1/{site}/alarms/{channel}`, QoS 1, not retained: the JSON of `alerts.notify.payload.encode_message`. Handed
over means that the broker has acknowledged it; who reads it, the broker does not tell.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from alerts.notify.channels import SEND_TIMEOUT_S
from alerts.notify.message import Message
from alerts.notify.outbox import Delivered, Outcome, Retry, Subscription
from alerts.notify.payload import encode_message
from vitals.errors import ConfigurationError
from vitals.topics import TOPIC_VERSION

DISCOVERY: Final = "homeassistant"  # the prefix that Home Assistant listens under unless it is told otherwise
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_EXPIRY_S: Final = 3_600  # the broker drops what no one fetched by then: an old alarm is not news


def alarm_topic(site: str, channel: str) -> str:
    """Where a channel's messages go."""
    return f"wardlight/v{TOPIC_VERSION}/{site}/alarms/{channel}"


def discovery(site: str, channel: str) -> tuple[str, bytes]:
    """Topic and payload (to be retained) that make the latest alarm a sensor in Home Assistant."""
    identity = f"wardlight_{site}_{channel}".replace(".", "_").replace(":", "_")
    topic = alarm_topic(site, channel)
    payload = {
        "name": f"Wardlight {channel}",
        "unique_id": identity,
        "state_topic": topic,
        "value_template": "{{ value_json.title[:255] }}",
        "json_attributes_topic": topic,
        "icon": "mdi:heart-pulse",
    }
    return f"{DISCOVERY}/sensor/{identity}/config", msgspec.json.encode(payload)


class MqttChannel:
    """Publishes to the broker at `url` (`mqtt://` or `mqtts://user:password@host:port`), a connection per message.

    Alarms are rare: a connection that is made for each can not have died unnoticed in the meantime.
    """

    def __init__(self, subscription: Subscription, url: str, site: str, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        self.subscription = subscription
        self._site = site
        self._timeout_s = timeout_s
        try:
            self._url = urlsplit(url)
            usable = self._url.scheme in _PORTS and bool(self._url.hostname) and self._url.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigurationError(
                f"alerts: channel {subscription.name!r}: its address is no broker such as mqtts://broker.example:8883 "
                "(it is not shown here: it may hold a password)"
            )

    def __repr__(self) -> str:
        return f"MqttChannel({self.subscription.name!r})"

    async def send(self, message: Message) -> Outcome:
        """See `Channel`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.to_thread(self._publish, message)
        except TimeoutError:
            return Retry(f"no answer within {self._timeout_s:g} s")

    def _publish(self, message: Message) -> Outcome:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.connect_timeout = self._timeout_s
        if self._url.scheme == "mqtts":
            client.tls_set()
        if self._url.username:
            client.username_pw_set(unquote(self._url.username), unquote(self._url.password or ""))
        expiring = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho is typed in part
        expiring.MessageExpiryInterval = _EXPIRY_S
        try:
            client.connect(self._url.hostname or "", self._url.port or _PORTS[self._url.scheme])
            client.loop_start()
            name = self.subscription.name
            client.publish(*discovery(self._site, name), qos=1, retain=True)
            body = encode_message(message, name)
            sent = client.publish(alarm_topic(self._site, name), body, qos=1, properties=expiring)
            sent.wait_for_publish(self._timeout_s)
            taken = sent.is_published() and (sent.rc == paho.MQTT_ERR_SUCCESS)
        except (OSError, ValueError, RuntimeError) as error:
            return Retry(f"the broker cannot be reached: {type(error).__name__}")
        finally:
            client.disconnect()
            client.loop_stop()
        return Delivered() if taken else Retry("the broker did not acknowledge the message")
