"""The server's own keys for phones and receipts, made on first use, readable by the server only.

`vapid.pem` says to a push service who sends (RFC 8292); phones subscribe to it, so with another one every phone has to
subscribe anew. `receipts.key` seals tickets and invitations; with another one those under way are void.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from alerts.notify.phones import Phones, make_secret, read_secret
from alerts.notify.seal import KEY_BYTES, Seal
from vitals.errors import ConfigurationError

INVITATION: Final = "invite"  # the purpose of a sealed invitation; its content is the channel's name


@dataclass(frozen=True, slots=True)
class PushFolder:
    """The folder `push` of the server's data."""

    root: Path

    def phones(self, channel: str) -> Phones:
        """The phones of a channel."""
        return Phones(self.root / "phones" / channel)

    def channels(self) -> tuple[str, ...]:
        """The channels that phones subscribed to, whether or not they are configured now."""
        return tuple(sorted(path.name for path in (self.root / "phones").glob("*/")))

    def seal(self) -> Seal:
        """With the key for tickets and invitations. Raises `ConfigurationError`."""
        return Seal(self._key("receipts.key", lambda: secrets.token_bytes(KEY_BYTES)))

    def sender(self) -> ec.EllipticCurvePrivateKey:
        """The key that says who sends. Raises `ConfigurationError`."""
        text = self._key("vapid.pem", _new_pem)
        try:
            key: Any = load_pem_private_key(text, password=None)
        except ValueError as error:
            raise ConfigurationError(
                f"{self.root / 'vapid.pem'} is no private key; restore it from a backup"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ConfigurationError(f"{self.root / 'vapid.pem'} is no P-256 key; restore it from a backup")
        return key

    def _key(self, name: str, make: Callable[[], bytes]) -> bytes:
        path = self.root / name
        found = read_secret(path)
        if found is None:
            found = make()
            try:
                self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # `parents` alone lets everybody read
                self.root.mkdir(mode=0o700, exist_ok=True)
                found = make_secret(path, found)
            except OSError as error:
                raise ConfigurationError(f"{path} cannot be written ({error.strerror}): check the folder") from error
        return found


def public_key(sender: ec.EllipticCurvePrivateKey) -> str:
    """What a browser subscribes with (`applicationServerKey`), in base64url."""
    point = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(point).rstrip(b"=").decode()


def _new_pem() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
