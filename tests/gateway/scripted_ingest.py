"""Readings, and an ingest small enough to see through, for the gateway's tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.spool import Spool
from ingest.receipts import ReceiptLedger
from vitals.control import encode_receipt
from vitals.model import ClockSource, ClockTrust, DeviceBatch, Receipt, Sample, Vital
from vitals.topics import Topic
from vitals.wire import WireBatch, decode

CLOCK = ClockTrust(ClockSource.SYNCHRONISED, 5.0)
SITE, GATEWAY = "north", "gw-1"


def heard(number: int, *, devices: int = 1) -> tuple[DeviceBatch, ...]:
    """One second of readings; `number` is told by their time and value."""
    return tuple(
        DeviceBatch(f"ox-{d}", (Sample(Vital.PULSE_RATE, number * 1_000_000_000, float(60 + number % 60)),))
        for d in range(devices)
    )


def append(spool: Spool, numbers: range) -> int:
    return [spool.append(heard(number), clock=CLOCK, now_ns=number) for number in numbers][-1]


class ScriptedIngest:
    """Subscribes to a broker, keeps what comes, and sends receipts as the real ingest does.

    `silent` withholds receipts, `deaf` loses messages as an overflowing broker does, what it `refuses` it cannot read.
    """

    def __init__(self, port: int) -> None:
        self.ledger = ReceiptLedger()
        self.batches: list[WireBatch] = []
        self.statuses: list[bytes] = []
        self.silent = False
        self.deaf: set[int] = set()
        self.refuses: Callable[[WireBatch], bool] = lambda _: False
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="ingest", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(0.05, 0.05)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [("wardlight/v1/+/+/batch", _qos1()), ("wardlight/v1/+/+/status", _qos1())]
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take
        self._client.connect_async("127.0.0.1", port, clean_start=False, properties=_lasting())

    def __enter__(self) -> ScriptedIngest:
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def receipt(self, epoch: int, through: int) -> None:
        self._answer(Receipt(GATEWAY, epoch, through))

    def _answer(self, receipt: Receipt) -> None:
        self._client.publish(str(Topic(SITE, GATEWAY, "receipt")), encode_receipt(receipt), qos=1, retain=True)

    def _take(self, _client: Any, _data: Any, message: Any) -> None:
        if message.topic.endswith("/status"):
            self.statuses.append(message.payload)
            return
        batch = decode(message.payload).batch
        if batch.sequence in self.deaf:
            self.deaf.discard(batch.sequence)
            return
        if self.refuses(batch):
            return
        self.batches.append(batch)
        change = self.ledger.begin()
        change.receive(batch.gateway, batch.epoch, batch.sequence, batch.oldest)
        self.ledger.apply(change)
        if not self.silent:
            self._answer(change.receipts()[0])

    def through(self, epoch: int) -> int:
        return max((e.through for e in self.ledger.epochs(GATEWAY) if e.epoch == epoch), default=0)


def _qos1() -> Any:
    return paho.SubscribeOptions(qos=1)


def _lasting() -> Any:
    properties = paho.Properties(paho.PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    return properties
