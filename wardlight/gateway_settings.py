"""A gateway's settings file, as a person keeps it: read it with every error named, and allow a wearable in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from gateway.config import DeviceConfig, GatewayConfig, decode_config
from vitals.errors import ConfigurationError

DEFAULT_FILE: Final = Path("/etc/wardlight/gateway.toml")


def load(path: Path) -> GatewayConfig:
    """The settings in `path`; raises `ConfigurationError` that names the file and the setting."""
    return _decoded(path, _text(path))


def allow(path: Path, device: DeviceConfig) -> None:
    """Write `device` at the end of the settings in `path`, which stay as they are, comments and all.

    The file is exchanged in one step. Raises `ConfigurationError` when the settings would not be valid with it, as
    when the wearable is allowed already.
    """
    text = with_device(_text(path), device)
    _decoded(path, text)
    written = path.with_name(path.name + ".new")
    try:
        written.write_text(text)
        written.chmod(path.stat().st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(written, path.stat().st_uid, path.stat().st_gid)
        written.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}): run it with sudo") from error


def with_device(text: str, device: DeviceConfig) -> str:
    """The settings `text` with one more `[[device]]` block."""
    lines = [f'name = "{device.name}"', f'address = "{device.address.upper()}"']
    lines += [f'driver = "{device.driver}"'] if device.driver != "auto" else []
    lines += [f'adapter = "{device.adapter}"'] if device.adapter else []
    return text.rstrip("\n") + "\n\n[[device]]\n" + "\n".join(lines) + "\n"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} does not exist: copy deploy/raspberry-pi/gateway.toml there, or name your file with --config"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error})") from error


def _decoded(path: Path, text: str) -> GatewayConfig:
    try:
        return decode_config(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
