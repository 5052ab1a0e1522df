"""What is said of the heartbeat: by the second channel, by the heartbeat's own, and on the station page. Pure."""

from __future__ import annotations

from typing import Final

from alerts.events import Priority
from alerts.heartbeat import Page, Step
from alerts.notify.message import MARKERS, Message
from alerts.notify.wording import Wording, first_line

WARNING: Final = "The self-test fails. Look at the patients more often, and call the people who run the server."


def page(which: Page, stuck_at: Step, at_ns: int, wording: Wording) -> Message:
    """What the second channel tells at `at_ns`, UTC: also how far the self-test came, and where to look first."""
    tests, time = wording.texts.tests, wording.clock(at_ns, at_ns)
    if which is Page.BACK:
        return Message(_title(tests.back, wording), tests.back_body.format(time=time), Priority.LOW, (), at_ns)
    stuck = str(getattr(wording.texts.stuck, stuck_at.name.lower(), ""))  # nothing to say of one that came through
    body = " ".join(tests.lost_body.format(time=time, stuck=stuck).split())
    return Message(_title(tests.lost, wording, f"{MARKERS[Priority.HIGH]} "), body, Priority.HIGH, (), at_ns)


def proof(of: Message, wording: Wording) -> Message:
    """What the heartbeat's channel tells, instead of the synthetic patient's alarm `of`."""
    tests, at_ns = wording.texts.tests, of.decided_at_ns
    body = tests.proof_body.format(time=wording.clock(at_ns, at_ns))
    return Message(_title(tests.proof, wording), body, Priority.LOW, of.numbers, at_ns)


def _title(what: str, wording: Wording, marker: str = "") -> str:
    frame = wording.texts.tests.heartbeat
    return first_line(lambda name, _: marker + frame.format(name=name, what=what), wording.ward, "")
