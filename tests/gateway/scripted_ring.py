"""A Viatom ring as a script: it answers requests, records while nobody listens, and can be made to misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.devices.driver import Action, HeardSample, Write
from gateway.devices.viatom import ViatomDriver
from gateway.gatt import viatom
from gateway.gatt.date_time import DateTime
from gateway.gatt.viatom import Command, Live, LiveWave, Reply, Request, ViatomStream
from gateway.gatt.viatom_file import (
    Record,
    Recording,
    ViatomInfo,
    decode_name,
    encode_size,
)

SECOND = 1_000_000_000
BLOCK = 64  # bytes of a file in one reply
NOTIFICATION = 20
WAVE_HZ = 125
EPOCH_S = DateTime(2025, 3, 7, 23, 0, 0).seconds or 0  # what the ring's clock shows when the gateway's shows 0


@dataclass
class Ring:
    """`files`: name → content. `mute`: commands that are not answered; `refuses`: that are refused, with a status.

    `knows_waves`: whether it answers `LIVE_WAVE`; `live_while_open`: whether it gives live readings with a file open.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    worn: bool = True
    spo2: int = 97
    clock_s: int | None = EPOCH_S
    mute: set[Command] = field(default_factory=set)
    refuses: dict[Command, int] = field(default_factory=dict)
    knows_waves: bool = False
    live_while_open: bool = True
    asked: list[Request] = field(default_factory=list)
    waved_s: float = 0.0  # when it told its pulse wave last
    open: str = ""
    stream: ViatomStream = field(default_factory=lambda: ViatomStream(0xAA))

    def write(self, data: bytes, now_s: float) -> Iterator[bytes]:
        """A piece of a request; the notifications that answer it, if it is whole."""
        self.stream, frames, skipped = self.stream.feed(data)
        assert not skipped, "the gateway writes nothing but requests"
        for frame in frames:
            request = Request.decode(frame)
            self.asked.append(request)
            if request.command not in self.mute and (reply := self._reply(request, now_s)) is not None:
                answer = reply.encode()
                yield from (answer[at : at + NOTIFICATION] for at in range(0, len(answer), NOTIFICATION))

    def _reply(self, request: Request, now_s: float) -> Reply | None:
        if request.command in self.refuses:
            return Reply(self.refuses[request.command])
        match request.command:
            case Command.INFO:
                clock_s = None if self.clock_s is None else self.clock_s + int(now_s)
                return Reply(0, 0, ViatomInfo("O2Ring", "2001", clock_s=clock_s, files=tuple(self.files)).encode())
            case Command.LIVE | Command.LIVE_WAVE:
                return self._live(request, now_s)
            case Command.OPEN:
                self.open = decode_name(request.payload)
                return Reply(0, 0, encode_size(len(self.files[self.open]))) if self.open in self.files else Reply(1)
            case Command.READ:
                at = request.block * BLOCK
                return Reply(0, request.block, self.files[self.open][at : at + BLOCK])
            case _:
                self.open = ""
                return Reply(0)

    def _live(self, request: Request, now_s: float) -> Reply | None:
        if self.open and not self.live_while_open:
            return None
        spo2 = self.spo2 if self.worn else None
        if request.command is Command.LIVE:
            return Reply(0, 0, Live(spo2, 70 if self.worn else None, 90, self.worn).encode())
        if not self.knows_waves:
            return Reply(1)
        samples = tuple(number % 100 for number in range(int(self.waved_s * WAVE_HZ), int(now_s * WAVE_HZ)))
        self.waved_s = now_s
        return Reply(0, 0, LiveWave(spo2, 70 if self.worn else None, 90, self.worn, samples=samples).encode())

    def record(self, begun_s: int, records: tuple[Record, ...]) -> str:
        """A recording that began when the gateway's clock showed `begun_s`; its name."""
        assert self.clock_s is not None
        total = self.clock_s - EPOCH_S + begun_s + 23 * 3600
        moment = DateTime(2025, 3, 7 + total // 86400, total // 3600 % 24, total // 60 % 60, total % 60)
        name = (
            f"{moment.year:04}{moment.month:02}{moment.day:02}{moment.hour:02}{moment.minute:02}{moment.second:02}.vld"
        )
        self.files[name] = Recording(moment, 4, records).encode()
        return name


@dataclass
class Bedside:
    """A ring and the gateway's driver, second by second."""

    ring: Ring
    now_s: float = 0.0
    driver: ViatomDriver = field(default_factory=ViatomDriver)
    state: Any = None
    heard: list[HeardSample] = field(default_factory=list)
    waves: list[Any] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    radio: Callable[[bytes], bool] = lambda _: True  # whether a notification gets through
    delay_s: float = 0.01  # of each notification

    def connect(self) -> None:
        self.ring.stream, self.ring.open = ViatomStream(0xAA), ""
        before = self.state
        self.state, actions = self.driver.begin() if before is None else self.driver.resume(before)
        self._do(actions)

    def run(self, seconds: int) -> None:
        """So many ticks, a second apart, or later where the radio took longer."""
        for _ in range(seconds):
            self.now_s = max(self.now_s, float(int(self.now_s) + 1))
            self.state, heard = self.driver.tick(self.state, self._now_ns())
            self._take(heard)

    def away(self, seconds: int) -> None:
        """The link is lost."""
        self.now_s += seconds

    @property
    def stored(self) -> list[HeardSample]:
        return [sample for sample in self.heard if sample.stored]

    @property
    def live(self) -> list[HeardSample]:
        return [sample for sample in self.heard if not sample.stored]

    def _now_ns(self) -> int:
        return round(self.now_s * SECOND)

    def _take(self, heard: Any) -> None:
        self.heard += heard.samples
        self.waves += heard.waves
        self.complaints += heard.malformed
        self.notes |= heard.notes
        self._do(heard.actions)

    def _do(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            if isinstance(action, Write):
                for notification in self.ring.write(action.data, self.now_s):
                    self.now_s += self.delay_s
                    if self.radio(notification):
                        self.state, heard = self.driver.feed(self.state, viatom.NOTIFY, notification, self._now_ns())
                        self._take(heard)
