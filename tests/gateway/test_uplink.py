"""The uplink against a real broker, which is killed, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import paho.mqtt.client as paho
import pytest
from scripted_ingest import GATEWAY, SITE, ScriptedIngest, append

from gateway.config import UplinkConfig
from gateway.link import Link
from gateway.spool import Spool
from gateway.uplink import Uplink
from gateway.uplink_state import Phase
from vitals.control import decode_status
from vitals.model import Presence
from vitals.topics import Topic

PATIENCE_S = 20.0


def uplink_to(url: str, spool: Spool, **settings: Any) -> Uplink:
    return Uplink(uplink_config(url, **settings), spool, now_ns=time.time_ns, monotonic=time.monotonic)


def uplink_config(url: str, **settings: Any) -> UplinkConfig:
    return UplinkConfig(
        url=url, site=SITE, gateway=GATEWAY, **{"reconnect_min_s": 0.02, "reconnect_max_s": 0.1, **settings}
    )


@asynccontextmanager
async def running(uplink: Uplink) -> AsyncIterator[Uplink]:
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  other threads and processes fulfil it: no event to wait for
            await asyncio.sleep(0.005)


async def test_everything_arrives_once_and_in_order_and_is_freed(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(100))
    with ScriptedIngest(mosquitto.port) as ingest:
        async with running(uplink_to(mosquitto.url, spool, oldest_first=True)) as uplink:
            assert await uplink.drained(PATIENCE_S)
            await asyncio.to_thread(append, spool, range(100, 200))
            assert await uplink.drained(PATIENCE_S)
            stats = uplink.stats
    assert [b.sequence for b in ingest.batches] == list(range(1, 201))
    assert (stats.sent, stats.resent, stats.receipted, stats.spooled, stats.last_error) == (200, 0, 200, 0, "")


async def test_a_puback_frees_nothing(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(3))
    with ScriptedIngest(mosquitto.port) as ingest:
        ingest.silent = True
        async with running(uplink_to(mosquitto.url, spool)) as uplink:
            await until(lambda: len(ingest.batches) == 3)
            assert not await uplink.drained(0.01)
            assert (uplink.stats.receipted, uplink.stats.spooled) == (0, 3)
            ingest.receipt(spool.epoch, 3)
            assert await uplink.drained(PATIENCE_S)


async def test_receipts_of_others_and_of_the_future_free_nothing(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(3))
    with ScriptedIngest(mosquitto.port) as ingest:
        ingest.silent = True
        async with running(uplink_to(mosquitto.url, spool)) as uplink:
            await until(lambda: len(ingest.batches) == 3)
            ingest.receipt(spool.epoch + 1, 3)
            ingest.receipt(spool.epoch, 4)
            ingest._client.publish(str(Topic(SITE, GATEWAY, "receipt")), b"{", qos=1)
            await until(lambda: "unreadable" in uplink.stats.last_error)
            assert (uplink.stats.foreign_receipts, uplink.stats.receipts_ahead) == (1, 1)
            assert uplink.stats.receipted == 0


async def test_what_a_broker_dropped_is_sent_again(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(10))
    with ScriptedIngest(mosquitto.port) as ingest:
        ingest.deaf = {1, 4}
        async with running(uplink_to(mosquitto.url, spool, receipt_timeout_s=0.1)) as uplink:
            assert await uplink.drained(PATIENCE_S)
            assert uplink.stats.resent >= 2
            assert "no receipt" in uplink.stats.last_error
    assert {b.sequence for b in ingest.batches} == set(range(1, 11))


@pytest.mark.slow
async def test_a_broker_killed_again_and_again_costs_nothing(mosquitto: Any, spool: Spool) -> None:
    with ScriptedIngest(mosquitto.port) as ingest:
        async with running(uplink_to(mosquitto.url, spool, receipt_timeout_s=0.3)) as uplink:
            for round_ in range(4):
                appended = asyncio.to_thread(append, spool, range(round_ * 200, round_ * 200 + 200))
                async with asyncio.TaskGroup() as group:
                    group.create_task(_awaited(appended))
                    await until(lambda: uplink.stats.receipted >= round_ * 200 + 20)  # noqa: B023  used at once
                    mosquitto.kill()
                    await until(lambda: uplink.stats.phase is not Phase.ONLINE)
                    mosquitto.start()
            assert await uplink.drained(PATIENCE_S)
            await until(lambda: uplink.stats.reconnects >= 5)
    first_seen = list(dict.fromkeys(b.sequence for b in ingest.batches))
    assert set(first_seen) == set(range(1, 801))
    assert ingest.through(spool.epoch) == 800


async def _awaited(work: Awaitable[object]) -> None:
    await work


async def test_a_new_process_goes_on_where_receipts_ended(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(5))
    with ScriptedIngest(mosquitto.port) as ingest:
        async with running(uplink_to(mosquitto.url, spool)) as uplink:
            assert await uplink.drained(PATIENCE_S)
        append(spool, range(5, 8))
        async with running(uplink_to(mosquitto.url, spool)) as uplink:
            assert await uplink.drained(PATIENCE_S)
    assert [b.sequence for b in ingest.batches] == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_presence(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(2))

    def seen() -> list[Presence]:
        return [decode_status(payload).presence for payload in ingest.statuses]

    with ScriptedIngest(mosquitto.port) as ingest:
        async with running(uplink_to(mosquitto.url, spool, status_every_s=0.05)):
            await until(lambda: len(ingest.statuses) >= 3)
            assert set(seen()) == {Presence.ONLINE}
        await until(lambda: seen()[-1] is Presence.OFFLINE)
        async with running(uplink_to(mosquitto.url, spool)) as uplink:
            await until(lambda: seen()[-1] is Presence.ONLINE)
            other = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"{SITE}.{GATEWAY}")
            await asyncio.to_thread(other.connect, "127.0.0.1", mosquitto.port)  # takes the name over
            await until(lambda: Presence.LOST in seen())
            other.disconnect()
            await until(lambda: seen()[-1] is Presence.ONLINE)
            assert "ended" in uplink.stats.last_error


async def test_status_counts_what_waits_and_what_was_given_up(mosquitto: Any, tmp_path: Any) -> None:
    with Spool(tmp_path / "small.db", GATEWAY, max_bytes=400) as spool, ScriptedIngest(mosquitto.port) as ingest:
        append(spool, range(100))
        ingest.silent = True
        async with running(uplink_to(mosquitto.url, spool)):
            await until(lambda: bool(ingest.statuses))
        status = decode_status(ingest.statuses[0])
        assert status.spooled + status.dropped == 100
        assert status.dropped == spool.dropped > 0


async def test_leaving_is_bounded_while_nobody_answers(spool: Spool) -> None:
    async with misbehaving(b"") as url:
        uplink = uplink_to(url, spool)
        async with running(uplink):
            await until(lambda: uplink.stats.phase is Phase.CONNECTING)
    assert uplink.stats.phase is Phase.DISCONNECTED


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"\x20\x03\x00\x87\x00", "check its user, certificate and name"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20, "ended|not MQTT"),
        (b"\x20\xff\xff\xff\xff\xff\xff", "ended|not MQTT"),
        (b"\x20\x04\x00\x00\x09\x99", "ended|not MQTT"),
        (b"\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x87", "allow it for this gateway"),
    ],
)
async def test_a_server_that_refuses_or_talks_nonsense(spool: Spool, answer: bytes, told: str) -> None:
    async with misbehaving(answer) as url, running(uplink_to(url, spool)) as uplink:
        await until(lambda: uplink.stats.last_error != "")
        assert re.search(told, uplink.stats.last_error), uplink.stats.last_error


async def test_a_server_that_is_not_there(spool: Spool) -> None:
    async with misbehaving(b"") as url:
        pass
    async with running(uplink_to(url, spool)) as uplink:
        await until(lambda: "cannot be reached" in uplink.stats.last_error)


@asynccontextmanager
async def misbehaving(answer: bytes) -> AsyncIterator[str]:
    """A server that answers every connection's first bytes with `answer` and then waits until its client is gone."""

    served: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(writer)
        with suppress(ConnectionError):
            await reader.read(1)
            writer.write(answer)
            while await reader.read(4096):
                pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        served.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0.01)  # a connection that was just accepted has no writer yet
        await until(lambda: not served)


async def test_live_data_goes_before_the_backlog_which_keeps_its_rate(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(400))
    with ScriptedIngest(mosquitto.port) as ingest:
        async with running(uplink_to(mosquitto.url, spool, backlog_per_s=200.0)) as uplink:
            await until(lambda: len(ingest.batches) > 30)
            await asyncio.to_thread(append, spool, range(400, 410))
            await until(lambda: any(b.sequence == 410 for b in ingest.batches))
            arrived = [b.sequence for b in ingest.batches]
            assert arrived[:20] == list(range(381, 401))
            assert 380 not in arrived, "the rest of the backlog has not even been sent"
            assert await uplink.drained(PATIENCE_S)
            assert uplink.stats.resent == 0
    assert sorted(b.sequence for b in ingest.batches) == list(range(1, 411))


async def test_a_message_that_ingest_cannot_read_is_set_aside_and_does_not_block(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(3))
    with ScriptedIngest(mosquitto.port) as ingest:
        ingest.refuses = lambda batch: batch.sequence == 2 and bool(batch.devices)
        async with running(uplink_to(mosquitto.url, spool, receipt_timeout_s=0.4)) as uplink:
            number = 3
            while uplink.stats.set_aside == 0:
                await asyncio.to_thread(append, spool, range(number, number + 1))
                number += 1
                await asyncio.sleep(0.05)
            assert await uplink.drained(PATIENCE_S)
    assert [file.name for file in spool.aside_folder.iterdir()] == [f"{spool.epoch}-2.msgpack"]
    empty = [b for b in ingest.batches if b.sequence == 2]
    assert [b.devices for b in empty] == [[]]


async def test_what_the_disk_changed_is_set_aside_at_once(mosquitto: Any, spool: Spool) -> None:
    append(spool, range(3))
    spool._journal._db.execute("UPDATE record SET payload=x'c1c1' WHERE sequence=2")
    with ScriptedIngest(mosquitto.port) as ingest:
        async with running(uplink_to(mosquitto.url, spool)) as uplink:
            assert await uplink.drained(PATIENCE_S)
            assert (uplink.stats.set_aside, uplink.stats.resent) == (1, 0)
    assert [len(b.devices) for b in ingest.batches] == [1, 0, 1]


async def test_two_spools_share_a_connection_and_the_first_one_goes_first(mosquitto: Any, tmp_path: Any) -> None:
    with Spool(tmp_path / "a.db", GATEWAY) as first, Spool(tmp_path / "b.db", GATEWAY) as second:
        append(first, range(30))
        append(second, range(30))
        settings = UplinkConfig(url=mosquitto.url, site=SITE, gateway=GATEWAY)
        uplink = Uplink(settings, first, now_ns=time.time_ns, monotonic=time.monotonic, also=[second])
        with ScriptedIngest(mosquitto.port) as ingest:
            async with running(uplink):
                assert await uplink.drained(PATIENCE_S)
        live = [*range(11, 31)]
        expected = [(first, n) for n in live] + [(second, n) for n in live]
        assert [(b.epoch, b.sequence) for b in ingest.batches[:40]] == [(s.epoch, n) for s, n in expected]
        assert (ingest.through(first.epoch), ingest.through(second.epoch)) == (30, 30)


async def test_who_leaves_while_connecting_leaves_no_socket(spool: Spool) -> None:
    async with misbehaving(b"") as url:
        for _ in range(20):
            link = Link(uplink_config(url), will=b"", on_receipt=lambda _: None, on_change=lambda: None)
            opening = asyncio.create_task(link.open())
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        await asyncio.get_running_loop().shutdown_default_executor()
