"""Sending, against a scripted double through the unmodified `influxdb-client`: every failure it can answer with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from certificates import self_signed, served_with
from influx_world import SITE, START_NS, Pauses, client_of, numbered, sender_of, target
from scripted_database import Reply, ScriptedDatabase

from ingest.influx.client import Client, read_token
from ingest.influx.config import Kind
from ingest.influx.encoding import Encoded
from ingest.influx.forwarder import Forwarder
from ingest.influx.line_protocol import Lines
from ingest.influx.sender import FEWEST_LINES, REASON, Abandoned, Sender
from ingest.influx.verdicts import STOPPED_RETRY_S, Answer, NoAnswer
from ingest.poison import newest_first
from vitals.errors import ConfigurationError, PermanentError
from vitals.journal import Journal, Record

BODY = b"".join(numbered(20))


async def test_lines_arrive_with_token_and_bucket(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses
) -> None:
    with client_of(target(double.url), tmp_path) as client:
        assert await sender_of(client, poison, pauses).send(BODY) == 20
    assert sorted(double.lines) == sorted(numbered(20))
    assert (double.posts, double.tokens, double.places) == (1, ["Token shim-token"], ["vitals"])


@pytest.mark.parametrize("gzip", [False, True])
async def test_compressed_or_not_the_lines_are_the_same(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses, gzip: bool
) -> None:
    with client_of(target(double.url, gzip=gzip), tmp_path) as client:
        await sender_of(client, poison, pauses).send(BODY)
    assert sorted(double.lines) == sorted(numbered(20))


@pytest.mark.parametrize(
    "reply", [Reply(429), Reply(500), Reply(503), Reply(502, "<html>bad gateway"), Reply(0), Reply(0, takes=True)]
)
async def test_a_busy_or_broken_database_is_waited_for(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses, reply: Reply
) -> None:
    double.script.extend([reply] * 8)
    with client_of(target(double.url), tmp_path) as client:
        sender = sender_of(client, poison, pauses)
        assert await sender.send(BODY) == 20
    assert set(double.lines) == set(numbered(20))
    assert double.posts == 9
    assert len(pauses.seconds) == 8
    assert pauses.seconds[-1] > 10 * pauses.seconds[0]
    assert (sender.traffic.retries, sender.traffic.error, poison.newest) == (8, "", 0)


async def test_retry_after_is_respected(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses
) -> None:
    double.script.extend([Reply(429, retry_after="17"), Reply(503, retry_after="23")])
    with client_of(target(double.url), tmp_path) as client:
        await sender_of(client, poison, pauses).send(BODY)
    assert pauses.seconds == [17.0, 23.0]


@pytest.mark.parametrize("status", [400, 422])
async def test_refused_lines_are_found_and_kept_with_the_reason(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses, status: int
) -> None:
    bad = {numbered(20)[3], numbered(20)[17]}
    double.refusal = status
    double.refuse = lambda line: (
        "field type conflict: spo2 is integer, already exists as float" if line in bad else None
    )
    with client_of(target(double.url), tmp_path) as client:
        sender = sender_of(client, poison, pauses)
        assert await sender.send(BODY) == 18
    assert {line for line in double.lines if line.startswith(b"vitals")} == set(numbered(20)) - bad
    kept = list(newest_first(poison, gateway="influx:ward", reason=REASON))
    assert {entry.excerpt for entry in kept} == bad
    assert all("field type conflict" in entry.message and str(status) in entry.message for entry in kept)
    assert (sender.traffic.poison, pauses.seconds) == (2, [])


async def test_a_database_that_refuses_everything_condemns_nothing(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses
) -> None:
    refusing = lambda line: "the plain HTTP request was sent to HTTPS port"  # noqa: E731
    double.refuse = refusing
    with client_of(target(double.url), tmp_path) as client:
        sender = sender_of(client, poison, pauses)

        async def mend(seconds: float) -> None:
            assert seconds == STOPPED_RETRY_S
            assert "refuses every line" in sender.traffic.advice
            double.refuse = lambda line: None

        sender._pause = mend
        assert await sender.send(BODY) == 20
    assert poison.newest == 0


async def test_too_large_is_sent_in_parts_and_smaller_from_then_on(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses
) -> None:
    double.largest = len(BODY) // 4
    with client_of(target(double.url), tmp_path) as client:
        sender = sender_of(client, poison, pauses)
        before = sender.lines_per_body
        assert await sender.send(BODY) == 20
        assert FEWEST_LINES <= sender.lines_per_body < before
    assert sorted(double.lines) == sorted(numbered(20))


async def test_one_line_too_large_is_poison(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses
) -> None:
    long = b"vitals,patient=P-0001 " + b"x" * 400 + b"=1.0 5\n"
    double.largest = 200
    with client_of(target(double.url), tmp_path) as client:
        assert await sender_of(client, poison, pauses).send(long + numbered(1)[0]) == 1
    assert [entry.excerpt for entry in newest_first(poison)] == [long]


@pytest.mark.parametrize(
    ("status", "words"), [(401, "token_file"), (403, "permission"), (404, "influx setup"), (302, "final address")]
)
async def test_what_needs_a_person_stops_and_says_what_to_check(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, status: int, words: str
) -> None:
    double.script.append(Reply(status, "no"))
    with client_of(target(double.url), tmp_path) as client:
        sender = sender_of(client, poison, Pauses())
        seen: list[str] = []

        async def look(seconds: float) -> None:
            seen.append(sender.traffic.advice)
            (tmp_path / "token").write_text("mended")

        sender._pause = look
        assert await sender.send(BODY) == 20
    assert [words in advice for advice in seen] == [True]
    assert double.tokens[-1] == "Token mended", "the token is read again, without a restart"
    assert (sender.traffic.advice, poison.newest) == ("", 0)


async def test_a_command_does_not_wait_for_a_person(double: ScriptedDatabase, tmp_path: Path, pauses: Pauses) -> None:
    double.script.append(Reply(401, "unauthorized"))
    with client_of(target(double.url), tmp_path) as client:
        with pytest.raises(PermanentError, match="token_file") as told:
            await sender_of(client, None, pauses, stay=False).send(BODY)
        assert "shim-token" not in str(told.value)
        double.refuse = lambda line: "bad" if b"spo2=93.0" in line else None
        with pytest.raises(PermanentError, match="refuses 2 lines"):
            await sender_of(client, None, pauses, stay=False).send(BODY)


async def test_a_slow_database_is_given_up_on_and_tried_again_with_less(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses
) -> None:
    double.script.append(Reply(-1))
    with client_of(target(double.url), tmp_path, timeout_ms=150) as client:
        sender = sender_of(client, poison, pauses)
        before = sender.lines_per_body
        assert await sender.send(BODY) == 20
    assert double.posts == 3
    assert sender.lines_per_body < before


async def test_nobody_listens(tmp_path: Path, poison: Journal, pauses: Pauses) -> None:
    with ScriptedDatabase() as gone:
        url = gone.url
    asked = iter([False, False, True])
    with client_of(target(url), tmp_path) as client:
        sender = sender_of(client, poison, pauses)
        with pytest.raises(Abandoned):
            await sender.send(BODY, abandon=lambda: next(asked))
    assert len(pauses.seconds) == 2
    assert "no answer" in sender.traffic.error


async def test_who_waits_goes_on_when_the_database_takes_what_others_send(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal
) -> None:
    double.script.append(Reply(0))
    with client_of(target(double.url), tmp_path) as client:
        sender = sender_of(client, poison, Pauses())
        waits, forever = asyncio.Event(), asyncio.Event()

        async def wait(seconds: float) -> None:
            waits.set()
            await forever.wait()

        sender._pause = wait
        first = asyncio.create_task(sender.send(numbered(2)[0]))
        await waits.wait()
        assert await sender.send(numbered(2)[1]) == 1
        assert await first == 1
    assert sorted(double.lines) == sorted(numbered(2))


@pytest.mark.parametrize("reply", [Reply(429, retry_after="9"), Reply(503), Reply(404)])
async def test_who_was_answered_waits_whatever_others_are_told(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, reply: Reply
) -> None:
    double.script.append(reply)
    with client_of(target(double.url), tmp_path) as client:
        sender = sender_of(client, poison, Pauses())
        waits, over = asyncio.Event(), asyncio.Event()

        async def wait(seconds: float) -> None:
            waits.set()
            await over.wait()

        sender._pause = wait
        first = asyncio.create_task(sender.send(numbered(2)[0]))
        await waits.wait()
        await sender.send(numbered(2)[1])
        assert not first.done()
        over.set()
        assert await first == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signed itself, with its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


async def test_tls_is_trusted_with_the_right_authority_only(
    tmp_path: Path, certificate: Path, poison: Journal, pauses: Pauses
) -> None:
    with ScriptedDatabase(tls=served_with(certificate)) as double:
        trusted = target(double.url, allow_http=False, ca_file=str(certificate))
        with client_of(trusted, tmp_path) as client:
            assert await sender_of(client, poison, pauses).send(BODY) == 20
        with client_of(target(double.url), tmp_path) as client:
            answer = client.write(BODY)
            assert answer.status is NoAnswer.TLS
            with pytest.raises(PermanentError, match="ca_file"):
                await sender_of(client, poison, pauses, stay=False).send(BODY)
    assert double.posts == 1, "no token went over a connection that is not trusted"


async def test_several_bodies_are_all_sent(
    double: ScriptedDatabase, tmp_path: Path, poison: Journal, pauses: Pauses
) -> None:
    double.script.append(Reply(503))
    with client_of(target(double.url), tmp_path) as client:
        assert await sender_of(client, poison, pauses).send_all(numbered(7), "elsewhere") == 7
    assert sorted(double.lines) == sorted(numbered(7))
    assert set(double.places) == {"elsewhere"}


@pytest.mark.parametrize("content", [b"", b"two words", b"two\nlines", b"\xff\xfe", "tökén".encode()])
def test_a_token_file_holds_a_token_and_its_content_is_never_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigurationError, match="token_file") as told:
        read_token(target("http://x"), tmp_path)
    assert "words" not in str(told.value)
    (tmp_path / "token").write_text("justme")
    with pytest.raises(ConfigurationError, match="user:password"):
        read_token(target("http://x", Kind.INFLUX1, token_file="token"), tmp_path)


def test_missing_files_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token_file"):
        Client(target("http://127.0.0.1:1"), tmp_path)
    (tmp_path / "token").write_text("t")
    with pytest.raises(ConfigurationError, match="ca_file"):
        Client(target("http://127.0.0.1:1", ca_file="none.pem"), tmp_path)


class Mute:
    """A database that accepts a connection and says nothing until it is let."""

    def __init__(self) -> None:
        self.target = target("http://localhost:1", Kind.INFLUX1)
        self.asked = threading.Semaphore(0)
        self.let = threading.Event()

    def write(self, body: bytes, place: str = "") -> Answer:
        self.asked.release()
        assert self.let.wait(30.0)
        return Answer(204)

    def renew(self) -> None:
        """It has no secrets."""


async def test_a_database_that_never_answers_takes_no_thread_from_the_commits(pauses: Pauses) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    mute = Mute()
    sender = Sender(mute, SITE, None, pause=pauses)
    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(sender.send(line)) for line in numbered(6)]
        await asyncio.to_thread(lambda: [mute.asked.acquire(timeout=30.0) for _ in sent])
        assert not any(task.done() for task in sent)
        assert await asyncio.to_thread(lambda: "committed") == "committed"
        mute.let.set()
    assert [task.result() for task in sent] == [1] * 6


async def test_while_behind_the_cursor_is_committed_once_a_second(
    double: ScriptedDatabase, journal: Journal, tmp_path: Path, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.influx.forwarder.PORTION", 1)
    clock, moves, move = [5.0], list[int](), journal.move

    def noted(name: str, position: int) -> None:
        moves.append(position)
        move(name, position)

    monkeypatch.setattr(journal, "move", noted)

    def encode(records: Sequence[Record], _lines_per_body: int) -> Encoded:
        clock[0] += 0.4
        return Encoded(Lines([record.payload for record in records], len(records)))

    for line in numbered(6):
        journal.append([(1, line)], now_ns=START_NS)
    with client_of(target(double.url), tmp_path) as client:
        sender = sender_of(client, None, pauses)
        forwarder = Forwarder(journal, "influx:ward", encode, sender, monotonic=lambda: clock[0], pause=pauses)
        running = asyncio.create_task(forwarder.run())
        await forwarder.reached(6)
        running.cancel()
        await asyncio.wait([running])
    assert moves == [0, 1, 4, 6], "at the beginning, a second later, and at once when nothing waits any more"
    assert sorted(double.lines) == sorted(numbered(6))
