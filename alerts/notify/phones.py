"""The phones of a channel: each a file that only the server may read, since whoever has it can send to that phone.

A file for each, made and removed as a whole: the server and the command line may both do so without waiting for one
another, and a `kill -9` leaves a phone or none.
"""

from __future__ import annotations

import hashlib
import os
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from vitals.errors import ConfigurationError, PermanentError

MOST_PHONES: Final = 16  # of one channel: a thread for each is started at once
SERVICES: Final = (
    "fcm.googleapis.com",  # Chrome, Edge on Android, Samsung Internet
    "push.services.mozilla.com",
    "push.apple.com",
    "notify.windows.com",
)
_LOOPBACK: Final = ("127.0.0.1", "localhost")
_NOT_OURS: Final = 0o077


class PhoneRefusedError(PermanentError):
    """A subscription that cannot be used; says why, without its address."""


class Keys(Struct, frozen=True):
    """The phone's public key and its secret, in base64url, as the browser gives them."""

    p256dh: Annotated[str, Meta(max_length=128)]
    auth: Annotated[str, Meta(max_length=64)]


class Endpoint(Struct, frozen=True):
    """A browser's `PushSubscription` in its JSON form."""

    endpoint: Annotated[str, Meta(max_length=1024)]
    keys: Keys


class Phone(Struct, frozen=True):
    """One phone: where a push to it goes (a secret), and since when it belongs to its channel."""

    endpoint: str
    keys: Keys
    since_ns: int

    def __repr__(self) -> str:
        return f"Phone({self.phone_id!r}, {self.service!r})"

    @property
    def phone_id(self) -> str:
        """What it is called in logs and receipts; nothing can be sent with it."""
        return phone_id(self.endpoint)

    @property
    def service(self) -> str:
        """The host of its push service."""
        return urlsplit(self.endpoint).hostname or ""


def phone_id(endpoint: str) -> str:
    """The first 12 hexadecimal digits of the address's SHA-256."""
    return hashlib.sha256(endpoint.encode()).hexdigest()[:12]


def require_usable(found: Endpoint, services: tuple[str, ...]) -> None:
    """Raise `PhoneRefusedError` unless `found` can be sent to, at one of these push services.

    The server posts to what a browser tells it, so it must not be made to post anywhere else.
    """
    try:
        parts = urlsplit(found.endpoint)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise PhoneRefusedError("the phone's address is no web address") from None
    if not any(host == name or host.endswith(f".{name}") for name in services):
        raise PhoneRefusedError(
            f"the push service {host[:80]!r} of this browser is not permitted: add it to `services` of the channel"
        )
    secure = parts.scheme == "https" and port in (None, 443)
    if (not secure and host not in _LOOPBACK) or parts.username or not found.endpoint.isascii():
        raise PhoneRefusedError("the phone's address is not one that is sent to through TLS")
    point, secret = _decoded(found.keys.p256dh), _decoded(found.keys.auth)
    if len(point) != 65 or point[:1] != b"\x04" or len(secret) != 16:
        raise PhoneRefusedError("the phone's keys are not those of Web Push")


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


class Phones:
    """The phones of one channel, in `folder`; made when the first comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> tuple[Phone, ...]:
        """Every phone, in the order of their ids. One whose file cannot be read is left out."""
        found = (self.find(path.stem) for path in sorted(self._folder.glob("*.json")))
        return tuple(phone for phone in found if phone is not None)

    def find(self, name: str) -> Phone | None:
        """The phone with this id."""
        try:
            return msgspec.json.decode((self._folder / f"{name}.json").read_bytes(), type=Phone)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def add(self, found: Endpoint, now_ns: int) -> Phone:
        """Keep a phone, durably on return; the same phone again is one. Raises `PhoneRefusedError`, or `OSError`."""
        phone = Phone(found.endpoint, found.keys, now_ns)
        known = {other.phone_id for other in self.all()}
        if phone.phone_id not in known and len(known) >= MOST_PHONES:
            raise PhoneRefusedError(
                f"this channel has {MOST_PHONES} phones already: remove one with `wardlight push remove`"
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(self._folder / f"{phone.phone_id}.json", msgspec.json.encode(phone))
        return phone

    def remove(self, name: str) -> bool:
        """Forget a phone; whether there was one."""
        try:
            (self._folder / f"{name}.json").unlink()
        except FileNotFoundError:
            return False
        _sync(self._folder)
        return True


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, as a whole and durably. May raise `OSError`."""
    _written(path, content).replace(path)
    _sync(path.parent)


def make_secret(path: Path, content: bytes) -> bytes:
    """The same unless there is one already, made by another process at this moment; what stands there then."""
    new = _written(path, content)
    try:
        os.link(new, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        new.unlink()
    _sync(path.parent)
    return content


def read_secret(path: Path) -> bytes | None:
    """What `write_secret` wrote; `None` when there is nothing. Raises `ConfigurationError` when others may read it."""
    try:
        if path.stat().st_mode & _NOT_OURS:
            raise ConfigurationError(f"{path} holds a secret that others may read; run chmod 600 on it")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): let the server's user read it") from error


def _written(path: Path, content: bytes) -> Path:
    """A file beside `path` with this content, on disk."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return new


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
