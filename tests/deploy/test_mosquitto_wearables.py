"""The broker for Wi-Fi wearables on a gateway: a real mosquitto with Debian's own file around ours, the real intake."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mosquitto_process import free_port

from gateway.config import LocalMqttConfig
from gateway.devices.driver import Heard
from gateway.local_mqtt import LocalMqtt

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "raspberry-pi"
PROGRAMS = {
    name: shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    for name in ("mosquitto", "mosquitto_passwd", "mosquitto_pub", "mosquitto_sub", "openssl")
}
PASSWORDS = {"wardlight-gateway": "of-the-gateway", "watch-1": "of-one", "watch-2": "of-two"}
WAIT_S = 20.0
TIMED_OUT = 27  # mosquitto_sub(1), -W

pytestmark = pytest.mark.skipif(
    not all(PROGRAMS.values()), reason="mosquitto or openssl is not installed: `make test` installs them"
)


@dataclass
class Broker:
    """A mosquitto with the shipped files, moved into `folder`."""

    folder: Path
    plain_port: int
    tls_port: int

    def say(self, name: str, topic: str, payload: str, *, password: str = "", options: str = "") -> str:
        """Publish as a wearable through TLS; what mosquitto_pub complains about."""
        where = f"-V 5 -h localhost -p {self.tls_port} --cafile {self.folder}/wearables.crt -q 1 -t {topic}"
        who = ["-u", name, "-P", password or PASSWORDS[name]] if name else []
        command = [str(PROGRAMS["mosquitto_pub"]), *where.split(), *who, *options.split(), "-m", payload]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False).stderr


def _run(program: str, *arguments: str) -> None:
    subprocess.run([str(PROGRAMS[program]), *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("wearables")
    broker = Broker(folder, free_port(), free_port())
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = f"-keyout {folder}/wearables.key -out {folder}/wearables.crt"
    _run("openssl", *f"req -x509 -days 2 {key} {files}".split())
    passwords = folder / "wearables.passwords"
    passwords.touch(mode=0o600)
    for name, password in PASSWORDS.items():
        _run("mosquitto_passwd", "-b", str(passwords), name, password)
    shutil.copy(SHIPPED / "mosquitto-wearables.acl", folder / "wearables.acl")
    (folder / "wearables.acl").chmod(0o600)
    text = (SHIPPED / "mosquitto-wearables.conf").read_text()
    for ours, theirs in {
        "/etc/mosquitto/wearables.": f"{folder}/wearables.",
        "listener 1883 ": f"listener {broker.plain_port} ",
        "listener 8884\n": f"listener {broker.tls_port} 127.0.0.1\n",
    }.items():
        assert ours in text
        text = text.replace(ours, theirs)
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "wearables.conf").write_text(text)
    debian = f"persistence true\npersistence_location {folder}/\nlog_dest stderr\ninclude_dir {folder}/conf.d\n"
    (folder / "mosquitto.conf").write_text(debian + ("user root\n" if os.geteuid() == 0 else ""))
    command = [str(PROGRAMS["mosquitto"]), "-c", str(folder / "mosquitto.conf")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.endswith(" running\n"):
                break
        else:
            pytest.fail("mosquitto refused the configuration:\n" + "".join(said))
        yield broker
        process.terminate()


async def test_the_gateway_hears_wearables_that_are_who_they_say(broker: Broker) -> None:
    password = broker.folder / "password"
    password.write_text(PASSWORDS["wardlight-gateway"])
    config = LocalMqttConfig(
        wearables=("watch-1", "watch-2"),
        port=broker.plain_port,
        username="wardlight-gateway",
        password_file=str(password),
    )
    heard: list[tuple[str, float | None]] = []

    def hear(device: str, what: Heard, _rssi: int | None, _at_ns: int) -> None:
        heard.extend((device, sample.value) for sample in what.samples)

    intake = LocalMqtt(config, on_heard=hear, monotonic_ns=time.monotonic_ns)
    running = asyncio.create_task(intake.run())
    try:
        number = 60
        async with asyncio.timeout(WAIT_S):
            while not heard:  # until the gateway has subscribed: nothing is kept for it
                said = await asyncio.to_thread(
                    broker.say, "watch-1", "wearables/watch-1", f'{{"heart_rate": {number}}}'
                )
                assert said == ""
                number += 1
        forged = await asyncio.to_thread(broker.say, "watch-2", "wearables/watch-1", '{"heart_rate": 200}')
        assert "Not authorized" in forged
        assert await asyncio.to_thread(broker.say, "watch-2", "wearables/watch-2", '{"heart_rate": 99}') == ""
        async with asyncio.timeout(WAIT_S):
            while ("watch-2", 99.0) not in heard:  # noqa: ASYNC110  paho's thread fulfils it
                await asyncio.sleep(0.01)
        assert ("watch-1", 200.0) not in heard
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize(("name", "password"), [("", ""), ("watch-1", "guess"), ("stranger", "x")])
def test_nobody_else_comes_in(broker: Broker, name: str, password: str) -> None:
    said = broker.say(name, "wearables/watch-1", '{"heart_rate": 72}', password=password)
    assert "not authorised" in said.lower() or "not authorized" in said.lower()


def test_nothing_is_retained(broker: Broker) -> None:
    broker.say("watch-1", "wearables/watch-1", '{"heart_rate": 72}', options="-r")
    who = f"-u wardlight-gateway -P {PASSWORDS['wardlight-gateway']} -h 127.0.0.1 -p {broker.plain_port}"
    command = [str(PROGRAMS["mosquitto_sub"]), *who.split(), "-t", "wearables/+", "-W", "1"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (said.stdout, said.returncode) == ("", TIMED_OUT), "subscribed, and nothing came"
