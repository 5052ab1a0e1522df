"""The partial early-warning score of one patient in words. Pure.

It is called what it is: a NEWS2 has seven observations; without one of them the score is partial and has two bounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from alerts.station import words
from alerts.view import PartialScore


class ShownScore(msgspec.Struct, frozen=True):
    """`points`: `5 to 17`. `parts`: what it is made of, with the age of each; `missing`: what it is not made of."""

    title: str
    points: str
    parts: str
    missing: str


def show_score(score: PartialScore | None, now_ns: int) -> ShownScore | None:
    """The score for the patient's page; `None` without one."""
    if score is None:
        return None
    parts = [f"{p.name} {p.points} ({words.duration((now_ns - p.at_ns) / words.NS)} ago)" for p in score.parts]
    if score.scale_2:
        parts.append("SpO₂ on scale 2")
    complete = not score.missing
    return ShownScore(
        title="NEWS2" if complete else "Partial early warning",
        points=f"{score.lower}" if complete else f"{score.lower} to {score.upper}",
        parts=" · ".join(parts),
        missing=_missing([name for name in score.missing if name not in score.stale], score.stale),
    )


def _missing(unknown: Sequence[str], stale: Sequence[str]) -> str:
    told = (("missing", unknown), ("too old", stale))
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in told if names)
