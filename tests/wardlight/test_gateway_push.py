"""Pushed settings, end to end: signed by the command, sent by a server, tried by a gateway, shown by its status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from alerts.config import AlertConfig, read_preset
from gateway.app import run
from gateway.config import config_of
from ingest.endpoint import EndpointConfig
from vitals.errors import ConfigurationError
from vitals.ward import Patient, Ward
from wardlight.config_folder import ConfigFolder
from wardlight.gateway import app
from wardlight.gateway_push import place
from wardlight.gateway_status import report_in
from wardlight.layout import DataFolder
from wardlight.server import ServerConfig, serving

PATIENCE_S = 20.0
WARD = Ward("north", "UTC", (Patient("P-0001", "1", ("ox-1",)),))


def command(*arguments: object) -> str:
    """Run `wardlight gateway …`; what it says, or the error that a person would read."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def make_key(folder: Path, name: str = "settings.key") -> tuple[Path, str]:
    """A private key's file, and the public key as the command prints it for the gateways."""
    said = command("sign-key", folder / name)
    told = msgspec.toml.decode(said[said.index("[push]") :])
    return folder / name, told["push"]["public_key"]


def sign(folder: Path, settings: str, version: int, key: Path, *more: object) -> str:
    file = folder / "settings.toml"
    file.write_text(settings)
    return command("sign", file, "--gateway", "pi-1", "--key-file", key, "--version", version, *more)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  files and threads fulfil it: no event to wait for
            await asyncio.sleep(0.02)


@asynccontextmanager
async def gateway(folder: Path, port: int, public_key: str) -> AsyncIterator[Callable[[], Any]]:
    """A real gateway without a radio; yields what its status says."""
    local = {
        "site": "north",
        "gateway": "pi-1",
        "uplink": {"url": f"mqtt://127.0.0.1:{port}", "reconnect_min_s": 0.05, "reconnect_max_s": 0.2},
        "spool": {"folder": str(folder / "state")},
        "push": {"public_key": public_key, "health_s": 5.0},
        "runtime_folder": str(folder / "run"),
    }
    stop = asyncio.Event()
    task = asyncio.create_task(run(config_of(local), local=local, stop=stop))
    status = folder / "run" / "status.json"
    try:
        await until(lambda: task.done() or status.exists())
        yield lambda: report_in(status)[0]
    finally:
        stop.set()
        await task


@pytest.mark.slow
async def test_signed_sent_tried_kept_taken_back_and_refused(tmp_path: Path) -> None:
    key, public = make_key(tmp_path)
    stranger, _ = make_key(tmp_path, "stranger.key")
    data = DataFolder(tmp_path / "data")
    config = ServerConfig(data, WARD, read_preset(AlertConfig(), Path()), EndpointConfig(port=0))
    async with serving(config) as server:
        assert server.endpoint is not None
        async with gateway(tmp_path, server.endpoint.port, public) as status:
            sign(tmp_path, "[uplink]\nstatus_every_s = 7", 1, key, "--data", data.root)
            await until(lambda: status().health.config_version == 1)
            kept = tmp_path / "state" / "pushed.json"
            await until(lambda: not json.loads(kept.read_bytes())["on_trial"])
            sign(tmp_path, "[uplink]\nstatus_every_s = 8", 2, stranger, "--data", data.root)
            await until(lambda: any("signature" in problem for problem in status().health.problems))
            sign(tmp_path, '[uplink]\nurl = "mqtt://127.0.0.1:1"', 3, key, "--data", data.root)
            await until(lambda: status().health.config_version == 3 and not status().connected)
            await until(lambda: status().health.config_version == 1 and status().connected)
            said = "settings: version 3 was taken back: no receipt from mqtt://127.0.0.1:1 within 5 s"
            await until(lambda: said in status().health.problems)


def test_a_document_for_a_broker_is_printed(tmp_path: Path) -> None:
    key, _ = make_key(tmp_path)
    document = json.loads(sign(tmp_path, "[radio]\nslots = 5\n", 9, key))
    assert (document["gateway"], document["version"], document["settings"]) == ("pi-1", 9, "[radio]\nslots = 5\n")
    assert (tmp_path / "settings.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("= x", "not TOML"),
        ("[radio]\nslots = 300", r"radio\.slots"),
        ('[spool]\nfolder = "/"', "only be set at the gateway itself"),
        (f"# {'x' * 70_000}", "settings take at most"),
    ],
)
def test_settings_that_no_gateway_would_take_are_not_signed(tmp_path: Path, settings: str, why: str) -> None:
    key, _ = make_key(tmp_path)
    with pytest.raises(ConfigurationError, match=why):
        sign(tmp_path, settings, 1, key)


def test_a_key_is_never_overwritten_and_another_file_is_no_key(tmp_path: Path) -> None:
    key, _ = make_key(tmp_path)
    with pytest.raises(ConfigurationError, match="exists"):
        make_key(tmp_path)
    key.write_text("no key")
    with pytest.raises(ConfigurationError, match="sign-key"):
        sign(tmp_path, "", 1, key)


async def test_the_folder_sends_what_is_new_and_takes_back_what_is_gone(tmp_path: Path) -> None:
    sent: list[tuple[str, bytes]] = []
    folder = ConfigFolder(tmp_path, "north", lambda topic, payload: sent.append((topic, payload)))
    await folder.look()
    place(tmp_path / "pi-1.json", b"one")
    (tmp_path / "no name.json").write_bytes(b"x")
    (tmp_path / "pi-2.json").write_bytes(b"x" * 70_000)
    (tmp_path / "pi-3.json").write_bytes(b"")
    await folder.look()
    await folder.look()
    place(tmp_path / "pi-1.json", b"two")
    await folder.look()
    (tmp_path / "pi-1.json").unlink()
    await folder.look()
    topic = "wardlight/v1/north/pi-1/config"
    assert sent == [(topic, b"one"), (topic, b"two"), (topic, b"")]


async def test_a_folder_that_is_missing_is_no_fault(tmp_path: Path) -> None:
    await ConfigFolder(tmp_path / "none", "north", lambda *_: pytest.fail("nothing to send")).look()
