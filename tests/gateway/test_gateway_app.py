"""The gateway as a whole: radio and local broker to ingest, its status, and pushed settings."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion
from scripted_ingest import GATEWAY, SITE, ScriptedIngest

from gateway.app import Surroundings, run
from gateway.config import config_of
from gateway.devices.driver import Heard, HeardSample
from gateway.remote_config import Document, signed_bytes
from gateway.timekeeper import ClockReading
from vitals.control import decode_status
from vitals.model import Presence, Vital
from vitals.topics import Topic

PATIENCE_S = 20.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key().public_bytes_raw().hex()


class FakeRadio:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.on_heard: Any = None
        self.lives = 0
        self.settings: Any = None

    def make(self, config: Any, on_heard: Any, _on_event: Any) -> FakeRadio:
        self.on_heard, self.settings = on_heard, config
        return self

    async def run(self) -> None:
        self.lives += 1
        await asyncio.Event().wait()

    def snapshot(self) -> Any:
        return None

    def say(self, value: float) -> None:
        at_ns = time.monotonic_ns()
        self.on_heard("ox-1", Heard((HeardSample(Vital.SPO2, at_ns, value),)), -55, at_ns)


def synchronised() -> ClockReading:
    return ClockReading(time.time_ns(), time.monotonic_ns(), True)


def settings_for(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    return {
        "site": SITE,
        "gateway": GATEWAY,
        "uplink": {"url": url, "reconnect_min_s": 0.05, "reconnect_max_s": 0.2},
        "spool": {"folder": str(folder / "state")},
        "runtime_folder": str(folder / "run"),
        "device": [{"name": "ox-1", "address": "C4:5A:10:22:33:44"}],
        **more,
    }


@asynccontextmanager
async def running(settings: dict[str, Any], radio: FakeRadio, notified: list[str]) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    around = Surroundings(radio.make, synchronised, lambda: "boot", notified.append)
    task = asyncio.create_task(run(config_of(settings), local=settings, stop=stop, surroundings=around))
    try:
        await until(lambda: task.done() or "READY=1" in notified)
        yield stop
    finally:
        stop.set()
        await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  other threads and processes fulfil it: no event to wait for
            await asyncio.sleep(0.01)


def values(ingest: ScriptedIngest) -> list[tuple[str, float | None]]:
    return [(d.device, s.value) for b in ingest.batches for d in b.devices for s in d.samples]


async def test_from_the_radio_to_ingest_and_a_status_on_both_sides(mosquitto: Any, tmp_path: Path) -> None:
    radio, notified = FakeRadio(), list[str]()
    with ScriptedIngest(mosquitto.port) as ingest:
        async with running(settings_for(tmp_path, mosquitto.url), radio, notified):
            radio.say(97)
            await until(lambda: values(ingest))
            await until(lambda: "WATCHDOG=1" in notified)
            radio.say(88)
        assert values(ingest) == [("ox-1", 97.0), ("ox-1", 88.0)]
        await until(lambda: decode_status(ingest.statuses[-1]).presence is Presence.OFFLINE)
        told = json.loads((tmp_path / "run" / "status.json").read_bytes())
        assert (told["gateway"], told["connected"], told["clock_source"]) == (GATEWAY, True, "synchronised")
        online = decode_status(ingest.statuses[0])
        assert online.health is not None
    assert [said for said in notified if said != "WATCHDOG=1"] == ["READY=1", "STOPPING=1"], "a sign of life may follow"


async def test_a_gateway_without_a_server_keeps_everything_and_leaves_at_once(tmp_path: Path) -> None:
    radio, notified = FakeRadio(), list[str]()
    async with running(settings_for(tmp_path, "mqtt://127.0.0.1:1"), radio, notified):
        radio.say(97)
    again = FakeRadio()
    async with running(settings_for(tmp_path, "mqtt://127.0.0.1:1"), again, notified):
        status = tmp_path / "run" / "status.json"
        await until(lambda: status.exists() and json.loads(status.read_bytes())["waiting"] == 1)


async def test_wifi_wearables_through_the_local_broker(mosquitto: Any, tmp_path: Path) -> None:
    radio, notified = FakeRadio(), list[str]()
    local = {"wearables": ["watch-1"], "port": mosquitto.port}
    watch = paho.Client(CallbackAPIVersion.VERSION2, "watch-1")
    with ScriptedIngest(mosquitto.port) as ingest:
        watch.connect("127.0.0.1", mosquitto.port)
        watch.loop_start()
        watch.publish("wearables/watch-1", b'{"heart_rate": 11}', qos=1, retain=True).wait_for_publish(5)
        async with running(settings_for(tmp_path, mosquitto.url, local_mqtt=local), radio, notified):

            def heard_through() -> bool:
                watch.publish("wearables/stranger", b'{"heart_rate": 70}', qos=1)
                watch.publish("wearables/watch-1", b'{"heart_rate": 72, "spo2": null, "mood": 1}', qos=1)
                return bool(values(ingest))

            await until(heard_through)
        watch.disconnect()
        watch.loop_stop()
        assert set(values(ingest)) == {("watch-1", 72.0), ("watch-1", None)}, "nothing retained, nobody else"


def document(version: int, settings: str, *, key: Ed25519PrivateKey = KEY) -> bytes:
    signature = key.sign(signed_bytes(GATEWAY, version, settings)).hex()
    return msgspec.json.encode(Document(GATEWAY, version, settings, signature))


async def test_pushed_settings_are_taken_tried_and_kept_or_taken_back(mosquitto: Any, tmp_path: Path) -> None:
    radio, notified = FakeRadio(), list[str]()
    push = {"public_key": PUBLIC, "health_s": 5.0}
    local = settings_for(tmp_path, mosquitto.url, push=push)
    state = tmp_path / "state" / "pushed.json"

    def kept() -> dict[str, Any]:
        return dict(json.loads(state.read_bytes()))

    with ScriptedIngest(mosquitto.port) as ingest:

        def tell(payload: bytes) -> None:
            ingest._client.publish(str(Topic(SITE, GATEWAY, "config")), payload, qos=1, retain=True)

        async with running(local, radio, notified):
            tell(document(1, "[uplink]\nstatus_every_s = 7.0", key=Ed25519PrivateKey.generate()))
            await until(lambda: "signature" in kept()["refusal"])
            tell(document(1, "[uplink]\nstatus_every_s = 7.0"))
            await until(lambda: kept()["version"] == 1 and not kept()["on_trial"])
            assert radio.settings.uplink.status_every_s == 7.0
            tell(document(2, '[uplink]\nurl = "mqtt://127.0.0.1:1"'))
            await until(lambda: "version 2 was taken back" in kept()["refusal"])
            await until(lambda: radio.settings.uplink.url == mosquitto.url)
            await until(lambda: any(b"taken back" in status for status in ingest.statuses))
            assert kept()["version"] == 1
    assert radio.lives == 4


def test_what_only_the_server_makes_is_not_taken_from_a_wearable() -> None:
    from gateway.local_mqtt import read_payload

    heard = read_payload(b'{"hrv_sdnn": 40, "spo2": 97}', 5)
    assert [sample.vital for sample in heard.samples] == [Vital.SPO2]
    assert "hrv_sdnn" in heard.malformed[0]


@pytest.mark.parametrize("text", ["{", "[]", '{"heart_rate": "x"}', '{"age_s": -1, "spo2": 97}', "9" * 5_000])
def test_rubbish_from_a_wearable_is_told_and_nothing_more(text: str) -> None:
    from gateway.local_mqtt import read_payload

    heard = read_payload(text.encode(), 5)
    assert heard.samples == ()
    assert len(heard.malformed) == 1
