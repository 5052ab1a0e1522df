"""Names and topics: what a gateway, a site or a device may be called, and where its messages go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from vitals.errors import MalformedMessageError

TOPIC_VERSION: Final = 1
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z"  # safe in a topic, a path and a log line
_NAME: Final = re.compile(NAME_PATTERN)


TopicName = Literal["batch", "status", "receipt", "config"]
_TOPIC_NAMES: Final[tuple[TopicName, ...]] = ("batch", "status", "receipt", "config")


@dataclass(frozen=True, slots=True)
class Topic:
    """`wardlight/v1/{site}/{gateway}/{name}`: `batch` and `status` go up, `receipt` and `config` come down."""

    site: str
    gateway: str
    name: TopicName

    def __str__(self) -> str:
        return f"wardlight/v{TOPIC_VERSION}/{self.site}/{self.gateway}/{self.name}"

    @classmethod
    def parse(cls, topic: str) -> Topic:
        """Read a topic; raises `MalformedMessageError` (`topic`) when it is not one of ours."""
        parts = topic.split("/")
        if len(parts) == 5 and parts[0] == "wardlight" and parts[1] == f"v{TOPIC_VERSION}":
            for name in _TOPIC_NAMES:
                if parts[4] == name and _NAME.match(parts[2]) and _NAME.match(parts[3]):
                    return cls(parts[2], parts[3], name)
        raise MalformedMessageError(
            "topic", "topic", f"{topic[:120]!r} is not wardlight/v{TOPIC_VERSION}/SITE/GATEWAY/(batch|status|…)"
        )


def valid_name(name: str) -> bool:
    """Whether `name` may stand for a device, a gateway or a site."""
    return _NAME.match(name) is not None
