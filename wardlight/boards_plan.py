"""What installing the boards would change in a Grafana, and whose edits stand in the way. Pure.

Every board that we install carries the fingerprint of its content as a tag, `wardlight:1a2b3c4d5e6f`. A board in
Grafana whose content has another fingerprint than its tag was changed by a person since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

_MARK: Final = "wardlight:"
_GRAFANAS: Final = ("id", "version", "iteration", "schemaVersion")  # it counts these itself
_SHOWN: Final = 20  # differences of one board that are listed

Board = dict[str, Any]


class Step(StrEnum):
    """What is to be done with one board."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "unchanged"
    EDITED = "edited by a person"  # written over only when asked to
    FOREIGN = "not installed by Wardlight"  # the same uid, without our mark: never touched without being asked to


@dataclass(frozen=True, slots=True)
class Change:
    """One board, what to do with it, and the differences from what stands in Grafana."""

    board: Board
    step: Step
    differences: tuple[str, ...] = ()


def fingerprint(board: Mapping[str, Any]) -> str:
    """Twelve characters that stand for the content of `board`, whatever Grafana and our own mark added."""
    bare = {key: value for key, value in board.items() if key not in _GRAFANAS}
    bare["tags"] = sorted(tag for tag in board.get("tags", ()) if not tag.startswith(_MARK))
    text = json.dumps(bare, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def marked(board: Board) -> Board:
    """`board` with the tag that tells later whether a person changed it."""
    tags = [tag for tag in board.get("tags", ()) if not tag.startswith(_MARK)]
    return {**board, "tags": [*tags, _MARK + fingerprint(board)]}


def mark_of(board: Mapping[str, Any]) -> str | None:
    """The fingerprint that a board in Grafana was installed with; `None` when it is not ours."""
    return next((tag.removeprefix(_MARK) for tag in board.get("tags", ()) if tag.startswith(_MARK)), None)


def planned(wanted: Iterable[Board], existing: Mapping[str, Board]) -> list[Change]:
    """What each of `wanted` needs, given the boards of Grafana by uid."""
    return [_change(board, existing.get(board["uid"])) for board in wanted]


def _change(board: Board, there: Board | None) -> Change:
    if there is None:
        return Change(board, Step.CREATE)
    differences = tuple(differing(there, board))
    mark = mark_of(there)
    if mark is None:
        return Change(board, Step.FOREIGN, differences)
    if mark != fingerprint(there):
        return Change(board, Step.EDITED, differences)
    return Change(board, Step.UPDATE if mark != fingerprint(board) else Step.KEEP, differences)


def differing(there: Board, wanted: Board) -> list[str]:
    """What differs, as `panels[SpO₂].description: "old" → "new"`, at most twenty of them."""
    found = list(_walk(_comparable(there), _comparable(wanted), ""))
    more = len(found) - _SHOWN
    return [*found[:_SHOWN], f"and {more} more"] if more > 0 else found


def _comparable(board: Board) -> dict[str, Any]:
    bare = {key: value for key, value in board.items() if key not in _GRAFANAS}
    bare["tags"] = sorted(tag for tag in board.get("tags", ()) if not tag.startswith(_MARK))
    return bare


def _walk(there: Any, wanted: Any, path: str) -> Iterable[str]:
    if isinstance(there, dict) and isinstance(wanted, dict):
        for key in sorted({*there, *wanted}):
            yield from _walk(there.get(key), wanted.get(key), f"{path}.{key}" if path else key)
    elif isinstance(there, list) and isinstance(wanted, list) and there != wanted:
        left, right = _named(there), _named(wanted)
        for name in dict.fromkeys([*left, *right]):
            yield from _walk(left.get(name), right.get(name), f"{path}[{name}]")
    elif there != wanted:
        yield f"{path}: {_short(there)} → {_short(wanted)}"


def _named(values: list[Any]) -> dict[str, Any]:
    """Items of a list by the name a person knows them by, or by their place."""
    named = {}
    for index, value in enumerate(values):
        name = (
            next((value[key] for key in ("title", "name", "refId") if value.get(key)), "")
            if isinstance(value, dict)
            else ""
        )
        named[name if name and name not in named else str(index)] = value
    return named


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
