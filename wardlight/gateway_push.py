"""`wardlight gateway sign-key` and `sign`: settings for a gateway, signed by whoever is responsible for them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from gateway.remote_config import MAX_DOCUMENT_BYTES, Document, merged, signed_bytes
from vitals.errors import ConfigurationError
from vitals.topics import valid_name
from wardlight.layout import DataFolder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign_key_command(
    key_file: Annotated[Path, typer.Argument(help="Where to write the private key; it must not exist.")],
) -> None:
    """Make the key that settings are signed with, and say what gateways need to know of it.

    Keep the file with whoever signs, on no gateway, and best not on the server either.

    [bold]Examples[/]

    wardlight gateway sign-key settings.key
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        with os.fdopen(os.open(key_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError as error:
        raise ConfigurationError(f"{key_file} exists: name another file, or move that one away") from error
    except OSError as error:
        raise ConfigurationError(f"{key_file} cannot be written ({error.strerror}): name another place") from error
    typer.echo(f"{key_file} is the private key: keep it secret. In the gateway.toml of every gateway:\n")
    typer.echo(f'[push]\npublic_key = "{key.public_key().public_bytes_raw().hex()}"')


def sign_command(
    settings: Annotated[Path, typer.Argument(help="TOML: only what is to differ from the gateway's own file.")],
    gateway: Annotated[str, typer.Option(help="The gateway it is for, as in its settings.")],
    key_file: Annotated[Path, typer.Option(help="The private key, as `sign-key` made it.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="Above every earlier one; by default the time, in seconds.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The server's data folder: put it there, and the server sends it.")
    ] = None,
) -> None:
    """Sign settings for one gateway, and hand them to the server or print them for a broker.

    The gateway takes them when the signature is good and they are valid, starts anew with them, and goes back by
    itself when it gets no receipt in time. What became of them stands in its status.

    [bold]Examples[/]

    wardlight gateway sign night.toml --gateway pi-1 --key-file settings.key --data /var/lib/wardlight

    wardlight gateway sign night.toml --gateway pi-1 --key-file settings.key > pi-1.json
    """
    version = version or int(time.time())
    payload = signed(_text(settings), gateway=gateway, version=version, key=_key(key_file))
    if data is None:
        typer.echo(payload.decode())
        return
    file = DataFolder(data).configs / f"{gateway}.json"
    place(file, payload)
    Console(highlight=False).print(f"{file}: version {version}. The server sends it within seconds.", soft_wrap=True)


def signed(settings: str, *, gateway: str, version: int, key: Ed25519PrivateKey) -> bytes:
    """The document; raises `ConfigurationError` when a gateway would refuse it whatever its own settings."""
    if not valid_name(gateway):
        raise ConfigurationError(f"--gateway {gateway!r}: write 1 to 64 of A–Z a–z 0–9 . _ : -")
    merged({"site": "any", "gateway": gateway, "uplink": {"url": "mqtt://any"}}, settings)
    signature = key.sign(signed_bytes(gateway, version, settings)).hex()
    payload = msgspec.json.encode(Document(gateway, version, settings, signature))
    if len(payload) > MAX_DOCUMENT_BYTES:
        raise ConfigurationError(f"{len(payload):,} bytes: settings take at most {MAX_DOCUMENT_BYTES:,}")
    return payload


def place(file: Path, payload: bytes) -> None:
    """Write the document in one step, so that a server never reads a half; raises `ConfigurationError`."""
    fresh = file.with_name(file.name + ".new")
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        fresh.write_bytes(payload)
        fresh.chmod(0o644)  # nothing in it is secret; a server of another user has to read it
        fresh.replace(file)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written ({error.strerror}): name the server's data folder, and run it as its user"
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}): name the file with the settings") from error


def _key(path: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"{path} cannot be used as a key ({error}): make one with `wardlight gateway sign-key`"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is no Ed25519 key: make one with `wardlight gateway sign-key`")
    return key
