"""Webhook, MQTT topic and siren against a real HTTP server, a real mosquitto and real shell scripts."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

import pytest
from mosquitto_process import MOSQUITTO, Mosquitto, free_port

from alerts.config import decode_config, open_channels
from alerts.events import Priority
from alerts.notify.message import Message
from alerts.notify.mqtt import MqttChannel
from alerts.notify.outbox import Delivered, Permanent, Retry, Subscription
from alerts.notify.siren import SirenChannel
from alerts.notify.webhook import WebhookChannel
from vitals.errors import ConfigurationError

MESSAGE = Message("*** Bed 3-01: SpO₂ low", "79 % (limit 85).", Priority.HIGH, (7,), 1_000)
SECRET = "0123456789abcdef-of-the-test"
NOW_NS = 1_800_000_000_123_456_789


class Hook:
    """What webhooks are posted to; answers with `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.released = threading.Event()
        self.released.set()

    @contextmanager
    def listening(self) -> Iterator[str]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.released.wait(20)
                outer.taken.append((self.path, dict(self.headers), body))
                self.send_response(outer.status)
                self.send_header("Retry-After", "7")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/ward?key=s3cret"
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()


def webhook(url: str, secret: str = SECRET, timeout_s: float = 5.0) -> WebhookChannel:
    return WebhookChannel(Subscription("hook"), url, secret, now_ns=lambda: NOW_NS, timeout_s=timeout_s)


async def test_a_webhook_is_signed_with_its_time() -> None:
    hook = Hook()
    with hook.listening() as url:
        assert await webhook(url).send(MESSAGE) == Delivered()
    ((path, headers, body),) = hook.taken
    assert path == "/ward?key=s3cret"
    signed = headers["X-Wardlight-Timestamp"].encode() + b"." + body
    assert headers["X-Wardlight-Timestamp"] == "1800000000"
    assert headers["X-Wardlight-Signature"] == "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    told = json.loads(body)
    assert (told["v"], told["priority"], told["title"], told["numbers"]) == (1, "high", MESSAGE.title, [7])


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Delivered()),
        (422, Permanent("the address answers 422 to the message")),
        (401, Retry("the address answers 401", 7.0)),
        (503, Retry("the address answers 503", 7.0)),
        (302, Retry("the address answers 302", 7.0)),
    ],
)
async def test_what_the_address_answers_decides_whether_to_try_again(status: int, outcome: object) -> None:
    hook = Hook()
    hook.status = status
    with hook.listening() as url:
        channel = webhook(url)
        assert await channel.send(MESSAGE) == outcome
        assert await channel.send(MESSAGE) == outcome
    assert hook.taken[0][2] == hook.taken[1][2]  # the same id: the receiver can tell that it has it already


async def test_a_webhook_that_hangs_or_is_gone_is_tried_again() -> None:
    hook = Hook()
    hook.released.clear()
    with hook.listening() as url:
        answer = await webhook(url, timeout_s=0.2).send(MESSAGE)
        assert isinstance(answer, Retry)
    assert isinstance(await webhook(url).send(MESSAGE), Retry)


def test_a_wrong_webhook_is_refused_without_showing_its_secret() -> None:
    for url, secret in (("ftp://x/s3cret", SECRET), ("http://", SECRET), ("https://x/", "short s3cret")):
        with pytest.raises(ConfigurationError) as refused:
            webhook(url, secret)
        assert "s3cret" not in str(refused.value)


def script(folder: Path, text: str) -> str:
    path = folder / "siren"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


async def test_the_siren_gets_priority_and_title_and_the_text(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    command = [script(tmp_path, f'printf "%s|%s|%s|" "$@" > {heard}; cat >> {heard}'), "--lamp"]
    siren = SirenChannel(Subscription("siren"), command)
    hostile = Message('"; touch owned; echo "', "$(touch owned)", Priority.LOW, (1,), 0)
    for message in (MESSAGE, hostile):
        assert await siren.send(message) == Delivered()
        assert heard.read_text() == f"--lamp|{message.priority.name.lower()}|{message.title}|{message.body}"


async def test_a_siren_that_fails_or_hangs_has_not_sounded(tmp_path: Path) -> None:
    failing = SirenChannel(Subscription("siren"), [script(tmp_path, "exit 3")])
    assert await failing.send(MESSAGE) == Retry("the program ended with 3")
    hanging = SirenChannel(Subscription("siren"), [script(tmp_path, "sleep 60 & wait")], timeout_s=0.1)
    assert await hanging.send(MESSAGE) == Retry("the program did not end within 0.1 s")
    with pytest.raises(ConfigurationError, match="no program"):
        SirenChannel(Subscription("siren"), [str(tmp_path / "missing")])


@pytest.mark.skipif(MOSQUITTO is None or which("mosquitto_sub") is None, reason="mosquitto is not installed")
async def test_the_topic_and_home_assistants_discovery_through_a_real_broker(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, free_port())
    broker.start()
    try:
        channel = MqttChannel(Subscription("house"), broker.url, "north")
        listen = ["mosquitto_sub", "-p", str(broker.port), "-q", "1", "-i", "home", "-c", "-W", "20"]
        topics = ["-t", "wardlight/v1/north/alarms/+", "-t", "homeassistant/#"]
        await asyncio.to_thread(
            subprocess.run, [*listen, *topics, "-E"], check=True, timeout=30
        )  # a session that keeps
        assert await channel.send(MESSAGE) == Delivered()
        command = [*listen, *topics, "-C", "2", "-F", "%t %p"]
        done = await asyncio.to_thread(subprocess.run, command, check=True, timeout=30, capture_output=True, text=True)
    finally:
        broker.stop()
    found = {line.split(" ", 1)[0]: json.loads(line.split(" ", 1)[1]) for line in done.stdout.splitlines()}
    assert found["wardlight/v1/north/alarms/house"]["title"] == MESSAGE.title
    sensor = found["homeassistant/sensor/wardlight_north_house/config"]
    assert sensor["state_topic"] == "wardlight/v1/north/alarms/house"
    assert isinstance(await channel.send(MESSAGE), Retry)  # the broker is gone


def test_every_kind_is_opened_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    text = f"""
[[channels]]
name = "hook"
kind = "webhook"
url_env = "HOOK"
secret_file = "secret"
[[channels]]
name = "house"
kind = "mqtt"
url_env = "BROKER"
[[channels]]
name = "siren"
command = ["{script(tmp_path, "exit 0")}"]
"""
    environment = {"HOOK": "https://hooks.example.org/x", "BROKER": "mqtt://broker.example"}
    opened = open_channels(decode_config(text.encode()), tmp_path, environment)
    assert [type(channel) for channel in opened] == [WebhookChannel, MqttChannel, SirenChannel]
    for wrong in (
        text.replace('secret_file = "secret"\n', ""),
        text.replace('url_env = "BROKER"', 'record_file = "x"'),
    ):
        with pytest.raises(ConfigurationError):
            decode_config(wrong.encode())
