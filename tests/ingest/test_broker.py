"""The broker source against a real mosquitto: acknowledged after the commit, taken again when it is sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiomqtt
import pytest
from mosquitto_process import Mosquitto, free_port
from source_probe import SourceProbe, eventually

from ingest.broker import BrokerConfig, BrokerSource
from ingest.budget import Budget
from vitals.errors import ConfigurationError
from vitals.wire import MAX_PAYLOAD_BYTES

BATCH = "wardlight/v1/north/gw-1/batch"
STATUS = "wardlight/v1/north/gw-1/status"
RECEIPT = "wardlight/v1/north/gw-1/receipt"


def source(probe: SourceProbe, broker: Mosquitto | str, **settings: object) -> BrokerSource:
    url = broker if isinstance(broker, str) else broker.url
    config = BrokerConfig(url, reconnect_min_s=0.02, reconnect_max_s=0.1, **settings)  # type: ignore[arg-type]
    return BrokerSource(config, probe.intake, probe.rejected, now_ns=lambda: 42, jitter=lambda: 0.0)


def gateway(broker: Mosquitto, client_id: str = "gw-1") -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5, identifier=client_id, max_inflight_messages=1_000
    )


@pytest.mark.slow
async def test_messages_come_in_order_and_receipts_go_down(probe: SourceProbe, mosquitto: Mosquitto) -> None:
    async with source(probe, mosquitto) as broker:
        await eventually(lambda: broker.health.connected)
        broker.publish(RECEIPT, b"early")
        async with gateway(mosquitto) as client:
            await client.publish(STATUS, b"online", qos=1, retain=True)
            for number in range(40):
                await client.publish(BATCH, b"%d" % number, qos=number % 2)
            await eventually(lambda: len(probe.incoming) == 41)
            assert probe.payloads == [b"online", *(b"%d" % number for number in range(40))]
            assert {m.topic for m in probe.incoming} == {BATCH, STATUS}
            await client.subscribe(RECEIPT)
            messages = aiter(client.messages)
            early = await asyncio.wait_for(anext(messages), 20)
            broker.publish(RECEIPT, b"late", retain=False)
            late = await asyncio.wait_for(anext(messages), 20)
            assert [(m.payload, m.retain) for m in (early, late)] == [(b"early", True), (b"late", False)]
    assert broker._budget.messages == 0


@pytest.mark.slow
async def test_what_is_not_committed_is_sent_again(probe: SourceProbe, mosquitto: Mosquitto) -> None:
    """Ingest stops between taking and committing: the session at the broker brings everything again."""
    probe.acknowledging = False
    async with gateway(mosquitto) as client:
        async with source(probe, mosquitto) as broker:
            await eventually(lambda: broker.health.connected)
            for number in range(50):
                await client.publish(BATCH, b"%d" % number, qos=1)
            await eventually(lambda: len(probe.incoming) == 50)
            for message in probe.incoming[:20]:
                message.acknowledge()
        await client.publish(BATCH, b"while away", qos=1)
        again = SourceProbe()
        async with source(again, mosquitto):
            await eventually(lambda: b"while away" in again.payloads)
        assert again.payloads == [*(b"%d" % number for number in range(20, 50)), b"while away"]
        probe.incoming[-1].acknowledge()  # of a connection that is gone: does nothing


@pytest.mark.slow
async def test_rubbish_is_set_aside(probe: SourceProbe, mosquitto: Mosquitto) -> None:
    async with source(probe, mosquitto) as broker, gateway(mosquitto) as client:
        await eventually(lambda: broker.health.connected)
        await client.publish("wardlight/v1/north/a name/batch", b"name", qos=1)
        await client.publish(BATCH, bytes(MAX_PAYLOAD_BYTES + 1), qos=1)
        await client.publish(BATCH, bytes(10_000_000), qos=1)
        await client.publish(BATCH, b"good", qos=1)
        await eventually(lambda: probe.payloads == [b"good"])
        assert [(r.reason, r.field, len(r.incoming.payload)) for r in probe.rejections] == [
            ("topic", "topic", 4),
            ("too_large", "", 256),
            ("too_large", "", 256),
        ]
        assert broker._budget.bytes == 0


@pytest.mark.slow
async def test_a_killed_broker_is_reported_and_found_again(probe: SourceProbe, mosquitto: Mosquitto) -> None:
    async with source(probe, mosquitto) as broker:
        await eventually(lambda: broker.health.connected)
        broker.publish(RECEIPT, b"7")
        mosquitto.kill()
        await eventually(lambda: not broker.health.connected)
        assert "ended" in broker.health.detail or "reached" in broker.health.detail
        broker.publish(RECEIPT, b"8")
        mosquitto.start()
        await eventually(lambda: broker.health.connected)
        assert broker.health.detail == ""
        async with gateway(mosquitto) as client:
            await client.subscribe(RECEIPT)
            message = await asyncio.wait_for(anext(aiter(client.messages)), 20)
            assert message.payload == b"8"
            await client.publish(BATCH, b"after", qos=1)
            await eventually(lambda: b"after" in probe.payloads)


@pytest.mark.slow
async def test_the_intake_being_behind_stops_reading_and_loses_nothing(
    probe: SourceProbe, mosquitto: Mosquitto
) -> None:
    probe.acknowledging = False
    async with (
        source(probe, mosquitto, max_unacknowledged_bytes=100_000) as broker,
        gateway(mosquitto) as client,
    ):
        await eventually(lambda: broker.health.connected)
        for number in range(100):
            await client.publish(BATCH, bytes(10_000) + bytes((number,)), qos=1)
        taken = 0
        while taken < 100:
            await eventually(lambda: len(probe.incoming) > taken)  # noqa: B023 - called before the next turn
            assert broker._budget.bytes < 200_000
            while taken < len(probe.incoming):
                probe.incoming[taken].acknowledge()
                taken += 1
        assert [payload[-1] for payload in probe.payloads] == list(range(100))
        assert broker.stats.pauses


@pytest.mark.slow
async def test_pause_and_resume(probe: SourceProbe, mosquitto: Mosquitto) -> None:
    async with source(probe, mosquitto) as broker, gateway(mosquitto) as client:
        await eventually(lambda: broker.health.connected)
        broker.pause()
        await client.publish(BATCH, b"held", qos=1)
        await client.publish(BATCH, b"held", qos=1)
        assert probe.incoming == []
        broker.resume()
        await eventually(lambda: probe.payloads == [b"held", b"held"])


@pytest.mark.slow
async def test_a_refusing_broker_is_reported(probe: SourceProbe, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "guarded", free_port(), settings=("allow_anonymous false",))
    broker.start()
    try:
        async with source(probe, broker) as refused:
            await eventually(lambda: "check user, password" in refused.health.detail)
            assert not refused.health.connected
    finally:
        broker.stop()


async def test_no_broker_is_reported_and_close_does_not_hang(probe: SourceProbe) -> None:
    port = free_port()
    async with source(probe, f"mqtt://127.0.0.1:{port}") as broker:
        await eventually(lambda: f"127.0.0.1:{port} cannot be reached" in broker.health.detail)
        broker.publish(RECEIPT, b"r")
        broker.pause()
        broker.resume()
    await broker.close()
    assert not broker.health.connected


async def test_a_server_that_is_no_broker_is_reported(probe: SourceProbe) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n" * 10)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with source(probe, f"mqtt://127.0.0.1:{port}") as broker:
            await eventually(lambda: "not connected yet" not in broker.health.detail)
            assert not broker.health.connected


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"url": "http://broker"}, "url"),
        ({"url": "mqtt://"}, "url"),
        ({"url": "mqtt://broker:port"}, "url"),
        ({"url": "mqtt://user:secret@broker"}, "password_file"),
        ({"url": "mqtt://broker", "password_file": "x"}, "user"),
        ({"url": "mqtt://broker", "ca_file": "x"}, "mqtts"),
        ({"url": "mqtts://broker", "certificate_file": "x"}, "key_file"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, str], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names) as error:
        BrokerConfig(**settings)
    assert "secret" not in str(error.value)


async def test_settings(probe: SourceProbe, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    config = BrokerConfig("mqtts://in%20gest@broker.example", password_file=str(secret))
    assert (config.host, config.port, config.tls, config.user) == ("broker.example", 8883, True, "in gest")
    with pytest.raises(ConfigurationError, match="password_file"):
        await BrokerSource(config, probe.intake, probe.rejected, now_ns=lambda: 0).start()
    secret.write_text("s3cret\n")
    assert config.password() == "s3cret"
    assert "s3cret" not in repr(config)
    assert BrokerConfig("mqtt://a@b:1", username="c").user == "c"


def test_a_budget_ends_at_half_of_its_bound() -> None:
    budget = Budget(max_messages=4, max_bytes=100)
    assert [budget.take(1, 10) for _ in range(5)] == [False, False, False, False, True]
    assert [budget.give_back(10) for _ in range(3)] == [False, False, True]
    assert budget.take(1, 90)
    assert budget.exceeded
    assert budget.give_back(90)
    assert (budget.messages, budget.bytes) == (2, 20)
