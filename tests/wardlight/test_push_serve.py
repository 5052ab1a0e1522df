"""From a reading to a phone and back on a real server: pushed, delivered, acknowledged; and `wardlight push`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from push_service import FakePhone, PushService, push_service
from typer.testing import CliRunner

from alerts.config import AlertConfig, decode_config, open_channels, read_duty, read_preset
from alerts.notify.push_keys import PushFolder
from ingest.endpoint import EndpointConfig
from vitals.errors import ConfigurationError
from vitals.ward import Patient, Ward
from wardlight.layout import DataFolder
from wardlight.push import app
from wardlight.server import Server, ServerConfig, serving

PATIENCE_S = 30.0
WARD = Ward("north", "UTC", (Patient("P-0001", "3-01", ("ox-1",)),))
ALERTS = """
receipts_url = "https://ward.example"
[[channels]]
name = "night-phone"
kind = "webpush"
subject = "mailto:it@hospital.example"
services = ["127.0.0.1"]
[[people]]
name = "night-nurse"
channels = ["night-phone"]
[[shifts]]
name = "always"
from = "06:00"
to = "06:00"
responders = ["night-nurse"]
[[chains]]
name = "all"
[[chains.steps]]
to = ["@shift"]
"""


class Site:
    """A server whose station is asked as a phone behind the reverse proxy would, and its command line."""

    def __init__(self, folder: Path, service: PushService) -> None:
        self.folder = folder
        self.service = service
        self.data = DataFolder(folder / "data")
        self.toml = folder / "alerts.toml"
        self.toml.write_text(ALERTS)
        self.server: Server
        self.phone: httpx.AsyncClient

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        alerts = decode_config(self.toml.read_bytes())
        config = ServerConfig(
            data=self.data,
            ward=WARD,
            preset=read_preset(AlertConfig(), Path()),
            endpoint=EndpointConfig(port=0),
            channels=open_channels(alerts, self.folder, {}, push=PushFolder(self.data.push)),
            duty=read_duty(alerts, WARD),
            receipts_url=alerts.receipts_url,
            station_port=0,
        )
        async with serving(config) as self.server:
            outside = {"host": "ward.example", "origin": "https://ward.example", "sec-fetch-site": "same-origin"}
            async with httpx.AsyncClient(base_url=self.server.station_url, headers=outside) as self.phone:
                yield

    def command(self, *arguments: str) -> str:
        run = CliRunner().invoke(app, [*arguments, "--data", str(self.data.root)])
        if run.exception:
            raise run.exception
        return run.stdout

    async def subscribe(self) -> FakePhone:
        link = self.command("invite", "night-phone", "--alerts", str(self.toml)).strip()
        assert link.startswith("https://ward.example/push#invitation=")
        phone = self.service.phone()
        found = msgspec.to_builtins(phone.endpoint(self.service.base))
        body = {"invitation": link.partition("=")[2], "subscription": found}
        told = await self.phone.post("/push/subscribe", json=body)
        assert (told.status_code, told.json()) == (201, {"channels": ["night-phone"]})
        return phone

    async def desaturates(self) -> None:
        """A minute of a low saturation, as it would have come in live."""
        port = self.server.endpoint.port if self.server.endpoint else 0
        now_ns = time.time_ns()
        samples = [
            {"vital": "spo2", "value": 84, "sampled_at_ns": now_ns - s * 1_000_000_000} for s in range(20, -1, -1)
        ]
        batch = {"version": 1, "gateway": "pi-1", "sent_at_ns": now_ns, "clock": {"source": "synchronised"}}
        await publish(port, json.dumps(batch | {"devices": [{"device": "ox-1", "samples": samples}]}))


async def publish(port: int, payload: str) -> None:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    def run() -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="pi-1", protocol=paho.MQTTv5)
        client.connect("127.0.0.1", port)
        client.loop_start()
        client.publish("wardlight/v1/north/pi-1/batch", payload, qos=1).wait_for_publish(PATIENCE_S)
        client.disconnect()
        client.loop_stop()

    await asyncio.to_thread(run)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  of another thread
            await asyncio.sleep(0.02)


def told(phone: FakePhone, title: str) -> dict[str, Any]:
    return next((payload for _, payload in phone.got if title in payload["title"]), {})


async def test_a_reading_becomes_a_push_and_the_press_on_it_an_acknowledgement(tmp_path: Path) -> None:
    with push_service() as service:
        site = Site(tmp_path, service)
        async with site.running():
            phone = await site.subscribe()
            await site.desaturates()
            await until(lambda: told(phone, "SpO₂ low"))
            pushed = told(phone, "SpO₂ low")
            assert service.complaints == []
            assert "P-0001" not in json.dumps([payload for _, payload in phone.got])
            for state in ("delivered", "seen"):
                answer = await site.phone.post(pushed["receipt"], json={"id": pushed["id"], "state": state})
                assert (answer.status_code, answer.json()) == (200, {"state": state, "open": True, "by": ""})
            for _ in range(2):
                answer = await site.phone.post(pushed["receipt"], json={"state": "acknowledged"})
                assert answer.json() == {"state": "acknowledged", "open": True, "by": "night-nurse"}
            (taken,) = [a for a in site.server.alerts.alarms() if a.condition == "spo2_low"]
            assert taken.acknowledged_by == "night-nurse"
            assert not taken.audible
            here = {"host": "localhost"}
            metrics = (await site.phone.get("/metrics", headers=here)).text
            assert 'wardlight_receipts_total{channel="night-phone",state="acknowledged"} 1.0' in metrics


async def test_what_is_wrong_with_a_receipt_is_said(tmp_path: Path) -> None:
    with push_service() as service:
        site = Site(tmp_path, service)
        async with site.running():
            phone = await site.subscribe()
            await site.desaturates()
            await until(lambda: told(phone, "SpO₂ low"))
            path = told(phone, "SpO₂ low")["receipt"]
            for address, body, status in (
                (path[:-1] + "-", b'{"state":"seen"}', 404),
                ("/receipts/x", b'{"state":"seen"}', 404),
                (path, b'{"state":"seen","id":"another"}', 404),
                (path, b'{"state":"happy"}', 400),
                (path, b"nonsense", 400),
                (path, b"", 400),
                (path, b"x" * 5_000, 413),
            ):
                answer = await site.phone.post(address, content=body)
                assert answer.status_code == status, body
            assert "error" in (await site.phone.post("/receipts/x", json={"state": "seen"})).json()
            assert (await site.phone.get(path)).status_code == 405


async def test_from_outside_only_the_phones_side_answers(tmp_path: Path) -> None:
    with push_service() as service:
        site = Site(tmp_path, service)
        async with site.running():
            for path in ("/push", "/push-worker.js", "/push/about", "/static/push.js", "/static/push.webmanifest"):
                assert (await site.phone.get(path)).status_code == 200, path
            for path in ("/", "/api/alarms", "/api/tiles", "/events", "/metrics", "/patients/P-0001", "/pushy"):
                assert (await site.phone.get(path)).status_code == 421, path
            foreign = {"origin": "https://evil.example"}
            assert (await site.phone.post("/push/state", json={"endpoint": "x"}, headers=foreign)).status_code == 403
            other = {"host": "other.example"}
            assert (await site.phone.get("/push", headers=other)).status_code == 421


async def test_a_phone_tests_itself_moves_and_leaves(tmp_path: Path) -> None:
    with push_service() as service:
        site = Site(tmp_path, service)
        async with site.running():
            phone = await site.subscribe()
            own = {"endpoint": service.base + phone.path}
            assert (await site.phone.post("/push/state", json=own)).json() == {"channels": ["night-phone"]}
            assert (await site.phone.post("/push/test", json=own)).status_code == 200
            assert (await site.phone.post("/push/test", json=own)).status_code == 429
            pushed = told(phone, "Test: night-phone")
            assert not pushed["acknowledge"]
            answer = await site.phone.post(pushed["receipt"], json={"state": "delivered"})
            assert answer.status_code == 200
            new = service.phone()
            moved = {"instead_of": own["endpoint"], "subscription": msgspec.to_builtins(new.endpoint(service.base))}
            assert (await site.phone.post("/push/subscribe", json=moved)).status_code == 201
            assert (await site.phone.post("/push/state", json=own)).status_code == 404
            assert (await site.phone.post("/push/subscribe", json=moved)).status_code == 403  # once: that phone is gone
            now = {"endpoint": service.base + new.path}
            assert (await site.phone.post("/push/unsubscribe", json=now)).json() == {"unsubscribed": ["night-phone"]}
            assert site.command("phones", "--json") == ""


async def test_an_invitation_is_for_one_channel_and_some_minutes(tmp_path: Path) -> None:
    with push_service() as service:
        site = Site(tmp_path, service)
        async with site.running():
            found = msgspec.to_builtins(service.phone().endpoint(service.base))
            seal = PushFolder(site.data.push).seal()
            later = time.time_ns() + 60 * 10**9
            for token in (
                seal.close("invite", b"night-phone", time.time_ns() - 2 * 10**9),
                seal.close("invite", b"day-phone", later),
                seal.close("receipt", b"night-phone", later),
                "x",
                "",
            ):
                refused = await site.phone.post("/push/subscribe", json={"invitation": token, "subscription": found})
                assert refused.status_code == 403
            foreign = {**found, "endpoint": "https://intranet.example/x"}
            token = seal.close("invite", b"night-phone", later)
            refused = await site.phone.post("/push/subscribe", json={"invitation": token, "subscription": foreign})
            assert (refused.status_code, "not permitted" in refused.json()["error"]) == (400, True)


async def test_a_lost_phone_is_removed_by_its_name_while_the_server_runs(tmp_path: Path) -> None:
    with push_service() as service:
        site = Site(tmp_path, service)
        async with site.running():
            phone = await site.subscribe()
            (listed,) = map(json.loads, site.command("phones", "--json").splitlines())
            assert (listed["channel"], listed["service"]) == ("night-phone", "127.0.0.1")
            assert phone.path not in site.command("phones")
            assert "no longer gets" in site.command("remove", listed["phone"])
            with pytest.raises(ConfigurationError, match="no phone"):
                site.command("remove", listed["phone"])
            with pytest.raises(ConfigurationError, match="webpush"):
                site.command("invite", "siren", "--alerts", str(site.toml))
            assert (
                await site.phone.post("/push/state", json={"endpoint": service.base + phone.path})
            ).status_code == 404
            assert len(list(site.data.push.rglob("*"))) == 4  # two keys, two folders
    assert hashlib.sha256((service.base + phone.path).encode()).hexdigest()[:12] == listed["phone"]
