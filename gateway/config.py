"""The settings of a gateway. Read at the edge from its `gateway.toml`; pure code receives values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from vitals.errors import ConfigurationError
from vitals.wire import Name

_DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_EXAMPLE: Final = "write one like 'mqtts://ward-server:8883'"

Seconds = Annotated[float, Meta(gt=0, le=3600)]


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
