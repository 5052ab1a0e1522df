"""Where a Wardlight server keeps its files, and how its shells read the time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vitals.errors import ConfigurationError
from vitals.ward import Ward, decode_ward

DEFAULT_DATA: Final = Path("wardlight-data")


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The files of one server, all in one folder that is backed up as a whole."""

    root: Path

    @property
    def journal(self) -> Path:
        """What ingest accepted, until every consumer has read it."""
        return self.root / "journal.db"

    @property
    def poison(self) -> Path:
        """Messages and parts of messages that could not be used, with the reason."""
        return self.root / "poison.db"

    @property
    def store(self) -> Path:
        """The readings, for as long as retention says."""
        return self.root / "vitals.db"

    @property
    def alarms(self) -> Path:
        """Every alarm transition and the engine's state."""
        return self.root / "alarms.db"

    @property
    def limits(self) -> Path:
        """Who changed which limits, when and why."""
        return self.root / "limits.db"

    @property
    def configs(self) -> Path:
        """Signed settings for gateways, a file for each, see `config_folder`."""
        return self.root / "configs"

    @property
    def push(self) -> Path:
        """Phones that subscribed and the server's keys for them, see `alerts.notify.push_keys`."""
        return self.root / "push"

    def create(self) -> None:
        """Make the folder, readable by its owner only; raises `ConfigurationError` when that is not possible."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{self.root} cannot be created ({error.strerror}): name another --data"
            ) from error


def read_ward(path: Path) -> Ward:
    """The ward file at `path`; raises `ConfigurationError` that says what to do."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}): write a ward file, docs/operator.md shows one"
        ) from error
    return decode_ward(text)


def now_ns() -> int:
    """UTC now, in nanoseconds since 1970."""
    return time.time_ns()
