"""Viatom and Wellue oximeters (O2Ring, Checkme O2 …): live readings by polling, and recordings after a silence. Pure.

There is one request at a time. A live reading is due each second and goes before the next block of a file, so that a
download never holds it up. Recordings are placed in time by the device's own clock, which is read once per connection,
to the second (`gateway.devices.viatom_store`); the device's clock and settings are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, TypeAlias

from gateway.devices import standard_services
from gateway.devices.cadence import Cadence, every_minute, every_second
from gateway.devices.driver import Action, Heard, HeardSample, HeardWave, Seen, Stream, Subscribe, Write
from gateway.devices.reading import joined, reading, unusable
from gateway.devices.viatom_store import NO_STORE, ViatomStore
from gateway.devices.viatom_wave import NO_WAVE, ViatomWave
from gateway.gatt import viatom
from gateway.gatt.frame import FrameError
from gateway.gatt.viatom import Command, Live, LiveWave, Reply, Request, ViatomStream
from gateway.gatt.viatom_file import ViatomInfo
from vitals.model import Quality, Reason, Vital

PATIENCE_NS: Final = 2_000_000_000  # for a reply: they come within a tenth of a second
MOST_UNANSWERED: Final = 2  # live requests in a row, before something else is tried
_LIVE: Final = (Command.LIVE, Command.LIVE_WAVE)
_NAMES: Final = ("O2Ring", "Checkme O2", "Checkme_O2", "CheckmeO2", "CheckO2", "SleepO2", "KidsO2", "WearO2", "O2NCI")
_NEWER_NAMES: Final = ("O2Ring S", "O2Ring-S", "O2RingS")


@dataclass(frozen=True, slots=True)
class ViatomState:
    """`waiting`: the request whose reply is awaited, since `asked_ns` (`None`: begun, and no time known yet).

    `waves`: live readings are asked for with their pulse wave, until the device refuses that. `unanswered`: live
    requests in a row.
    """

    waiting: Request | None = None
    asked_ns: int | None = None
    unanswered: int = 0
    waves: bool = True
    stream: ViatomStream = field(default_factory=ViatomStream)
    live: Cadence = field(default_factory=every_second)
    battery: Cadence = field(default_factory=every_minute)
    wave: ViatomWave = NO_WAVE
    store: ViatomStore = NO_STORE


Told: TypeAlias = tuple[ViatomState, Heard]


@dataclass(frozen=True, slots=True)
class ViatomDriver:
    """Viatom's older protocol, see `gateway.gatt.viatom`."""

    name: str = "viatom"
    label: str = "Viatom / Wellue O2Ring, Checkme O2"
    vitals: tuple[Vital, ...] = (Vital.SPO2, Vital.PULSE_RATE, Vital.BATTERY)
    streams: tuple[Stream, ...] = (Stream(viatom.NOTIFY, stall_s=15.0),)  # it answers each second, worn or not
    needs_pairing: bool = False

    def matches(self, seen: Seen) -> bool:
        """By service or name, and not one of the newer kind, which carries a similar name."""
        if viatom.SERVICE in seen.services:
            return True
        newer = viatom.NEWER_SERVICE in seen.services or seen.name.startswith(_NEWER_NAMES)
        return seen.name.startswith(_NAMES) and not newer

    def begin(self) -> tuple[ViatomState, tuple[Action, ...]]:
        """The device's clock first: it places whatever is fetched later."""
        return _begun(ViatomState())

    def resume(self, state: ViatomState) -> tuple[ViatomState, tuple[Action, ...]]:
        """See `Resumes.resume`."""
        return _begun(ViatomState(waves=state.waves, store=state.store.reconnected()))

    def feed(self, state: ViatomState, uuid: str, data: bytes, at_monotonic_ns: int) -> Told:
        """See `Driver.feed`."""
        if uuid != viatom.NOTIFY:
            return _standard(state, uuid, data, at_monotonic_ns)
        stream, frames, skipped = state.stream.feed(data)
        state, parts = replace(state, stream=stream), list[Heard]()
        for frame in frames:
            state, heard = _replied(state, frame, at_monotonic_ns)
            parts.append(heard)
        if skipped:
            parts.append(Heard(malformed=(f"sync in {uuid}: {skipped} bytes belong to no reply ({data[:20].hex()})",)))
        state, actions = _next_request(state, at_monotonic_ns)
        return state, joined([*parts, Heard(actions=actions)])

    def tick(self, state: ViatomState, at_monotonic_ns: int) -> Told:
        """Pass on stored readings, notice that no reply came, ask what is due."""
        store, samples = state.store.release()
        wave, waves = state.wave.end_if_stalled(at_monotonic_ns)
        state = _waited(replace(state, store=store, wave=wave), at_monotonic_ns)
        state, actions = _next_request(state, at_monotonic_ns)
        return state, Heard(samples, waves, actions)


def _begun(state: ViatomState) -> tuple[ViatomState, tuple[Action, ...]]:
    request = Request(Command.INFO)
    return replace(state, waiting=request), (Subscribe(viatom.NOTIFY), *_writes(request), *standard_services.ACTIONS)


def _writes(request: Request) -> tuple[Action, ...]:
    return tuple(Write(viatom.WRITE, piece, response=False) for piece in request.pieces())


def _standard(state: ViatomState, uuid: str, data: bytes, at_ns: int) -> Told:
    try:
        return state, standard_services.heard(uuid, data, at_ns)
    except FrameError as error:
        return state, unusable(uuid, data, error)


# -- requests ----------------------------------------------------------------------------------------------------------


def _next_request(state: ViatomState, at_ns: int) -> tuple[ViatomState, tuple[Action, ...]]:
    """What is to be asked now, if nothing is awaited: a live reading when it is due, else something of the store."""
    if state.waiting is not None:
        return state, ()
    request: Request | None
    cadence, due = (state.live, False) if state.store.closes_first else state.live.tell(at_ns)
    if due:
        store, request = state.store, Request(Command.LIVE_WAVE if state.waves else Command.LIVE)
    else:
        store, request = state.store.request()
    state = replace(state, live=cadence, store=store, waiting=request, asked_ns=at_ns)
    return state, () if request is None else _writes(request)


def _waited(state: ViatomState, at_ns: int) -> ViatomState:
    """Another second without a reply. The stream begins anew, since half a reply is worth nothing."""
    if state.waiting is None:
        return state
    if state.asked_ns is None:
        return replace(state, asked_ns=at_ns)
    if at_ns - state.asked_ns < PATIENCE_NS:
        return state
    lost, state = state.waiting, replace(state, waiting=None, stream=ViatomStream())
    if lost.command not in _LIVE:
        return replace(state, store=state.store.unanswered(lost))
    if state.unanswered + 1 < MOST_UNANSWERED:
        return replace(state, unanswered=state.unanswered + 1)
    return replace(state, unanswered=0, waves=False, store=state.store.silenced())


# -- replies -----------------------------------------------------------------------------------------------------------


def _replied(state: ViatomState, frame: bytes, at_ns: int) -> Told:
    """A whole reply. One that cannot be the answer to what is awaited changes nothing: the right one may still come."""
    request = state.waiting
    if request is None:
        return state, unusable(viatom.NOTIFY, frame, FrameError("value", "", "a reply, and nothing was asked"))
    try:
        reply = Reply.decode(frame)
        if reply.status:
            state, heard = _refused(state, request, reply.status)
        else:
            state, heard = _ANSWERS[request.command](state, request, reply, at_ns)
    except FrameError as error:
        return state, unusable(viatom.NOTIFY, frame, error)
    return replace(state, waiting=None), heard


def _refused(state: ViatomState, request: Request, status: int) -> Told:
    """Older devices do not know live readings with a wave."""
    if request.command in _LIVE:
        return replace(state, waves=False), Heard()
    if request.command is Command.INFO:
        return replace(state, store=state.store.unanswered(request)), Heard()
    store, heard = state.store.refused(request, status)
    return replace(state, store=store), heard


def _live(state: ViatomState, request: Request, reply: Reply, at_ns: int) -> Told:
    if reply.block != request.block:
        raise FrameError("value", "block", f"block {reply.block}; a live reading has none")
    said: Live | LiveWave
    waves: tuple[HeardWave, ...] = ()
    if request.command is Command.LIVE:
        said = Live.decode(reply.payload)
    else:
        said = LiveWave.decode(reply.payload)
        quality = Quality.UNKNOWN if said.worn else Quality.UNUSABLE
        wave, waves = state.wave.add(said.samples, at_ns, quality)
        state = replace(state, wave=wave)
    state = replace(state, unanswered=0, store=state.store.lived(at_ns, worn=said.worn))
    values = {Vital.SPO2: said.spo2_pct, Vital.PULSE_RATE: said.pulse_rate}
    samples = [_sample(vital, value if said.worn else None, said.reason, at_ns) for vital, value in values.items()]
    cadence, due = state.battery.tell(at_ns)
    samples += [reading(Vital.BATTERY, at_ns, said.battery_pct)] if due else []
    return replace(state, battery=cadence), Heard(tuple(samples), waves)


def _sample(vital: Vital, value: int | None, reason: Reason, at_ns: int) -> HeardSample:
    return reading(vital, at_ns, value, reason if value is None else Reason.PRESENT)


def _info(state: ViatomState, _: Request, reply: Reply, at_ns: int) -> Told:
    store, heard = state.store.told(ViatomInfo.decode(reply.payload), at_ns)
    return replace(state, store=store), heard


def _file(state: ViatomState, request: Request, reply: Reply, _: int) -> Told:
    store, heard = state.store.answered(request, reply)
    return replace(state, store=store), heard


_ANSWERS: Final[Mapping[Command, Callable[[ViatomState, Request, Reply, int], Told]]] = MappingProxyType(
    {
        Command.INFO: _info,
        Command.LIVE: _live,
        Command.LIVE_WAVE: _live,
        Command.OPEN: _file,
        Command.READ: _file,
        Command.CLOSE: _file,
    }
)
