"""What the alert engine decides, as it is journalled: one `AlarmEvent` for each transition of an alarm.

The words are those of IEC 60601-1-8: an alarm *condition* is true of a patient (physiological) or of the system
(technical) and has a *priority*; people *acknowledge* its signals. Encode and decode are a pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from vitals.errors import MalformedMessageError
from vitals.model import Reason

_VERSION: Final = 1


class AlarmRecordKind(IntEnum):
    """What a record of the alarm journal holds."""

    EVENT = 1  # `encode_event`
    DELIVERY = 2  # `alerts.notify.outbox.encode_delivery`: what became of a notification
    CALL = 3  # `alerts.escalation.encode_call`: somebody is to be told
    RECEIPT = 4  # `alerts.notify.receipts.encode_receipt`: a device or a person answered
    SELF_TEST = 5  # `encode_event`: of the synthetic patient
    SELF_TEST_DELIVERY = 6  # what became of its notification, as in `DELIVERY`


class Priority(IntEnum):
    """How fast somebody has to come: awareness, a prompt response, an immediate response."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3


class Kind(StrEnum):
    """Whether the patient or the equipment is concerned."""

    PHYSIOLOGICAL = "physiological"
    TECHNICAL = "technical"


class Transition(StrEnum):
    """What happened to an alarm."""

    RAISED = "raised"
    CONFIRMED = "confirmed"  # raised from old data and still true of live data: only now it is notified
    ESCALATED = "escalated"
    DE_ESCALATED = "de_escalated"
    ACKNOWLEDGED = "acknowledged"
    ENDED = "ended"
    WIDENED = "widened"  # the same alarm is about more than before: another device, another bed
    PAUSED = "paused"  # of one alarm its sound, or of one patient all alarms; until `until_ns`
    RESUMED = "resumed"  # the pause is over; what still holds calls again
    REMINDED = "reminded"  # acknowledged long ago and still true: it calls again
    ANNOTATED = "annotated"  # an episode that was found in late data, from `at_ns` to `until_ns`; it opens no alarm
    DISPROVED = "disproved"  # the reverse: late data show that it was not so, from `at_ns` to `until_ns`
    NOTED = "noted"  # an entry of the log that opens no alarm, such as a restart of the engine


# Technical conditions. Physiological ones are named after the vital: `spo2_low`, `pulse_rate_high`, …
PROBE_OFF: Final = "probe_off"
POOR_SIGNAL: Final = "poor_signal"
DEVICE_FAULT: Final = "device_fault"
BATTERY_LOW: Final = "battery_low"
NO_DATA: Final = "no_data"
GATEWAY_DOWN: Final = "gateway_down"
CLOCK_UNTRUSTED: Final = "clock_untrusted"
CHANNEL_DOWN: Final = "channel_down"
DATABASE_DOWN: Final = "database_down"  # one that readings are forwarded to; monitoring does not need it
LIMITS_STUCK: Final = "limits_stuck"  # changes of limits are not taken into force; those in force stay
HEARTBEAT_LOST: Final = "heartbeat_lost"  # the synthetic patient's alarm does not get through
#: By a part of the server; its name is the detail.
REPORTED: Final = (CHANNEL_DOWN, DATABASE_DOWN, LIMITS_STUCK, HEARTBEAT_LOST)
ENGINE_DOWN: Final = "engine_down"
RADIO_DOWN: Final = "radio_down"  # a gateway is there and hears none of its wearables
INTAKE_DOWN: Final = "intake_down"  # all gateways fell silent together: the cause is above them
ALARMS_PAUSED: Final = "alarms_paused"  # of a patient, by a person; the detail is the reason
LIMITS_CHANGED: Final = "limits_changed"  # of a patient, by a person; the detail is from what to what, and why
DEVICES_DISAGREE: Final = "devices_disagree"  # one is beyond a limit for long, and the best value is another's
JUDGE_DOWN: Final = "judge_down"  # ingest makes no best values any more

# Physiological conditions that are not one value beyond one limit.
SPO2_LOW: Final = "spo2_low"  # a limit as any other, named because a fast fall is told by it
SPO2_FALLING: Final = "spo2_falling"  # many points within minutes, wherever it began
FELL_FROM: Final = "fell from "  # so begins the detail of an alarm that tells of a fall too; the level follows
SPO2_DEFICIT: Final = "spo2_deficit"  # points below the limit times seconds
TREND: Final = "trend"  # `heart_rate_trend` …: a quarter of an hour away from the patient's own baseline
EARLY_WARNING: Final = "early_warning"  # a partial NEWS2

# What people should know of and that calls nobody.
IRREGULAR_RHYTHM: Final = "irregular_rhythm"
ADVISORIES: Final = frozenset({IRREGULAR_RHYTHM, *(f"{name}_{TREND}" for name in ("heart_rate", "spo2", "resp_rate"))})


def calls_nobody(condition: str, priority: Priority) -> bool:
    """Whether an alarm is for the page only: an advisory, and a partial score that is set to be one."""
    return condition in ADVISORIES or (condition == EARLY_WARNING and priority is Priority.LOW)


class Key(NamedTuple):
    """Which condition, and whom it concerns: a patient, a patient's device, a gateway or a channel."""

    condition: str
    patient: str = ""
    device: str = ""
    gateway: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One transition of one alarm.

    `number` rises by one for each event of an alarm journal; `alarm_id` is the same for all events of one alarm.
    `at_ns`: when it became true (event time, UTC); `decided_at_ns`: when the engine decided (processing time).
    `value` and `limit`: in the unit of the vital, at the transition; `None` for what has no number.
    `reason`: why data are missing; `detail`: a name or sentence for people, without patient identity.
    `beds`: what a gateway's alarm is about. `backlog`: decided from data older than the live window.
    `raised_at_ns`: when the alarm came, in event time; 0 for entries that open none, and in older journals.
    `before`: the mean of the same vital in the minute ten minutes earlier, for the trend; `None` when not known.
    `until_ns`: when a pause ends by itself, or an annotated episode ended; 0 for what has no such time.
    `notify`: whether people are to be told. `position`: the ingest record through which the engine had read.
    """

    number: int
    alarm_id: str
    patient: str
    bed: str
    kind: Kind
    condition: str
    priority: Priority
    transition: Transition
    at_ns: int
    decided_at_ns: int
    position: int
    value: float | None = None
    limit: float | None = None
    reason: Reason = Reason.PRESENT
    device: str = ""
    gateway: str = ""
    detail: str = ""
    actor: str = ""
    beds: tuple[str, ...] = ()
    backlog: bool = False
    notify: bool = True
    until_ns: int = 0
    before: float | None = None
    raised_at_ns: int = 0


_ENCODER: Final = msgspec.msgpack.Encoder()


def encode_event(event: AlarmEvent) -> bytes:
    """The journal form of `event`: its version and its fields by name."""
    return _ENCODER.encode((_VERSION, event))


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    version: int
    event: msgspec.Raw


_ENVELOPE: Final = msgspec.msgpack.Decoder(_Envelope)
_EVENT: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(AlarmEvent)


def decode_event(payload: bytes) -> AlarmEvent:
    """Read a journal record; raises `MalformedMessageError` for anything that `encode_event` did not write."""
    try:
        envelope = _ENVELOPE.decode(payload)
        if envelope.version != _VERSION:
            raise MalformedMessageError(
                "unknown_version", "version", f"an alarm event of version {envelope.version} cannot be read here"
            )
        event: AlarmEvent = _EVENT.decode(envelope.event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not an alarm event: {error}") from error
    return event
