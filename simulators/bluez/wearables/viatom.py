"""Viatom O2Ring: says nothing unless it is asked, and keeps a recording of what happened while nobody asked. Pure.

One record every four seconds without a connection; when a central connects, the recording is closed and becomes a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.gatt import viatom, viatom_file
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import FrameError
from gateway.gatt.viatom import WRITE_BYTES, Charging, Command, Live, LiveWave, Reply, Request, ViatomStream
from gateway.gatt.viatom_file import Record, Recording, ViatomInfo
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import optics, standard
from simulators.bluez.wearables.standard import Label

INTERVAL_S: Final = 4
MAX_FILES: Final = 4  # the oldest makes room
MAX_RECORDS: Final = 9000  # ten hours, then the device stops recording
BLOCK_BYTES: Final = 512
DEVICE_EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)  # what its clock showed when it was switched on
_WAVE_HZ: Final = 125
_BETWEEN_PIECES_S: Final = 0.002
_REFUSED: Final = 1
_LABEL: Final = Label("Viatom", "O2Ring")
_SERVICES: Final = (
    Service(
        viatom.SERVICE,
        (
            Characteristic(viatom.NOTIFY, ("notify",)),
            Characteristic(viatom.WRITE, ("write", "write-without-response")),
        ),
    ),
    _LABEL.service,
)


@dataclass(frozen=True, slots=True)
class ViatomState:
    """`files`: name → content, oldest first; `records`: of the recording that runs, begun at `began_s`.

    `clock_s`: since it was switched on. `opened`: the file that is being read. `asked`: bytes of an unfinished request.
    """

    clock_s: int = 0
    live: bytes = Live(None, None, 100, worn=False).encode()
    wave: bytes = LiveWave(None, None, 100, worn=False).encode()
    records: tuple[Record, ...] = ()
    began_s: int = 0
    files: tuple[tuple[str, bytes], ...] = ()
    battery_pct: float = 100.0
    opened: bytes | None = None
    asked: ViatomStream = field(default_factory=lambda: ViatomStream(sync=0xAA))


@dataclass(frozen=True, slots=True)
class Viatom:
    """The older kind of O2Ring."""

    name: str = "O2Ring 0001"

    @property
    def profile(self) -> Profile:
        return Profile(self.name, _SERVICES, advertised=(viatom.SERVICE,))

    def start(self) -> ViatomState:
        return ViatomState()

    def connect(self, state: ViatomState) -> ViatomState:
        """The recording ends; what was asked for before is forgotten."""
        files = state.files
        if state.records:
            moment = DEVICE_EPOCH + timedelta(seconds=state.began_s)
            content = Recording(_device_time(moment), INTERVAL_S, state.records).encode()
            files = (*files, (f"{moment:%Y%m%d%H%M%S}", content))[-MAX_FILES:]
        return replace(state, files=files, records=(), opened=None, asked=ViatomStream(sync=0xAA))

    def live(self, state: ViatomState, lived: Lived) -> tuple[ViatomState, tuple[Notification, ...]]:
        seen, level = optics.numbers(lived), round(lived.condition.battery_pct)
        worn, perfusion = not seen.off, round(seen.perfusion_pct * 10)
        motion = round(lived.second.motion * 100)
        charging = Charging.NO
        now = Live(seen.spo2_pct, seen.pulse_rate, level, worn, motion, perfusion, charging)
        samples = tuple(n for n in optics.pleth(lived, _WAVE_HZ, 0, 155))
        wave = LiveWave(seen.spo2_pct, seen.pulse_rate, level, worn, perfusion, charging, samples)
        state = replace(state, clock_s=state.clock_s + 1, live=now.encode(), wave=wave.encode(), battery_pct=level)
        record = Record(seen.spo2_pct, seen.pulse_rate, motion)
        return (state if lived.connected else _recorded(state, record)), ()

    def read(self, state: ViatomState, uuid: str) -> bytes:
        return standard.readable(uuid, _LABEL, state.battery_pct, {})

    def write(self, state: ViatomState, uuid: str, data: bytes) -> tuple[ViatomState, tuple[Notification, ...]]:
        """Requests come in pieces; each whole one is answered in pieces."""
        if uuid != viatom.WRITE:
            raise AttError(standard.WRITE_NOT_PERMITTED)
        asked, frames, _ = state.asked.feed(data)
        state = replace(state, asked=asked)
        said: list[Notification] = []
        for frame in frames:
            try:
                state, reply = self._answered(state, Request.decode(frame))
            except FrameError:
                reply = Reply(_REFUSED)
            said += _pieces(reply, len(said))
        return state, tuple(said)

    def _answered(self, state: ViatomState, request: Request) -> tuple[ViatomState, Reply]:
        match request.command:
            case Command.INFO:
                return state, Reply(0, payload=self._info(state).encode())
            case Command.LIVE:
                return state, Reply(0, payload=state.live)
            case Command.LIVE_WAVE:
                return state, Reply(0, payload=state.wave)
            case Command.OPEN:
                return _opened(state, viatom_file.decode_name(request.payload))
            case Command.READ:
                return state, _block(state, request.block)
            case Command.CLOSE:
                return replace(state, opened=None), Reply(0)
            case Command.PING:
                return state, Reply(0)

    def _info(self, state: ViatomState) -> ViatomInfo:
        clock_s = int((DEVICE_EPOCH + timedelta(seconds=state.clock_s)).timestamp())
        return ViatomInfo(_LABEL.model, "0001", "AA", "1.4.0", clock_s, tuple(name for name, _ in state.files))


def _recorded(state: ViatomState, record: Record) -> ViatomState:
    if state.clock_s % INTERVAL_S or len(state.records) >= MAX_RECORDS:
        return state
    began_s = state.began_s if state.records else state.clock_s
    return replace(state, records=(*state.records, record), began_s=began_s)


def _opened(state: ViatomState, name: str) -> tuple[ViatomState, Reply]:
    content = dict(state.files).get(name)
    if content is None:
        return state, Reply(_REFUSED)
    return replace(state, opened=content), Reply(0, payload=viatom_file.encode_size(len(content)))


def _block(state: ViatomState, block: int) -> Reply:
    if state.opened is None or block * BLOCK_BYTES >= len(state.opened):
        return Reply(_REFUSED, block)
    return Reply(0, block, state.opened[block * BLOCK_BYTES :][:BLOCK_BYTES])


def _pieces(reply: Reply, before: int) -> list[Notification]:
    frame = reply.encode()
    return [
        Notification(viatom.NOTIFY, frame[at : at + WRITE_BYTES], (before + at // WRITE_BYTES) * _BETWEEN_PIECES_S)
        for at in range(0, len(frame), WRITE_BYTES)
    ]


def _device_time(moment: datetime) -> DateTime:
    return DateTime(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
