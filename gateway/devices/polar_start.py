"""Starts what a Polar sensor is to measure, one measurement after the other, through its control point. Pure.

For each: which settings has it → start with the chosen ones → it runs. One that runs already, from a connection before,
is stopped and started anew, since only the answer to a start tells the factor of its numbers. What is refused, or is
not answered, is tried again later: a sensor in its charger refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.gatt.polar import Measurement
from gateway.gatt.polar_control import ControlRequest, ControlResponse, Opcode, Setting, Settings, Status

PATIENCE_NS: Final = 5_000_000_000  # for a response
MOST_TRIES: Final = 2  # of a request that is not answered
SILENT_NS: Final = 30_000_000_000  # without a frame, a measurement counts as stopped
RETRY_NS: Final = 60_000_000_000  # after a refusal

#: The lowest rate that is enough, of those that a sensor offers: radio and battery pay for more. ECG is 130 Hz anyway.
LEAST_RATE_HZ: Final = {Measurement.ECG: 100, Measurement.PPG: 50, Measurement.ACCELERATION: 25}
MOST_RANGE_G: Final = 8


@dataclass(frozen=True, slots=True)
class Running:
    """A measurement that was started. `heard_ns`: its last frame, or its start; `None` until the next tick."""

    rate_hz: float
    factor: float = 1.0
    heard_ns: int | None = None

    def known_at(self, at_ns: int) -> Running:
        """The same, heard at the latest now."""
        return replace(self, heard_ns=at_ns) if self.heard_ns is None else self


@dataclass(frozen=True, slots=True)
class Starter:
    """`todo`: to be started, the next one first; `waiting`: the request whose response is awaited, since `asked_ns`.

    `refused`: for which reason, in words; tried again at `retry_ns`. `stopped`: the next one was, so that it can start.
    """

    todo: tuple[Measurement, ...]
    waiting: ControlRequest | None = None
    asked_ns: int | None = None
    tries: int = 0
    running: Mapping[Measurement, Running] = field(default_factory=dict)
    refused: Mapping[Measurement, str] = field(default_factory=dict)
    retry_ns: int | None = None
    stopped: bool = False

    def request(self, at_ns: int | None) -> tuple[Starter, ControlRequest | None]:
        """What to write now, if no response is awaited."""
        if self.waiting is not None or not self.todo:
            return self, None
        first = self.todo[0]
        opcode = Opcode.START if first is Measurement.PULSE_INTERVALS else Opcode.GET_SETTINGS  # these have none
        return _asks(self, ControlRequest(opcode, first), at_ns)

    def responded(self, response: ControlResponse, at_ns: int) -> tuple[Starter, ControlRequest | None]:
        """A response came; what to write next. One that does not belong to what is awaited changes nothing."""
        waiting = self.waiting
        if waiting is None or (response.opcode, response.measurement) != (waiting.opcode, waiting.measurement):
            return self, None
        answered = replace(self, waiting=None, tries=0)
        if response.opcode is Opcode.STOP:
            return answered.request(at_ns)
        if response.status is Status.ALREADY_IN_STATE and response.opcode is Opcode.START and not self.stopped:
            stop = ControlRequest(Opcode.STOP, response.measurement)
            return _asks(replace(answered, stopped=True), stop, at_ns)
        if response.status is not Status.SUCCESS:
            words = "for a reason not known" if response.status is None else response.status.name.lower()
            return _refuse(answered, f"refused, {words}").request(at_ns)
        if response.opcode is Opcode.START:
            return _runs(answered, waiting, response).request(at_ns)
        chosen = choose(response.measurement, response.settings)
        if Setting.RATE_HZ not in chosen:
            return _refuse(answered, "does not tell its rate").request(at_ns)
        return _asks(answered, ControlRequest(Opcode.START, response.measurement, chosen), at_ns)

    def heard(self, measurement: Measurement, at_ns: int) -> Starter:
        """A frame of a running measurement came."""
        running = replace(self.running[measurement], heard_ns=at_ns)
        return replace(self, running={**self.running, measurement: running})

    def tick(self, at_ns: int) -> tuple[Starter, ControlRequest | None]:
        """A second passed; what to write now."""
        return _retried(_listened(_waited(self, at_ns), at_ns), at_ns).request(at_ns)


def _asks(starter: Starter, request: ControlRequest, at_ns: int | None) -> tuple[Starter, ControlRequest]:
    return replace(starter, waiting=request, asked_ns=at_ns), request


def _refuse(starter: Starter, why: str) -> Starter:
    refused = {**starter.refused, starter.todo[0]: why}
    return replace(starter, todo=starter.todo[1:], tries=0, stopped=False, refused=refused)


def _runs(starter: Starter, request: ControlRequest, response: ControlResponse) -> Starter:
    running = Running(float(request.settings.get(Setting.RATE_HZ, 0)), response.factor)
    return replace(
        starter, todo=starter.todo[1:], stopped=False, running={**starter.running, request.measurement: running}
    )


def _waited(starter: Starter, at_ns: int) -> Starter:
    """Another second without a response."""
    if starter.waiting is None:
        return starter
    if starter.asked_ns is None:
        return replace(starter, asked_ns=at_ns)
    if at_ns - starter.asked_ns < PATIENCE_NS:
        return starter
    again = replace(starter, waiting=None, tries=starter.tries + 1)
    return again if again.tries < MOST_TRIES else _refuse(again, "does not answer")


def _listened(starter: Starter, at_ns: int) -> Starter:
    """A measurement that fell silent is to be started again. Pulse intervals come in bursts, and may not come."""
    running = {kind: each.known_at(at_ns) for kind, each in starter.running.items()}
    silent = tuple(
        kind
        for kind, each in running.items()
        if kind is not Measurement.PULSE_INTERVALS and at_ns - (each.heard_ns or at_ns) > SILENT_NS
    )
    left = {kind: each for kind, each in running.items() if kind not in silent}
    return replace(starter, running=left, todo=(*starter.todo, *silent))


def _retried(starter: Starter, at_ns: int) -> Starter:
    """What was refused is to be started again, a minute later."""
    if not starter.refused:
        return starter
    if starter.retry_ns is None:
        return replace(starter, retry_ns=at_ns + RETRY_NS)
    if at_ns < starter.retry_ns:
        return starter
    return replace(starter, todo=(*starter.todo, *starter.refused), refused={}, retry_ns=None)


def choose(measurement: Measurement, offered: Settings) -> dict[Setting, int]:
    """One value of each setting that is offered."""
    chosen = {setting: max(values) for setting, values in offered.items() if values and setting is not Setting.FACTOR}
    rates = offered.get(Setting.RATE_HZ, ())
    enough = [rate for rate in rates if rate >= LEAST_RATE_HZ.get(measurement, 0)]
    if enough:
        chosen[Setting.RATE_HZ] = min(enough)
    ranges = [each for each in offered.get(Setting.RANGE, ()) if each <= MOST_RANGE_G]
    if ranges:
        chosen[Setting.RANGE] = max(ranges)
    return {setting: value for setting, value in chosen.items() if setting is not Setting.RATE_HZ or value > 0}
