"""The endpoint judged by clients that others wrote: mosquitto's tools, paho and aiomqtt, in both versions."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiomqtt
import mqtt5
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from source_probe import SourceProbe, eventually

from ingest.endpoint import Endpoint
from ingest.mqtt.events import SessionBounds

BATCH = "wardlight/v1/north/gw-1/batch"
STATUS = "wardlight/v1/north/gw-1/status"
RECEIPT = "wardlight/v1/north/gw-1/receipt"
MANY = 2_000

pytestmark = pytest.mark.slow
needs_mosquitto_tools = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="mosquitto-clients is not installed: `make test` installs it"
)
TOOL_VERSIONS = pytest.mark.parametrize("version", ["311", "5"])


async def tool(name: str, endpoint: Endpoint, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        name,
        *("-h", "127.0.0.1", "-p", str(endpoint.port), *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finished(process: asyncio.subprocess.Process, entered: bytes = b"") -> tuple[int | None, str]:
    out, err = await asyncio.wait_for(process.communicate(entered), 20)
    return process.returncode, (out + err).decode()


# -- mosquitto's tools -----------------------------------------------------------------------------------------------


@needs_mosquitto_tools
@TOOL_VERSIONS
@pytest.mark.parametrize("qos", ["0", "1"])
async def test_mosquitto_pub(probe: SourceProbe, endpoint: Endpoint, version: str, qos: str) -> None:
    """`-l`: one message a line over one connection; with QoS 1 the tool waits for every PUBACK."""
    lines = [b"reading %d" % number for number in range(300)]
    process = await tool("mosquitto_pub", endpoint, "-V", version, "-q", qos, "-t", BATCH, "-l", "-i", "gw-1")
    assert await finished(process, b"\n".join(lines) + b"\n") == (0, "")
    assert probe.payloads == lines
    assert not endpoint.stats.violations


@needs_mosquitto_tools
@TOOL_VERSIONS
async def test_mosquitto_pub_retained_status_and_will(probe: SourceProbe, endpoint: Endpoint, version: str) -> None:
    will = ("--will-topic", STATUS, "--will-payload", "lost", "--will-retain", "--will-qos", "1")
    process = await tool("mosquitto_pub", endpoint, "-V", version, "-q", "1", "-t", STATUS, "-r", "-l", *will)
    assert process.stdin is not None
    process.stdin.write(b"online\n")
    await eventually(lambda: probe.payloads == [b"online"])
    process.kill()
    await finished(process)
    await eventually(lambda: probe.payloads == [b"online", b"lost"])


@needs_mosquitto_tools
@TOOL_VERSIONS
async def test_mosquitto_pub_is_told_about_a_wrong_topic(probe: SourceProbe, endpoint: Endpoint, version: str) -> None:
    code, said = await finished(
        await tool("mosquitto_pub", endpoint, "-V", version, "-q", "1", "-t", "a/b", "-m", "x", "-d")
    )
    assert code == 0
    assert [r.reason for r in probe.rejections] == ["topic"]
    assert version == "311" or "RC:144" in said or "invalid" in said.lower()


@needs_mosquitto_tools
@TOOL_VERSIONS
async def test_mosquitto_pub_with_a_wrong_password(probe: SourceProbe, version: str) -> None:
    def nobody(_user: str | None, _password: bytes | None, _certificate: str | None) -> str | None:
        return None

    async with probe.endpoint(authenticate=nobody) as endpoint:
        options = ("-V", version, "-u", "gw-1", "-P", "wrong", "-t", BATCH, "-m", "x")
        code, said = await finished(await tool("mosquitto_pub", endpoint, *options))
        assert code != 0
        assert "Connection error" in said or "Connection Refused" in said
        assert probe.incoming == []


@needs_mosquitto_tools
@TOOL_VERSIONS
async def test_mosquitto_pub_of_ten_megabytes(probe: SourceProbe, endpoint: Endpoint, version: str) -> None:
    process = await tool("mosquitto_pub", endpoint, "-V", version, "-q", "1", "-t", BATCH, "-s")
    await finished(process, bytes(10_000_000))
    if version == "311":  # in MQTT 5 the tool itself obeys the largest packet that CONNACK announced
        await eventually(lambda: [r.reason for r in probe.rejections][:1] == ["too_large"])
        assert probe.rejections[0].incoming.topic == BATCH
    assert probe.incoming == []


@needs_mosquitto_tools
@TOOL_VERSIONS
async def test_mosquitto_sub_gets_its_receipts(endpoint: Endpoint, version: str) -> None:
    endpoint.publish(RECEIPT, b"1")
    process = await tool("mosquitto_sub", endpoint, "-V", version, "-q", "1", "-t", RECEIPT, "-C", "3", "-F", "%r %p")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"1 1\n"
    endpoint.publish(RECEIPT, b"2")
    endpoint.publish(RECEIPT, b"3", retain=False)
    code, said = await finished(process)
    assert (code, said) == (0, "0 2\n0 3\n")


@needs_mosquitto_tools
@TOOL_VERSIONS
@pytest.mark.parametrize("pattern", ["#", "$share/g/" + RECEIPT, BATCH])
async def test_mosquitto_sub_may_not_listen_to_others(endpoint: Endpoint, version: str, pattern: str) -> None:
    code, said = await finished(await tool("mosquitto_sub", endpoint, "-V", version, "-t", pattern, "-W", "3"))
    assert code != 27, said  # 27: it waited, as if it were subscribed
    assert "denied" in said.lower() or "not supported" in said.lower() or "not authori" in said.lower(), said


@needs_mosquitto_tools
async def test_mqtt_31_is_refused(endpoint: Endpoint) -> None:
    code, said = await finished(await tool("mosquitto_pub", endpoint, "-V", "31", "-t", BATCH, "-m", "x", "-i", "c"))
    assert code != 0
    assert "protocol version" in said.lower()
    assert endpoint.stats.violations == {"protocol_error": 1}


# -- paho ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[paho.MQTTv311, paho.MQTTv5], ids=["311", "5"])
def paho_client(request: pytest.FixtureRequest) -> Iterator[paho.Client]:
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id="paho", protocol=request.param)
    yield made
    made.disconnect()
    made.loop_stop()


async def test_paho(probe: SourceProbe, endpoint: Endpoint, paho_client: paho.Client) -> None:
    heard: list[tuple[bytes, bool]] = []
    granted: list[str] = []
    paho_client.on_message = lambda _client, _data, message: heard.append((message.payload, message.retain))
    paho_client.on_subscribe = lambda _client, _data, _mid, codes, _properties: granted.extend(map(str, codes))
    paho_client.will_set(STATUS, b"lost", qos=1, retain=True)
    endpoint.publish(RECEIPT, b"first")
    await asyncio.to_thread(paho_client.connect, "127.0.0.1", endpoint.port)
    paho_client.loop_start()
    await eventually(paho_client.is_connected)
    paho_client.subscribe(RECEIPT, 1)
    await eventually(lambda: heard == [(b"first", True)])
    assert granted == ["Granted QoS 0"]
    tokens = [paho_client.publish(BATCH, b"%d" % number, qos=1) for number in range(500)]
    await eventually(lambda: all(token.is_published() for token in tokens))
    assert probe.payloads == [b"%d" % number for number in range(500)]
    endpoint.publish(RECEIPT, b"second")
    await eventually(lambda: heard == [(b"first", True), (b"second", False)])
    paho_client.disconnect()
    await eventually(lambda: not endpoint.stats.connections)
    assert b"lost" not in probe.payloads
    assert not endpoint.stats.violations


async def test_paho_sends_again_what_was_not_acknowledged(probe: SourceProbe, paho_client: paho.Client) -> None:
    """The endpoint goes away between PUBLISH and PUBACK: the client keeps the message, as we rely on."""
    probe.acknowledging = False
    async with probe.endpoint() as endpoint:
        paho_client.reconnect_delay_set(1, 1)
        await asyncio.to_thread(paho_client.connect, "127.0.0.1", endpoint.port)
        paho_client.loop_start()
        token = paho_client.publish(BATCH, b"kept", qos=1)
        await eventually(lambda: probe.payloads == [b"kept"])
        for connection in list(endpoint._connections):
            connection.abort()
        probe.acknowledging = True
        await eventually(token.is_published)
        assert probe.payloads == [b"kept", b"kept"]


async def test_paho_with_properties(probe: SourceProbe, endpoint: Endpoint) -> None:
    made = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/json"
    properties.UserProperty = ("schema", "1")
    await asyncio.to_thread(made.connect, "127.0.0.1", endpoint.port)
    made.loop_start()
    token = made.publish(BATCH, b"{}", qos=1, properties=properties)
    await eventually(token.is_published)
    made.disconnect()
    made.loop_stop()
    assert probe.payloads == [b"{}"]


# -- aiomqtt ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5])
async def test_aiomqtt(probe: SourceProbe, endpoint: Endpoint, version: aiomqtt.ProtocolVersion) -> None:
    async with aiomqtt.Client("127.0.0.1", endpoint.port, protocol=version, identifier="a") as client:
        await client.subscribe(RECEIPT, qos=1)
        await asyncio.gather(*(client.publish(BATCH, b"%d" % number, qos=1) for number in range(20)))
        endpoint.publish(RECEIPT, b"receipt")
        message = await asyncio.wait_for(anext(aiter(client.messages)), 20)
        assert (str(message.topic), message.payload) == (RECEIPT, b"receipt")
    assert sorted(probe.payloads) == sorted(b"%d" % number for number in range(20))


# -- all at once -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_files(count: int) -> AsyncIterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"needs {count} open files, the system allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def one_of_many(port: int, number: int, everybody: asyncio.Barrier) -> bytes:
    """Connect, wait until all are connected, publish once, and return what came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(mqtt5.ConnectPacket(f"c-{number}").write())
    connack = await reader.readexactly(2)
    await reader.readexactly(connack[1])
    await everybody.wait()
    topic = f"wardlight/v1/north/gw-{number}/batch"
    writer.write(mqtt5.PublishPacket(topic, b"x", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7).write())
    puback = await reader.readexactly(4)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return puback


async def test_two_thousand_connections_at_once(probe: SourceProbe) -> None:
    async with open_files(2 * MANY + 300), probe.endpoint(max_connections=MANY) as endpoint:
        everybody = asyncio.Barrier(MANY)
        answers = await asyncio.gather(*(one_of_many(endpoint.port, n, everybody) for n in range(MANY)))
        assert set(answers) == {b"\x40\x02\x00\x07"}
        assert {message.topic for message in probe.incoming} == {
            f"wardlight/v1/north/gw-{number}/batch" for number in range(MANY)
        }
        assert endpoint.stats.accepted == MANY
        assert not endpoint.stats.violations


async def test_the_file_limit_bounds_the_connections(probe: SourceProbe) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with probe.endpoint(bounds=SessionBounds()) as endpoint:
            assert endpoint._max_connections == 128
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
