"""Pushed settings: what is taken, what is refused and why, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.pushed import PushedSettings
from gateway.remote_config import (
    MAX_TRIALS,
    Document,
    Pushed,
    judge,
    passed,
    rolled_back,
    signed_bytes,
    started,
)

LOCAL: dict[str, Any] = {
    "site": "north",
    "gateway": "pi-1",
    "uplink": {"url": "mqtt://server", "keep_alive_s": 20},
    "device": [{"name": "ox-1", "address": "C4:5A:10:22:33:44"}],
}
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def push(version: int, settings: str, *, gateway: str = "pi-1", key: Ed25519PrivateKey = KEY) -> bytes:
    signature = key.sign(signed_bytes(gateway, version, settings)).hex()
    return msgspec.json.encode(Document(gateway, version, settings, signature))


def verify(signature: bytes, message: bytes) -> bool:
    return signature == KEY.sign(message)


def test_pushed_settings_lie_over_the_local_ones_key_by_key() -> None:
    judgement = judge(push(3, "[uplink]\nstatus_every_s = 9\n[radio]\nslots = 3"), Pushed(), LOCAL, verify=verify)
    assert judgement.config is not None
    uplink = judgement.config.uplink
    assert (uplink.url, uplink.keep_alive_s, uplink.status_every_s, judgement.config.radio.slots) == (
        "mqtt://server",
        20,
        9,
        3,
    )
    assert (judgement.kept.version, judgement.kept.on_trial, judgement.kept.seen) == (3, True, 3)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"{", "no settings document"),
        (b"x" * 70_000, "at most"),
        (push(6, "", key=Ed25519PrivateKey.generate()), "the signature is not"),
        (push(6, "").replace(b'"version":6', b'"version":7'), "the signature is not"),
        (push(6, "", gateway="pi-2"), "for gateway 'pi-2'"),
        (push(5, "[radio]\nslots = 3"), "version 5 is not above 5"),
        (push(6, "= x"), "not TOML"),
        (push(6, 'gateway = "pi-2"'), "only be set at the gateway itself"),
        (push(6, '[spool]\nfolder = "/"'), "spool.folder can only be set"),
        (push(6, '[push]\npublic_key = "00"'), "push can only be set"),
        (push(6, "[radio]\nslots = 300"), r"radio\.slots: Expected `int` <= 20"),
    ],
    ids=lambda given: given if isinstance(given, str) else "document",  # signatures differ in each process
)
def test_refused_and_nothing_changes_but_the_reason(payload: bytes, why: str) -> None:
    kept = Pushed(version=5, seen=5)
    judgement = judge(payload, kept, LOCAL, verify=verify)
    assert judgement.config is None
    assert msgspec.structs.replace(judgement.kept, refusal="") == kept
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(judgement.kept.refusal)


def test_the_document_in_force_changes_nothing_and_one_on_trial_is_not_overtaken() -> None:
    taken = judge(push(1, "[radio]\nslots = 3"), Pushed(), LOCAL, verify=verify).kept
    assert judge(push(1, "[radio]\nslots = 3"), taken, LOCAL, verify=verify).kept == taken
    assert "still on trial" in judge(push(2, ""), taken, LOCAL, verify=verify).kept.refusal


def test_what_was_taken_back_is_never_taken_again() -> None:
    good = passed(judge(push(1, "[radio]\nslots = 3"), Pushed(), LOCAL, verify=verify).kept)
    assert not good.on_trial
    trial = judge(push(2, "[radio]\nslots = 4"), good, LOCAL, verify=verify).kept
    back = rolled_back(trial, "no receipt")
    assert (back.version, back.settings, back.refusal) == (
        1,
        "[radio]\nslots = 3",
        "version 2 was taken back: no receipt",
    )
    assert judge(push(2, "[radio]\nslots = 4"), back, LOCAL, verify=verify).kept == back, "the reason stays to be read"
    other = msgspec.structs.replace(back, taken_back=0)
    assert "not above 2" in judge(push(2, "[radio]\nslots = 4"), other, LOCAL, verify=verify).kept.refusal


def test_settings_that_end_the_process_do_not_get_a_third_trial() -> None:
    kept = judge(push(1, ""), Pushed(), LOCAL, verify=verify).kept
    for _ in range(MAX_TRIALS):
        kept = started(kept)
        assert kept.on_trial
    assert started(kept).version == 0
    assert "did not survive" in started(kept).refusal


def test_on_disk_they_survive_and_a_damaged_file_or_a_changed_local_file_means_the_local_ones(tmp_path: Path) -> None:
    public = KEY.public_key().public_bytes_raw().hex()
    pushed = PushedSettings(tmp_path, public, LOCAL)
    assert pushed.take(push(1, "[radio]\nslots = 3"))
    pushed.pass_trial()
    again = PushedSettings(tmp_path, public, LOCAL)
    assert (again.config.radio.slots, again.on_trial) == (3, False)
    assert not again.take(push(1, "[radio]\nslots = 3"))
    assert again.take(push(2, '[local_mqtt]\nwearables = ["watch-1"]'))
    again.pass_trial()
    other = PushedSettings(tmp_path, public, {**LOCAL, "device": [{**LOCAL["device"][0], "name": "watch-1"}]})
    assert "does not fit any more" in other.kept.refusal
    assert other.config.local_mqtt is None
    (tmp_path / "pushed.json").write_bytes(b"\0")
    damaged = PushedSettings(tmp_path, public, LOCAL)
    assert (damaged.config.radio.slots, damaged.kept.version) == (7, 0)
    assert "cannot be read" in damaged.kept.refusal
