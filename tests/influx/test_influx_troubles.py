"""Troubles while forwarding runs, mended without a restart: the whole service against a scripted double."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import self_signed, served_with
from influx_world import SITE, Pauses, Site, append, client_of, second, sender_of, site_at, target
from scripted_database import Reply, ScriptedDatabase

from ingest.influx.line_protocol import Precision, vitals_lines
from ingest.influx.verdicts import NoAnswer
from vitals.errors import PermanentError

SECONDS = 12
DEVICES = 4


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("ingest.influx.sender.LINES_PER_BODY", 7)
    monkeypatch.setattr("ingest.influx.sender.FEWEST_LINES", 2)
    for delay in ("STOPPED_RETRY_S", "FIRST_RETRY_S", "LONGEST_RETRY_S"):
        monkeypatch.setattr(f"ingest.influx.verdicts.{delay}", 0.001)
    with site_at(tmp_path / "data") as found:
        yield found


def expected() -> list[bytes]:
    """Each reading once."""
    blocks = [second(at_s, DEVICES) for at_s in range(SECONDS)]
    return sorted(b"".join(vitals_lines(blocks, SITE, Precision.NANOSECONDS).bodies).splitlines(keepends=True))


def readings(double: ScriptedDatabase) -> list[bytes]:
    """The lines of readings that the double took, each once: what was sent again changes nothing."""
    return sorted(line for line in double.lines if line.startswith(b"vitals,"))


async def test_in_a_storm_of_refusals_nothing_is_lost(double: ScriptedDatabase, site: Site) -> None:
    seed = int(os.environ.get("WARDLIGHT_SEED", random.randrange(1 << 30)))
    sys.stdout.write(f"seed {seed}\n")  # pytest shows it when the test fails
    choice = random.Random(seed)
    storm = (Reply(429), Reply(429, retry_after="0.001"), Reply(503), Reply(500), Reply(502, "<html>"), Reply(0))
    storm += (Reply(0, takes=True), Reply(503, takes=True))
    double.script.extend(choice.choices((*storm, Reply(204)), k=150))
    double.largest = 500  # four lines: with 413 on top of it
    append(site.journal, range(SECONDS), DEVICES)
    service = site.service(target(double.url))
    async with site.forwarding(service):
        await service.targets[0].readings.reached(SECONDS)
    assert readings(double) == expected(), f"seed {seed}"
    assert (service.targets[0].sender.traffic.poison, site.poison.newest) == (0, 0)
    assert site.journal.cursor("influx:ward") == SECONDS


async def test_a_token_that_is_replaced_is_mended_in_its_file(
    double: ScriptedDatabase, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.influx.service.WATCH_S", 0.001)
    append(site.journal, range(5), DEVICES)
    service = site.service(target(double.url))
    reports: list[tuple[str, bool]] = []
    service._report = lambda name, failing: reports.append((name, failing))
    async with site.forwarding(service):
        await service.targets[0].readings.reached(5)
        double.accepts = "Token rotated"
        append(site.journal, range(5, SECONDS), DEVICES)
        await until(lambda: ("ward", True) in reports)
        assert "token_file" in service.health()[0].traffic.advice
        assert site.journal.cursor("influx:ward") == 5
        (site.data.root / "token").write_text("")
        (site.data.root / "token").write_text("rotated\n")
        await service.targets[0].readings.reached(SECONDS)
        await until(lambda: reports[-1] == ("ward", False))
    assert readings(double) == expected()


async def test_a_certificate_that_is_replaced_is_mended_in_its_file(site: Site) -> None:
    root = site.data.root
    other = self_signed(root, "other").read_bytes()
    shown = self_signed(root, "shown")
    (root / "ca.pem").write_bytes(other)
    append(site.journal, range(SECONDS), DEVICES)
    with ScriptedDatabase(tls=served_with(shown)) as double:
        service = site.service(target(double.url, allow_http=False, ca_file="ca.pem"))
        async with site.forwarding(service):
            await until(lambda: "ca_file" in service.health()[0].traffic.advice)
            assert double.posts == 0
            (root / "ca.pem").write_bytes(shown.read_bytes())
            await service.targets[0].readings.reached(SECONDS)
        assert readings(double) == expected()


async def test_a_certificate_of_another_host_is_not_trusted(tmp_path: Path, pauses: Pauses) -> None:
    certificate = self_signed(tmp_path, of="DNS:elsewhere.example")
    with ScriptedDatabase(tls=served_with(certificate)) as double:
        strange = target(double.url, allow_http=False, ca_file=str(certificate))
        with client_of(strange, tmp_path) as client:
            assert client.write(b"x y=1 1\n").status is NoAnswer.TLS
            with pytest.raises(PermanentError, match="names the host of its certificate"):
                await sender_of(client, None, pauses, stay=False).send(b"x y=1 1\n")
    assert double.tokens == []


async def test_a_database_without_tls_gets_no_token_from_https(
    double: ScriptedDatabase, tmp_path: Path, pauses: Pauses
) -> None:
    wrong = target(double.url.replace("http://", "https://"), allow_http=False)
    with client_of(wrong, tmp_path) as client, pytest.raises(PermanentError, match="cannot be trusted"):
        await sender_of(client, None, pauses, stay=False).send(b"x y=1 1\n")
    assert double.tokens == []


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing announces."""
    while not condition():  # noqa: ASYNC110 - counters, of which no event tells
        await asyncio.sleep(0.005)
