"""What `wardlight rehearse` replays: recordings, judged as ingest judges them, or days of the embedded store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from alerts.rehearse import Recorded
from ingest.best import BestValues
from ingest.signals.analyst import Analyst
from ingest.signals.stage import SignalStage
from ingest.store.answers import Samples
from ingest.store.reader import StoreReader
from simulators.recordings import MAX_RECORDING_S, Numeric, Recording, RecordingError, read_recording
from simulators.replay import replay_ward
from vitals.columns import SAMPLE_DTYPE, Rows, SampleBlock, WaveformRow, concatenate
from vitals.errors import ConfigurationError
from vitals.model import VITALS, ClockSource, Reason, Vital
from vitals.ward import Patient, Ward

FIRST_NS: Final = 1_750_032_000 * 1_000_000_000  # where recordings begin that have no date: an arbitrary midnight
SLICE_S: Final = 60  # of recording judged at once
STRAP_WINDOW: Final = 5  # beats that a strap's heart rate is the mean of
_NS: Final = 1_000_000_000
_ENDINGS: Final = (".npz", ".csv", ".txt")
_LEAST_RR_MS, _MOST_RR_MS = 200.0, 6_000.0


def recordings_in(root: Path) -> tuple[list[Recording], list[str]]:
    """Every recording with numbers below `root`, and why other files of these endings have none to rehearse with.

    `.npz` of BIDMC, `.csv` of an O2Ring, `.txt` of RR intervals in ms (as the heart rate that a strap would tell).
    Raises `ConfigurationError` when there is none.
    """
    if not root.exists():
        raise ConfigurationError(f"{root}: there is no such folder; give one with recordings")
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in _ENDINGS)
    found: list[Recording] = []
    problems: list[str] = []
    for path in paths:
        try:
            recording = _intervals(path) if path.suffix == ".txt" else read_recording(path)
        except RecordingError as error:
            problems.append(str(error))
            continue
        if recording.numerics:
            found.append(recording)
    if not found:
        raise ConfigurationError(
            f"{root}: no recording with numbers found; give .npz (BIDMC), .csv (O2Ring) or .txt (RR)"
        )
    return found, problems


def _intervals(path: Path) -> Recording:
    """The heart rate that a strap tells once a second, from its RR intervals."""
    try:
        rr_ms = np.loadtxt(path, ndmin=1)
    except (ValueError, OSError) as error:
        raise RecordingError(f"{path}: not a list of RR intervals in ms: {error}") from error
    if rr_ms.ndim != 1 or rr_ms.size <= STRAP_WINDOW or not ((rr_ms >= 0) & (rr_ms < 1e6)).all():
        raise RecordingError(f"{path}: not a list of RR intervals in ms")
    beat_s = np.cumsum(rr_ms) / 1_000
    if beat_s[-1] > MAX_RECORDING_S:
        raise RecordingError(f"{path}: lasts {beat_s[-1]:,.0f} s; at most {MAX_RECORDING_S:,} s are read")
    plausible = np.where((rr_ms >= _LEAST_RR_MS) & (rr_ms <= _MOST_RR_MS), rr_ms, np.nan)
    mean_ms = np.convolve(plausible, np.full(STRAP_WINDOW, 1 / STRAP_WINDOW), "valid")
    second = np.arange(int(np.ceil(beat_s[STRAP_WINDOW - 1])), int(beat_s[-1]))
    last = np.searchsorted(beat_s, second, "right") - STRAP_WINDOW
    rates = Numeric(Vital.HEART_RATE, second.astype(np.int64) * _NS, np.rint(60_000 / mean_ms[last]), Reason.SEARCHING)
    return Recording(path.stem, path.stem, int(beat_s[-1]) + 1, (rates,))


def recorded_of(
    recordings: Sequence[Recording],
    *,
    shift: dict[Vital, float] | None = None,
    advance: Callable[[float], None] = lambda _: None,
) -> Recorded:
    """The recordings, each worn by a patient of its own, filtered, judged and with best values as ingest makes them.

    `shift`: added to all numbers of a vital, to play a recording as that of a patient with another baseline.
    """
    ward = replay_ward(recordings)
    judging = _Judging(recordings, [p.patient for p in ward.patients], shift or {})
    longest_s = max(recording.duration_s for recording in recordings)
    parts: list[SampleBlock] = []
    for second in range(0, longest_s, SLICE_S):
        parts += judging.judged(second)
        advance(min(1.0, (second + SLICE_S) / longest_s))
    return Recorded(ward, in_time(concatenate(parts)))


def in_time(block: SampleBlock) -> SampleBlock:
    """The block with its rows in the order of `sampled_at_ns`."""
    order = np.argsort(block.rows["sampled_at_ns"], kind="stable")
    return SampleBlock(block.devices, block.patients, block.gateways, block.rows[order])


class _Judging:
    """The stages of ingest, as recordings pass through them in parallel, a slice of time after the other."""

    def __init__(self, recordings: Sequence[Recording], patients: Sequence[str], shift: dict[Vital, float]) -> None:
        self._stage, self._analyst, self._best = SignalStage(), Analyst(), BestValues()
        self._worn = [(r, p, _rows(r, shift)) for r, p in zip(recordings, patients, strict=True)]

    def judged(self, second: int) -> Iterator[SampleBlock]:
        """The slice that begins at `second`: a single number has nothing beside it to choose a best value from."""
        blocks = [block for worn in self._worn if (block := self._smooth(*worn, second)) is not None]
        alone = [block for block in blocks if len(np.unique(block.rows["vital"])) == 1 and not block.waveforms]
        several = [block for block in blocks if len(np.unique(block.rows["vital"])) > 1 or block.waveforms]
        yield from alone
        if several:
            joined = concatenate(several)
            yield replace(self._best.choose(joined), waveforms=())
            derived = self._analyst.feed([joined])
            if len(derived.rows):
                yield self._best.choose(derived)

    def _smooth(self, recording: Recording, patient: str, rows: Rows, second: int) -> SampleBlock | None:
        edges = FIRST_NS + np.array([second, second + SLICE_S]) * _NS
        first, last = np.searchsorted(rows["sampled_at_ns"], edges)
        waves = _waves(recording, second)
        if first == last and not waves:
            return None
        smooth = self._stage.smooth(self._stage.place((recording.device,)), rows[first:last])
        smooth.keep()
        return SampleBlock((recording.device,), (patient,), ("rehearsal",), smooth.rows, waves)


def _rows(recording: Recording, shift: dict[Vital, float]) -> Rows:
    """All numbers of a recording in the order of time."""
    parts = []
    for numeric in recording.numerics:
        info = VITALS[numeric.vital]
        rows = np.zeros(numeric.values.size, SAMPLE_DTYPE)
        values = numeric.values + shift.get(numeric.vital, 0.0)
        fitting = (values >= info.low) & (values <= info.high)
        rows["sampled_at_ns"] = rows["received_at_ns"] = FIRST_NS + numeric.offsets_ns
        rows["raw"], rows["value"] = values, np.where(fitting, values, np.nan)
        missing = np.where(np.isnan(values), numeric.absence, Reason.OUT_OF_RANGE)
        rows["reason"] = np.where(fitting, Reason.PRESENT, missing)
        rows["vital"], rows["clock"] = numeric.vital, ClockSource.SYNCHRONISED
        parts.append(rows)
    joined = np.concatenate(parts)
    return joined[np.argsort(joined["sampled_at_ns"], kind="stable")]


def _waves(recording: Recording, second: int) -> tuple[WaveformRow, ...]:
    """The pulse wave of a slice, in blocks of a second."""
    found = []
    for trace in recording.traces:
        rate_hz = trace.sample_rate_hz
        for start_s in range(second, min(second + SLICE_S, recording.duration_s)):
            first, last = round(start_s * rate_hz), round((start_s + 1) * rate_hz)
            counts = trace.counts[first:last].astype("<i4").tobytes()
            if counts:
                at_ns = FIRST_NS + round(first * _NS / rate_hz)
                found.append(WaveformRow(0, trace.waveform, at_ns, at_ns + _NS, rate_hz, 4, 0, counts))
    return tuple(found)


def stored(path: Path, ward: Ward | None, start_ns: int, end_ns: int, advance: Callable[[float], None]) -> Recorded:
    """What the embedded store holds of a period, of the ward's patients; of all who are assigned without a ward file.

    Raises `ConfigurationError` when that is nothing.
    """
    with StoreReader(path) as reader:
        names = [name for name in reader.patients() if name]
        known = ward or Ward("store", patients=tuple(Patient(name, name) for name in names))
        parts: list[SampleBlock] = []
        wanted = [p.patient for p in known.patients if p.patient in names]
        for number, patient in enumerate(wanted, start=1):
            samples = reader.samples(patient, None, start_ns, end_ns)
            if len(samples):
                parts.append(_block(samples, patient))
            advance(number / len(wanted))
    if not parts:
        raise ConfigurationError(f"{path}: holds no readings of these patients in that time; name an earlier --from")
    return Recorded(known, in_time(concatenate(parts)))


def _block(samples: Samples, patient: str) -> SampleBlock:
    rows = np.zeros(len(samples), SAMPLE_DTYPE)
    for name in SAMPLE_DTYPE.names or ():
        rows[name] = getattr(samples, name)
    count = len(samples.devices)
    return SampleBlock(samples.devices, (patient,) * count, ("store",) * count, rows)
