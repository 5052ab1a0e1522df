"""What `wardlight bench signals` scores: recordings with a reference, found by their layout in any folder.

Folders need no special names: each file is known by its ending and by the fields in it (see `LAYOUTS`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from simulators.mit_annotations import Annotations, read_annotations
from simulators.recordings import RecordingError, read_recording
from vitals.model import Vital

Floats: TypeAlias = npt.NDArray[np.float64]

LAYOUTS: Final = (
    ".mat with `sig` (IEEE SPC) and its `*_BPMtrace.mat` or `True_*.mat`, .mat with `rawPPG` (BAMI), .npz with "
    "`breaths1` (BIDMC), .npz with `true_alarm` (CinC 2015), .atr with .hea (MIT-BIH), .csv of an O2Ring, .txt of RR "
    "intervals in ms"
)
MAX_FILE_BYTES: Final = 200_000_000  # a pulse wave of a day; a larger file is no recording of these layouts

_SPC_HZ: Final = 125.0
_BAMI_HZ: Final = 50.0
_BAMI_COUNTS_PER_G: Final = 4096.0
_BAMI_ZERO: Final = 32_768.0


@dataclass(frozen=True, slots=True)
class Motion:
    """A pulse wave under motion: `ppg` (channels, n), `acceleration_g` (3, n); rates of 8 s windows, 2 s apart."""

    name: str
    rate_hz: float
    ppg: Floats
    acceleration_g: Floats
    rate_per_min: Floats


@dataclass(frozen=True, slots=True)
class Bedside:
    """A monitor's pulse wave (n,), its pulse rate once per second, and two annotators' breaths in s."""

    name: str
    rate_hz: float
    pleth: Floats
    pulse_per_min: Floats
    breaths_s: tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Alarmed:
    """A monitor's pulse wave up to an alarm of ventricular tachycardia, NaN where missing, and whether it was true."""

    name: str
    rate_hz: float
    pleth: Floats
    true_alarm: bool


@dataclass(frozen=True, slots=True)
class Intervals:
    """RR intervals in ms without labels."""

    name: str
    rr_ms: Floats


@dataclass(frozen=True, slots=True)
class Night:
    """An oximeter's SpO2 in %, NaN where it had none, and when, in s."""

    name: str
    at_s: Floats
    spo2_pct: Floats


Recording: TypeAlias = Motion | Bedside | Alarmed | Annotations | Intervals | Night


@dataclass(frozen=True, slots=True)
class Found:
    """Recordings of one layout in one folder, and files there that could not be read, each with its reason."""

    family: str
    layout: str
    recordings: list[Recording] = field(default_factory=list)


def find(root: Path, advance: Callable[[Path], None] = lambda _: None) -> tuple[list[Found], list[str]]:
    """Everything below `root` that can be scored, by folder and layout, and why other files of these kinds cannot be.

    `advance` is told each file before it is read.
    """
    families: dict[tuple[str, str], Found] = {}
    problems: list[str] = []
    for path in files(root):
        advance(path)
        try:
            read = _read(path)
        except RecordingError as error:
            problems.append(str(error))
            continue
        if read is not None:
            layout, recording = read
            family = path.parent.name
            families.setdefault((family, layout), Found(family, layout)).recordings.append(recording)
    return list(families.values()), problems


def files(root: Path) -> list[Path]:
    """The files below `root` that may be recordings, references left out."""
    return [path for path in sorted(root.rglob("*")) if path.suffix in _READERS and not _is_reference(path)]


def _is_reference(path: Path) -> bool:
    return path.stem.endswith("_BPMtrace") or path.stem.startswith("True_")


def _read(path: Path) -> tuple[str, Recording] | None:
    """The layout and recording in `path`; None where it is something else that only ends alike."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise RecordingError(f"{path}: larger than any recording of the known layouts")
    return _READERS[path.suffix](path)


def _read_mat(path: Path) -> tuple[str, Recording] | None:
    fields = _mat(path)
    if "rawPPG" in fields:
        ppg, acc = _rows(path, fields, "rawPPG"), _rows(path, fields, "rawAcc")
        reference = _rows(path, fields, "bpm_ecg").ravel()
        return "bami", Motion(path.stem, _BAMI_HZ, ppg, (acc - _BAMI_ZERO) / _BAMI_COUNTS_PER_G, reference)
    if "sig" not in fields:
        return None
    signals = _rows(path, fields, "sig")
    if len(signals) not in (5, 6):
        raise RecordingError(f"{path}: sig: expected 5 or 6 rows (ECG or none, 2 PPG, 3 acceleration)")
    traces = [trace for trace in _spc_references(path) if trace.is_file()]
    if not traces:
        raise RecordingError(f"{path}: has no reference; expected {' or '.join(p.name for p in _spc_references(path))}")
    rates = _rows(traces[0], _mat(traces[0]), "BPM0").ravel()
    return "ieee_spc", Motion(path.stem, _SPC_HZ, signals[-5:-3], signals[-3:], rates)


def _spc_references(path: Path) -> list[Path]:
    """Where the reference may stand: the training set's way, and that of the test set."""
    return [path.with_name(f"{path.stem}_BPMtrace.mat"), path.with_name(f"True_{path.stem.partition('_')[2]}.mat")]


def _mat(path: Path) -> Mapping[str, Any]:
    from scipy.io import loadmat

    try:
        fields: Mapping[str, Any] = loadmat(path)
    except Exception as error:  # scipy promises no set of errors for a damaged file
        raise RecordingError(f"{path}: not a readable MATLAB 5 file: {error}") from error
    return fields


def _rows(path: Path, fields: Mapping[str, Any], name: str) -> Floats:
    values = np.asarray(fields.get(name, ()))
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise RecordingError(f"{path}: {name}: expected rows of numbers, found shape {values.shape}")
    return values.astype(np.float64)


def _read_npz(path: Path) -> tuple[str, Recording] | None:
    try:
        with np.load(path, allow_pickle=False) as archive:
            fields = {name: archive[name] for name in archive.files}
    except Exception as error:  # the parsers of zip and .npy promise no set of errors
        raise RecordingError(f"{path}: not a readable NumPy archive: {error}") from error
    try:
        if "breaths1" in fields:
            return "bidmc", _bedside(path.stem, fields)
        if "true_alarm" in fields and "sig_PLETH" in fields:
            return "cinc_vt", _alarmed(path.stem, fields)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"{path}: a field is missing or of another kind: {error}") from error
    return None


def _bedside(name: str, fields: Mapping[str, npt.NDArray[Any]]) -> Bedside:
    rate_hz = float(fields["fs"])
    breaths = (fields["breaths1"] / rate_hz, fields["breaths2"] / rate_hz)
    return Bedside(name, rate_hz, fields["pleth"].astype(np.float64), fields["pulse"].astype(np.float64), breaths)


def _alarmed(name: str, fields: Mapping[str, npt.NDArray[Any]]) -> Alarmed:
    counts = fields["sig_PLETH"].astype(np.float64)
    counts[fields["sig_PLETH"] == np.iinfo(np.int16).min] = np.nan  # WFDB's mark of a missing sample
    return Alarmed(name, float(fields["fs"]), counts, bool(fields["true_alarm"].item()))


def _read_csv(path: Path) -> tuple[str, Recording] | None:
    for numeric in read_recording(path).numerics:
        if numeric.vital is Vital.SPO2:
            return "o2ring", Night(path.stem, numeric.offsets_ns / 1e9, numeric.values)
    return None


def _read_atr(path: Path) -> tuple[str, Recording] | None:
    return "mitdb", read_annotations(path)


def _read_txt(path: Path) -> tuple[str, Recording] | None:
    """A column of whole milliseconds; other texts are passed over."""
    try:
        rr_ms = np.array([float(line) for line in _lines(path)])
    except (ValueError, UnicodeDecodeError):
        return None
    return ("rr", Intervals(path.stem, rr_ms)) if len(rr_ms) else None


def _lines(path: Path) -> Iterator[str]:
    return (line for line in path.read_text("ascii").splitlines() if line.strip())


_READERS: Final[Mapping[str, Callable[[Path], tuple[str, Recording] | None]]] = {
    ".mat": _read_mat,
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".atr": _read_atr,
    ".txt": _read_txt,
}
