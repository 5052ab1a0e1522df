"""What a rehearsal is held against: episodes in which a patient was beyond a stated limit for a minute. Pure.

They are found in what the devices themselves said, as received, and independently of the engine that is rehearsed: a
run of readings beyond the limit, in the readings that ingest did not find doubtful. Runs of several devices of one
patient that overlap are one episode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from alerts.conditions import MOST_COVER_NS
from alerts.limits import VitalLimits
from alerts.spans import AlarmSpan
from alerts.streams import JUDGED
from vitals.columns import Rows, SampleBlock
from vitals.derived import is_virtual
from vitals.model import VITAL_BY_NAME, VITALS, Quality, Reason, Vital

LEAST_EPISODE_NS: Final = 60_000_000_000  # the minute of Rheineck-Leyssius & Kalkman 1997 (STANDARDS 2.8)
IN_TIME_NS: Final = 60_000_000_000  # an alarm that comes later after the beginning than this is late
_DOUBTED: Final = (Quality.DOUBTFUL, Quality.UNUSABLE, Quality.TEST)


@dataclass(frozen=True, slots=True)
class Episode:
    """`side`: `low` or `high`. From the beginning of what the first reading beyond the limit stands for."""

    patient: str
    vital: Vital
    side: str
    start_ns: int
    end_ns: int


class Verdict(StrEnum):
    """What became of an episode."""

    CAUGHT = "caught"
    LATE = "late"
    MISSED = "missed"


def family_of(vital: Vital) -> Vital:
    """The vital under which a reading is judged: a pulse rate tells a heart rate."""
    return Vital(JUDGED.get(vital, vital))


def episodes(block: SampleBlock, limits: Mapping[str, VitalLimits]) -> list[Episode]:
    """The episodes of all patients against the ordinary limits in `limits`, by patient and time.

    `block`: rows in time order, `raw` as received and `quality` as ingest judged it.
    """
    found = [
        Episode(patient, family_of(vital), side, start_ns, end_ns)
        for patient, vital, rows in _streams(block)
        for side, limit, sign in _sides(limits.get(VITALS[vital].name))
        for start_ns, end_ns in _runs(rows, limit, sign)
    ]
    return [e for e in _merged(found) if e.end_ns - e.start_ns >= LEAST_EPISODE_NS]


def _streams(block: SampleBlock) -> Iterator[tuple[str, Vital, Rows]]:
    """The trusted readings of each device and vital."""
    trusted = (block.rows["reason"] == Reason.PRESENT) & ~np.isin(block.rows["quality"], _DOUBTED)
    rows = block.rows[trusted & np.isfinite(block.rows["raw"])]
    for index, (device, patient) in enumerate(zip(block.devices, block.patients, strict=True)):
        if not is_virtual(device):
            own = rows[rows["device"] == index]
            yield from ((patient, Vital(int(v)), own[own["vital"] == v]) for v in np.unique(own["vital"]))


def _sides(limits: VitalLimits | None) -> list[tuple[str, float, int]]:
    if limits is None:
        return []
    sides = (("low", limits.low, -1), ("high", limits.high, +1))
    return [(side, limit, sign) for side, limit, sign in sides if limit is not None]


def _runs(rows: Rows, limit: float, sign: int) -> list[tuple[int, int]]:
    """Beginning and end of each run beyond the limit; a gap longer than a reading may stand for ends a run."""
    at_ns: npt.NDArray[np.int64] = rows["sampled_at_ns"]
    if not at_ns.size:
        return []
    beyond = sign * rows["raw"] > sign * limit
    gap = np.diff(at_ns, prepend=at_ns[0])
    joined = beyond & np.concatenate(([False], beyond[:-1])) & (gap <= MOST_COVER_NS)
    starts = np.flatnonzero(beyond & ~joined)
    ends = np.flatnonzero(beyond & ~np.concatenate((joined[1:], [False])))
    stands_for = np.where(gap[starts] <= MOST_COVER_NS, gap[starts], 0)
    return list(zip((at_ns[starts] - stands_for).tolist(), at_ns[ends].tolist(), strict=True))


def _merged(found: Iterable[Episode]) -> list[Episode]:
    """Episodes of one patient, vital and side that overlap made one."""
    merged: list[Episode] = []
    for episode in sorted(found, key=lambda e: (e.patient, e.vital, e.side, e.start_ns)):
        last = merged[-1] if merged else None
        same = last and (last.patient, last.vital, last.side) == (episode.patient, episode.vital, episode.side)
        if last and same and episode.start_ns <= last.end_ns:
            end_ns = max(last.end_ns, episode.end_ns)
            merged[-1] = Episode(last.patient, last.vital, last.side, last.start_ns, end_ns)
        else:
            merged.append(episode)
    return merged


def delay_ns(episode: Episode, spans: Iterable[AlarmSpan]) -> int | None:
    """How long after its beginning an alarm of the same side was open; `None` when none was while it lasted."""
    starts = [
        max(0, span.raised_at_ns - episode.start_ns)
        for span in spans
        if span.patient == episode.patient
        and _tells(span.condition, episode)
        and span.raised_at_ns <= episode.end_ns
        and (span.ended_at_ns is None or span.ended_at_ns >= episode.start_ns)
    ]
    return min(starts, default=None)


def verdict(delay: int | None) -> Verdict:
    """What a delay (ns) makes of an episode."""
    if delay is None:
        return Verdict.MISSED
    return Verdict.CAUGHT if delay <= IN_TIME_NS else Verdict.LATE


def _tells(condition: str, episode: Episode) -> bool:
    name, _, side = condition.rpartition("_")
    vital = VITAL_BY_NAME.get(name)
    return side == episode.side and vital is not None and family_of(vital) is episode.vital
