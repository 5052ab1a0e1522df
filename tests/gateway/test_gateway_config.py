"""The uplink's settings: what is accepted, and what an operator is told otherwise."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.config import RECOVERY, Address, UplinkConfig, decode_config
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


WHOLE = """
site = "north"
gateway = "pi-1"
[uplink]
url = "mqtts://ward-server"
"""
OXIMETER = '[[device]]\nname = "ox-1"\naddress = "C4:5A:10:22:33:44"\n'


def test_a_whole_file_needs_little() -> None:
    found = decode_config(WHOLE + OXIMETER)
    assert (found.uplink.site, found.uplink.gateway, found.device[0].driver) == ("north", "pi-1", "auto")
    assert found.radio.recovery == RECOVERY
    assert "reboot" not in RECOVERY


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("site = ", "not TOML"),
        ('site = "north"\n', 'write \\[uplink\\] and url = "'),
        ('site = "north"\n[uplink]\nurl = "mqtt://x"\n', r"^uplink\.gateway: is missing"),
        (WHOLE + 'site = "north"\n', r"^uplink\.site: write site once"),
        (WHOLE + "keepalive = 3\n", r"^uplink\.keepalive: is not a setting"),
        (WHOLE + 'ca_file = "a"\n[spool]\nmax_bytes = "1 GB"', r"^spool\.max_bytes: Expected `int`"),
        (WHOLE + "[radio]\nslots = 99", r"^radio\.slots: Expected `int` <= 20"),
        (WHOLE + '[radio]\nadapters = ["usb"]', r'write them like \["hci0"\]'),
        (WHOLE + '[radio]\nrecovery = ["pray"]', r"^radio\.recovery\[0\]: Invalid enum value 'pray'"),
        (WHOLE + '[[device]]\nname = "Mrs X"\naddress = "C4:5A:10:22:33:44"', "never a person's name"),
        (WHOLE + '[[device]]\nname = "ox-1"\naddress = "1234"', 'write it like "C4:5A'),
        (WHOLE + OXIMETER + OXIMETER, "'ox-1' stands twice"),
        (WHOLE + OXIMETER + OXIMETER.replace("ox-1", "ox-2"), "address 'C4:5A:10:22:33:44' stands twice"),
        (WHOLE + OXIMETER + '[local_mqtt]\nwearables = ["ox-1"]', "'ox-1' stands twice"),
        (WHOLE + '[local_mqtt]\nwearables = []\npassword_file = "x"', "local_mqtt: password_file needs a username"),
        (WHOLE + '[push]\npublic_key = "secret"', "64 hexadecimal digits"),
    ],
)
def test_a_wrong_setting_in_the_file_is_named(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        decode_config(text)
