"""The heartbeat in `alerts.toml`: which channels tell what, and what is refused."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from alerts.config import AlertConfig, decode_config, open_channels, open_heartbeat
from alerts.heartbeat import Pace
from vitals.errors import ConfigurationError

CHANNELS = """
[[channels]]
name = "phone"
record_file = "phone"
[[channels]]
name = "watchdog"
record_file = "watchdog"
[[channels]]
name = "operator"
record_file = "operator"
"""
DUTY = """
[[people]]
name = "nurse"
channels = ["{}"]
[[shifts]]
name = "always"
from = "00:00"
to = "00:00"
responders = ["nurse"]
[[chains]]
name = "all"
priorities = ["high", "medium", "low"]
[[chains.steps]]
to = ["nurse"]
wait_s = 60
"""


def heartbeat(**settings: object) -> str:
    lines = [f"{key} = {value!r}" for key, value in settings.items()]
    return "\n".join(["[heartbeat]", *lines, ""])


def names(text: str) -> tuple[list[str], list[str]]:
    """The channels that alarms are told by, and the heartbeat's two."""
    config = decode_config(text.encode())
    own = [channel.subscription.name for channel in open_heartbeat(config, Path(), {}) if channel is not None]
    return [channel.subscription.name for channel in open_channels(config, Path(), {})], own


def test_without_settings_there_is_a_heartbeat_that_tells_nobody() -> None:
    assert AlertConfig().heartbeat.pace == Pace(120, 30)
    assert names(CHANNELS) == (["phone", "watchdog", "operator"], [])


def test_the_heartbeats_own_channel_gets_no_alarm_of_a_patient() -> None:
    assert names(CHANNELS + heartbeat(channel="watchdog")) == (["phone", "operator"], ["watchdog"])


def test_the_second_channel_may_tell_of_alarms_or_of_nothing_else() -> None:
    both = heartbeat(channel="watchdog", second_channel="operator")
    assert names(CHANNELS + both) == (["phone", "operator"], ["watchdog", "operator"])
    assert names(CHANNELS + "priorities = []\n" + both) == (["phone"], ["watchdog", "operator"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (heartbeat(channel="nobody"), "channel 'nobody' is none of"),
        (heartbeat(second_channel="nobody"), "second_channel 'nobody' is none of"),
        (heartbeat(channel="phone", second_channel="phone"), "the same as channel"),
        (heartbeat(within_s=60, every_s=60), "within_s 60 is not below every_s 60"),
        (heartbeat(every_s=1), "every_s"),
        (heartbeat(chanel="phone"), "chanel"),
        ('[[channels]]\nname = "self-test"\nrecord_file = "x"\n', "the name of the heartbeat's self-test"),
        ("priorities = []\n" + heartbeat(channel="watchdog"), "'operator': priorities is empty"),
        ('[[channels]]\nname = "push"\nkind = "webpush"\nsubject = "mailto:a@example.org"\n'
         + heartbeat(second_channel="push"), "is webpush"),
        (heartbeat(channel="watchdog") + DUTY.format("watchdog"), "belongs to a person"),
        ("priorities = []\n" + heartbeat(second_channel="operator") + DUTY.format("operator"), "priorities is empty"),
    ],
)  # fmt: skip
def test_what_would_not_work_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        decode_config((CHANNELS + text).encode())


def test_the_example_of_the_documentation_is_valid() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "notifications.md").read_text()
    block = page[page.index("    [heartbeat] ") : page.index("Without these settings the rounds run")]
    config = decode_config(textwrap.dedent(block).encode())
    assert (config.heartbeat.channel, config.heartbeat.second_channel) == ("watchdog", "operator")
    assert config.for_heartbeat == {"watchdog", "operator"}
