"""What a schema does not see in a board: names, units, words, places on the grid, variables, links."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from board_files import FILES, GRAFANA, ROOT, read

BUILT_IN = {"__interval", "__range", "timeFilter", "__value", "__from", "__to"}
WITHOUT_UNIT = {"text", "row"}
each_board = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def _panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = board["panels"]
    return found


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    several = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in several for text in _strings(each)]


def complaints(board: dict[str, Any], known: set[str]) -> list[str]:
    """What is wrong with `board`; `known`: the uids that links may lead to."""
    found: list[str] = []
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    for panel in _panels(board):
        found += [f"{panel.get('title', panel['id'])}: {what}" for what in _of_panel(panel, variables)]
    ids = [panel["id"] for panel in _panels(board)]
    found += ["two panels share an id"] if len(set(ids)) < len(ids) else []
    found += _overlaps(_panels(board))
    texts = _strings(board)
    used = {name for text in texts for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith(("tag_", "__"))}
    found += [f"variable ${name} does not exist" for name in sorted(used - set(variables) - BUILT_IN)]
    linked = {uid for text in texts for uid in re.findall(r"/d/([\w-]+)", text)}
    found += [f"link to {uid}, which is no board" for uid in sorted(linked - known)]
    return found


def _of_panel(panel: dict[str, Any], variables: dict[str, Any]) -> list[str]:
    found = [f"no {name}" for name in ("title", "description") if len(panel.get(name, "")) < 3]
    defaults = panel["fieldConfig"]["defaults"]
    if panel["type"] not in WITHOUT_UNIT:
        found += [f"no {name}" for name in ("unit", "noValue") if not defaults.get(name)]
    refs = [target["refId"] for target in panel["targets"]]
    found += ["no query"] if not refs else []
    found += ["two queries share a refId"] if len(set(refs)) < len(refs) else []
    for target in [panel, *panel["targets"]]:
        uid = target["datasource"]["uid"]
        variable = variables.get(uid.strip("${}"))
        if not uid.startswith("${") or variable is None or variable["query"] != target["datasource"]["type"]:
            found.append(f"data source {uid} is not a variable of its type")
    return found


def _overlaps(panels: list[dict[str, Any]]) -> list[str]:
    taken: dict[tuple[int, int], str] = {}
    found = []
    for panel in panels:
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            found.append(f"{panel.get('title', 'a panel')} is wider than the grid")
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if cell in taken:
                found.append(f"{panel.get('title', 'a panel')} lies over {taken[cell]}")
                break
            taken[cell] = panel.get("title", "a panel")
    return found


KNOWN = {read(path)["uid"] for path in FILES}


def test_there_are_five_boards_in_each_language() -> None:
    assert [len(list((GRAFANA / "boards" / name).glob("*.json"))) for name in ("influxql", "metricsql")] == [5, 5]
    assert len(KNOWN) == 10


@each_board
def test_nothing_is_wrong_with_a_board(path: Path) -> None:
    assert complaints(read(path), KNOWN) == []


@each_board
def test_every_coloured_state_has_a_word(path: Path) -> None:
    coloured = [
        (panel["title"], result)
        for panel in _panels(read(path))
        for mapping in _mappings(panel)
        for result in _results(mapping)
        if result.get("color") and not re.search(r"\w", result.get("text", ""))
    ]
    assert coloured == []


def _mappings(panel: dict[str, Any]) -> list[dict[str, Any]]:
    config = panel["fieldConfig"]
    properties = [each for override in config["overrides"] for each in override["properties"]]
    found = list(config["defaults"].get("mappings") or [])
    return found + [mapping for each in properties if each["id"] == "mappings" for mapping in each["value"]]


def _results(mapping: dict[str, Any]) -> list[dict[str, Any]]:
    return [mapping["options"]["result"]] if mapping["type"] == "special" else list(mapping["options"].values())


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda board: board["panels"][0].pop("title"), "no title"),
        (lambda board: board["panels"][0].update(description=""), "no description"),
        (lambda board: board["panels"][0]["fieldConfig"]["defaults"].pop("unit"), "no unit"),
        (lambda board: board["panels"][0]["fieldConfig"]["defaults"].pop("noValue"), "no noValue"),
        (lambda board: board["panels"][0]["targets"].append(board["panels"][0]["targets"][0]), "share a refId"),
        (lambda board: board["panels"][0]["datasource"].update(uid="abc"), "data source abc"),
        (lambda board: board["panels"][0]["gridPos"].update(w=24), "lies over"),
        (lambda board: board["panels"][0]["targets"][0].update(query="$nobody"), "$nobody"),
        (lambda board: board["links"][0].update(url="/d/elsewhere"), "elsewhere"),
        (lambda board: board["panels"][1].update(id=board["panels"][0]["id"]), "share an id"),
    ],
)
def test_what_is_wrong_is_found(break_it: Any, complaint: str) -> None:
    board = read(GRAFANA / "boards" / "influxql" / "wardlight-ward.json")
    break_it(board)
    assert complaint in "\n".join(complaints(board, KNOWN))


@pytest.mark.slow
def test_the_boards_are_what_the_code_makes() -> None:
    python = ROOT / ".venv-boards" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-boards: `make boards` makes it; whether the boards are stale was not looked at")
    found = subprocess.run(
        [python, GRAFANA / "generate.py", "--check"], capture_output=True, text=True, check=False, timeout=50
    )
    assert found.returncode == 0, f"run `make boards`:\n{found.stdout}{found.stderr}"
