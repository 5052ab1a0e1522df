"""The shape of the code, held in one place: who may import whom, which modules are pure, and how large a file may grow.

Imports are read from the source, those inside functions and under `TYPE_CHECKING` included: a dependency that is
only there for the types is still a dependency of the reader.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent

# Which of our packages a package may import, besides itself. Services meet only through the wire format and the
# journal, both in `vitals`; `wardlight` is the only place that joins them, and nobody imports it.
MAY_IMPORT: Final[dict[str, tuple[str, ...]]] = {
    "vitals": (),
    "gateway": ("vitals",),
    "ingest": ("vitals",),
    "alerts": ("vitals",),
    "simulators": ("vitals", "gateway.gatt", "gateway.devices"),  # it encodes what the gateway decodes
    "wardlight": ("vitals", "gateway", "ingest", "alerts", "simulators"),
}

# The extra of pyproject.toml whose libraries a package may use, besides the common ones. A gateway on a Raspberry Pi
# has no scipy and no web server.
EXTRAS_OF: Final[dict[str, tuple[str, ...]]] = {
    "vitals": (),
    "gateway": ("gateway",),
    "ingest": ("server", "influx"),
    "alerts": ("server",),
    "simulators": ("sim",),
    "wardlight": ("gateway", "server", "sim", "boards"),
}

# Modules that compute and nothing else: time is an argument, input and output are values. Patterns name modules.
PURE: Final = (
    *(
        "vitals." + name
        for name in (
            "chain",
            "clock",
            "columns",
            "control",
            "derived",
            "errors",
            "model",
            "retention",
            "self_test",
            "topics",
            "ward",
        )
    ),
    *("vitals.wire", "vitals.wire_form", "vitals.wire_json"),
    *("gateway." + name for name in ("collect", "config", "lane", "remote_config", "timekeeper", "uplink_state")),
    *("gateway.gatt.*", "gateway.devices.*"),
    *("gateway." + name for name in ("recovery", "roster", "session", "session_words", "slots")),
    *(
        "ingest." + name
        for name in ("best", "commit", "budget", "mqtt.*", "pipeline", "receipts", "source", "streams", "validate")
    ),
    "ingest.signals.*",
    *("ingest.influx." + name for name in ("config", "delivery", "encoding", "line_protocol", "rollup_lines")),
    *("ingest.influx." + name for name in ("settling", "status_lines", "touched", "verdicts", "wave_lines")),
    *("ingest.store." + name for name in ("answers", "blobs", "retention", "rollup", "rows", "waveform_blobs")),
    *(
        "alerts." + name
        for name in ("alarm_signals", "alarms", "conditions", "engine", "events", "judge", "limits", "links", "silence")
    ),
    *("alerts." + name for name in ("news2", "readings", "screening", "snapshot", "streams", "tiles", "view", "walk")),
    *(
        "alerts." + name
        for name in ("annotations", "cells", "history", "late", "late_calm", "recall", "recent", "retrace")
    ),
    *("alerts.attention", "alerts.behind", "alerts.causes", "alerts.chatter", "alerts.signal_settings"),
    *("alerts." + name for name in ("course", "early_warning", "falls", "looks")),
    *("alerts." + name for name in ("measure_settings", "measure_votes", "measures")),
    *("alerts.duty", "alerts.escalation", "alerts.rota", "alerts.notify.calls", "alerts.notify.loop"),
    *("alerts.notify." + name for name in ("catalogue", "message", "outbox", "payload", "receipts", "seal", "wording")),
    *("alerts." + name for name in ("adaptive", "marks", "reference", "rehearse", "report", "spans")),
    *("alerts." + name for name in ("changed_rules", "limit_changes", "limits_in_force", "self_test")),
    *("alerts.heartbeat", "alerts.heartbeat_settings", "alerts.heartbeat_words"),
    *(
        "alerts.station." + name
        for name in ("chart", "desaturations", "episodes", "limits", "record", "scores", "snapshot", "trace", "words")
    ),
    *("simulators." + name for name in ("body", "events", "fleet", "gateway", "ppg", "story", "timeline", "truth")),
    "simulators.wearable",
    *("simulators.bluez." + name for name in ("faults", "link", "objects", "peripheral", "timing", "ward", "wearer")),
    "simulators.bluez.wearables.*",
    *("wardlight.boards_plan", "wardlight.boards_rule", "wardlight.explain.*", "wardlight.findings"),
)

# What a pure module must not import, and why.
IMPURE_BUT_FOR: Final = ("urllib.parse",)  # reads addresses as text, and no more
_WAITS: Final = "waits: the shell around it does that"
_ASKS_TIME: Final = "asks for the time: take it as an argument"
_TOUCHES: Final = "touches files or processes: take and return values"
_TALKS: Final = "talks to the network"
_CLIENT: Final = "a client of the outside world"
_SAYS: Final = "logs or prints: return what is to be said"
IMPURE: Final[dict[str, str]] = {
    **dict.fromkeys(("asyncio", "threading", "concurrent", "multiprocessing", "queue", "selectors", "signal"), _WAITS),
    **dict.fromkeys(("time", "sched"), _ASKS_TIME),
    **dict.fromkeys(
        ("os", "pathlib", "shutil", "tempfile", "subprocess", "fcntl", "mmap", "sqlite3", "apsw"), _TOUCHES
    ),
    **dict.fromkeys(
        ("socket", "ssl", "http", "urllib", "smtplib", "httpx", "requests", "uvicorn", "starlette"), _TALKS
    ),
    **dict.fromkeys(
        ("influxdb_client", "paho", "aiomqtt", "apprise", "bleak", "prometheus_client", "selenium", "pyarrow"), _CLIENT
    ),
    **dict.fromkeys(("logging", "structlog", "rich", "typer", "sys"), _SAYS),
}
IMPURE_CALLS: Final[dict[str, str]] = {
    "open": _TOUCHES,
    "print": _SAYS,
    "input": _WAITS,
    "datetime.now": _ASKS_TIME,
    "datetime.utcnow": _ASKS_TIME,
    "datetime.today": _ASKS_TIME,
    "date.today": _ASKS_TIME,
}

MAX_LINES: Final = 320
FORBIDDEN_NAMES: Final = ("utils.py", "util.py", "helpers.py", "common.py", "misc.py", "ports.py")


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: its dotted name, what it imports with the line, and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module
    is_package: bool

    @property
    def package(self) -> str:
        return self.name.split(".")[0]

    def imports(self) -> Iterator[tuple[str, int]]:
        """Every imported module (for `from a.b import c` both `a.b` and `a.b.c`), and its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                yield origin, node.lineno
                yield from ((f"{origin}.{alias.name}", node.lineno) for alias in node.names)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        base = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*base, node.module] if node.module else base)

    def calls(self) -> Iterator[tuple[str, int]]:
        """Every call by the last two parts of its name, as `datetime.now`, and its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield ".".join(ast.unparse(node.func).split(".")[-2:]), node.lineno


def _read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    return _module(name, path.read_text(encoding="utf-8"), path, is_package=is_package)


def _module(name: str, source: str, path: Path = ROOT, *, is_package: bool = False) -> Module:
    return Module(name, path, ast.parse(source), is_package)


MODULES: Final = {
    module.name: module
    for package in MAY_IMPORT
    for path in sorted((ROOT / package).rglob("*.py"))
    for module in [_read(path)]
}


def _within(name: str, parents: tuple[str, ...]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def _pure(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in PURE)


def forbidden_imports(modules: Iterable[Module]) -> list[str]:
    """Imports from one of our packages to another that `MAY_IMPORT` does not grant."""
    return [
        f"{module.name}:{line} imports {name}"
        for module in modules
        for name, line in module.imports()
        if _within(name, tuple(MAY_IMPORT)) and not _within(name, (module.package, *MAY_IMPORT[module.package]))
    ]


def impurities(modules: Iterable[Module]) -> list[str]:
    """What the pure ones among `modules` import or call although they must not."""
    found = []
    for module in filter(lambda m: _pure(m.name), modules):
        for name, line in module.imports():
            if (reason := IMPURE.get(name.split(".")[0])) and not _within(name, IMPURE_BUT_FOR):
                found.append(f"{module.name}:{line} imports {name}, which {reason}")
            if name in MODULES and not MODULES[name].is_package and not _pure(name):
                found.append(f"{module.name}:{line} imports {name}, which is not in the list of pure modules")
        found += [
            f"{module.name}:{line} calls {name}, which {IMPURE_CALLS[name]}"
            for name, line in module.calls()
            if name in IMPURE_CALLS
        ]
    return found


def test_packages_import_only_what_the_table_allows() -> None:
    assert forbidden_imports(MODULES.values()) == []


@pytest.mark.parametrize("pattern", PURE)
def test_every_listed_pure_module_exists(pattern: str) -> None:
    assert any(fnmatchcase(name, pattern) for name in MODULES), f"{pattern} matches no module: mend the list"


def test_pure_modules_reach_for_nothing_outside() -> None:
    assert impurities(MODULES.values()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("vitals.anything", "from ingest.source import Incoming"),
        ("ingest.anything", "def f():\n    import alerts"),
        ("ingest.anything", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from wardlight import main"),
        ("simulators.anything", "from gateway import session"),
        ("alerts.station.anything", "from simulators import body"),
    ],
)
def test_a_forbidden_import_is_found_wherever_it_stands(name: str, source: str) -> None:
    assert forbidden_imports([_module(name, source)])


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "def f():\n    import asyncio",
        "from concurrent.futures import Executor",
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.now(datetime.UTC)",
        "text = open('a')",
        "from vitals.journal import Journal",
        "from vitals import journal",
        "from .journal import Journal",
    ],
)
def test_an_impurity_is_found(source: str) -> None:
    assert impurities([_module("vitals.model", source)])


def _declared() -> dict[str, set[str]]:
    """Extra (`""` for the common ones) → normalised names of its distributions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: {_normalised(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines} for extra, lines in lists.items()}


def _normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_every_library_is_declared_where_it_is_used() -> None:
    declared, providers = _declared(), packages_distributions()
    usable = {package: declared[""].union(*(declared[e] for e in extras)) for package, extras in EXTRAS_OF.items()}
    wrong = [
        f"{module.name}:{line} imports {name}, which pyproject.toml does not declare for {module.package}"
        for module in MODULES.values()
        for name, line in {found.split(".")[0]: at for found, at in module.imports()}.items()
        if name not in sys.stdlib_module_names and name not in MAY_IMPORT
        if not usable[module.package].intersection(_normalised(d) for d in providers.get(name, [name]))
    ]
    assert wrong == []


def test_modules_stay_small() -> None:
    sources = [module.path for module in MODULES.values()] + sorted((ROOT / "bench").glob("*.py"))
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in sources
    }
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_files_are_named_for_what_they_hold() -> None:
    named = [*(m.path for m in MODULES.values()), *(ROOT / "bench").glob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert [path for path in named if path.name in FORBIDDEN_NAMES] == []
