"""Pushed settings on disk: the shell around `remote_config`. Applied in one step, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway import remote_config
from gateway.config import GatewayConfig, config_of
from gateway.remote_config import Pushed
from vitals.errors import ConfigurationError

FILE: Final = "pushed.json"


class PushedSettings:
    """See the module's text. `config`: what is in force. `local`: the local file, decoded."""

    def __init__(self, folder: Path, public_key: str, local: dict[str, Any]) -> None:
        self._file = folder / FILE
        self._public_key = bytes.fromhex(public_key)
        self._local = local
        self.kept = remote_config.started(self._load())
        self.config: GatewayConfig = self._merge()
        self._save()

    @property
    def on_trial(self) -> bool:
        """Whether what is in force has yet to show that it works."""
        return self.kept.on_trial

    def take(self, payload: bytes) -> bool:
        """A document came; whether the gateway has to start anew with it. Why not, stands in `kept.refusal`."""
        judgement = remote_config.judge(payload, self.kept, self._local, verify=self._verify)
        if judgement.kept == self.kept:
            return False
        self.kept = judgement.kept
        self._save()
        if judgement.config is not None:
            self.config = judgement.config
        return judgement.config is not None

    def pass_trial(self) -> None:
        """The gateway works with them."""
        self.kept = remote_config.passed(self.kept)
        self._save()

    def roll_back(self, why: str) -> None:
        """The gateway does not work with them; `config` is what was before."""
        self.kept = remote_config.rolled_back(self.kept, why)
        self.config = self._merge()
        self._save()

    def _merge(self) -> GatewayConfig:
        try:
            return remote_config.merged(self._local, self.kept.settings)
        except ConfigurationError as error:  # the local file has changed since
            self.kept = remote_config.refused(self.kept, f"version {self.kept.version} does not fit any more: {error}")
            return config_of(self._local)

    def _load(self) -> Pushed:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Pushed)
        except FileNotFoundError:
            return Pushed()
        except (msgspec.DecodeError, OSError) as error:
            return Pushed(refusal=f"{self._file} cannot be read ({error}): push the settings again, counted up")

    def _save(self) -> None:
        fresh = self._file.with_name(FILE + ".new")
        try:
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(self.kept))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._file)
        except OSError as error:
            self.kept = remote_config.refused(self.kept, f"{self._file} cannot be written ({error}): free disk space")

    def _verify(self, signature: bytes, message: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  60 ms that most starts do not need
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  as above

        try:
            Ed25519PublicKey.from_public_bytes(self._public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True
