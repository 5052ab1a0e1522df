"""Configuration of the alert engine: which preset, and which priorities go to which channel.

preset = "ward-3.toml"         # optional; the shipped adult preset otherwise
language = "de"                # of messages: "en", "de", or the file of a translation; a channel may have its own
privacy = "bed"                # or "ward": messages say only of which ward an alarm is; a channel may have its own

[[channels]]
name = "ward-phone"
url_env = "WARDLIGHT_PHONE"    # or url_file = "/etc/wardlight/phone.url"; an apprise address, and a secret
priorities = ["high", "medium"]
send_ended = false

[[channels]]
name = "book"
record_file = "notifications.jsonl"

[[channels]]
name = "pager"
kind = "webhook"               # or "mqtt"; "apprise" when left out
url_file = "pager.url"
secret_file = "pager.secret"   # or secret_env; the webhook is signed with it

[[channels]]
name = "siren"
command = ["/usr/local/bin/siren", "--lamp"]

[[channels]]
name = "night-phone"
kind = "webpush"               # phones subscribe on the station's page; `wardlight push invite night-phone`
subject = "mailto:it@hospital.example"
"""

from __future__ import annotations

import stat
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from alerts.duty import Duty, DutyConfig, make_duty
from alerts.events import Priority
from alerts.heartbeat_settings import HeartbeatSettings, check_heartbeat
from alerts.limits import Preset, decode_preset
from alerts.notify.catalogue import SHIPPED, Texts, decode_texts, shipped
from alerts.notify.channels import AppriseChannel, RecordChannel
from alerts.notify.mqtt import MqttChannel
from alerts.notify.outbox import Channel, Subscription
from alerts.notify.phones import SERVICES
from alerts.notify.push_keys import PushFolder
from alerts.notify.receipts import TicketOffice
from alerts.notify.siren import SirenChannel
from alerts.notify.webhook import WebhookChannel
from alerts.notify.webpush import WebPushChannel
from alerts.notify.wording import Privacy
from vitals.errors import ConfigurationError
from vitals.self_test import SELF_TEST
from vitals.ward import Ward
from vitals.wire import Name

_Priorities: TypeAlias = tuple[Literal["low", "medium", "high"], ...]


class ChannelConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One channel. Exactly one of `url_env`, `url_file`, `record_file` and `command` says what is behind it.

    Of Web Push nothing says so but its phones; `subject` tells push services whom to ask, `services` which are used.
    Without a `language` or `privacy` of its own a channel has those of the whole file. Without `priorities` one that
    reaches people leaves out the low ones, which are to be known about and not to be woken by; one that writes down or
    passes on has all.
    """

    name: Name
    url_env: str = ""
    url_file: str = ""
    record_file: str = ""
    command: tuple[str, ...] = ()
    kind: Literal["apprise", "webhook", "mqtt", "webpush"] = "apprise"
    secret_env: str = ""
    secret_file: str = ""
    priorities: _Priorities | None = None
    send_ended: bool = False
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    tells_delivery: bool | None = None
    subject: Annotated[str, Meta(pattern=r"^((mailto:[^@\s]+@|https://)[\w.-]+)?$")] = ""
    services: tuple[str, ...] = SERVICES
    language: str = ""
    privacy: Literal["bed", "ward", ""] = ""


class AlertConfig(DutyConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See the module's text, and `alerts.duty` for people, shifts and chains.

    Paths are relative to the folder of the configuration file. `receipts_url`: under which phones and pagers reach the
    station, through a reverse proxy with TLS. `heartbeat`: see `alerts.heartbeat_settings`.
    """

    preset: str = ""
    language: str = "en"
    privacy: Literal["bed", "ward"] = "bed"
    channels: tuple[ChannelConfig, ...] = ()
    receipts_url: Annotated[str, Meta(pattern=r"^(https?://[\w.-]+(:\d+)?/?)?$")] = ""
    heartbeat: HeartbeatSettings = HeartbeatSettings()

    @property
    def for_heartbeat(self) -> frozenset[str]:
        """The channels that tell of no alarm: the heartbeat's own, and a second one without priorities."""
        own, second = self.heartbeat.channel, self.heartbeat.second_channel
        return frozenset({own} | {c.name for c in self.channels if c.name == second and not c.priorities})


def decode_config(text: bytes) -> AlertConfig:
    """Read and check an `alerts.toml`; raises `ConfigurationError` that names the setting and what to write."""
    try:
        config = msgspec.toml.decode(text, type=AlertConfig)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"alerts: {error}") from error
    _check_language("alerts", config.language)
    config = msgspec.structs.replace(config, channels=tuple(_completed(c, config) for c in config.channels))
    names = [channel.name for channel in config.channels]
    of_people = frozenset(name for person in config.people for name in person.channels)
    for channel in config.channels:
        if names.count(channel.name) > 1:
            raise ConfigurationError(f"alerts: channel {channel.name!r} stands twice; give each its own name")
        _check_channel(channel)
        if not channel.priorities and channel.name not in config.for_heartbeat - of_people:
            raise ConfigurationError(f"alerts: channel {channel.name!r}: priorities is empty, so nothing would be sent")
    check_heartbeat(config.heartbeat, {channel.name: channel.kind for channel in config.channels}, of_people)
    return config


def _completed(channel: ChannelConfig, config: AlertConfig) -> ChannelConfig:
    passes_on = channel.record_file or channel.kind in ("webhook", "mqtt")
    usual: _Priorities = ("high", "medium", "low") if passes_on else ("high", "medium")
    return msgspec.structs.replace(
        channel,
        language=channel.language or config.language,
        privacy=channel.privacy or config.privacy,
        priorities=usual if channel.priorities is None else channel.priorities,
    )


def _check_language(where: str, language: str) -> None:
    if language not in SHIPPED and not language.endswith(".toml"):
        known = ", ".join(f'"{name}"' for name in SHIPPED)
        raise ConfigurationError(
            f"{where}: language {language!r} is not shipped; write one of {known}, or the file of a translation "
            'such as "fr.toml" (docs/notifications.md says how to make one)'
        )


def _check_channel(channel: ChannelConfig) -> None:
    where = f"alerts: channel {channel.name!r}"
    _check_language(where, channel.language)
    if channel.name == SELF_TEST:
        raise ConfigurationError(f"{where}: this is the name of the heartbeat's self-test; choose another")
    if channel.tells_delivery and channel.kind not in ("webhook", "webpush"):
        raise ConfigurationError(f"{where}: tells_delivery: only a webhook and webpush can tell; remove it")
    if bool(channel.subject) != (channel.kind == "webpush"):
        raise ConfigurationError(f'{where}: webpush, and only that, needs subject = "mailto:…" for the push services')
    behind = (channel.url_env, channel.url_file, channel.record_file, channel.command)
    if channel.kind == "webpush":
        if any(behind):
            raise ConfigurationError(f"{where}: webpush goes to the phones that subscribe; remove its address")
        return
    if sum(map(bool, behind)) != 1:
        raise ConfigurationError(f"{where}: write exactly one of url_env, url_file, record_file and command")
    if channel.kind != "apprise" and not (channel.url_env or channel.url_file):
        raise ConfigurationError(f"{where}: kind = {channel.kind!r} needs url_env or url_file")
    if channel.kind == "webhook" and bool(channel.secret_env) == bool(channel.secret_file):
        raise ConfigurationError(f"{where}: a webhook is signed: write exactly one of secret_env and secret_file")


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


def open_channels(
    config: AlertConfig,
    folder: Path,
    environment: Mapping[str, str],
    *,
    site: str = "ward",
    push: PushFolder | None = None,
) -> tuple[Channel, ...]:
    """The channels that tell of alarms, with their secrets read; raises `ConfigurationError`, which shows none of them.

    `site`: under which the messages of an MQTT channel are published. `push`: where phones and the server's own keys
    are; without it nothing is made there, channels of phones are left out, and no receipts are asked for.
    """
    url = config.receipts_url
    opened = (
        _open(channel, folder, environment, site=site, push=push, receipts_url=url)
        for channel in config.channels
        if channel.name not in config.for_heartbeat
    )
    return tuple(channel for channel in opened if channel is not None)


def open_heartbeat(
    config: AlertConfig, folder: Path, environment: Mapping[str, str], *, site: str = "ward"
) -> tuple[Channel | None, Channel | None]:
    """The heartbeat's own channel and the second one, where they are configured, as `open_channels` does.

    The second is opened for whoever watches the heartbeat, also when alarms are told through the same address.
    """
    by_name = {
        channel.name: _open(channel, folder, environment, site=site, push=None, receipts_url="")
        for channel in config.channels
        if channel.name in (config.heartbeat.channel, config.heartbeat.second_channel)
    }
    return by_name.get(config.heartbeat.channel), by_name.get(config.heartbeat.second_channel)


def _open(
    config: ChannelConfig,
    folder: Path,
    environment: Mapping[str, str],
    *,
    site: str,
    push: PushFolder | None,
    receipts_url: str,
) -> Channel | None:
    priorities = frozenset(Priority[name.upper()] for name in config.priorities or ())
    tells = config.kind == "webpush" if config.tells_delivery is None else config.tells_delivery
    texts, privacy = _read_texts(config, folder), Privacy(config.privacy or Privacy.BED)
    subscription = Subscription(config.name, priorities, config.send_ended, tells, texts, privacy)
    if config.kind == "webpush":
        return None if push is None else _of_phones(config, subscription, push)
    if config.record_file:
        return RecordChannel(subscription, path=folder / config.record_file)
    if config.command:
        return SirenChannel(subscription, config.command, timeout_s=config.timeout_s)
    url = _secret(config.name, config.url_env, folder / config.url_file, environment)
    if config.kind == "mqtt":
        return MqttChannel(subscription, url, site, timeout_s=config.timeout_s)
    if config.kind == "webhook":
        secret = _secret(config.name, config.secret_env, folder / config.secret_file, environment)
        office = TicketOffice(push.seal(), receipts_url) if push is not None and receipts_url else None
        return WebhookChannel(subscription, url, secret, now_ns=time.time_ns, timeout_s=config.timeout_s, office=office)
    return AppriseChannel(subscription, url, timeout_s=config.timeout_s)


def _of_phones(config: ChannelConfig, subscription: Subscription, push: PushFolder) -> Channel:
    return WebPushChannel(
        subscription,
        push.phones(config.name),
        push.sender(),
        TicketOffice(push.seal()),
        subject=config.subject,
        services=config.services,
        now_ns=time.time_ns,
        timeout_s=config.timeout_s,
    )


def _read_texts(config: ChannelConfig, folder: Path) -> Texts:
    """The words of the language that is configured, or English."""
    if config.language in ("", *SHIPPED):
        return shipped(config.language or "en")
    path = folder / config.language
    try:
        return decode_texts(path.read_bytes(), f"alerts: channel {config.name!r}: language {path}")
    except OSError as error:
        where = f"alerts: channel {config.name!r}: language"
        raise ConfigurationError(f"{where} {path} cannot be read ({error.strerror}): check the path") from error


def _secret(channel: str, variable: str, path: Path, environment: Mapping[str, str]) -> str:
    """What the environment variable holds, or the file when no variable is named."""
    if variable:
        text = environment.get(variable, "").strip()
        if not text:
            raise ConfigurationError(
                f"alerts: channel {channel!r}: the environment variable {variable} is not set; "
                "put the address or secret there"
            )
        return text
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ConfigurationError(
                f"alerts: channel {channel!r}: {path} holds a secret that everybody may read; run chmod 600 on it"
            )
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"alerts: channel {channel!r}: {path} cannot be read: {error}") from error
