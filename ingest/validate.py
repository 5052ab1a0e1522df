"""Validation of readings, whole commits at a time: from decoded messages to judged rows.

What is wrong with a reading is said, never repaired: a number that no body can show keeps its `raw` and gets a reason
instead of a value; a time that cannot be true keeps the reading out of the rows. Both are findings with the path of
the field, kept as poison (`ingest.poison`).

How the fields of the wire map to a row (project choices):

=========================================  =======  =====================================================
what came                                  value    reason
=========================================  =======  =====================================================
a number within `vitals.model.VITALS`      number   PRESENT
a number and a reason                      NaN      the reason: a device that explains itself is believed
nothing and no reason                      NaN      NO_READING
NaN or infinite                            NaN      NOT_A_NUMBER, a finding
quality UNUSABLE ("invalid")               NaN      POOR_SIGNAL
outside the vital's range                  NaN      OUT_OF_RANGE, a finding
quality DOUBTFUL or TEST                   number   PRESENT; the quality says how to treat it
=========================================  =======  =====================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.source import Incoming
from ingest.streams import Indices, Mask, Times
from vitals.columns import SAMPLE_DTYPE, Rows
from vitals.model import SERVER_VITALS, VITALS, ClockSource, Quality, Reason, Vital
from vitals.wire import Decoded, WireSample, WireWaveform
from vitals.wire_json import UNSET_NS

MAX_FUTURE_NS: Final = 5_000_000_000  # how far a well-set clock may be ahead of ours
MAX_UNCERTAINTY_MS: Final = 60_000.0  # a clock may excuse no more than this: a week in holdover
OLDEST_NS: Final = 1_577_836_800_000_000_000  # 2020-01-01: no wearable of ours measured before
MAX_EXCERPT_BYTES: Final = 64 << 10  # of a poison message: seven seconds of a full gateway

_FIRST_RESERVED: Final = min(SERVER_VITALS)
_LOW: Final = np.array([VITALS[Vital(n)].low if n else 0.0 for n in range(max(Vital) + 1)])
_HIGH: Final = np.array([VITALS[Vital(n)].high if n else 0.0 for n in range(max(Vital) + 1)])


class Poison(msgspec.Struct, frozen=True, array_like=True):
    """Something that could not be used: a message, or one field of one.

    `reason`: the stable code that is counted; `field`: its path in the message; `message`: a sentence.
    `excerpt`: the payload as received, its first `MAX_EXCERPT_BYTES`, of `size` bytes; empty when another
    entry of the same message carries it, or when the reading was stored.
    """

    received_at_ns: int
    topic: str
    gateway: str
    reason: str
    field: str
    message: str
    excerpt: bytes = b""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that could be decoded and is new."""

    incoming: Incoming
    decoded: Decoded


@dataclass(frozen=True, slots=True)
class Strip:
    """One waveform block and where it came from: indices of its message, its device there, and itself."""

    message: int
    position: int
    index: int
    device: int  # index into `Flat.devices`
    block: WireWaveform


@dataclass(frozen=True, slots=True)
class Flat:
    """The readings of many messages as columns.

    `devices`, `gateways`: parallel, each pair once. `rows`: (n,), `value` not yet judged. `samples`: (n,) the wire
    form. `message_devices`: (m,) devices per message; `device_rows`: rows per device of every message.
    """

    messages: Sequence[Accepted]
    devices: tuple[str, ...]
    gateways: tuple[str, ...]
    rows: Rows
    samples: list[WireSample]
    message_devices: Indices
    device_rows: Indices
    strips: list[Strip]

    def place(self, row: int) -> tuple[int, int, int]:
        """Where row number `row` stood: message, device in it, sample in that."""
        starts = np.cumsum(self.device_rows) - self.device_rows
        entry = int(np.searchsorted(starts + self.device_rows, row, side="right"))
        firsts = np.cumsum(self.message_devices) - self.message_devices
        message = int(np.searchsorted(firsts + self.message_devices, entry, side="right"))
        return message, entry - int(firsts[message]), row - int(starts[entry])


def flatten(messages: Sequence[Accepted]) -> Flat:
    """The readings of `messages` in arrival order, one row each."""
    index: dict[tuple[str, str], int] = {}
    samples: list[WireSample] = []
    owners: list[int] = []
    device_rows: list[int] = []
    message_rows: list[int] = []
    strips: list[Strip] = []
    for number, message in enumerate(messages):
        batch = message.decoded.batch
        before = len(samples)
        for position, device in enumerate(batch.devices):
            owner = index.setdefault((device.device, batch.gateway), len(index))
            owners.append(owner)
            device_rows.append(len(device.samples))
            samples += device.samples
            if device.waveforms:
                strips += [Strip(number, position, i, owner, block) for i, block in enumerate(device.waveforms)]
        message_rows.append(len(samples) - before)
    rows = _columns(samples)
    rows["device"] = rows["source"] = np.repeat(np.array(owners, np.uint32), device_rows)
    _stamp(rows, messages, message_rows)
    devices, gateways = zip(*index, strict=True) if index else ((), ())
    message_devices = np.array([len(m.decoded.batch.devices) for m in messages], np.intp)
    return Flat(messages, devices, gateways, rows, samples, message_devices, np.array(device_rows, np.intp), strips)


def _columns(samples: list[WireSample]) -> Rows:
    rows = np.zeros(len(samples), SAMPLE_DTYPE)
    for name in ("sampled_at_ns", "sequence"):
        rows[name] = np.fromiter(map(attrgetter(name), samples), SAMPLE_DTYPE[name], len(samples))
    for name in ("vital", "reason", "quality"):  # small enumerations: through bytes they convert twice as fast
        rows[name] = np.frombuffer(bytes(map(attrgetter(name), samples)), np.uint8)
    rows["raw"] = np.array([sample.value for sample in samples], np.float64)  # None becomes NaN
    return rows


def _stamp(rows: Rows, messages: Sequence[Accepted], message_rows: list[int]) -> None:
    """Fill in what is common to the rows of a message."""
    batches = [message.decoded.batch for message in messages]
    received = np.array([message.incoming.received_at_ns for message in messages], np.int64)
    rows["received_at_ns"] = np.repeat(received, message_rows)
    rows["uncertainty_ms"] = np.repeat(np.array([b.uncertainty_ms for b in batches], np.float32), message_rows)
    rows["clock"] = np.repeat(np.array([b.clock_source for b in batches], np.uint8), message_rows)
    unset = rows["sampled_at_ns"] == UNSET_NS
    rows["clock"][unset] = ClockSource.DEVICE
    rows["sampled_at_ns"][unset] = rows["received_at_ns"][unset]


@dataclass(frozen=True, slots=True)
class Findings:
    """Row numbers with something to report, and the rows that may be stored at all.

    `reserved`: numbers that only the server makes (`vitals.model.SERVER_VITALS`).
    """

    storable: Mask
    reserved: Indices
    clock: Indices
    out_of_range: Indices
    not_a_number: Indices


def judge(flat: Flat) -> Findings:
    """Set `value` and `reason` of every row after the table above, and say what was found."""
    rows = flat.rows
    good_time = believable(rows["sampled_at_ns"], rows["received_at_ns"], rows["uncertainty_ms"])
    raw, reason, vital = rows["raw"], rows["reason"], rows["vital"]
    storable = good_time & (vital < _FIRST_RESERVED)
    present = reason == Reason.PRESENT
    broken = present & ~np.isfinite(raw)
    silent = np.array([i for i in np.flatnonzero(broken).tolist() if flat.samples[i].value is None], np.intp)
    reason[broken] = Reason.NOT_A_NUMBER
    reason[silent] = Reason.NO_READING
    reason[(reason == Reason.PRESENT) & (rows["quality"] == Quality.UNUSABLE)] = Reason.POOR_SIGNAL
    outside = (reason == Reason.PRESENT) & ((raw < _LOW[vital]) | (raw > _HIGH[vital]))
    reason[outside] = Reason.OUT_OF_RANGE
    rows["value"] = np.where(reason == Reason.PRESENT, raw, np.nan)
    not_a_number = broken & (reason == Reason.NOT_A_NUMBER) & storable
    return Findings(
        storable,
        np.flatnonzero(good_time & ~storable),
        np.flatnonzero(~good_time),
        np.flatnonzero(outside & storable),
        np.flatnonzero(not_a_number),
    )


def strip_times(flat: Flat) -> tuple[Times, Times, Mask]:
    """When each of `flat.strips` began and came, (k,), and whether that may be; one without a time ended on arrival."""
    batches = [flat.messages[strip.message].decoded.batch for strip in flat.strips]
    received = np.array([flat.messages[strip.message].incoming.received_at_ns for strip in flat.strips], np.int64)
    started = np.array([strip.block.started_at_ns for strip in flat.strips], np.int64)
    unset = started == UNSET_NS
    lasting = np.array([_duration_ns(strip.block) for strip in flat.strips], np.int64)
    started[unset] = (received - lasting)[unset]
    uncertainty = np.array([batch.uncertainty_ms for batch in batches], np.float32)
    return started, received, believable(started, received, uncertainty)


def _duration_ns(block: WireWaveform) -> int:
    return round(len(block.samples) // block.width_bytes / block.sample_rate_hz * 1e9)


def believable(at_ns: Times, received_at_ns: Times, uncertainty_ms: npt.NDArray[np.float32]) -> Mask:
    """Whether times, (n,), may be true: not before 2020 and no more ahead of us than the clock may be wrong."""
    excuse_ns = (np.minimum(uncertainty_ms, MAX_UNCERTAINTY_MS).astype(np.float64) * 1e6).astype(np.int64)
    good: Mask = (at_ns >= OLDEST_NS) & (at_ns <= received_at_ns + MAX_FUTURE_NS + excuse_ns)
    return good


_DEVICE_GONE: Final = re.compile(r"devices\[(\d+)\](?:\.(?:device|rssi_dbm))?\Z")


def path_of(decoded: Decoded, position: int, part: str, index: int, leaf: str) -> str:
    """`devices[3].samples[0].value` as the sender wrote it: counted with the parts that decoding set aside."""
    gone = [int(m.group(1)) for r in decoded.rejected if (m := _DEVICE_GONE.match(r.field))]
    device = _as_sent(position, gone)
    inside = re.compile(rf"devices\[{device}\]\.{part}\[(\d+)\]")
    item = _as_sent(index, [int(m.group(1)) for r in decoded.rejected if (m := inside.match(r.field))])
    return f"devices[{device}].{part}[{item}].{leaf}"


def _as_sent(index: int, gone: list[int]) -> int:
    for removed in sorted(gone):
        index += removed <= index
    return index
