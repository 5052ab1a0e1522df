"""Scenario files: from a path, or by name from those that come with Wardlight (`simulators/scenarios/`).

What a scenario says, and how it is written, stands in `simulators.story`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from simulators.story import Scenario, decode_scenario, demo_ward
from vitals.errors import ConfigurationError

__all__ = ["Scenario", "demo_ward", "load_scenario", "shipped_scenario"]


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file; raises `ConfigurationError`."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"scenario {path}: {error.strerror}; give the path of a .toml file") from error
    return decode_scenario(text, str(path))


def shipped_scenario(name: str = "demo") -> Scenario:
    """One of the scenarios that come with Wardlight; raises `ConfigurationError` with the names there are."""
    folder = resources.files("simulators") / "scenarios"
    names = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if name not in names:
        raise ConfigurationError(f"scenario {name!r} is not shipped; there are {', '.join(names)}")
    return decode_scenario((folder / f"{name}.toml").read_bytes(), f"{name}.toml")
