"""What a Viatom oximeter recorded while nothing was heard of it: which files to fetch, what of them to pass on. Pure.

Of a recording only what falls into a silence between two live readings is passed on: everything else was heard, or was
worn by nobody knows whom. A recording appears in the device's list only after it ended, that is, when the device was
taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.devices.cadence import Cadence
from gateway.devices.driver import Heard, HeardSample
from gateway.devices.reading import reading
from gateway.devices.silences import NEVER_HEARD, Silences
from gateway.devices.viatom_download import NOTHING_WANTED, Download, Phase
from gateway.gatt import viatom
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import FrameError
from gateway.gatt.viatom import Command, Reply, Request
from gateway.gatt.viatom_file import Record, Recording, ViatomInfo
from vitals.model import Reason, Vital

_SECOND_NS: Final = 1_000_000_000
LONGEST_NS: Final = (1 << 16) * _SECOND_NS  # of a recording: its duration has 16 bits
ASK_AGAIN_NS: Final = 600 * _SECOND_NS  # for the list of files, while something is missing
FUTURE_NS: Final = 60 * _SECOND_NS  # that a recording may end after now; more, and the device's clock was changed
RELEASE: Final = 256  # records passed on at a tick: a night takes half a minute, and no message grows large
_NAME_DIGITS: Final = 14  # of a file's name: when it began, as 20250307234318


def _asking() -> Cadence:
    return Cadence(ASK_AGAIN_NS)


@dataclass(frozen=True, slots=True)
class ViatomStore:
    """`offset_ns`: the monotonic clock less the device's, `None` until this connection has read it.

    `files`: what the device has. `backlog`: records that wait to be passed on, with their times. `ask`: the list is to
    be asked for. `alone`: the device gives no live readings while a file is open; files wait until it is taken off.
    """

    silences: Silences = NEVER_HEARD
    download: Download = NOTHING_WANTED
    files: tuple[str, ...] = ()
    offset_ns: int | None = None
    backlog: tuple[tuple[int, Record], ...] = ()
    ask: bool = True
    asking: Cadence = field(default_factory=_asking)
    worn: bool = False
    alone: bool = False

    @property
    def closes_first(self) -> bool:
        """Whether no live reading can be had before a file is closed."""
        return self.alone and self.download.phase is Phase.CLOSING

    def reconnected(self) -> ViatomStore:
        """The same after a connection ended: the clock is read anew, and the file that was open is opened again."""
        return replace(self, download=self.download.reconnected(), offset_ns=None, files=(), ask=True, asking=_asking())

    def lived(self, at_ns: int, *, worn: bool) -> ViatomStore:
        """A live reading came."""
        store = replace(self, silences=self.silences.hear(at_ns), worn=worn)
        if not store.silences.spans:
            return store
        asking, due = self.asking.tell(at_ns)
        taken_off = self.worn and not worn
        return _offered(replace(store, asking=asking, ask=self.ask or due or taken_off))

    def told(self, info: ViatomInfo, at_ns: int) -> tuple[ViatomStore, Heard]:
        """What the device says of itself; its clock shows whole seconds, so it is half a second later on average."""
        offset_ns = None if info.clock_s is None else at_ns - info.clock_s * _SECOND_NS - _SECOND_NS // 2
        texts = {
            "model": info.model,
            "serial number": info.serial,
            "hardware": info.hardware,
            "firmware": info.firmware,
            "recordings": "" if info.clock_s is not None else "not fetched: the device does not tell its time",
        }
        store = _offered(replace(self, offset_ns=offset_ns, files=info.files, ask=False))
        return store, Heard(notes={name: text for name, text in texts.items() if text})

    def request(self) -> tuple[ViatomStore, Request | None]:
        """What to ask next, live readings apart."""
        if self.ask and self.download.phase is not Phase.CLOSING:
            return self, Request(Command.INFO)
        waits = self.backlog or self.offset_ns is None or (self.alone and self.worn)
        if waits and self.download.phase is not Phase.CLOSING:
            return self, None
        download, request = self.download.request()
        return replace(self, download=download), request

    def answered(self, request: Request, reply: Reply) -> tuple[ViatomStore, Heard]:
        """The reply to a request for a file; raises `FrameError` for one that cannot belong to it."""
        store = replace(self, download=self.download.answered(request, reply))
        if not store.download.complete:
            return store, Heard()
        try:
            return _recorded(store, Recording.decode(store.download.data))
        except FrameError as error:
            return store, _useless(store, f"{error.reason}: {error}")

    def refused(self, request: Request, status: int) -> tuple[ViatomStore, Heard]:
        """The device did not carry out a request for a file."""
        if request.command is Command.CLOSE:
            return replace(self, download=self.download.done()), Heard()
        heard = _useless(self, f"the device refused {request.command.name} with status {status}")
        return replace(self, download=self.download.given_up()), heard

    def unanswered(self, request: Request) -> ViatomStore:
        """No reply came in time."""
        if request.command is Command.INFO:
            return replace(self, ask=False)
        return replace(self, download=self.download.unanswered())

    def silenced(self) -> ViatomStore:
        """Live readings fail: if a file is open, that may be why."""
        if self.download.phase is Phase.IDLE:
            return self
        return replace(self, download=self.download.interrupted(), alone=True)

    def release(self) -> tuple[ViatomStore, tuple[HeardSample, ...]]:
        """Some of the records that wait."""
        due, rest = self.backlog[:RELEASE], self.backlog[RELEASE:]
        return replace(self, backlog=rest), tuple(sample for at_ns, record in due for sample in _samples(record, at_ns))


NO_STORE: Final = ViatomStore()


def _offered(store: ViatomStore) -> ViatomStore:
    """Offer the files that may fill a silence."""
    names = tuple(name for name in store.files if _may_fill(store, name))
    return replace(store, download=store.download.offered(names))


def _may_fill(store: ViatomStore, name: str) -> bool:
    """By the beginning that the name tells; one that tells none is looked into."""
    if store.offset_ns is None or not store.silences.spans:
        return False
    began_s = _beginning_s(name)
    if began_s is None:
        return True
    began_ns = began_s * _SECOND_NS + store.offset_ns
    return store.silences.meets(began_ns, began_ns + LONGEST_NS)


def _recorded(store: ViatomStore, recording: Recording) -> tuple[ViatomStore, Heard]:
    assert recording.started.seconds is not None, "a recording tells when it began"
    assert store.offset_ns is not None, "no file is opened before the clock was read"
    began_ns = recording.started.seconds * _SECOND_NS + store.offset_ns
    step_ns = recording.interval_s * _SECOND_NS
    ended_ns = began_ns + len(recording.records) * step_ns
    if store.silences.heard_ns is not None and ended_ns > store.silences.heard_ns + FUTURE_NS:
        return store, _useless(store, "it ends in the future: the device's clock was changed since")
    times = ((began_ns + place * step_ns, record) for place, record in enumerate(recording.records))
    backlog = tuple((at_ns, record) for at_ns, record in times if store.silences.holds(at_ns))
    silences = store.silences.fill(began_ns, ended_ns)
    notes = {"recordings": f"{store.download.name}: {len(backlog)} readings from times of silence"}
    return _offered(replace(store, silences=silences, backlog=store.backlog + backlog)), Heard(notes=notes)


def _useless(store: ViatomStore, why: str) -> Heard:
    return Heard(malformed=(f"recording {store.download.name} in {viatom.NOTIFY}: {why}",))


def _beginning_s(name: str) -> int | None:
    digits = name[:_NAME_DIGITS]
    if len(digits) < _NAME_DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    parts = (digits[:4], *(digits[at : at + 2] for at in range(4, _NAME_DIGITS, 2)))
    year, month, day, hour, minute, second = map(int, parts)
    try:
        moment = DateTime.decode(DateTime(year, month, day, hour, minute, second).encode())
    except (FrameError, OverflowError):
        return None
    return moment.seconds


def _samples(record: Record, at_ns: int) -> tuple[HeardSample, ...]:
    """A record says no more than that there is no reading."""
    values: Mapping[Vital, int | None] = {Vital.SPO2: record.spo2_pct, Vital.PULSE_RATE: record.pulse_rate}
    return tuple(
        reading(vital, at_ns, value, Reason.NO_READING if value is None else Reason.PRESENT, stored=True)
        for vital, value in values.items()
    )
