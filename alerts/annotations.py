"""Entries of the alarm log about what was found afterwards: they open no alarm, end none, and call nobody. Pure."""

from __future__ import annotations

from typing import Final

from alerts.alarms import AlarmBook, Finding
from alerts.events import Key, Transition
from alerts.limits import Rule
from alerts.retrace import Difference

_DISPROVED: Final = "readings that came late show that it was not so"


def annotate(book: AlarmBook, vote: tuple[Key, str], rule: Rule, difference: Difference, device: str) -> None:
    """Write down what late samples of `device` say of the past of the alarm that it has a `vote` on.

    As long as somebody else holds the condition to be present, nothing of it is disproved.
    """
    key, source = vote
    alarm = book.open.get(key)
    if not difference.found and alarm is not None and alarm.votes.keys() - {source}:
        return
    level = rule.levels[max(difference.level, 1) - 1]
    finding = Finding(
        rule.kind,
        difference.begin_ns,
        value=difference.value,
        limit=None if difference.value is None else level.limit,
        device=device,
        detail="" if difference.found else _DISPROVED,
        live=False,
    )
    transition = Transition.ANNOTATED if difference.found else Transition.DISPROVED
    book.emit("", key, transition, finding, level.priority, notify=False, until_ns=difference.end_ns)
