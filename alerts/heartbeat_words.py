"""What is said of the heartbeat: by the second channel, by the heartbeat's own, and on the station page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from alerts.events import Priority
from alerts.heartbeat import Page, Step
from alerts.notify.message import Message
from alerts.station.words import clock_with_seconds

#: How far the self-test came → what is seen to work, what is not, and where to look first.
_STUCK: Final[Mapping[Step, str]] = {
    Step.BEGUN: "No reading is taken in. Look at the disk, the server's load, and the broker with its access list.",
    Step.ACCEPTED: "Readings are taken in but not written down. Look at the disk.",
    Step.COMMITTED: "Readings are written down but not judged. Look at the server's log and load, then restart it.",
    Step.JUDGED: "Alarms are decided but not written down. Look at the disk.",
    Step.JOURNALLED: "Alarms are written down; the heartbeat's own channel does not take them. Look at its service.",
    Step.HANDED_OVER: "",
}
WARNING: Final = "The self-test fails. Look at the patients more often, and call the people who run the server."


def page(which: Page, site: str, stuck_at: Step, at_ns: int, zone: tzinfo) -> Message:
    """What the second channel tells at `at_ns`, UTC."""
    clock = clock_with_seconds(at_ns, zone)
    if which is Page.BACK:
        body = f"At {clock} the self-test came through. Look at the station page for what happened meanwhile."
        return Message(f"Wardlight {site}: alarms get through again", body, Priority.LOW, (), at_ns)
    advice = f"{_STUCK[stuck_at]} Until it comes through, watch the patients directly."
    body = f"At {clock} the self-test did not come through. {advice}"
    return Message(f"*** Wardlight {site}: alarms may not be getting through", body, Priority.HIGH, (), at_ns)


def proof(site: str, of: Message, zone: tzinfo) -> Message:
    """What the heartbeat's channel tells, instead of the synthetic patient's alarm `of`."""
    clock = clock_with_seconds(of.decided_at_ns, zone)
    body = f"Self-test of {clock}. When these messages stop, alarms may not be getting through."
    return Message(f"Wardlight {site}: alarms get through", body, Priority.LOW, of.numbers, of.decided_at_ns)
