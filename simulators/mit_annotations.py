"""Reader of beat annotations in the MIT format (`.atr` with its `.hea`), as PhysioNet publishes them.

    annotations = read_annotations(Path("100.atr"))

The format (WFDB Applications Guide, annot(5)): little-endian words of 16 bits, the upper 6 the type and the lower 10
the samples since the annotation before. SKIP (59) is followed by 32 bits of samples, upper half first; NUM, SUB and CHN
(60–62) belong to the annotation before; AUX (63) is followed by that many bytes of text, padded to even. A zero
word ends the file. The sampling rate is in the first line of the header.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.recordings import RecordingError

_SKIP, _NUM, _CHN, _AUX = 59, 60, 62, 63
_RHYTHM: Final = 28  # the type whose text tells the rhythm from there on, as "(AFIB"
_MAX_BYTES: Final = 50_000_000  # a week of beats; a longer file is something else

#: Type numbers of beats, with the letters that WFDB shows for them.
BEAT_LETTERS: Final = {
    **dict(zip(range(1, 14), "NLRaVFJASEj/Q", strict=True)),
    **dict(zip((25, 30, 31, 34, 35, 38, 41), "B?!enfr", strict=True)),
}


@dataclass(frozen=True, slots=True)
class Annotations:
    """The beats of a record, and where its rhythm changed.

    `beats_ms`: (n,) times from the start. `letters`: (n,) what each beat was, as in `BEAT_LETTERS`. `rhythms`: time in
    ms from which on a rhythm held, and its name without the bracket, as "AFIB".
    """

    name: str
    beats_ms: npt.NDArray[np.float64]
    letters: npt.NDArray[np.str_]
    rhythms: tuple[tuple[float, str], ...]


def read_annotations(path: Path) -> Annotations:
    """The annotations in `path`, with the rate from the header beside it; raises `RecordingError`."""
    rate_hz = _rate(path.with_suffix(".hea"))
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error
    if len(payload) > _MAX_BYTES:
        raise RecordingError(f"{path}: {len(payload):,} bytes are no annotations of beats")
    try:
        marks = decode_annotations(payload)
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from error
    beats = [(at, BEAT_LETTERS[kind]) for at, kind, _ in marks if kind in BEAT_LETTERS]
    rhythms = [(at / rate_hz * 1000, text.strip("(")) for at, kind, text in marks if kind == _RHYTHM and text]
    return Annotations(
        path.stem,
        np.array([at for at, _ in beats]) / rate_hz * 1000,
        np.array([letter for _, letter in beats], np.str_),
        tuple(rhythms),
    )


def _rate(path: Path) -> float:
    try:
        return float(path.read_text("ascii").split()[2].split("/")[0])
    except (OSError, IndexError, ValueError) as error:
        raise RecordingError(f"{path}: expected a header whose third word is the sampling rate in Hz") from error


def decode_annotations(payload: bytes) -> list[tuple[int, int, str]]:
    """Sample, type and text of every annotation, in order; raises `ValueError` where the bytes end too early."""
    marks: list[tuple[int, int, str]] = []
    sample = place = 0
    while True:
        word = int.from_bytes(_taken(payload, place, 2), "little")
        place += 2
        kind, count = word >> 10, word & 0x3FF
        if word == 0:
            return marks
        if kind == _SKIP:
            words = _taken(payload, place, 4)
            sample += int.from_bytes(words[2:] + words[:2], "little", signed=True)
            place += 4
        elif kind == _AUX:
            text = _taken(payload, place, count).rstrip(b"\0").decode("latin-1")
            place += count + count % 2
            if marks:
                marks[-1] = (*marks[-1][:2], text)
        elif not _NUM <= kind <= _CHN:
            sample += count
            marks.append((sample, kind, ""))


def _taken(payload: bytes, place: int, count: int) -> bytes:
    if place + count > len(payload):
        raise ValueError("ends within an annotation; the file is cut off or is no MIT annotation file")
    return payload[place : place + count]
