"""BerryMed BM1000: oximetry down-sampled to once a second, and the whole pulse wave, from both its protocols. Pure.

It is told to speak BCI, which costs a quarter of BERRY's notifications; whatever it speaks is understood. Of BERRY the
index and the RR intervals are not used: how the device counts the one and averages the other is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, TypeGuard

from gateway.devices.cadence import Cadence, every_minute, every_second
from gateway.devices.driver import Action, Heard, HeardSample, HeardWave, Seen, Stream, Subscribe, Write
from gateway.devices.reading import reading
from gateway.devices.trace import CountedTrace, Trace
from gateway.gatt import bci, berrymed
from gateway.gatt.bci import BciPacket
from gateway.gatt.berrymed import BerryFrame, BerryVersion, Command
from gateway.gatt.berrymed_stream import BerryStream, Found
from vitals.model import Quality, Reason, Vital, Waveform

_NAMES: Final = ("BerryMed", "BM1000")  # the service is that of a common radio module: it proves nothing


def _trace(rate_hz: float) -> CountedTrace:
    return CountedTrace(Trace((Waveform.PPG_INFRARED,), rate_hz, width_bytes=2))


def _pleth() -> CountedTrace:
    return _trace(bci.RATE_HZ)


@dataclass(frozen=True, slots=True)
class BerryState:
    """What came since the last block and the last reading."""

    stream: BerryStream = field(default_factory=BerryStream)
    pleth: CountedTrace = field(default_factory=_pleth)
    numbers: Cadence = field(default_factory=every_second)
    battery: Cadence = field(default_factory=every_minute)


@dataclass(frozen=True, slots=True)
class BerryDriver:
    """BerryMed's serial port, see `gateway.gatt.berrymed`."""

    name: str = "berrymed"
    label: str = "BerryMed BM1000"
    vitals: tuple[Vital, ...] = (Vital.SPO2, Vital.PULSE_RATE)
    streams: tuple[Stream, ...] = (Stream(berrymed.NOTIFY, stall_s=10.0),)  # a hundred packets a second, always
    needs_pairing: bool = False

    def matches(self, seen: Seen) -> bool:
        """By name."""
        return seen.name.startswith(_NAMES)

    def begin(self) -> tuple[BerryState, tuple[Action, ...]]:
        """Older models know no commands."""
        command = Write(berrymed.WRITE, Command.BCI.encode(), response=False, optional=True)
        return BerryState(), (Subscribe(berrymed.NOTIFY), command)

    def feed(self, state: BerryState, uuid: str, data: bytes, at_monotonic_ns: int) -> tuple[BerryState, Heard]:
        """See `Driver.feed`."""
        if uuid != berrymed.NOTIFY:
            return state, Heard()
        stream, found, skipped = state.stream.feed(data)
        pleth, waves = _pulse_wave(state.pleth, found, at_monotonic_ns)
        state, samples = _numbers(replace(state, stream=stream, pleth=pleth), found, at_monotonic_ns)
        malformed = (f"sync in {uuid}: {skipped} bytes belong to no packet ({data[:20].hex()})",) if skipped else ()
        return state, Heard(samples, waves, notes=_versions(found), malformed=malformed)

    def tick(self, state: BerryState, at_monotonic_ns: int) -> tuple[BerryState, Heard]:
        """Pass on what is left of a pulse wave that stopped."""
        pleth, waves = state.pleth.end_if_stalled(at_monotonic_ns)
        return replace(state, pleth=pleth), Heard(waves=waves)


def _versions(found: Sequence[Found]) -> Mapping[str, str]:
    return {said.part: said.text for said in found if isinstance(said, BerryVersion)}


def _numbers(state: BerryState, found: Sequence[Found], at_ns: int) -> tuple[BerryState, tuple[HeardSample, ...]]:
    """The newest packet's readings, once a second; the battery once a minute."""
    said = next((each for each in reversed(found) if not isinstance(each, BerryVersion)), None)
    if said is None:
        return state, ()
    cadence, due = state.numbers.tell(at_ns)
    if not due:
        return state, ()
    state = replace(state, numbers=cadence)
    values: dict[Vital, float | None] = {Vital.SPO2: said.spo2_pct, Vital.PULSE_RATE: said.pulse_rate}
    if isinstance(said, BerryFrame):
        values[Vital.PERFUSION_INDEX] = None if said.perfusion_permille is None else said.perfusion_permille / 10
    samples = tuple(_sample(vital, value, said, at_ns) for vital, value in values.items())
    if isinstance(said, BciPacket):
        return state, samples
    cadence, due = state.battery.tell(at_ns)
    battery = (reading(Vital.BATTERY, at_ns, said.battery_pct),) if due else ()
    return replace(state, battery=cadence), samples + battery


def _sample(vital: Vital, value: float | None, said: BciPacket | BerryFrame, at_ns: int) -> HeardSample:
    """What the device complains about leaves no number, whatever it sends."""
    if said.reason is not Reason.PRESENT:
        return reading(vital, at_ns, None, said.reason)
    return reading(vital, at_ns, value, Reason.NO_READING if value is None else Reason.PRESENT, _quality(said))


def _pulse_wave(pleth: CountedTrace, found: Sequence[Found], at_ns: int) -> tuple[CountedTrace, tuple[HeardWave, ...]]:
    """All samples; where a packet has none there is a gap."""
    waves = list[HeardWave]()
    sampled = list(filter(_samples_pleth, found))
    behind = len(sampled)
    for (rate_hz, missing), packets in groupby(sampled, _rate_and_lack):
        group = list(packets)
        behind -= len(group)
        if rate_hz != pleth.trace.sample_rate_hz:
            waves += pleth.skip(0)[1]
            pleth = _trace(rate_hz)
        if missing:
            pleth, blocks = pleth.skip(len(group))
        else:
            rows = [(each.pleth or 0,) for each in group]
            pleth, blocks = pleth.add(rows, at_ns, max(map(_quality, group)), behind=behind)
        waves += blocks
    return pleth, tuple(waves)


def _samples_pleth(said: Found) -> TypeGuard[BciPacket | BerryFrame]:
    return isinstance(said, BciPacket) or (
        isinstance(said, BerryFrame) and said.frequency_hz in berrymed.PLETH_RATES_HZ
    )


def _rate_and_lack(said: BciPacket | BerryFrame) -> tuple[float, bool]:
    return (bci.RATE_HZ, said.pleth is None) if isinstance(said, BciPacket) else (float(said.frequency_hz), False)


def _quality(said: BciPacket | BerryFrame) -> Quality:
    """Of a sample: without a finger there is no pulse wave, only light."""
    if said.reason is Reason.PROBE_OFF:
        return Quality.UNUSABLE
    return said.quality if isinstance(said, BciPacket) else Quality.UNKNOWN
