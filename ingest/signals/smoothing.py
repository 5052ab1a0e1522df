"""Windows of samples, (rows, n): moving averages centred on the sample, missing samples, places of the highest.

Nothing here delays: what a sample becomes depends as much on what follows as on what went before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from types import ModuleType

    from ingest.streams import Indices, Mask

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.uint8]  # of an `IntEnum` in `vitals.model`

LARGEST: Final = 1e12  # no sensor counts so far; larger numbers are no samples, and their squares must stay numbers


def moving_average(window: Floats, width: float) -> Floats:
    """The mean over `width` samples, to the next odd number, centred; at the edges the last sample is held."""
    size = max(1, round(width) | 1)
    return np.asarray(_scipy_ndimage().uniform_filter1d(window, size, axis=-1, mode="nearest"), np.float64)


def present(window: Floats) -> Mask:
    """Where a sample is there: a finite number that a sensor can count to."""
    return np.abs(window) <= LARGEST


def bridged(window: Floats) -> Floats:
    """`window` with what is not `present` replaced by what came last before it (or first, at the start); 0 without any.

    It keeps filters from failing; what they make of such a stretch must be thrown away.
    """
    good = present(window)
    if good.all():
        return window
    place = np.arange(window.shape[1])
    last = np.maximum.accumulate(np.where(good, place, -1), axis=1)
    first = np.argmax(good, axis=1)[:, None]
    held = np.take_along_axis(window, np.where(last < 0, first, last), axis=1)
    held[~good.any(axis=1)] = 0.0
    return np.asarray(held, np.float64)


def places_of_max(flat: Floats, begins: Indices, ends: Indices) -> Indices:
    """Where `flat`, (n,), is highest in each stretch from `begins` up to `ends`, exclusive; of equals the first.

    Stretches hold at least one sample, end before n, and may overlap.
    """
    if not len(begins):
        return begins
    lengths = ends - begins
    starts = np.cumsum(lengths) - lengths
    stretch = np.repeat(np.arange(len(begins)), lengths)
    places = np.arange(len(stretch)) + np.repeat(begins - starts, lengths)
    highest = np.maximum.reduceat(flat[places], starts)
    hits = np.flatnonzero(flat[places] == highest[stretch])
    first = hits[np.unique(stretch[hits], return_index=True)[1]]
    return np.asarray(places[first], np.intp)


def _scipy_ndimage() -> ModuleType:
    """Imported with the first pulse wave: a restart must not wait for it."""
    return import_module("scipy.ndimage")
