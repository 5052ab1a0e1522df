"""The analyst: blocks of the ingest journal in, numbers derived from their pulse waves out. Pure.

A wearable's own number is preferred: pulse rate is derived only for one that sent neither pulse rate nor heart rate in
its last 10 s, respiratory rate for one that sent none in its last 40 s. What can be derived is a reading of the device
`<device>:ppg` (`vitals.derived`). Only what is usable is said: a doubtful one could raise an alarm that nobody needs.

How good the wave is, is said of every wearable, as `SIGNAL_QUALITY`: at once when the verdict changes, and once in each
`TELL_EVERY_NS`. Its quality is the verdict; without a wave, or off the skin, it is missing. `ingest.best` trusts a
wearable's own numbers accordingly.

At rest (no accelerometer) `optical` gives both rates. With three axes `pulse` gives the pulse rate under motion, and no
respiratory rate: motion of arm and breath cannot be told apart there. A gap clears the wearable's state.

What is derived does not depend on how records are grouped into calls of `feed`.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np

from ingest.signals import optical, pulse
from ingest.signals.optical import OpticalState
from ingest.signals.pulse import PulseState
from ingest.signals.stacks import rebase, row_of, stacked
from ingest.signals.worn import OPTICAL_HZ, Second, Worn
from vitals.columns import SAMPLE_DTYPE, SampleBlock, WaveformRow
from vitals.derived import derived_name
from vitals.model import Quality, Reason, Vital

CAPACITY: Final = 4_096  # wearables with pulse waves remembered, 12 to 20 kB each; the least recently heard goes
DOUBTED: Final = 0.5  # of `pulse`'s confidence; below it nothing is said
TELL_EVERY_NS: Final = 5_000_000_000
SETTLED_S: Final = 8  # of wave before a verdict: quality and `pulse` look so far back
OFF_SETTLED_S: Final = 4  # … before one that there is no skin
_OWN: Final = (Vital.PULSE_RATE, Vital.HEART_RATE, Vital.RESP_RATE)
_NO_WAVE: Final = (Reason.PROBE_OFF, Reason.NO_READING, Reason.SEARCHING)
_NS: Final = 1_000_000_000

_Derived: TypeAlias = tuple[Vital, float, int, int, int]  # value, quality, reason, sampled at
_Key: TypeAlias = tuple[bool, float, int]  # at rest, rate of the pulse wave, samples a second of acceleration


class Analyst:
    """See the module's text."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._worn: OrderedDict[str, Worn] = OrderedDict()

    def feed(self, blocks: Iterable[SampleBlock]) -> SampleBlock:
        """What can be derived with these blocks, in journal order; a block without rows for nothing."""
        waiting: defaultdict[str, list[Second]] = defaultdict(list)
        worn: dict[str, Worn] = {}
        for block in blocks:
            for device, seconds in self._assembled(block):
                waiting[device] += seconds
                worn[device] = self._worn[device]
        rows: list[tuple[str, Worn, Second, _Derived]] = []
        for number in range(max(map(len, waiting.values()), default=0)):
            now = [(name, worn[name], s[number]) for name, s in waiting.items() if number < len(s)]
            rows += [
                (name, wearable, second, derived)
                for (name, wearable, second), found in zip(now, _analysed([(w, s) for _, w, s in now]), strict=True)
                for derived in found
            ]
        return _block(rows)

    def _assembled(self, block: SampleBlock) -> Iterable[tuple[str, list[Second]]]:
        waves: defaultdict[int, list[WaveformRow]] = defaultdict(list)
        for wave in block.waveforms:
            waves[wave.device].append(wave)
        for index in waves:
            self._remember(block, index)
        self._take_own(block)
        for index, blocks in waves.items():
            device = block.devices[index]
            if derived_name(device) is not None:
                yield device, self._worn[device].add(blocks)

    def _remember(self, block: SampleBlock, index: int) -> None:
        device = block.devices[index]
        worn = self._worn.get(device)
        if worn is None or worn.patient != block.patients[index]:  # another wearer: begin afresh
            worn = self._worn[device] = Worn()
        worn.patient, worn.gateway = block.patients[index], block.gateways[index]
        self._worn.move_to_end(device)
        while len(self._worn) > max(self._capacity, 1):
            self._worn.popitem(last=False)

    def _take_own(self, block: SampleBlock) -> None:
        """Remember when each wearable last sent a number itself, and how good its clock was."""
        known = [index for index, device in enumerate(block.devices) if device in self._worn] if self._worn else []
        rows = block.rows[np.isin(block.rows["device"], known)] if known else block.rows[:0]
        for row in rows:
            worn = self._worn[block.devices[row["device"]]]
            worn.clock, worn.uncertainty_ms = int(row["clock"]), float(row["uncertainty_ms"])
            vital = int(row["vital"])
            if vital in _OWN:
                worn.own_ns[vital] = max(worn.own_ns.get(vital, 0), int(row["sampled_at_ns"]))


def _analysed(seconds: Sequence[tuple[Worn, Second]]) -> list[list[_Derived]]:
    """What one second of each of these wearables tells, parallel; their states move on."""
    groups: defaultdict[_Key, list[int]] = defaultdict(list)
    for place, (worn, second) in enumerate(seconds):
        at_rest = not worn.moves and second.rate_hz >= OPTICAL_HZ
        if second.after_gap or worn.state is None or isinstance(worn.state, OpticalState) is not at_rest:
            worn.state, worn.heard_s = OpticalState(1, second.rate_hz) if at_rest else PulseState(1, 1), 0
        worn.heard_s += 1
        groups[at_rest, second.rate_hz, 0 if second.acc_g is None else second.acc_g.shape[1]].append(place)
    found: list[list[_Derived]] = [[] for _ in seconds]
    for (at_rest, _, _), places in groups.items():
        analyse = _at_rest if at_rest else _moving
        for place, derived in zip(places, analyse([seconds[place] for place in places]), strict=True):
            found[place] = [d for d in derived if _is_told(*seconds[place], d)]
    return found


def _is_told(worn: Worn, second: Second, derived: _Derived) -> bool:
    vital, value, quality, reason, at_ns = derived
    if vital != Vital.SIGNAL_QUALITY:
        return vital in second.wanted and quality == Quality.USABLE and bool(np.isfinite(value))
    if worn.heard_s <= (OFF_SETTLED_S if reason == Reason.PROBE_OFF else SETTLED_S) or reason == Reason.SEARCHING:
        return False
    if (quality, reason) == worn.told and at_ns // TELL_EVERY_NS == worn.told_ns // TELL_EVERY_NS:
        return False
    worn.told, worn.told_ns = (quality, reason), at_ns
    return True


def _at_rest(seconds: Sequence[tuple[Worn, Second]]) -> list[list[_Derived]]:
    state = stacked([worn.state for worn, _ in seconds if isinstance(worn.state, OpticalState)])
    told = optical.advance(state, np.stack([second.ppg for _, second in seconds]))
    rebase(state)
    found: list[list[_Derived]] = []
    for row, (worn, second) in enumerate(seconds):
        worn.state = row_of(state, row)
        at_ns, reason = second.end_ns, int(told.pulse_reason[row])
        pulse_quality, resp_quality = int(told.pulse_verdict[row]), int(told.resp_verdict[row])
        of_wave = reason if reason in _NO_WAVE else Reason.PRESENT
        index_pct = np.nan if of_wave else 100 * float(told.index[row])
        found.append(
            [
                (Vital.PULSE_RATE, float(told.pulse_per_min[row]), pulse_quality, Reason.PRESENT, at_ns),
                (Vital.RESP_RATE, float(told.resp_per_min[row]), resp_quality, Reason.PRESENT, at_ns),
                (Vital.SIGNAL_QUALITY, index_pct, pulse_quality, of_wave, at_ns),
            ]
        )
    return found


def _moving(seconds: Sequence[tuple[Worn, Second]]) -> list[list[_Derived]]:
    state = stacked([worn.state for worn, _ in seconds if isinstance(worn.state, PulseState)])
    axes = [second.acc_g for _, second in seconds if second.acc_g is not None]  # of all or of none, by their group
    told = pulse.advance(
        state, np.stack([second.ppg[None, :] for _, second in seconds]), np.stack(axes) if axes else None
    )
    found: list[list[_Derived]] = []
    for row, (worn, second) in enumerate(seconds):
        worn.state = row_of(state, row)
        confidence = float(told.confidence[row])
        of_rate = _quality(confidence, compensated=second.acc_g is not None)
        at_ns = second.end_ns - pulse.LATENCY_S * _NS
        of_wave = _quality(confidence, compensated=True)
        heard = Reason.PRESENT if worn.heard_s > SETTLED_S + pulse.LATENCY_S else Reason.SEARCHING
        found.append(
            [
                (Vital.PULSE_RATE, float(told.rate_per_min[row]), of_rate, Reason.PRESENT, at_ns),
                (Vital.SIGNAL_QUALITY, 100 * confidence, of_wave, heard, second.end_ns),
            ]
        )
    return found


def _quality(confidence: float, *, compensated: bool) -> int:
    """Without acceleration a cadence can pass for the pulse: never more than doubtful."""
    if confidence < DOUBTED:
        return Quality.UNUSABLE
    return Quality.USABLE if confidence >= pulse.CONFIDENT and compensated else Quality.DOUBTFUL


def _block(found: Sequence[tuple[str, Worn, Second, _Derived]]) -> SampleBlock:
    """The readings as a block of devices `<device>:ppg`."""
    index: dict[tuple[str, str, str], int] = {}
    rows = np.zeros(len(found), SAMPLE_DTYPE)
    for row, (device, worn, second, (vital, value, quality, reason, at_ns)) in zip(rows, found, strict=True):
        row["device"] = row["source"] = index.setdefault(
            (derived_name(device) or device, worn.patient, worn.gateway), len(index)
        )
        row["vital"], row["quality"], row["reason"], row["clock"] = vital, quality, reason, worn.clock
        row["sampled_at_ns"], row["received_at_ns"] = at_ns, second.received_at_ns
        row["raw"] = row["value"] = round(value, 1)
        row["uncertainty_ms"] = worn.uncertainty_ms
    devices, patients, gateways = zip(*index, strict=True) if index else ((), (), ())
    return SampleBlock(devices, patients, gateways, rows)
