"""Causal filters over many streams at once: a Hampel filter for 1 Hz values and a band-pass for PPG.

Both are arrays of state and pure functions. They compute first and `keep` afterwards, so that a commit that fails
half-way leaves no trace in them.

**Hampel filter** (Hampel 1974; Pearson 2002): a value further than three scaled median absolute deviations from the
median of the last five values, itself included, is replaced by that median. It never looks ahead, so a lone outlier (or
two in a row) is removed at once, and a **true step shows after two more readings** (2 s at 1 Hz). A floor per vital
lets small real steps of a quantised, constant signal through at once. A missing reading or a gap starts a new window;
the first two values of a window pass as they are.

**Band-pass**: 0.5–8 Hz Butterworth of order 3 as second-order sections with kept state. Its group
delay is 60 ms from 3 Hz up, 0.12 s at 90 /min, 0.23 s at 60 /min and 0.9 s at the lower edge (30 /min).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ingest.streams import Runs
from vitals.model import Vital

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.streams import Indices, Times

Floats: TypeAlias = npt.NDArray[np.float64]

WINDOW: Final = 5
MAX_GAP_NS: Final = 5_000_000_000  # a longer silence says nothing about the next value
SIGMAS: Final = 3.0
MAD_TO_SIGMA: Final = 1.4826  # for a normal distribution
LEAST_VALUES: Final = 3  # a median of fewer tells nothing

#: The largest step, in the vital's unit, that is always believed at once: several units of a device's display, and
#: less than what a lost beat or a motion artefact does.
STEP_FLOOR: Final[Mapping[Vital, float]] = MappingProxyType(
    {Vital.HEART_RATE: 5.0, Vital.PULSE_RATE: 5.0, Vital.SPO2: 2.0, Vital.RESP_RATE: 3.0}
)


class HampelState:
    """The last `WINDOW` − 1 in-order values of every stream, oldest first; a time of 0 means none."""

    def __init__(self, streams: int) -> None:
        self.times_ns = np.zeros((streams, WINDOW - 1), np.int64)
        self.values = np.zeros((streams, WINDOW - 1), np.float64)

    def clear(self, streams: Indices) -> None:
        """Forget these streams."""
        self.times_ns[streams] = 0
        self.values[streams] = 0.0


@dataclass(frozen=True, slots=True)
class Smoothed:
    """Filtered values, (n,), and what is to be remembered once their commit is certain."""

    values: Floats
    _streams: Indices
    _times_ns: Times
    _raw: Floats

    def keep(self, state: HampelState) -> None:
        """Remember these values."""
        state.times_ns[self._streams] = self._times_ns
        state.values[self._streams] = self._raw


def hampel(state: HampelState, streams: Indices, times_ns: Times, values: Floats, floors: Floats) -> Smoothed:
    """Filter rows in arrival order, all (n,): `values` NaN where missing, `floors` the step that is always believed."""
    runs = Runs.of(streams, WINDOW - 1)
    times = runs.lay(state.times_ns, times_ns)
    raw = runs.lay(state.values, values)
    places = np.arange(len(raw))
    starts = np.isnan(raw) | (times == 0)
    starts[1:] |= starts[:-1] | (np.diff(times) > MAX_GAP_NS)
    starts[runs.heads] = True
    first = np.maximum.accumulate(np.where(starts, places, 0))  # of the window that each place belongs to

    back = runs.places[:, None] - np.arange(WINDOW)
    window = np.where(back >= first[runs.places][:, None], raw[back], np.nan)
    smoothed = np.empty(len(values))
    smoothed[runs.order] = _replace_outliers(window, floors[runs.order])
    return Smoothed(smoothed, runs.streams, runs.tails(times), runs.tails(raw))


def _replace_outliers(window: Floats, floors: Floats) -> Floats:
    """The newest value of each window, (n, WINDOW) newest first, or the median where it is an outlier."""
    newest = window[:, 0]
    centre = _median(window)
    spread = MAD_TO_SIGMA * _median(np.abs(window - centre[:, None]))
    enough = np.count_nonzero(~np.isnan(window), axis=1) >= LEAST_VALUES
    outlier = enough & (np.abs(newest - centre) > np.maximum(SIGMAS * spread, floors))
    return np.where(outlier, centre, newest)


def _median(window: Floats) -> Floats:
    """Median along axis 1 of the values that are not NaN; NaN where there are none."""
    ordered = np.sort(window, axis=1)  # NaN sorts last
    count = np.count_nonzero(~np.isnan(window), axis=1)
    rows = np.arange(len(window))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, WINDOW - 1)
    middle: Floats = (ordered[rows, low] + ordered[rows, high]) / 2
    return middle


# -- PPG ---------------------------------------------------------------------------------------------------------------

PASS_BAND_HZ: Final = (0.5, 8.0)
ORDER: Final = 3
MIN_RATE_HZ: Final = 17.0  # the upper edge needs more than 16
MAX_RATE_HZ: Final = 1_000.0  # no PPG is sampled faster; such a block stays as received
_RATE_STEP_HZ: Final = 0.5  # filters are designed on this grid, so that rates from outside cannot ask for endless ones
_DESIGNS: Final = int((MAX_RATE_HZ - MIN_RATE_HZ) / _RATE_STEP_HZ) + 2
_JOIN_NS: Final = 20_000_000  # jitter of block times that still counts as consecutive


def band_passed(rate_hz: float) -> bool:
    """Whether a PPG of this rate can be filtered."""
    return MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ


class BandPassState:
    """Section states of every stream, the rate they belong to (0: none), and when the next sample is due, in ns."""

    def __init__(self, streams: int) -> None:
        self.sections = np.zeros((streams, ORDER, 2), np.float64)
        self.rate_hz = np.zeros(streams, np.float64)
        self.due_ns = np.zeros(streams, np.int64)

    def clear(self, streams: Indices) -> None:
        """Forget these streams."""
        self.rate_hz[streams] = 0.0

    def of(self, streams: Indices) -> BandPassState:
        """A copy of these streams, numbered from 0."""
        copy = BandPassState(0)
        copy.sections, copy.rate_hz, copy.due_ns = self.sections[streams], self.rate_hz[streams], self.due_ns[streams]
        return copy


@dataclass(frozen=True, slots=True)
class Block:
    """One block of PPG of stream number `stream`: at least one little-endian integer of `width_bytes`."""

    stream: int
    started_at_ns: int
    rate_hz: float
    samples: bytes
    width_bytes: int


@dataclass(frozen=True, slots=True)
class Passed:
    """Filtered blocks as little-endian float32, in the order given, and what is to be remembered of their streams."""

    blocks: list[bytes]
    _streams: Indices
    _after: BandPassState

    def keep(self, state: BandPassState) -> None:
        """Remember where these blocks left their filters."""
        state.sections[self._streams] = self._after.sections
        state.rate_hz[self._streams] = self._after.rate_hz
        state.due_ns[self._streams] = self._after.due_ns


def band_pass(state: BandPassState, blocks: Sequence[Block]) -> Passed:
    """Filter blocks in arrival order; those of equal rate and length, one of each stream, go through together.

    A block that does not follow its stream's last one (a gap, another rate, a late block) starts as if its first
    sample had lasted for ever, so that the constant part causes no transient. A late block leaves no state.
    """
    streams, local = np.unique(np.array([block.stream for block in blocks], np.intp), return_inverse=True)
    after = state.of(streams)
    filtered = [b""] * len(blocks)
    for group in _rounds(blocks):
        passed = _band_pass_round(after, local[group], [blocks[i] for i in group])
        for index, row in zip(group, passed, strict=True):
            filtered[index] = row.tobytes()
    return Passed(filtered, streams, after)


def _rounds(blocks: Sequence[Block]) -> list[list[int]]:
    """Indices of `blocks` in groups of equal rate and form: the first of every stream, then the second, …"""
    turn: dict[int, int] = {}
    groups: dict[tuple[int, float, int, int], list[int]] = {}
    for index, block in enumerate(blocks):
        number = turn[block.stream] = turn.get(block.stream, -1) + 1
        groups.setdefault((number, block.rate_hz, block.width_bytes, len(block.samples)), []).append(index)
    return [groups[key] for key in sorted(groups)]


def _band_pass_round(state: BandPassState, streams: Indices, blocks: list[Block]) -> npt.NDArray[np.float32]:
    """The filtered blocks, (k, m), of k distinct streams; `state` moves on."""
    rate_hz, width_bytes = blocks[0].rate_hz, blocks[0].width_bytes
    sos, rest = _design(_on_grid(rate_hz))
    joined = np.frombuffer(b"".join([block.samples for block in blocks]), f"<i{width_bytes}")
    counts = joined.reshape(len(blocks), -1).astype(np.float64)
    started_ns = np.array([block.started_at_ns for block in blocks], np.int64)
    due_ns = np.where(state.rate_hz[streams] > 0, state.due_ns[streams], 0)
    join_ns = max(_JOIN_NS, int(2e9 / rate_hz))
    follows = (state.rate_hz[streams] == rate_hz) & (np.abs(started_ns - due_ns) <= join_ns)
    begin = np.where(follows[:, None, None], state.sections[streams], rest * counts[:, :1, None])
    passed, end = _scipy_signal().sosfilt(sos, counts, axis=-1, zi=begin.transpose(1, 0, 2))
    ends_ns = started_ns + round(counts.shape[1] / rate_hz * 1e9)
    newer = ends_ns > due_ns
    moved = streams[newer]
    state.sections[moved] = end.transpose(1, 0, 2)[newer]
    state.rate_hz[moved] = rate_hz
    state.due_ns[moved] = ends_ns[newer]
    return np.asarray(passed, "<f4")


def _on_grid(rate_hz: float) -> float:
    return round(rate_hz / _RATE_STEP_HZ) * _RATE_STEP_HZ


@lru_cache(maxsize=_DESIGNS)
def _design(rate_hz: float) -> tuple[Floats, Floats]:
    """Second-order sections and their state at rest under a constant input of 1."""
    signal = _scipy_signal()
    sos: Floats = signal.butter(ORDER, PASS_BAND_HZ, "bandpass", fs=rate_hz, output="sos")
    return sos, np.asarray(signal.sosfilt_zi(sos), np.float64)


def _scipy_signal() -> ModuleType:
    """Imported when the first pulse wave comes: it takes seconds, and a restart must not wait for it."""
    return import_module("scipy.signal")
