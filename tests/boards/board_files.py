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


@dataclass(frozen=True)
class Asked:
    """One question of one panel; `text` holds no variables any more."""

    board: str
    panel: str
    ref_id: str
    text: str
    range_s: int
    instant: bool

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}, {self.ref_id}"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def asked(language: str, *, site: str = "north", patient: str = ".*") -> Iterator[Asked]:
    """Every question of the boards in `language`, of variables and annotations too."""
    for path in FILES:
        if path.parent.name != language:
            continue
        board = read(path)
        range_s = RANGE_S[board["time"]["from"]]
        for panel in board["panels"]:
            for target in panel["targets"]:
                text = target.get("query") or target["expr"]
                instant = target.get("instant", False)
                yield Asked(
                    path.stem, panel["title"], target["refId"], _filled(text, site, patient, range_s), range_s, instant
                )
        for annotation in board.get("annotations", {}).get("list", []):
            target = annotation.get("target") or {}
            if text := target.get("query") or target.get("expr"):
                yield Asked(path.stem, "annotation", "Anno", _filled(text, site, patient, range_s), range_s, False)
        for variable in board["templating"]["list"]:
            if variable["type"] == "query" and language == "influxql":
                yield Asked(
                    path.stem, "variable", variable["name"], _filled(variable["query"], site, patient, range_s), 0, True
                )


def _filled(text: str, site: str, patient: str, range_s: int) -> str:
    interval_s = max(10, range_s // 800)
    given = {
        "${bed:regex}": ".*", "$bed": ".*",
        "${site:regex}": site, "${patient:regex}": patient, "$site": site, "$patient": patient,
        "$timeFilter": f"time >= now() - {range_s}s and time <= now()",
        "$__interval": f"{interval_s}s", "$__range": f"{range_s}s",
    }  # fmt: skip
    for variable, value in given.items():
        text = text.replace(variable, value)
    return text
