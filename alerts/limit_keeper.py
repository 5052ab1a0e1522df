"""The server's eye on the journal of limits: a change is in force within a tick of the alert service, no restart.

What is in force is part of the engine's state. A journal that cannot be read, or limits in it that the ward's files no
longer permit, therefore change nothing: the limits that held before still hold, after a restart too, and a technical
alarm says that changes are not taken (docs/decisions/0012).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog

from alerts.engine import Engine
from alerts.events import LIMITS_STUCK, AlarmEvent
from alerts.limit_changes import configuration_change
from alerts.limit_journal import LimitHistory, append, open_read_only, writing
from alerts.limits import Preset
from alerts.limits_in_force import InForce, differences, in_force
from vitals.errors import ConfigurationError, WardlightError
from vitals.journal import Journal
from vitals.ward import Ward

_PATIENCE: Final = 2  # looks in a row that fail before it is told: the file may just be in the making
_WARD: Final = "the ward"  # whose changes are stuck, in the alarm
_UNREADABLE: Final = (WardlightError, OSError)

_log = structlog.get_logger(__name__)


class LimitKeeper:
    """`path`: of the journal, which need not exist yet; `None`: nobody changes limits here."""

    def __init__(self, path: Path | None, ward: Ward, preset: Preset) -> None:
        self._path = path
        self._ward = ward
        self._preset = preset
        self._patients = {patient.patient: patient for patient in ward.patients}
        self._history = LimitHistory()
        self._journal: Journal | None = None
        self._file: tuple[int, int] | None = None  # which file that is
        self._failed = 0  # looks in a row
        self._said = ""
        self._refused: dict[str, str] = {}  # bed → why
        self._recorded = False
        self._stale = True  # what is in force is to be worked out anew
        self._looked_ns = self._next_ns = 0

    def bring_into_force(self, engine: Engine, now_ns: int) -> tuple[AlarmEvent, ...]:
        """Let the engine have the limits that count at `now_ns`; its events, which are not journalled yet."""
        if self._path is None:
            return ()
        if self._look(self._path, engine):
            self._record_files(self._path, now_ns)
        events: tuple[AlarmEvent, ...] = ()
        if not self._failed and (self._stale or not self._looked_ns <= now_ns < self._next_ns):
            events = self._catch_up(engine, now_ns)
            self._stale = False
        self._looked_ns = now_ns
        return events + self._complain(engine, now_ns)

    def in_force(self, engine: Engine, patient: str, now_ns: int) -> tuple[InForce, ...]:
        """Every limit that the engine holds a patient of the ward to."""
        counting = self._history.changes.counting(patient, now_ns)
        changed = engine.changed.get(patient, {})
        return tuple(in_force(self._preset, self._patients[patient], changed, counting))

    # -- the file ----------------------------------------------------------------------------------------------------

    def _look(self, path: Path, engine: Engine) -> bool:
        """Read what is new; whether that was possible."""
        try:
            self._open(path, engine)
            if self._journal is not None:
                self._stale |= self._history.read_on(self._journal)
        except _UNREADABLE as error:
            self.close()
            self._failed += 1
            self._say(str(error))
            return False
        if self._failed:
            _log.info("limits_readable_again", path=str(path))
        self._failed, self._said = 0, ""
        return True

    def _open(self, path: Path, engine: Engine) -> None:
        """Open the journal when it is there; anew when it is another file than before."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            if self._file is not None or any(engine.changed.values()):
                raise ConfigurationError(f"{path} is gone: put it back from a backup") from None
            return
        if (found := (stat.st_dev, stat.st_ino)) != self._file or self._journal is None:
            self.close()
            self._journal, self._file = open_read_only(path), found
            self._history, self._stale = LimitHistory(), True

    def close(self) -> None:
        """Let go of the file."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _record_files(self, path: Path, now_ns: int) -> None:
        """Once, at the start: write down what the ward's files say differently from what the last server found."""
        if self._recorded:
            return
        try:
            with writing(path) as journal:
                history = LimitHistory()
                history.read_on(journal)
                last = None if history.configuration is None else history.configuration.configuration
                if change := configuration_change(last, self._preset, self._ward, now_ns):
                    append(journal, change)
            self._recorded = True
        except _UNREADABLE as error:  # somebody else is writing, or the disk is full: the next look tries again
            self._say(str(error))

    def _say(self, why: str) -> None:
        if why != self._said:
            self._said = why
            _log.error("limits_not_followed", why=why, consequence="the limits in force stay as they are")

    # -- the engine --------------------------------------------------------------------------------------------------

    def _catch_up(self, engine: Engine, now_ns: int) -> tuple[AlarmEvent, ...]:
        changes = self._history.changes
        events: tuple[AlarmEvent, ...] = ()
        self._refused.clear()
        concerned = self._patients.keys() & (changes.patients | engine.changed.keys())
        for name in sorted(concerned):
            patient, before = self._patients[name], engine.changed.get(name, {})
            wanted = changes.overrides(name, now_ns)
            if wanted == before:
                continue
            try:
                told = differences(self._preset, patient, before, changes, now_ns)
                events += engine.change_limits(name, wanted, told, now_ns)
            except ConfigurationError as error:
                self._refused[f"bed {patient.bed}"] = str(error)
                _log.error("limits_not_permitted", patient=name, bed=patient.bed, why=str(error))
        self._next_ns = min((end for name in concerned for end in changes.ends(name, now_ns)[:1]), default=1 << 62)
        return events

    def _complain(self, engine: Engine, now_ns: int) -> tuple[AlarmEvent, ...]:
        """Raise and end the alarm that changes are not in force."""
        failing = set(self._refused)
        told = {key.channel for key in engine.book.open if key.condition == LIMITS_STUCK}
        if self._failed >= _PATIENCE or (self._failed and _WARD in told):
            failing.add(_WARD)
        events: tuple[AlarmEvent, ...] = ()
        for name in sorted(failing ^ told):
            events += engine.report_part(LIMITS_STUCK, name, failing=name in failing, now_ns=now_ns)
        return events
