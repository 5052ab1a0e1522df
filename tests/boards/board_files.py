"""The committed boards, and their questions with the variables filled in as Grafana would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
GRAFANA = ROOT / "deploy" / "grafana"
FILES = sorted((GRAFANA / "boards").rglob("*.json"))
RANGE_S = {"now-1h": 3_600, "now-6h": 21_600, "now-12h": 43_200, "now-7d": 604_800}
STEPS_S = {"": 5, "1m": 60, "15m": 900}
POINTS = 800  # as many as a chart is wide


@dataclass(frozen=True)
class Choice:
    """What a person chose above a board, as the databases get it. `range_s`: 0 for what the board itself proposes."""

    site: str = "north"
    bed: str = ".*"
    patient: str = ".*"
    range_s: int = 0


EVERYBODY = Choice()


@dataclass(frozen=True)
class Asked:
    """One question of one panel, mark or variable; `text` holds no variables any more."""

    board: str
    panel: str
    ref_id: str
    text: str
    range_s: int
    step_s: int
    instant: bool

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}, {self.ref_id}"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def asked(language: str, choice: Choice = EVERYBODY) -> Iterator[Asked]:
    """Every question of the boards in `language`, of variables and marks too."""
    for path in FILES:
        if path.parent.name == language:
            yield from asked_by(read(path), choice)


def asked_by(board: dict[str, Any], choice: Choice = EVERYBODY) -> Iterator[Asked]:
    """Every question of one board."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            finest = {key: panel[key] for key in ("interval",) if panel.get(key)}  # of the panel, of all its questions
            yield _asked(board, panel["title"], target["refId"], {**finest, **target}, choice)
    for mark in board.get("annotations", {}).get("list", []):
        if target := mark.get("target"):
            yield _asked(board, "mark", mark["name"], target, choice)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield _asked(board, "variable", variable["name"], {"query": variable["query"], "instant": True}, choice)


def _asked(board: dict[str, Any], panel: str, ref_id: str, target: dict[str, Any], choice: Choice) -> Asked:
    range_s = choice.range_s or RANGE_S[board["time"]["from"]]
    step_s = max(STEPS_S[target.get("interval", "")], range_s // POINTS)
    text = target.get("query") or target["expr"]
    given = {
        "${bed:regex}": choice.bed, "$bed": choice.bed,
        "${site:regex}": choice.site, "${patient:regex}": choice.patient,
        "$site": choice.site, "$patient": choice.patient,
        "$timeFilter": f"time >= now() - {range_s}s and time <= now()",
        "$__interval": f"{step_s}s", "$__range": f"{range_s}s",
    }  # fmt: skip
    for variable, value in given.items():
        text = text.replace(variable, value)
    return Asked(board["uid"], panel, ref_id, text, range_s, step_s, target.get("instant", False))
