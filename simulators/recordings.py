"""Readers of real recordings: BIDMC `.npz`, Viatom O2Ring `.csv`, IEEE Signal Processing Cup `.mat`.

    recording = read_recording(Path("bidmc_01.npz"))
    recordings = read_recordings([Path("data/bidmc"), Path("night.csv")])     # folders too

A `Recording` holds what a device measured, as arrays with offsets from its start; `simulators.replay` turns it into
wearable seconds. A file whose layout differs from what is written below raises `RecordingError`, which names the file,
the field and what was found.

- BIDMC: 1 Hz numerics `hr` (heart rate), `pulse` (pulse rate), `spo2`, `rr` (respiratory rate), NaN is `NO_READING`;
  waveform `pleth` at 125 Hz. Left out, as references: ECG, impedance respiration, the annotators' breaths.
- O2Ring: numerics `Oxygen Level` (SpO2) and `Pulse Rate` every 4 s, `--` is `NO_READING`. Left out: `Motion` and the
  reminder columns, because the model has no stream for them.
- IEEE SPC: waveforms only, 125 Hz: the first of the two green PPG channels and acceleration x, y, z. Left out: ECG, the
  second PPG channel, and `BPMtrace`, which is a reference and nothing that the device said.

Waveforms become the integers that the converters counted: `pleth` times 1023 (10 bits on 0…1), green PPG times 2
(half counts), acceleration in steps of 0.0078 g. All three are exact for the published files.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from zipfile import is_zipfile

import numpy as np
import numpy.typing as npt

from vitals.errors import PermanentError
from vitals.model import Reason, Vital, Waveform
from vitals.topics import valid_name

FloatArray: TypeAlias = npt.NDArray[np.float64]
MAX_RECORDING_S: Final = 7 * 86_400  # a week; a longer file is more likely a misread one
PLETH_COUNTS_PER_UNIT: Final = 1023.0
GREEN_COUNTS_PER_UNIT: Final = 2.0
ACCELERATION_COUNTS_PER_G: Final = 1 / 0.0078
_SPC_RATE_HZ: Final = 125.0
_NS: Final = 1_000_000_000


class RecordingError(PermanentError):
    """A file is not a recording of a known layout; the message names the file, the field and what was found."""


@dataclass(frozen=True, slots=True)
class Numeric:
    """One numeric stream. `offsets_ns`: shape (n,), int64, rising, from the recording's start; `values`: shape (n,),
    NaN where the device had none, for `absence` as the reason."""

    vital: Vital
    offsets_ns: npt.NDArray[np.int64]
    values: FloatArray
    absence: Reason = Reason.NO_READING


@dataclass(frozen=True, slots=True)
class Trace:
    """One waveform from the recording's start on. `counts`: shape (n,), int32."""

    waveform: Waveform
    sample_rate_hz: float
    counts: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Recording:
    """What one device measured. `duration_s`: whole seconds until a repetition may begin.

    `recorded_at`: the device's own start time as written in the file, local and without a zone, or `""`; only
    differences of it are used.
    """

    name: str
    device: str
    duration_s: int
    numerics: tuple[Numeric, ...] = ()
    traces: tuple[Trace, ...] = ()
    recorded_at: str = ""


def read_recordings(paths: Iterable[Path]) -> list[Recording]:
    """Every recording in these files and folders, folders in order of name; raises `RecordingError`.

    In a folder, files of other kinds and references (`*_BPMtrace.mat`) are passed over; a file that is named
    outright must be a recording. Two recordings of one device name are refused: their readings would mix.
    """
    recordings = [read_recording(path) for given in paths for path in _expand(given)]
    if not recordings:
        raise RecordingError(
            "no recording found; give a .npz (BIDMC), .csv (O2Ring) or .mat (IEEE SPC) or their folder"
        )
    for first, second in pairwise(sorted(recordings, key=lambda r: r.device)):
        if first.device == second.device:
            raise RecordingError(f"{first.name} and {second.name} both replay as device {first.device!r}; rename one")
    return recordings


def _expand(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    return [p for p in sorted(given.iterdir()) if p.suffix in _READERS and not p.stem.endswith("_BPMtrace")]


def read_recording(path: Path) -> Recording:
    """One recording, by the ending of its name; raises `RecordingError`."""
    reader = _READERS.get(path.suffix)
    if reader is None and not path.exists():
        raise RecordingError(f"{path}: no such file; give a recording or a folder of them")
    if reader is None:
        raise RecordingError(f"{path}: unknown ending; a recording is {', '.join(sorted(_READERS))}")
    if not path.is_file():
        raise RecordingError(f"{path}: there is no such file")
    try:
        recording = reader(path)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error
    if not 0 < recording.duration_s <= MAX_RECORDING_S:
        raise RecordingError(f"{path}: lasts {recording.duration_s:,} s; between 1 and {MAX_RECORDING_S:,} s are read")
    return recording


def _read_bidmc(path: Path) -> Recording:
    if not is_zipfile(path):
        raise RecordingError(f"{path}: not a NumPy archive")
    try:
        with np.load(path, allow_pickle=False) as archive:
            fields = {name: archive[name] for name in archive.files}
    except Exception as error:  # the parsers of zip and .npy promise no set of errors
        raise RecordingError(f"{path}: not a readable NumPy archive: {error}") from error
    seconds = _column(path, fields, "num_t")
    if not np.array_equal(seconds, np.arange(seconds.size)):
        raise RecordingError(f"{path}: num_t: expected 0, 1, 2, … seconds")
    rate_hz = float(_column(path, fields, "fs").item()) if np.size(fields.get("fs", ())) == 1 else 0.0
    if not 1 <= rate_hz <= 1000:
        raise RecordingError(f"{path}: fs: expected one sampling rate in Hz")
    vitals = {
        "hr": Vital.HEART_RATE,
        "pulse": Vital.PULSE_RATE,
        "spo2": Vital.SPO2,
        "rr": Vital.RESP_RATE,
    }
    offsets_ns = seconds.astype(np.int64) * _NS
    numerics = tuple(Numeric(v, offsets_ns, _column(path, fields, n, seconds.size)) for n, v in vitals.items())
    pleth = _counts(path, "pleth", _column(path, fields, "pleth") * PLETH_COUNTS_PER_UNIT)
    trace = Trace(Waveform.PPG_INFRARED, rate_hz, pleth)
    duration_s = max(seconds.size, -(-pleth.size // round(rate_hz)))
    return Recording(path.stem, _device(path), duration_s, numerics, (trace,))


def _read_o2ring(path: Path) -> Recording:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            table = csv.DictReader(file)
            rows, columns = list(table), table.fieldnames or ()
        except (csv.Error, UnicodeDecodeError) as error:
            raise RecordingError(f"{path}: not a CSV file: {error}") from error
    for column in ("Time", "Oxygen Level", "Pulse Rate"):
        if column not in columns:
            raise RecordingError(f"{path}: {column}: the column is missing; found {', '.join(columns) or 'none'}")
    if not rows:
        raise RecordingError(f"{path}: has no rows")
    times = [_local_time(path, line, row["Time"]) for line, row in enumerate(rows, start=2)]
    for line, (before, after) in enumerate(pairwise(times), start=3):
        if after <= before:
            raise RecordingError(
                f"{path}: line {line}: Time goes from {before} to {after}; split the file there (end of summer time?)"
            )
    offsets_ns = np.array([round((t - times[0]).total_seconds()) * _NS for t in times], dtype=np.int64)
    vitals = {"Oxygen Level": Vital.SPO2, "Pulse Rate": Vital.PULSE_RATE}
    numerics = tuple(
        Numeric(
            vital, offsets_ns, np.array([_reading(path, line, name, row[name]) for line, row in enumerate(rows, 2)])
        )
        for name, vital in vitals.items()
    )
    spacing_s = round((times[1] - times[0]).total_seconds()) if len(times) > 1 else 1
    return Recording(
        path.stem, _device(path), int(offsets_ns[-1] // _NS) + spacing_s, numerics, recorded_at=times[0].isoformat()
    )


def _local_time(path: Path, line: int, text: str | None) -> datetime:
    try:
        return datetime.strptime(text or "", "%H:%M:%S %b %d %Y")  # noqa: DTZ007 - the ring knows no zone
    except ValueError as error:
        raise RecordingError(f"{path}: line {line}: Time: {text!r} is not like '23:43:18 Mar 07 2025'") from error


def _reading(path: Path, line: int, column: str, text: str | None) -> float:
    if text == "--":
        return float("nan")
    try:
        return float(int(text or ""))
    except ValueError as error:
        raise RecordingError(f"{path}: line {line}: {column}: {text!r} is neither a whole number nor --") from error


def _read_ieee_spc(path: Path) -> Recording:
    try:
        from scipy.io import loadmat  # noqa: PLC0415 - scipy is in the extra `sim`; only .mat files need it
    except ImportError as error:
        raise RecordingError(f"{path}: reading .mat needs scipy; install wardlight[sim]") from error
    try:
        fields = loadmat(path)
    except Exception as error:  # scipy promises no set of errors for a damaged file
        raise RecordingError(f"{path}: not a readable MATLAB 5 file: {error}") from error
    signals = np.asarray(fields.get("sig", ()))
    if signals.ndim != 2 or signals.shape[0] != 6 or signals.dtype.kind != "f":
        found = ", ".join(f"{n} {np.shape(v)}" for n, v in fields.items() if not n.startswith("__"))
        raise RecordingError(f"{path}: sig: expected 6 rows (ECG, 2 PPG, 3 acceleration); found {found}")
    rows = {
        Waveform.PPG_GREEN: (1, GREEN_COUNTS_PER_UNIT),
        Waveform.ACCELERATION_X: (3, ACCELERATION_COUNTS_PER_G),
        Waveform.ACCELERATION_Y: (4, ACCELERATION_COUNTS_PER_G),
        Waveform.ACCELERATION_Z: (5, ACCELERATION_COUNTS_PER_G),
    }
    traces = tuple(
        Trace(waveform, _SPC_RATE_HZ, _counts(path, f"sig[{row}]", signals[row] * scale))
        for waveform, (row, scale) in rows.items()
    )
    return Recording(path.stem, _device(path), -(-signals.shape[1] // round(_SPC_RATE_HZ)), traces=traces)


_READERS: Final[Mapping[str, Callable[[Path], Recording]]] = MappingProxyType(
    {".npz": _read_bidmc, ".csv": _read_o2ring, ".mat": _read_ieee_spc}
)


def _column(path: Path, fields: Mapping[str, Any], name: str, size: int | None = None) -> FloatArray:
    """A numeric field as float64, of `size` where that is given."""
    if name not in fields:
        raise RecordingError(f"{path}: {name}: the field is missing; found {', '.join(sorted(fields))}")
    values = np.asarray(fields[name])
    if values.dtype.kind not in "fiu" or values.ndim > 1 or (size is not None and values.shape != (size,)):
        wanted = "numbers" if size is None else f"{size} numbers"
        raise RecordingError(f"{path}: {name}: expected {wanted}, found {values.dtype} of shape {values.shape}")
    return values.astype(np.float64)


def _counts(path: Path, name: str, scaled: FloatArray) -> npt.NDArray[np.int32]:
    if not np.isfinite(scaled).all() or np.abs(scaled).max(initial=0) >= 1 << 31:
        raise RecordingError(f"{path}: {name}: holds numbers that no sensor counts")
    return np.rint(scaled).astype(np.int32)


def _device(path: Path) -> str:
    """A device name from the file's: every character that a topic cannot carry becomes a hyphen."""
    name = re.sub(r"[^A-Za-z0-9._:-]", "-", path.stem)
    if not valid_name(name):
        raise RecordingError(f"{path}: the name of the file must begin with a letter or digit and have at most 64")
    return name
