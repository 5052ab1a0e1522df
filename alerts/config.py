"""Configuration of the alert engine: which preset, and which priorities go to which channel.

preset = "ward-3.toml"         # optional; the shipped adult preset otherwise

[[channels]]
name = "ward-phone"
url_env = "WARDLIGHT_PHONE"    # or url_file = "/etc/wardlight/phone.url"; an apprise address, and a secret
priorities = ["high", "medium"]
send_ended = false

[[channels]]
name = "book"
record_file = "notifications.jsonl"
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from alerts.duty import Duty, DutyConfig, make_duty
from alerts.events import Priority
from alerts.limits import Preset, decode_preset
from alerts.notify.channels import AppriseChannel, RecordChannel
from alerts.notify.outbox import Channel, Subscription
from vitals.errors import ConfigurationError
from vitals.ward import Ward
from vitals.wire import Name


class ChannelConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One channel. Exactly one of `url_env`, `url_file` and `record_file` says what is behind it."""

    name: Name
    url_env: str = ""
    url_file: str = ""
    record_file: str = ""
    priorities: tuple[Literal["low", "medium", "high"], ...] = ("high", "medium", "low")
    send_ended: bool = False
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0


class AlertConfig(DutyConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See the module's text, and `alerts.duty` for people, shifts and chains.

    Paths are relative to the folder of the configuration file.
    """

    preset: str = ""
    channels: tuple[ChannelConfig, ...] = ()


def decode_config(text: bytes) -> AlertConfig:
    """Read and check an `alerts.toml`; raises `ConfigurationError` that names the setting and what to write."""
    try:
        config = msgspec.toml.decode(text, type=AlertConfig)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"alerts: {error}") from error
    names = [channel.name for channel in config.channels]
    for channel in config.channels:
        if names.count(channel.name) > 1:
            raise ConfigurationError(f"alerts: channel {channel.name!r} stands twice; give each its own name")
        if sum(map(bool, (channel.url_env, channel.url_file, channel.record_file))) != 1:
            raise ConfigurationError(
                f"alerts: channel {channel.name!r}: write exactly one of url_env, url_file and record_file"
            )
        if not channel.priorities:
            raise ConfigurationError(f"alerts: channel {channel.name!r}: priorities is empty, so nothing would be sent")
    return config


def read_preset(config: AlertConfig, folder: Path) -> Preset:
    """The preset that is configured, or the shipped one; raises `ConfigurationError`."""
    if not config.preset:
        return decode_preset(files("alerts").joinpath("presets/adult.toml").read_bytes())
    path = folder / config.preset
    try:
        return decode_preset(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"alerts: preset {path} cannot be read ({error.strerror}): check the path") from error


def read_duty(config: AlertConfig, ward: Ward) -> Duty | None:
    """Who is called and who next; `None` when no people are configured. Raises `ConfigurationError`."""
    return make_duty(config, ZoneInfo(ward.time_zone), [channel.name for channel in config.channels])


def open_channels(config: AlertConfig, folder: Path, environment: Mapping[str, str]) -> tuple[Channel, ...]:
    """The configured channels, with their secrets read; raises `ConfigurationError`, which shows none of them."""
    return tuple(_open(channel, folder, environment) for channel in config.channels)


def _open(config: ChannelConfig, folder: Path, environment: Mapping[str, str]) -> Channel:
    priorities = frozenset(Priority[name.upper()] for name in config.priorities)
    subscription = Subscription(config.name, priorities, config.send_ended)
    if config.record_file:
        return RecordChannel(subscription, path=folder / config.record_file)
    return AppriseChannel(subscription, _secret(config, folder, environment), timeout_s=config.timeout_s)


def _secret(config: ChannelConfig, folder: Path, environment: Mapping[str, str]) -> str:
    if config.url_env:
        url = environment.get(config.url_env, "").strip()
        if not url:
            raise ConfigurationError(
                f"alerts: channel {config.name!r}: the environment variable {config.url_env} is not set; "
                "put the apprise address there"
            )
        return url
    path = folder / config.url_file
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ConfigurationError(
                f"alerts: channel {config.name!r}: {path} holds a secret that everybody may read; run chmod 600 on it"
            )
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"alerts: channel {config.name!r}: {path} cannot be read: {error}") from error
