"""The heartbeat's part of `alerts.toml`. Pure.

[heartbeat]                         # all of it may be left out
channel = "watchdog"                # one of [[channels]]: gets a message whenever alarms got through, and nothing else
second_channel = "operator"         # another: is told when they do not, by another way than alarms take
every_s = 120
within_s = 30                       # so long an alarm may take from the reading to the hand-over
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from alerts.heartbeat import Pace
from vitals.errors import ConfigurationError


class HeartbeatSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """See the module's text."""

    channel: str = ""
    second_channel: str = ""
    every_s: Annotated[float, Meta(ge=30, le=900)] = 120.0
    within_s: Annotated[float, Meta(ge=5, le=300)] = 30.0

    @property
    def pace(self) -> Pace:
        return Pace(every_s=self.every_s, within_s=self.within_s)


def check_heartbeat(settings: HeartbeatSettings, kinds: Mapping[str, str], of_people: frozenset[str]) -> None:
    """Raise `ConfigurationError` for what would not work. `kinds`: channel → kind; `of_people`: their channels."""
    if settings.within_s >= settings.every_s:
        raise ConfigurationError(
            f"alerts: heartbeat: within_s {settings.within_s:g} is not below every_s {settings.every_s:g}; lower it"
        )
    if settings.channel and settings.channel == settings.second_channel:
        raise ConfigurationError(
            "alerts: heartbeat: second_channel is the same as channel; name another one, which goes another way"
        )
    for setting, name in (("channel", settings.channel), ("second_channel", settings.second_channel)):
        if name and name not in kinds:
            raise ConfigurationError(f"alerts: heartbeat: {setting} {name!r} is none of [[channels]]; add it there")
        if kinds.get(name) == "webpush":
            raise ConfigurationError(f"alerts: heartbeat: {setting} {name!r} is webpush; name one of another kind")
    if settings.channel in of_people:
        raise ConfigurationError(
            f"alerts: heartbeat: channel {settings.channel!r} belongs to a person, who would be told every "
            f"{settings.every_s:g} s that all is well; name one of nobody"
        )
