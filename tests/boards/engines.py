"""Real databases that hold the ward day, and the questions of the boards put to them."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

from board_files import Asked
from influx_processes import Database, Influxd

LINES_PER_POST = 5_000


def fill(database: Database, lines: Iterable[bytes]) -> None:
    """Write `lines`; ends when they can be read."""
    if isinstance(database, Influxd):
        _post(f"{database.url}/query", urllib.parse.urlencode({"q": 'CREATE DATABASE "vitals"'}).encode())
    precision = "ns" if isinstance(database, Influxd) else "ms"
    pending: list[bytes] = []
    for each in lines:
        pending.append(each)
        if len(pending) == LINES_PER_POST:
            _post(f"{database.url}/write?db=vitals&precision={precision}", b"".join(pending))
            pending.clear()
    _post(f"{database.url}/write?db=vitals&precision={precision}", b"".join(pending))
    if not isinstance(database, Influxd):
        with urllib.request.urlopen(f"{database.url}/internal/force_flush", timeout=20):
            pass


def ask(database: Database, question: Asked) -> tuple[int, float]:
    """How many rows answer, and after how many seconds; raises `AssertionError` with the engine's complaint."""
    started = time.perf_counter()
    series = answer(database, question)
    return sum(len(each.get("values", (1,))) for each in series), time.perf_counter() - started


def answer(database: Database, question: Asked) -> list[dict[str, Any]]:
    """The series of the answer, each as the engine tells it."""
    return _influxql(database, question) if isinstance(database, Influxd) else _metricsql(database, question)


def _influxql(database: Database, question: Asked) -> list[dict[str, Any]]:
    given = {"db": "vitals", "q": question.text, "epoch": "ms"}
    result = _get(f"{database.url}/query?{urllib.parse.urlencode(given)}")["results"][0]
    assert "error" not in result, f"{question}: {result['error']}\n{question.text}"
    found: list[dict[str, Any]] = result.get("series", [])
    return found


def _metricsql(database: Database, question: Asked) -> list[dict[str, Any]]:
    if labels := re.fullmatch(r"label_values\((.+), (\w+)\)", question.text):  # Grafana's own word for this question
        given = {"match[]": labels[1], "start": str(int(time.time()) - question.range_s)}
        found = _get(f"{database.url}/api/v1/label/{labels[2]}/values?{urllib.parse.urlencode(given)}")["data"]
        return [{"values": [[0, name] for name in found]}] if found else []
    now_s = int(time.time())
    given = {"query": question.text, "nocache": "1"}
    if question.instant:
        path, given["time"] = "query", str(now_s)
    else:
        path = "query_range"
        given |= {"start": str(now_s - question.range_s), "end": str(now_s), "step": f"{question.step_s}s"}
    try:
        told = _get(f"{database.url}/api/v1/{path}?{urllib.parse.urlencode(given)}")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{question}: {error.read().decode()[:400]}\n{question.text}") from error
    series: list[dict[str, Any]] = told["data"]["result"]
    return series


def _post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30):
        pass


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())
