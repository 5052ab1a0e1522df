"""Settings pushed by the server: which are taken, which are refused and why, and when it goes back. Pure.

A document is JSON: `{"gateway": "pi-1", "version": 7, "settings": "<TOML>", "signature": "<hex>"}`. The signature is
Ed25519 over `signed_bytes`. The TOML holds what is to be other than in the local file; each of its tables replaces the
local one of that name, key by key, lists as a whole. Versions only rise, so that an old document cannot be played back.

    none ──take──▶ trial ──healthy──▶ good
                     └──in time not──▶ the one before, and this version is refused for ever
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.config import GatewayConfig, config_of
from vitals.errors import ConfigurationError

MAX_DOCUMENT_BYTES: Final = 64 << 10
LOCAL_ONLY: Final = ("site", "gateway", "push", "runtime_folder", "spool.folder")  # who it is, and whom it trusts
MAX_TRIALS: Final = 2  # starts of one trial: settings that end the process do not get a third


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """What the server pushes."""

    gateway: str
    version: int
    settings: str
    signature: str


class Pushed(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept on disk. `settings`: in force, with their `version`; `before`: to go back to during a trial.

    `seen`: the highest version that was ever taken, good or not; `taken_back`: the last of these that was not good.
    `refusal`: of the last document, for the status.
    """

    version: int = 0
    settings: str = ""
    before_version: int = 0
    before: str = ""
    on_trial: bool = False
    trials: int = 0
    seen: int = 0
    refusal: str = ""
    taken_back: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a document: `kept` is the new state, `config` the new settings when it was taken."""

    kept: Pushed
    config: GatewayConfig | None = None


def signed_bytes(gateway: str, version: int, settings: str) -> bytes:
    """What the signature is over."""
    return f"wardlight settings\n{gateway}\n{version}\n{settings}".encode()


def judge(payload: bytes, kept: Pushed, local: dict[str, Any], *, verify: Callable[[bytes, bytes], bool]) -> Judgement:
    """Take a document or refuse it with a reason. `local`: the local file; `verify(signature, message)`.

    The document that is in force or was taken back already (the server retains it) changes nothing.
    """
    try:
        document = _read(payload, str(local.get("gateway", "")), verify)
        if document.version == kept.version and document.settings == kept.settings:
            return Judgement(kept)
        if document.version == kept.taken_back:  # it is sent with every connection; why it went, stands there already
            return Judgement(kept)
        _require_newer(document.version, kept.seen)
        config = merged(local, document.settings)
    except ConfigurationError as error:
        return Judgement(refused(kept, str(error)))
    if kept.on_trial:
        return Judgement(refused(kept, f"version {kept.version} is still on trial: push this one again later"))
    taken = Pushed(
        version=document.version,
        settings=document.settings,
        before_version=kept.version,
        before=kept.settings,
        on_trial=True,
        seen=document.version,
    )
    return Judgement(taken, config)


def refused(kept: Pushed, why: str) -> Pushed:
    """`kept` with the reason why the last document was refused."""
    return msgspec.structs.replace(kept, refusal=why)


def started(kept: Pushed) -> Pushed:
    """At the start of the process: a trial that has started too often is over."""
    if not kept.on_trial:
        return kept
    if kept.trials >= MAX_TRIALS:
        return rolled_back(kept, "the gateway did not survive them")
    return msgspec.structs.replace(kept, trials=kept.trials + 1)


def passed(kept: Pushed) -> Pushed:
    """The gateway works with them."""
    return Pushed(version=kept.version, settings=kept.settings, seen=kept.seen)


def rolled_back(kept: Pushed, why: str) -> Pushed:
    """Back to what was before; the version is not taken again."""
    refusal = f"version {kept.version} was taken back: {why}"
    return Pushed(
        version=kept.before_version, settings=kept.before, seen=kept.seen, refusal=refusal, taken_back=kept.version
    )


def merged(local: dict[str, Any], pushed: str) -> GatewayConfig:
    """The local settings with the pushed ones over them; raises `ConfigurationError`."""
    try:
        over = msgspec.toml.decode(pushed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the settings are not TOML ({error}): correct that line and sign again") from error
    for name in LOCAL_ONLY:
        table, _, key = name.partition(".")
        if table in over and (not key or (isinstance(over[table], dict) and key in over[table])):
            raise ConfigurationError(f"{name} can only be set at the gateway itself: leave it out")
    together = dict(local)
    for name, value in over.items():
        mine = together.get(name)
        together[name] = {**mine, **value} if isinstance(mine, dict) and isinstance(value, dict) else value
    return config_of(together)


def _require_newer(version: int, seen: int) -> None:
    if version <= seen:
        raise ConfigurationError(f"version {version} is not above {seen}: count it up and sign again")


def _read(payload: bytes, gateway: str, verify: Callable[[bytes, bytes], bool]) -> Document:
    """A document for this gateway with a good signature; raises `ConfigurationError`."""
    if len(payload) > MAX_DOCUMENT_BYTES:
        raise ConfigurationError(f"{len(payload):,} bytes: settings take at most {MAX_DOCUMENT_BYTES:,}")
    try:
        document = msgspec.json.decode(payload, type=Document)
        signature = bytes.fromhex(document.signature)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"this is no settings document ({error}): see docs/gateway.md") from error
    if not verify(signature, signed_bytes(document.gateway, document.version, document.settings)):
        raise ConfigurationError("the signature is not of the key in [push] public_key: sign it with that one")
    if document.gateway != gateway:
        raise ConfigurationError(f"it is for gateway {document.gateway!r}, this one is {gateway!r}")
    return document
