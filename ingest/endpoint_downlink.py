"""What goes down to gateways: who wants which topic, and the newest value of each. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

_C = TypeVar("_C")


class Downlink(Generic[_C]):
    """Subscribers and newest values by topic; beyond `max_topics` values, the one that was set first is forgotten."""

    def __init__(self, max_topics: int) -> None:
        self._max_topics = max_topics
        self._latest: dict[str, bytes] = {}
        self._subscribers: dict[str, set[_C]] = {}

    def remember(self, topic: str, payload: bytes) -> None:
        """Keep `payload` for later subscribers; an empty one clears the topic, as everywhere in MQTT."""
        self._latest.pop(topic, None)
        if payload:
            self._latest[topic] = payload
        if len(self._latest) > self._max_topics:
            del self._latest[next(iter(self._latest))]

    def latest(self, topic: str) -> bytes | None:
        """The newest value of `topic`."""
        return self._latest.get(topic)

    def subscribers(self, topic: str) -> Collection[_C]:
        """Who wants `topic`."""
        return self._subscribers.get(topic, ())

    def subscribe(self, topic: str, connection: _C) -> None:
        """`connection` wants `topic`."""
        self._subscribers.setdefault(topic, set()).add(connection)

    def unsubscribe(self, topic: str, connection: _C) -> None:
        """`connection` no longer wants `topic`."""
        subscribers = self._subscribers.get(topic, set())
        subscribers.discard(connection)
        if not subscribers:
            self._subscribers.pop(topic, None)
