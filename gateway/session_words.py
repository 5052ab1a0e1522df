"""The words of a wearable's session: its phases, what can happen to it, what is to be done, how long to wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias


class Phase(Enum):
    """Where a wearable stands."""

    AWAY = "away"  # no advertisement is at hand
    QUEUED = "queued"  # sighted, waits for a connection slot
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    STREAMING = "streaming"
    STALLED = "stalled"  # a stream fell silent: the link is being closed
    CLOSING = "closing"  # the link is being closed for another cause
    BACKING_OFF = "backing off"
    GONE = "gone"  # no longer allowed and nothing left to close: forget it


HOLDING: Final = frozenset({Phase.CONNECTING, Phase.SUBSCRIBING, Phase.STREAMING, Phase.STALLED, Phase.CLOSING})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait for what, in seconds."""

    sighting_s: float = 25.0  # BlueZ forgets a device 30 s after the scan stopped
    connect_s: float = 30.0  # a Polar H10 needed 15–20 s
    subscribe_s: float = 30.0
    close_s: float = 20.0  # above what the shell gives `disconnect`; then the slot is free whatever it does
    backoff_min_s: float = 1.0
    backoff_max_s: float = 30.0
    stable_s: float = 30.0  # a link that streamed this long was good: its loss is answered at once
    tick_s: float = 1.0  # the driver's polls and keep-alives
    say_lost_s: float = 10.0  # when the reason of the silence is repeated first,
    say_lost_most_s: float = 300.0  # and how far apart the repetitions become


@dataclass(frozen=True, slots=True)
class Sighted:
    """An advertisement, or BlueZ says that it is connected already, on this adapter.

    `moves`: the adapter that it waits for is full and this one is not, see `Roster.moves`.
    """

    adapter: str
    moves: bool = False


@dataclass(frozen=True, slots=True)
class SlotGranted:
    """It is this wearable's turn to connect."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The link is up and its services are known."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The driver's first actions are done. `absent`: optional characteristics that the device does not notify."""

    absent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Notified:
    """A value of a characteristic arrived."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The link went away by itself."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Connecting, subscribing or a later action failed, or the driver did. `why`: for people."""

    why: str


@dataclass(frozen=True, slots=True)
class RadioDown:
    """Its adapter is off or gone, or bluetoothd is."""

    why: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The link is closed, as well as it could be. `jitter`: a random number from 0 to 1."""

    jitter: float


@dataclass(frozen=True, slots=True)
class Due:
    """The deadline passed. `jitter` as above."""

    jitter: float


@dataclass(frozen=True, slots=True)
class Removed:
    """The wearable is no longer allowed."""


Event: TypeAlias = (
    Sighted | SlotGranted | Connected | Subscribed | Notified | Dropped | Failed | RadioDown | Closed | Due | Removed
)


class Effect(Enum):
    """What the caller does next."""

    ASK_SLOT = auto()
    FREE_SLOT = auto()  # or leave the queue
    CONNECT = auto()
    SUBSCRIBE = auto()  # the driver's first actions
    CLOSE = auto()  # and report `Closed`, whatever happens
    SAY_LOST = auto()  # the driver's vitals are missing: radio lost
    TICK = auto()  # the driver's `tick`
    FORGET = auto()
