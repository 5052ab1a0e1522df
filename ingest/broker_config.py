"""The settings of the broker source, read at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from vitals.errors import ConfigurationError

_DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_EXAMPLE: Final = "write one like mqtts://ingest@broker.example:8883"


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """Which broker, and how much of its messages may be on the way to the journal.

    `url`: `mqtt://[user@]host[:port]` or `mqtts://…`; `username` overrides the user in it. The password is read from
    `password_file` at each connection, so that no setting holds a secret. `client_id` names the persistent session: one
    running ingest per name. Raises `ConfigurationError` that names the setting.
    """

    url: str
    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    site: str = "+"  # whose gateways to hear; "+" for all of the broker's
    client_id: str = "wardlight-ingest"
    session_expiry_s: int = 7 * 86_400  # the broker keeps messages for us over a long weekend
    keep_alive_s: int = 30
    receive_max: int = 5_000  # messages that the broker may send ahead of our acknowledgements
    max_unacknowledged_bytes: int = 24 << 20  # above, the connection is not read
    max_packet_bytes: int = 32 << 20  # beyond, the broker itself drops it; up to here it is kept with its reason
    max_retained_topics: int = 10_000  # receipts repeated after a reconnection
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 30.0

    def __post_init__(self) -> None:
        parts = self._parts()
        if parts.password is not None:
            raise ConfigurationError("broker: the url carries a password; put it into a file and name password_file")
        if self.password_file and not self.user:
            raise ConfigurationError("broker: password_file needs a user; " + _EXAMPLE)
        if not self.tls and (self.ca_file or self.certificate_file):
            raise ConfigurationError("broker: ca_file and certificate_file need TLS; write the url with mqtts://")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ConfigurationError("broker: certificate_file and key_file belong together; name both or neither")

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise ConfigurationError(f"broker: the url cannot be read ({error}); {_EXAMPLE}") from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ConfigurationError(f"broker: the url is not mqtt:// or mqtts:// and a host; {_EXAMPLE}")
        return parts

    @property
    def host(self) -> str:
        """Name or address of the broker."""
        return self._parts().hostname or ""

    @property
    def port(self) -> int:
        """Its port, by default that of the scheme."""
        parts = self._parts()
        return parts.port or _DEFAULT_PORTS[parts.scheme]

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self._parts().scheme == "mqtts"

    @property
    def user(self) -> str | None:
        """The user name, from `username` or the url."""
        named = self._parts().username
        return self.username or (unquote(named) if named else None)

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return f"{self.host}:{self.port}"

    def password(self) -> str | None:
        """Read the password; raises `ConfigurationError` when its file cannot be read."""
        if self.password_file is None:
            return None
        try:
            return Path(self.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"broker: password_file {self.password_file} cannot be read ({error}): create it, readable for us only"
            ) from error
