"""Escalation: an alarm that nobody acknowledges goes to the next step of its chain, until somebody does. Pure.

`Escalation` is fed with the records of the alarm journal, in order, and says which calls are due. It decides from what
is durable and from nothing else, so replaying the journal brings back who was told and which step is reached.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from alerts.events import AlarmEvent, Priority, Transition, calls_nobody
from alerts.notify.loop import CallReport, CallState, call_after
from alerts.rota import OnDuty, Rota
from vitals.errors import ConfigurationError, MalformedMessageError

ON_SHIFT: Final = "@shift"  # whoever is on call when the step is reached
STAND_INS: Final = "@stand-in"  # their stand-ins
MAX_PURSUED: Final = 10_000  # open alarms; beyond it something else is wrong than the patients
_S_NS: Final = 1_000_000_000
_SETTLED: Final = (Transition.ENDED, Transition.ACKNOWLEDGED, Transition.PAUSED)
_HOPELESS: Final = (CallState.FAILED, CallState.WITHDRAWN)


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to call: people, `@shift`, `@stand-in`; and after which time without an answer the next step follows.

    `wait_s`: for an acknowledgement. `receipt_s`: for the least sign that a message arrived: that the person's device
    has it, where the channel tells that, or else that it left the house; 0 waits for none.
    """

    to: tuple[str, ...]
    wait_s: Annotated[float, Meta(ge=5, le=86_400)] = 120.0
    receipt_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0


class Chain(Struct, frozen=True, forbid_unknown_fields=True):
    """The steps for some priorities; the last one is repeated until somebody acknowledges."""

    name: str
    steps: tuple[Step, ...]
    priorities: tuple[Literal["low", "medium", "high"], ...] = ("high", "medium")


class Why(StrEnum):
    """What brought a call about."""

    ALARM = "alarm"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    NOT_REACHED = "not_reached"
    REMINDER = "reminder"  # the last step again
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True)
class Call:
    """A record of the alarm journal: `person` is to be told of `event` (the latest of its alarm) through `channel`.

    `step` counts from 0. `call_id` is the same in every report about this call.
    """

    call_id: str
    channel: str
    person: str
    step: int
    why: Why
    event: AlarmEvent
    at_ns: int


@dataclass(slots=True)
class Pursuit:
    """An alarm that waits for an acknowledgement. `step` -1: nobody was called yet."""

    event: AlarmEvent
    chain: Chain
    step: int = -1
    stepped_at_ns: int = 0
    told: set[str] = field(default_factory=set)
    calls: dict[str, CallState] = field(default_factory=dict)  # of the step that is reached
    telling: set[str] = field(default_factory=set)  # those of them whose channel tells when a device has it


def check_chains(chains: Sequence[Chain], rota: Rota) -> None:
    """Raise `ConfigurationError` for chains that do not bring every alarm of theirs to somebody."""
    taken: dict[str, str] = {}
    for chain in chains:
        where = f"alerts: chains {chain.name!r}"
        if not chain.steps:
            raise ConfigurationError(f"{where}.steps: is empty; a chain has to end in somebody")
        for number, step in enumerate(chain.steps, 1):
            if not step.to or (number == len(chain.steps) and step.to == (STAND_INS,)):
                raise ConfigurationError(f"{where}.steps {number}.to: nobody; name people or {ON_SHIFT!r}")
            for name in step.to:
                if name not in rota.people and name not in (ON_SHIFT, STAND_INS):
                    raise ConfigurationError(f"{where}.steps {number}.to: {name!r} is not among [[people]]")
        for priority in chain.priorities:
            if priority in taken:
                raise ConfigurationError(f"{where}.priorities: {priority} is in chain {taken[priority]!r} already")
            taken[priority] = chain.name
    if chains and "high" not in taken:
        raise ConfigurationError('alerts: chains: none has the priority "high"; the worst alarms would call nobody')


class Escalation:
    """`heard`, `called` and `reported` take what the journal holds; `due` says whom to call now.

    `telling`: the channels that tell when a message has reached the person's device. `passed_over`: alarms that nobody
    is called for, because `MAX_PURSUED` were open when they came.
    """

    def __init__(self, chains: Iterable[Chain], rota: Rota, telling: Collection[str] = ()) -> None:
        self._rota = rota
        self._telling = frozenset(telling)
        self._chains = {Priority[name.upper()]: chain for chain in chains for name in chain.priorities}
        self.open: dict[str, Pursuit] = {}
        self.passed_over = 0

    def heard(self, event: AlarmEvent) -> None:
        """An alarm event is durable."""
        key = _key(event)
        if event.transition in _SETTLED:
            self.open.pop(key, None)
        elif event.notify and event.priority in self._chains and not calls_nobody(event.condition, event.priority):
            if key not in self.open and len(self.open) >= MAX_PURSUED:
                self.passed_over += 1
                return
            chain = self._chains[event.priority]
            self.open[key] = Pursuit(event, chain)  # also what became worse: it starts again with the first step
        elif key in self.open:
            self.open[key].event = event  # what became better goes on with the chain it began with

    def called(self, call: Call) -> None:
        """A call is durable, and its channel will tell it."""
        pursuit = self.open.get(_key(call.event))
        if pursuit is None:
            return
        pursuit.told.add(call.person)
        if call.why is Why.HAND_OVER:
            return
        if call.step != pursuit.step or call.at_ns != pursuit.stepped_at_ns:
            pursuit.step, pursuit.stepped_at_ns, pursuit.calls, pursuit.telling = call.step, call.at_ns, {}, set()
        pursuit.calls[call.call_id] = CallState.QUEUED
        if call.channel in self._telling:
            pursuit.telling.add(call.call_id)
        if call.event.transition is Transition.NOTED:
            del self.open[_key(call.event)]  # told once: there is nothing to acknowledge

    def reported(self, call_id: str, report: CallReport) -> None:
        """Something was heard of a call."""
        for pursuit in self.open.values():
            if call_id in pursuit.calls:
                pursuit.calls[call_id] = call_after(pursuit.calls[call_id], report)

    def due(self, now_ns: int) -> tuple[Call, ...]:
        """The calls to be made at `now_ns`, the worst alarm first; the same again until `called` hears of them."""
        ordered = sorted(self.open.values(), key=lambda p: (-p.event.priority, p.event.number))
        duty = OnDuty(self._rota, now_ns)
        return tuple(call for pursuit in ordered for call in self._due(pursuit, duty))

    def next_deadline(self) -> int | None:
        """When `due` may have something new by time alone, other than shifts and quiet hours."""
        return min(map(self._deadline, self.open.values()), default=None)

    def _due(self, pursuit: Pursuit, duty: OnDuty) -> list[Call]:
        if pursuit.event.priority is Priority.LOW and duty.is_quiet:
            return []
        now_ns = duty.now_ns
        pursuit.stepped_at_ns = min(pursuit.stepped_at_ns, now_ns)  # the clock was set back: wait from now on
        steps = pursuit.chain.steps
        if pursuit.step < 0:
            return self._calls(pursuit, 0, _named(steps[0], duty), Why.ALARM, now_ns)
        if now_ns >= self._deadline(pursuit):
            return self._next(pursuit, steps, duty)
        shifts = any(ON_SHIFT in step.to for step in steps[: pursuit.step + 1])
        new = [name for name in duty.on_call if name not in pursuit.told] if shifts else []
        return self._calls(pursuit, pursuit.step, new, Why.HAND_OVER, now_ns)

    def _next(self, pursuit: Pursuit, steps: tuple[Step, ...], duty: OnDuty) -> list[Call]:
        why = Why.NOT_ACKNOWLEDGED if _has_reached(pursuit) else Why.NOT_REACHED
        for number in range(pursuit.step + 1, len(steps)):
            if names := _named(steps[number], duty):  # a step of stand-ins may have none today
                return self._calls(pursuit, number, names, why, duty.now_ns)
        return self._calls(pursuit, len(steps) - 1, _named(steps[-1], duty), Why.REMINDER, duty.now_ns)

    def _deadline(self, pursuit: Pursuit) -> int:
        """When the step that is reached has waited long enough."""
        if pursuit.step < 0:
            return 0
        steps = pursuit.chain.steps
        step = steps[min(pursuit.step, len(steps) - 1)]
        is_last = pursuit.step >= len(steps) - 1
        if not is_last and all(state in _HOPELESS for state in pursuit.calls.values()):
            return pursuit.stepped_at_ns
        unproved = step.receipt_s and not is_last and not _has_reached(pursuit)
        wait_s = min(step.receipt_s, step.wait_s) if unproved else step.wait_s
        return pursuit.stepped_at_ns + round(wait_s * _S_NS)

    def _calls(self, pursuit: Pursuit, step: int, names: Iterable[str], why: Why, now_ns: int) -> list[Call]:
        event = pursuit.event
        return [
            Call(f"{event.number}-{step}-{now_ns // 1_000_000:x}-{channel}", channel, name, step, why, event, now_ns)
            for name in names
            for channel in self._rota.people[name].channels
        ]


def _has_reached(pursuit: Pursuit) -> bool:
    """Whether one message of the step has come as far as its channel can tell without a person."""
    proofless = (CallState.QUEUED, *_HOPELESS)
    return any(
        state not in proofless and not (state is CallState.HANDED_OVER and call_id in pursuit.telling)
        for call_id, state in pursuit.calls.items()
    )


def _named(step: Step, duty: OnDuty) -> list[str]:
    names: list[str] = []
    for name in step.to:
        if name == ON_SHIFT:
            names += duty.on_call
        elif name == STAND_INS:
            names += duty.stand_ins
        else:
            names.append(duty.present(name))
    return list(dict.fromkeys(names))


def _key(event: AlarmEvent) -> str:
    return event.alarm_id or f"#{event.number}"


_CALL: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Call)


def encode_call(call: Call) -> bytes:
    """The journal form of `call`."""
    return msgspec.msgpack.encode(call)


def decode_call(payload: bytes) -> Call:
    """Read a journal record; raises `MalformedMessageError` for anything that `encode_call` did not write."""
    try:
        call: Call = _CALL.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not a call: {error}") from error
    return call
