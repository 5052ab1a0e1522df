"""The uplink into ingest's own endpoint: the real service behind it, restarts included, and TLS with certificates."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from scripted_ingest import GATEWAY, SITE, append

from gateway.config import UplinkConfig
from gateway.spool import Spool
from gateway.uplink import Uplink
from ingest.app import IngestService
from ingest.endpoint import Endpoint, EndpointConfig
from ingest.poison import PoisonStore
from vitals.columns import RecordKind, decode_block
from vitals.journal import Journal

PATIENCE_S = 20.0
FIRST_S = 1_700_000_000  # the readings of these tests are of November 2023


@asynccontextmanager
async def ingest(folder: Path, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    """The endpoint and the committer behind it, on the files in `folder`."""
    with Journal(folder / "journal.db") as journal, Journal(folder / "poison.db") as poison:
        service = IngestService(
            journal=journal,
            poison=PoisonStore(poison),
            patient_of={},
            now_ns=time.time_ns,
            publish_receipt=lambda *receipt: endpoint.publish(*receipt),  # noqa: PLW0108  it is made below
        )
        endpoint = Endpoint(
            EndpointConfig(port=port),
            service.offer,
            service.offer,
            now_ns=time.time_ns,
            monotonic=time.monotonic,
            tls=tls,
        )
        async with endpoint:
            service.announce(SITE)
            work = asyncio.create_task(service.run())
            yield endpoint
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


@asynccontextmanager
async def running(spool: Spool, url: str, **settings: Any) -> AsyncIterator[Uplink]:
    config = UplinkConfig(url=url, site=SITE, gateway=GATEWAY, reconnect_min_s=0.02, reconnect_max_s=0.1, **settings)
    uplink = Uplink(config, spool, now_ns=time.time_ns, monotonic=time.monotonic)
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def journalled(folder: Path) -> list[int]:
    """The seconds whose reading is in the journal, in its order."""
    with Journal(folder / "journal.db", read_only=True) as journal:
        records = journal.read(0, limit=100_000, max_bytes=1 << 30)
    blocks = [decode_block(r.payload) for r in records if r.kind == RecordKind.SAMPLES]
    return [at_ns // 1_000_000_000 for block in blocks for at_ns in block.rows["sampled_at_ns"].tolist()]


async def test_every_reading_is_in_the_journal_once_and_the_newest_first(tmp_path: Path, spool: Spool) -> None:
    append(spool, range(FIRST_S, FIRST_S + 300))
    async with ingest(tmp_path) as endpoint, running(spool, f"mqtt://127.0.0.1:{endpoint.port}") as uplink:
        assert await uplink.drained(PATIENCE_S)
        assert (uplink.stats.resent, uplink.stats.refused, uplink.stats.last_error) == (0, 0, "")
    live_first = [*range(FIRST_S + 280, FIRST_S + 300), *range(FIRST_S, FIRST_S + 280)]
    assert journalled(tmp_path) == live_first


async def test_a_server_that_restarts_again_and_again(tmp_path: Path, spool: Spool) -> None:
    async with ingest(tmp_path) as endpoint:
        port = endpoint.port
    async with running(spool, f"mqtt://127.0.0.1:{port}") as uplink:
        for round_ in range(4):
            begin = FIRST_S + round_ * 50
            appended = asyncio.create_task(asyncio.to_thread(append, spool, range(begin, begin + 50)))
            async with ingest(tmp_path, port=port):
                receipted = uplink.stats.receipted
                while uplink.stats.receipted == receipted:
                    await uplink.drained(0.02)
            await appended
        async with ingest(tmp_path, port=port):
            assert await uplink.drained(PATIENCE_S)
    assert sorted(journalled(tmp_path)) == list(range(FIRST_S, FIRST_S + 200))


async def test_a_restored_copy_of_a_spool_loses_no_reading(tmp_path: Path) -> None:
    file, copy = tmp_path / "spool" / "gw-1.db", tmp_path / "copy"
    file.parent.mkdir()
    with Spool(file, GATEWAY) as spool:
        append(spool, range(FIRST_S, FIRST_S + 3))
    shutil.copytree(file.parent, copy)
    with Spool(file, GATEWAY) as spool:
        append(spool, range(FIRST_S + 3, FIRST_S + 50))
        async with ingest(tmp_path) as endpoint, running(spool, f"mqtt://127.0.0.1:{endpoint.port}") as uplink:
            assert await uplink.drained(PATIENCE_S)
    shutil.rmtree(file.parent)
    shutil.copytree(copy, file.parent)
    with Spool(file, GATEWAY) as spool:
        append(spool, range(FIRST_S + 100, FIRST_S + 110))
        async with ingest(tmp_path) as endpoint, running(spool, f"mqtt://127.0.0.1:{endpoint.port}") as uplink:
            assert await uplink.drained(PATIENCE_S)
            assert "an old copy" in uplink.stats.last_error
    expected = set(range(FIRST_S, FIRST_S + 50)) | set(range(FIRST_S + 100, FIRST_S + 110))
    assert set(journalled(tmp_path)) == expected, "what came twice is one reading in the store, by its key"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server and a gateway with a certificate of it."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def openssl(*arguments: str) -> None:
        try:
            subprocess.run(("openssl", *arguments), cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is not installed: `make test` installs it")

    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # as docs/operator.md says; newer Pythons insist
    openssl("req", "-x509", *key, *usage, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "1")
    for name in ("server", GATEWAY):
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "1", "-extfile", "names"),
        )
    return folder


def server_side(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls_with_certificates(tmp_path: Path, spool: Spool, certificates: Path) -> None:
    append(spool, range(FIRST_S, FIRST_S + 200))
    ours = {
        "ca_file": str(certificates / "ca.pem"),
        "certificate_file": str(certificates / f"{GATEWAY}.pem"),
        "key_file": str(certificates / f"{GATEWAY}.key"),
    }
    async with (
        ingest(tmp_path, tls=server_side(certificates)) as endpoint,
        running(spool, f"mqtts://127.0.0.1:{endpoint.port}", **ours) as uplink,
    ):
        assert await uplink.drained(PATIENCE_S)
    assert sorted(journalled(tmp_path)) == list(range(FIRST_S, FIRST_S + 200))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the socket of a failed
# handshake to the garbage collector
async def test_a_server_of_another_authority_gets_nothing(tmp_path: Path, spool: Spool, certificates: Path) -> None:
    append(spool, range(FIRST_S, FIRST_S + 3))
    async with (
        ingest(tmp_path, tls=server_side(certificates)) as endpoint,
        running(spool, f"mqtts://127.0.0.1:{endpoint.port}") as uplink,
    ):
        while "CERTIFICATE_VERIFY_FAILED" not in uplink.stats.last_error:
            assert not await uplink.drained(0.02)
        assert uplink.stats.sent == 0
    assert journalled(tmp_path) == []
    gc.collect()  # here, where the warning is ignored


async def test_a_missing_password_file_is_told(spool: Spool) -> None:
    append(spool, range(1))
    settings = {"username": GATEWAY, "password_file": "/nonexistent/secret"}
    async with running(spool, "mqtt://127.0.0.1:1", **settings) as uplink:
        while "/nonexistent/secret" not in uplink.stats.last_error:
            assert not await uplink.drained(0.02)
