"""The uplink's settings: what is accepted, and what an operator is told otherwise."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.config import Address, UplinkConfig
from vitals.errors import ConfigurationError


def config(**settings: Any) -> UplinkConfig:
    return UplinkConfig(**{"url": "mqtt://server", "site": "north", "gateway": "gw-1", **settings})


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://server", Address("server", 1883, False)),
        ("mqtts://server", Address("server", 8883, True)),
        ("mqtt://10.0.0.7:1999", Address("10.0.0.7", 1999, False)),
        ("mqtt://[::1]:1999", Address("::1", 1999, False)),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert config(url=url).address == address


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": "server:1883"}, "write one like"),
        ({"url": "http://server"}, "mqtt:// or mqtts://"),
        ({"url": "mqtt://server:port"}, "cannot be read"),
        ({"url": "mqtt://user:secret@server"}, "password_file"),
        ({"ca_file": "ca.pem"}, "mqtts://"),
        ({"url": "mqtts://server", "certificate_file": "a.pem"}, "key_file"),
        ({"password_file": "secret"}, "username"),
        ({"reconnect_min_s": 60.0}, "reconnect_max_s"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        config(**settings)
    assert "secret@" not in str(raised.value)


def test_toml() -> None:
    text = 'url = "mqtts://ward-server"\nsite = "north"\ngateway = "gw-1"\nca_file = "ca.pem"\n'
    assert msgspec.toml.decode(text, type=UplinkConfig).ca_file == "ca.pem"
    with pytest.raises(msgspec.ValidationError, match="keepalive"):
        msgspec.toml.decode(text + "keepalive = 3\n", type=UplinkConfig)
