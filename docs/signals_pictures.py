"""The pictures of docs/signals.md: agreement with the reference, and the best and worst record of each task.

    .venv/bin/python docs/signals_pictures.py --data ../shared/data --to docs/images

Needs matplotlib (of the group `dev`). Writes `signals-agreement.png` and `signals-tracking.png`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from wardlight.signals_bench import score_family
from wardlight.signals_data import find

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from wardlight.signals_scores import Score, Track

INK, TRUSTED, DOUBTED = "#222222", "#0b6e99", "#e39a3b"
DOTS = 1_500  # per panel: every window would only make a blot


def main() -> None:
    """Score what has tracks, and draw it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--to", type=Path, required=True)
    given = options.parse_args()
    families = [f for f in find(given.data)[0] if f.layout in ("ieee_spc", "bami", "bidmc")]
    scores = [score for family in families for score in score_family(family, lambda: None)]
    agreement(scores, given.to / "signals-agreement.png")
    tracking(scores, given.to / "signals-tracking.png")


def agreement(scores: Sequence[Score], path: Path) -> None:
    """Bland–Altman: difference against mean of estimate and reference, with bias and 95 % limits of all windows."""
    figure, grid = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for axes, score in zip(grid.flat, scores, strict=True):
        _agreement(axes, score)
    figure.savefig(path, dpi=90)


def _agreement(axes: Axes, score: Score) -> None:
    reference, estimate, trusted = (
        np.concatenate([getattr(track, name) for track in score.tracks])
        for name in ("reference", "estimate", "trusted")
    )
    known = np.isfinite(reference) & np.isfinite(estimate)
    middle, apart = ((reference + estimate) / 2)[known], (estimate - reference)[known]
    shown = np.random.default_rng(0).permutation(len(apart))[:DOTS]
    colours = np.where(trusted[known][shown], TRUSTED, DOUBTED)
    axes.scatter(middle[shown], apart[shown], s=5, c=colours, alpha=0.6, linewidths=0)
    bias, spread = float(apart.mean()), 1.96 * float(apart.std())
    for level, style in ((bias, "-"), (bias - spread, "--"), (bias + spread, "--")):
        axes.axhline(level, color=INK, linestyle=style, linewidth=0.8)
    axes.set_title(f"{score.family}: {score.task}\nbias {bias:+.2f}, limits ±{spread:.1f} /min", fontsize=9)
    axes.set_xlabel("mean of estimate and reference, /min")
    axes.set_ylabel("estimate − reference, /min")


def tracking(scores: Sequence[Score], path: Path) -> None:
    """Estimate over reference in time, for the best and the worst record of each task."""
    figure, grid = plt.subplots(len(scores), 2, figsize=(10, 2.6 * len(scores)), layout="constrained")
    for row, score in zip(grid, scores, strict=True):
        ordered = sorted(score.tracks, key=lambda track: float(track.errors.mean()))
        _track(row[0], score, ordered[0], "best")
        _track(row[1], score, ordered[-1], "worst")
    figure.savefig(path, dpi=90)


def _track(axes: Axes, score: Score, track: Track, which: str) -> None:
    for chosen, colour, name in ((track.trusted, TRUSTED, "trusted"), (~track.trusted, DOUBTED, "doubted")):
        axes.plot(track.at_s[chosen], track.estimate[chosen], ".", color=colour, markersize=3, label=name)
    axes.plot(track.at_s, track.reference, color=INK, linewidth=1, label="reference")
    mean = float(track.errors.mean())
    axes.set_title(f"{score.family}, {which}: {track.name}, mean error {mean:.2f} /min", fontsize=9)
    axes.set_xlabel("s")
    axes.set_ylabel("breaths/min" if "resp" in score.task else "/min")
    axes.legend(fontsize=7, loc="best")


if __name__ == "__main__":
    main()
