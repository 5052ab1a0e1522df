"""The broker configuration we ship: a real mosquitto accepts it, and it keeps strangers and neighbours out."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
PROGRAMS = {
    name: shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    for name in ("mosquitto", "mosquitto_passwd", "mosquitto_pub", "openssl")
}
PASSWORD = "correct-horse"
WAIT_S = 20.0
NOT_AUTHORISED = 0x87  # MQTT 5, clause 2.4

pytestmark = pytest.mark.skipif(
    not all(PROGRAMS.values()), reason="mosquitto or openssl is not installed: `make test` installs them"
)


def _run(program: str, *arguments: str, cwd: Path) -> None:
    subprocess.run([str(PROGRAMS[program]), *arguments], cwd=cwd, check=True, capture_output=True)


def _make_certificates(folder: Path) -> None:
    """An authority, a server for 127.0.0.1, two gateways, and one gateway of another authority."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for name in ("ca", "stranger-ca"):
        _run(
            "openssl",
            *f"req -x509 {key} -days 2 -subj /CN={name} -keyout {name}.key -out {name}.crt".split(),
            cwd=folder,
        )
    for name, ca in (("server", "ca"), ("gw-1", "ca"), ("gw-2", "ca"), ("stranger", "stranger-ca")):
        subject = f"-subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
        _run("openssl", *f"req {key} {subject} -keyout {name}.key -out {name}.csr".split(), cwd=folder)
        sign = f"x509 -req -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 2 -copy_extensions copy"
        _run("openssl", *f"{sign} -in {name}.csr -out {name}.crt".split(), cwd=folder)


@dataclass
class Broker:
    """A mosquitto that runs the shipped configuration, with files and ports of this test."""

    folder: Path
    tls_port: int
    plain_port: int


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_runs(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.endswith(" running\n"):
            return
    pytest.fail("mosquitto refused the configuration:\n" + "".join(said))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("mosquitto")
    _make_certificates(folder)
    shutil.copy(SHIPPED / "acl", folder / "acl")
    (folder / "acl").chmod(0o600)
    _run("mosquitto_passwd", "-b", "-c", "passwords", "wardlight-ingest", PASSWORD, cwd=folder)
    broker = Broker(folder, _free_port(), _free_port())
    shipped = (SHIPPED / "wardlight.conf").read_text()
    changed = {
        "/etc/mosquitto/wardlight/": f"{folder}/",
        "persistence_location /var/lib/mosquitto/": f"persistence_location {folder}/",
        "listener 8883\n": f"listener {broker.tls_port} 127.0.0.1\n",
        "listener 1883 ": f"listener {broker.plain_port} ",
        "log_dest syslog": "log_dest stderr\nlog_type information",
    }
    for ours, theirs in changed.items():
        assert ours in shipped
        shipped = shipped.replace(ours, theirs)
    (folder / "mosquitto.conf").write_text(shipped + ("user root\n" if os.geteuid() == 0 else ""))
    command = [str(PROGRAMS["mosquitto"]), "-c", str(folder / "mosquitto.conf")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            _wait_until_it_runs(process)
            yield broker
        finally:
            process.terminate()


@dataclass
class Person:
    """A client that notes what it is answered, so that a test can wait for the answers."""

    client: mqtt.Client
    connected: queue.Queue[int] = field(default_factory=queue.Queue)
    published: queue.Queue[int] = field(default_factory=queue.Queue)
    subscribed: queue.Queue[list[int]] = field(default_factory=queue.Queue)
    heard: queue.Queue[tuple[str, bytes]] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.client.on_connect = lambda _c, _u, _f, code, _p: self.connected.put(code.value)
        self.client.on_publish = lambda _c, _u, _m, code, _p: self.published.put(code.value)
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.subscribed.put([code.value for code in codes])
        self.client.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload))

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish with QoS 1; the reason code of the PUBACK."""
        self.client.publish(topic, payload, qos=1)
        return self.published.get(timeout=WAIT_S)

    def subscribe(self, topic: str) -> int:
        """Subscribe with QoS 1; the reason code of the SUBACK."""
        self.client.subscribe(topic, qos=1)
        return self.subscribed.get(timeout=WAIT_S)[0]


@pytest.fixture
def people() -> Iterator[list[Person]]:
    """Everybody who connected, sent home at the end."""
    people: list[Person] = []
    yield people
    for person in people:
        person.client.disconnect()
        person.client.loop_stop()
        del person.client  # what refers to itself is freed in any order, and then complains of its open sockets


def _person(people: list[Person], name: str) -> Person:
    client: Any = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5, reconnect_on_failure=False
    )
    people.append(Person(client))
    return people[-1]


def _gateway(people: list[Person], broker: Broker, name: str) -> Person:
    person = _person(people, name)
    folder = broker.folder
    person.client.tls_set(str(folder / "ca.crt"), str(folder / f"{name}.crt"), str(folder / f"{name}.key"))
    person.client.connect("127.0.0.1", broker.tls_port)
    person.client.loop_start()
    assert person.connected.get(timeout=WAIT_S) == 0
    return person


def _say(broker: Broker, name: str, topic: str, payload: str, *options: str) -> str:
    """Publish with QoS 1 as a gateway, by mosquitto's own client; what it complains about."""
    tls = f"-p {broker.tls_port} --cafile ca.crt --cert {name}.crt --key {name}.key"
    command = [str(PROGRAMS["mosquitto_pub"]), *f"-V 5 -h 127.0.0.1 {tls} -q 1 -t {topic}".split(), *options]
    said = subprocess.run(
        [*command, "-s"], input=payload, cwd=broker.folder, text=True, capture_output=True, timeout=WAIT_S, check=False
    )
    return said.stderr


def _ingest(people: list[Person], broker: Broker, password: str = PASSWORD) -> Person:
    person = _person(people, "ingest")
    person.client.username_pw_set("wardlight-ingest", password)
    person.client.connect("127.0.0.1", broker.plain_port)
    person.client.loop_start()
    return person


def test_a_gateway_reaches_ingest_and_gets_its_receipt(broker: Broker, people: list[Person]) -> None:
    ingest = _ingest(people, broker)
    assert ingest.connected.get(timeout=WAIT_S) == 0
    assert ingest.subscribe("wardlight/v1/+/+/batch") == 1
    gateway = _gateway(people, broker, "gw-1")
    assert gateway.subscribe("wardlight/v1/north/gw-1/receipt") == 1
    assert _say(broker, "gw-1", "wardlight/v1/north/gw-1/batch", "reading") == ""
    assert ingest.heard.get(timeout=WAIT_S) == ("wardlight/v1/north/gw-1/batch", b"reading")
    assert ingest.publish("wardlight/v1/north/gw-1/receipt", b"through 1") == 0
    assert gateway.heard.get(timeout=WAIT_S) == ("wardlight/v1/north/gw-1/receipt", b"through 1")


def test_a_gateway_cannot_speak_for_another(broker: Broker, people: list[Person]) -> None:
    ingest = _ingest(people, broker)
    assert ingest.subscribe("wardlight/v1/+/+/batch") == 1
    assert "Not authorized" in _say(broker, "gw-1", "wardlight/v1/north/gw-2/batch", "forged")
    assert "Not authorized" in _say(broker, "gw-1", "wardlight/v1/north/gw-1/receipt", "forged")
    assert "Not authorized" in _say(broker, "gw-1", "elsewhere", "forged")
    assert _say(broker, "gw-1", "wardlight/v1/north/gw-1/batch", "own") == ""
    assert ingest.heard.get(timeout=WAIT_S) == ("wardlight/v1/north/gw-1/batch", b"own")


def test_a_gateway_does_not_hear_another(broker: Broker, people: list[Person]) -> None:
    ingest = _ingest(people, broker)
    gateway = _gateway(people, broker, "gw-2")
    gateway.subscribe("wardlight/v1/north/gw-1/#")  # mosquitto grants a pattern and filters what it delivers
    gateway.subscribe("#")
    assert gateway.subscribe("wardlight/v1/north/gw-2/receipt") == 1
    assert ingest.publish("wardlight/v1/north/gw-1/receipt", b"not yours") == 0
    assert ingest.publish("wardlight/v1/north/gw-2/receipt", b"yours") == 0
    assert gateway.heard.get(timeout=WAIT_S) == ("wardlight/v1/north/gw-2/receipt", b"yours")


def test_ingest_speaks_for_its_synthetic_patient(broker: Broker, people: list[Person]) -> None:
    ingest = _ingest(people, broker)
    assert ingest.subscribe("wardlight/v1/+/+/batch") == 1
    assert ingest.publish("wardlight/v1/north/self-test/batch", b"beyond") == 0
    assert ingest.heard.get(timeout=WAIT_S) == ("wardlight/v1/north/self-test/batch", b"beyond")


def test_a_status_is_retained_for_an_ingest_that_comes_later(broker: Broker, people: list[Person]) -> None:
    _say(broker, "gw-2", "wardlight/v1/north/gw-2/status", "online", "--retain")
    ingest = _ingest(people, broker)
    assert ingest.subscribe("wardlight/v1/+/+/status") == 1
    assert ingest.heard.get(timeout=WAIT_S) == ("wardlight/v1/north/gw-2/status", b"online")


def test_a_wrong_password_is_refused(broker: Broker, people: list[Person]) -> None:
    person = _ingest(people, broker, "guess")
    assert person.connected.get(timeout=WAIT_S) == NOT_AUTHORISED


def test_nobody_comes_in_without_a_name(broker: Broker, people: list[Person]) -> None:
    person = _person(people, "nobody")
    person.client.connect("127.0.0.1", broker.plain_port)
    person.client.loop_start()
    assert person.connected.get(timeout=WAIT_S) == NOT_AUTHORISED


@pytest.mark.parametrize("certificate", [None, "stranger"])
def test_tls_wants_a_certificate_of_our_authority(broker: Broker, certificate: str | None) -> None:
    _speak(broker, "gw-1")
    with pytest.raises(OSError):  # noqa: PT011 TLS 1.3 tells of a refusal with the first read, as one of several errors
        _speak(broker, certificate)


def _speak(broker: Broker, certificate: str | None) -> None:
    """Connect and say CONNECT; raises `OSError` unless the broker answers."""
    context = ssl.create_default_context(cafile=str(broker.folder / "ca.crt"))
    if certificate is not None:
        context.load_cert_chain(broker.folder / f"{certificate}.crt", broker.folder / f"{certificate}.key")
    with (
        socket.create_connection(("127.0.0.1", broker.tls_port), timeout=WAIT_S) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as stream,
    ):
        stream.sendall(bytes.fromhex("100c00044d5154540402003c0000"))
        if not stream.recv(1):
            raise ConnectionResetError


def test_a_packet_beyond_the_bound_is_not_taken(broker: Broker, people: list[Person]) -> None:
    ingest = _ingest(people, broker)
    assert ingest.subscribe("wardlight/v1/+/+/batch") == 1
    topic = "wardlight/v1/north/gw-1/batch"
    _say(broker, "gw-1", topic, "x" * (2 << 20))
    assert _say(broker, "gw-1", topic, "small") == ""
    assert ingest.heard.get(timeout=WAIT_S) == (topic, b"small")
