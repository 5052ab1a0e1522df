"""The states of a connection between an adapter and a peripheral: everything that affects transitions. Pure."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Link(Enum):
    """`RESOLVING`: connected, services are being discovered; `CLOSING`: a local Disconnect is on its way."""

    IDLE = auto()
    CONNECTING = auto()
    RESOLVING = auto()
    READY = auto()
    CLOSING = auto()

    @property
    def connected(self) -> bool:
        """Whether the radio link stands."""
        return self in {Link.RESOLVING, Link.READY, Link.CLOSING}


class LinkEvent(Enum):
    """What happens to a link. `LOST`: the other side, the power or the adapter is gone."""

    CONNECT = auto()
    ESTABLISHED = auto()
    FAILED = auto()
    RESOLVED = auto()
    DISCONNECT = auto()
    CLOSED = auto()
    LOST = auto()


_TRANSITIONS: Final = {
    (Link.IDLE, LinkEvent.CONNECT): Link.CONNECTING,
    (Link.CONNECTING, LinkEvent.ESTABLISHED): Link.RESOLVING,
    (Link.CONNECTING, LinkEvent.FAILED): Link.IDLE,
    (Link.CONNECTING, LinkEvent.LOST): Link.IDLE,
    (Link.RESOLVING, LinkEvent.RESOLVED): Link.READY,
    (Link.RESOLVING, LinkEvent.DISCONNECT): Link.CLOSING,
    (Link.RESOLVING, LinkEvent.LOST): Link.IDLE,
    (Link.READY, LinkEvent.DISCONNECT): Link.CLOSING,
    (Link.READY, LinkEvent.LOST): Link.IDLE,
    (Link.CLOSING, LinkEvent.CLOSED): Link.IDLE,
    (Link.CLOSING, LinkEvent.LOST): Link.IDLE,
}


def after(link: Link, event: LinkEvent) -> Link:
    """The next state; an event that has no place in the table raises `ValueError`."""
    if (link, event) not in _TRANSITIONS:
        raise ValueError(f"{event.name} cannot happen to a link that is {link.name}")
    return _TRANSITIONS[link, event]
