"""The settings of a gateway, one TOML file. Read at the edge; pure code receives values.

site = "north"
gateway = "pi-1"

[uplink]
url = "mqtts://ward-server:8883"
ca_file = "/etc/wardlight/ca.pem"

[[device]]
name = "ox-17"                     # what the server knows it as; never a person's name
address = "C4:5A:10:22:33:44"

Everything else has a default, see the classes below. Times are in seconds, sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from vitals.errors import ConfigurationError
from vitals.wire import Name

_DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_EXAMPLE: Final = "write one like 'mqtts://ward-server:8883'"

_MAC: Final = r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}\Z"
_ADAPTER: Final = r"^hci[0-9]{1,2}\Z"
MAX_DEVICES: Final = 60  # of one gateway: what its radios can hold, and far below what a message may carry

Seconds = Annotated[float, Meta(gt=0, le=3600)]
RecoveryStep: TypeAlias = Literal["restart_scan", "power_cycle", "reset_adapter", "restart_bluetoothd", "reboot"]
RECOVERY: Final[tuple[RecoveryStep, ...]] = ("restart_scan", "power_cycle", "reset_adapter", "restart_bluetoothd")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is: ingest's own endpoint or a broker; the gateway does not care which."""

    host: str
    port: int
    tls: bool


class UplinkConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a gateway reaches the server.

    `url`: `mqtt://host[:port]` or `mqtts://host[:port]`. With TLS, `ca_file` names the authority that signed the
    server's certificate (default: the system's), `certificate_file` and `key_file` identify this gateway. A password is
    read from `password_file` at each connection, so that no setting ever holds a secret.

    Raises `ConfigurationError` that names the setting.
    """

    url: str
    site: Name
    gateway: Name
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None
    keep_alive_s: Annotated[int, Meta(ge=5, le=300)] = 15  # a dead path is noticed within two of these
    reconnect_min_s: Seconds = 0.5
    reconnect_max_s: Seconds = 30.0  # a ward's server is back in seconds; longer would only delay alarms
    receipt_timeout_s: Seconds = 10.0  # then the oldest unreceipted message is sent again
    status_every_s: Seconds = 30.0
    backlog_per_s: Annotated[float, Meta(gt=0, le=10_000)] = 100.0  # a day's numbers in 15 minutes
    oldest_first: bool = False  # nothing is live: a replay, whose order is the point

    def __post_init__(self) -> None:
        address = self.address
        if not address.tls and (self.ca_file or self.certificate_file):
            raise ConfigurationError("uplink: ca_file and certificate_file need TLS; write the url with mqtts://")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ConfigurationError("uplink: certificate_file and key_file belong together; name both or neither")
        if self.password_file and not self.username:
            raise ConfigurationError("uplink: password_file needs a username; name it")
        if self.reconnect_min_s > self.reconnect_max_s:
            raise ConfigurationError("uplink: reconnect_min_s is above reconnect_max_s; exchange them")

    @property
    def address(self) -> Address:
        """The parts of `url`."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"uplink: url {self.url!r} cannot be read ({error}); {_EXAMPLE}") from error
        if "@" in parts.netloc:
            raise ConfigurationError("uplink: url carries a user or password; use username and password_file instead")
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ConfigurationError(f"uplink: url {self.url!r} is not mqtt:// or mqtts:// and a host; {_EXAMPLE}")
        return Address(parts.hostname, port or _DEFAULT_PORTS[parts.scheme], parts.scheme == "mqtts")


class SpoolConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where readings wait for their receipt, and how many: waveforms go first when it becomes too much."""

    folder: str = "/var/lib/wardlight"
    max_bytes: Annotated[int, Meta(ge=1 << 20)] = 1 << 30  # two days of 12 wearables with PPG, months without
    max_age_s: Annotated[float, Meta(ge=3600)] = 14 * 86_400.0  # older than two weeks helps nobody at a bedside


class ClockConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long readings wait for the time to be known while the server could have them: then they go without."""

    hold_s: Seconds = 60.0


class RadioConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bluetooth. `adapters`: empty for all; `slots`: connections an adapter holds at once.

    `recovery`: what is tried when the radio hangs, gentlest first; "reboot" only when it is named here.
    """

    enabled: bool = True
    adapters: tuple[Annotated[str, Meta(pattern=_ADAPTER)], ...] = ()
    slots: Annotated[int, Meta(ge=1, le=20)] = 7  # Broadcom's, on a Raspberry Pi; CSR dongles hold 5
    scan_quiet_s: Seconds = 90.0  # no advertisement for so long: the radio is taken to hang
    connect_timeout_s: Annotated[float, Meta(ge=5, le=120)] = 30.0  # some straps take 20
    recovery: tuple[RecoveryStep, ...] = RECOVERY


class DeviceConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A wearable that is allowed. `driver`: "auto" goes by what it advertises."""

    name: Name
    address: Annotated[str, Meta(pattern=_MAC)]
    driver: str = "auto"
    adapter: Annotated[str, Meta(pattern=_ADAPTER)] | None = None
    acquire_notify: bool = False  # spares the bus daemon, and breaks with some devices


class LocalMqttConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The MQTT broker on this gateway (mosquitto) that Wi-Fi wearables speak to, and which of them are allowed."""

    wearables: tuple[Name, ...]
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    username: str | None = None
    password_file: str | None = None

    def __post_init__(self) -> None:
        if self.password_file and not self.username:
            raise ConfigurationError("local_mqtt: password_file needs a username; name it")


class PushConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings pushed by the server, if at all. `public_key`: of whoever signs them, Ed25519, 64 hexadecimal digits."""

    public_key: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z")]
    health_s: Annotated[float, Meta(ge=5, le=600)] = 60.0  # with new settings: a receipt by then, or back to the old


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`per_minute`: of one kind of message; what is more is counted."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    per_minute: Annotated[int, Meta(ge=1, le=10_000)] = 10


class GatewayConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See the module's text. Raises `ConfigurationError` that names the setting."""

    site: Name
    gateway: Name
    uplink: UplinkConfig
    spool: SpoolConfig = SpoolConfig()
    clock: ClockConfig = ClockConfig()
    radio: RadioConfig = RadioConfig()
    device: tuple[DeviceConfig, ...] = ()
    local_mqtt: LocalMqttConfig | None = None
    push: PushConfig | None = None
    log: LogConfig = LogConfig()
    runtime_folder: str = "/run/wardlight"  # in memory: what may go with the power

    def __post_init__(self) -> None:
        names = [device.name for device in self.device]
        names += self.local_mqtt.wearables if self.local_mqtt else ()
        _refuse_twice("name", names)
        _refuse_twice("address", [device.address.upper() for device in self.device])
        if len(names) > MAX_DEVICES:
            raise ConfigurationError(f"device: {len(names)} wearables; one gateway serves at most {MAX_DEVICES}")


def _refuse_twice(what: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ConfigurationError(f"device: {what} {value!r} stands twice; give each wearable its own")


def decode_config(text: str | bytes) -> GatewayConfig:
    """Read and check a `gateway.toml`; raises `ConfigurationError` that names the setting and says what to write."""
    try:
        settings = msgspec.toml.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"gateway: this is not TOML ({error}); correct that line") from error
    return config_of(settings)


def config_of(settings: dict[str, Any]) -> GatewayConfig:
    """As `decode_config`, of settings that were read already."""
    uplink = settings.get("uplink")
    if not isinstance(uplink, dict):
        raise ConfigurationError('uplink: the server is not named; write [uplink] and url = "mqtts://ward-server:8883"')
    for name in ("site", "gateway"):
        if name in uplink:
            raise ConfigurationError(f"uplink.{name}: write {name} once, at the top of the file, and not here")
    named = {name: settings[name] for name in ("site", "gateway") if name in settings}
    try:
        return msgspec.convert({**settings, "uplink": {**uplink, **named}}, GatewayConfig)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, ConfigurationError):  # of a `__post_init__`; its text says all
            raise error.__cause__ from None
        raise ConfigurationError(_told(str(error))) from error


def _told(message: str) -> str:
    """A msgspec message with the setting first: ``device[0].address: …``."""
    what, _, path = message.partition(" - at `$.")
    field = path.rstrip("`")
    if "missing required field" in what:
        missing = what.split("`")[1]
        return f"{f'{field}.' if field else ''}{missing}: is missing; write it"
    if "unknown field" in what:
        unknown = what.split("`")[1]
        return f"{f'{field}.' if field else ''}{unknown}: is not a setting; correct its name or remove it"
    return f"{field}: {what}{_HINTS.get(field.rpartition('.')[2].partition('[')[0], '')}"


_HINTS: Final = {
    "address": '; write it like "C4:5A:10:22:33:44"',
    "adapters": '; write them like ["hci0"]',
    "adapter": '; write it like "hci0"',
    "name": "; write 1 to 64 of A–Z a–z 0–9 . _ : -, and never a person's name",
    "public_key": "; write the 64 hexadecimal digits of the signer's Ed25519 public key",
}
