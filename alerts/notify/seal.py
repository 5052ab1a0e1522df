"""Sealed words: what this server wrote, that it comes back unchanged, for one purpose and not for ever. Pure.

A token is the time when it expires, a content and their HMAC-SHA256 with a key of the server, cut to 16 bytes, in
base64url. Nothing is kept of it here. Its content can be read by whoever holds it, and holds no secret.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from vitals.errors import PermanentError

KEY_BYTES: Final = 32
MAX_TOKEN: Final = 3_000  # characters, in an address and within a push of 4,096 bytes
_EXPIRY_BYTES: Final = 6
_MAC_BYTES: Final = 16  # 128 bits: nobody guesses one
_S_NS: Final = 1_000_000_000


class ForgedError(PermanentError):
    """Not a token of this server for this purpose."""


class ExpiredError(PermanentError):
    """A token whose time is over."""


class Seal:
    """`close` makes a token of a content, `open` gives the content back. `key`: `KEY_BYTES` random bytes, a secret."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError(f"a key of {len(key)} bytes can be guessed: {KEY_BYTES} are needed")
        self._key = key

    def __repr__(self) -> str:
        return "Seal()"

    def close(self, purpose: str, content: bytes, expires_ns: int) -> str:
        """The token: the same for the same arguments."""
        sealed = (expires_ns // _S_NS).to_bytes(_EXPIRY_BYTES, "big") + content
        return urlsafe_b64encode(sealed + self._mac(purpose, sealed)).rstrip(b"=").decode()

    def open(self, purpose: str, token: str, now_ns: int) -> bytes:
        """The content; raises `ForgedError` for anything that `close` did not make for `purpose`, or `ExpiredError`."""
        raw = _decoded(token)
        sealed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if len(sealed) < _EXPIRY_BYTES or not hmac.compare_digest(mac, self._mac(purpose, sealed)):
            raise ForgedError("not a token of this server")
        if int.from_bytes(sealed[:_EXPIRY_BYTES], "big") < now_ns // _S_NS:
            raise ExpiredError("the token's time is over")
        return sealed[_EXPIRY_BYTES:]

    def _mac(self, purpose: str, sealed: bytes) -> bytes:
        return hmac.digest(self._key, purpose.encode() + b"\0" + sealed, "sha256")[:_MAC_BYTES]


def _decoded(token: str) -> bytes:
    """The bytes of a token in the one spelling that `Seal.close` writes."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4)) if len(token) <= MAX_TOKEN else b""
    except (binascii.Error, ValueError):
        raw = b""
    if urlsafe_b64encode(raw).rstrip(b"=") != token.encode("utf-8", "replace"):
        raise ForgedError("not a token of this server")
    return raw
