"""Wi-Fi wearables that speak MQTT: what they publish to the broker on this gateway, see docs/integrator.md.

    wearables/{device}      {"heart_rate": 72, "spo2": 97}

The broker is mosquitto, next to the gateway (docs/decisions/0007). A reading's time is its arrival, less `age_s` when
the wearable says it: its clock is not asked. Hence retained messages are passed over, and nothing is taken that the
broker kept while this gateway was away: nobody could say when it was true.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.config import LocalMqttConfig
from gateway.devices.driver import Heard, HeardSample
from vitals.model import SERVER_VITALS, VITAL_BY_NAME, Quality, Reason

PREFIX: Final = "wearables/"
MAX_PAYLOAD_BYTES: Final = 4 << 10  # a dozen numbers
MAX_AGE_S: Final = 86_400.0
_KEEP_ALIVE_S: Final = 30
_RECONNECT_S: Final = 5
_NOT_VITALS: Final = ("age_s", "reason", "quality", "stored")
_REASONS: Final = {
    reason.name.lower(): reason
    for reason in (*list(Reason)[1 : list(Reason).index(Reason.OUT_OF_RANGE)], Reason.BATTERY_EMPTY)
}  # what a device can know of itself
_MEASURED: Final = {name: vital for name, vital in VITAL_BY_NAME.items() if vital not in SERVER_VITALS}
_QUALITIES: Final = {quality.name.lower(): quality for quality in Quality}


def read_payload(payload: bytes, at_monotonic_ns: int) -> Heard:
    """What a wearable says, at its arrival. Never raises: what cannot be used is told in `malformed`."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Heard(malformed=(f"{len(payload):,} bytes; a message holds at most {MAX_PAYLOAD_BYTES:,}",))
    try:
        told = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Heard(malformed=(f'not an object such as {{"heart_rate": 72}}: {error}',))
    age_s = told.get("age_s", 0)
    if isinstance(age_s, bool) or not isinstance(age_s, int | float) or not 0 <= age_s <= MAX_AGE_S:
        return Heard(malformed=(f"age_s is {age_s!r}: say how many seconds ago, at most {MAX_AGE_S:.0f}",))
    at_ns = at_monotonic_ns - int(age_s * 1e9)
    samples, malformed = [], []
    for name, value in told.items():
        if name in _NOT_VITALS:
            continue
        sample = _sample(name, value, told, at_ns)
        if isinstance(sample, str):
            malformed.append(sample)
        else:
            samples.append(sample)
    return Heard(tuple(samples), malformed=tuple(malformed))


def _sample(name: str, value: object, told: dict[str, Any], at_ns: int) -> HeardSample | str:
    vital = _MEASURED.get(name)
    if vital is None:
        return f"{name[:40]!r} is none of {', '.join(_MEASURED)}"
    quality = _QUALITIES.get(str(told.get("quality", "unknown")), Quality.UNKNOWN)
    stored = told.get("stored") is True
    if value is None:
        reason = _REASONS.get(str(told.get("reason", "no_reading")), Reason.NO_READING)
        return HeardSample(vital, at_ns, None, reason, quality, stored=stored)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name} is {str(value)[:40]!r}: write a number, or null"
    return HeardSample(vital, at_ns, float(value), quality=quality, stored=stored)


class LocalMqtt:
    """`run` it in a task. `on_heard(device, heard, rssi_dbm, at_monotonic_ns)` is called on the event loop.

    `counts`: `unknown` (a wearable that is not allowed) and `malformed`. `error`: what an operator should look at, `""`
    while the broker is there.
    """

    def __init__(
        self,
        config: LocalMqttConfig,
        *,
        on_heard: Callable[[str, Heard, int | None, int], None],
        monotonic_ns: Callable[[], int],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.error = ""
        self._config = config
        self._on_heard = on_heard
        self._monotonic_ns = monotonic_ns
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Listen until cancelled; a broker that is away or comes back never ends it."""
        self._loop = asyncio.get_running_loop()
        client = self._make_client()
        client.connect_async(self._config.host, self._config.port, _KEEP_ALIVE_S, clean_start=True)
        client.loop_start()
        try:
            await asyncio.Event().wait()
        finally:
            self._loop = None
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    def _make_client(self) -> paho.Client:
        config = self._config
        client = paho.Client(CallbackAPIVersion.VERSION2, "wardlight-gateway", protocol=MQTTProtocolVersion.MQTTv5)
        client.reconnect_delay_set(1, _RECONNECT_S)
        if config.username is not None:
            secret = Path(config.password_file).read_text(encoding="utf-8").strip() if config.password_file else None
            client.username_pw_set(config.username, secret)
        where = f"local_mqtt: the broker at {config.host}:{config.port}"
        client.on_connect = lambda mine, _d, _f, reason, _p: self._connected(mine, where, reason)
        client.on_connect_fail = lambda *_: self._say(f"{where} cannot be reached: is mosquitto running?")
        client.on_disconnect = lambda *_: self._say(f"{where} is gone: is mosquitto running?")
        client.on_message = lambda _c, _d, message: self._from_thread(message, self._monotonic_ns())
        return client

    def _connected(self, client: paho.Client, where: str, reason: Any) -> None:
        if reason.is_failure:
            self._say(f"{where} refused this gateway ({reason}): check username and password_file")
            return
        self._say("")
        client.subscribe(PREFIX + "+", qos=1)

    def _say(self, error: str) -> None:
        self.error = error

    def _from_thread(self, message: Any, at_monotonic_ns: int) -> None:
        """paho's thread: over to the event loop."""
        loop = self._loop
        if loop is not None and not message.retain:
            with suppress(RuntimeError):  # the loop closed a moment ago
                loop.call_soon_threadsafe(self._take, message.topic, bytes(message.payload), at_monotonic_ns)

    def _take(self, topic: str, payload: bytes, at_monotonic_ns: int) -> None:
        device = topic.removeprefix(PREFIX)
        if device not in self._config.wearables:
            self.counts["unknown"] += 1
            return
        heard = read_payload(payload, at_monotonic_ns)
        self.counts["malformed"] += len(heard.malformed)
        self._on_heard(device, heard, None, at_monotonic_ns)
