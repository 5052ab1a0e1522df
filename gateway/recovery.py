"""The radio supervisor of one adapter, pure: what to do when nothing is heard any more, and when to leave it alone.

    restart the scan → power-cycle the adapter → reset the adapter → restart bluetoothd → reboot (only if configured)

A step is taken when the radio showed no sign of life for long enough, and the next one only after the step before it
had its time. What a step would kill is respected: while notifications flow, or another adapter lives, nothing harsher
is done than the fault asks for. Every step has a cap per hour, and a ladder that was climbed in vain rests: a radio
that is reset all the time is worse than one that hangs.

An advertisement ends the climb. Notifications do not, for a scan can hang while links live, but they keep the ladder
at its gentlest step. All of it is about the radio and says nothing about a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final, TypeAlias

HOUR_S: Final = 3600.0


class Step(IntEnum):
    """The ladder, gentlest first."""

    RESTART_SCAN = 0
    POWER_CYCLE = 1
    RESET_ADAPTER = 2
    RESTART_BLUETOOTHD = 3
    REBOOT = 4


class Condition(Enum):
    """What the system says of the adapter."""

    SCANNING = "scanning"
    PAUSED = "paused"  # powered, but the scan rests while a wearable connects: silence means nothing
    IDLE = "not scanning"  # powered, and the scan could not be started
    OFF = "powered off"
    MISSING = "missing"
    NO_BLUEZ = "bluetoothd is not running"


@dataclass(frozen=True, slots=True)
class Rung:
    """`settle_s`: what a step needs until its effect can be judged. `per_hour`: how often at most; 0 is never."""

    settle_s: float
    per_hour: int


LADDER: Final[Mapping[Step, Rung]] = MappingProxyType(
    {
        Step.RESTART_SCAN: Rung(30.0, 12),
        Step.POWER_CYCLE: Rung(45.0, 4),
        Step.RESET_ADAPTER: Rung(60.0, 2),
        Step.RESTART_BLUETOOTHD: Rung(90.0, 2),
        Step.REBOOT: Rung(900.0, 0),
    }
)

# The gentlest step that can help: a scan cannot be restarted on an adapter that is off.
_FLOOR: Final[Mapping[Condition, Step]] = MappingProxyType(
    {
        Condition.SCANNING: Step.RESTART_SCAN,
        Condition.PAUSED: Step.RESTART_SCAN,
        Condition.IDLE: Step.RESTART_SCAN,
        Condition.OFF: Step.POWER_CYCLE,
        Condition.MISSING: Step.RESTART_BLUETOOTHD,
        Condition.NO_BLUEZ: Step.RESTART_BLUETOOTHD,
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """`silence_s`: without advertisements while scanning. `grace_s`: for others to mend what is off or missing.

    `links_alive_s`: how long a notification proves that the links live. `rest_s`: after the whole ladder was in vain.
    `reboot_uptime_s`: the computer is not rebooted before it ran so long; needs a clock that counts from the boot.
    """

    silence_s: float = 90.0
    grace_s: float = 10.0
    links_alive_s: float = 30.0
    rest_s: float = 1800.0
    reboot_uptime_s: float = 6 * HOUR_S
    ladder: Mapping[Step, Rung] = field(default_factory=lambda: LADDER)


@dataclass(frozen=True, slots=True)
class State:
    """What the supervisor knows of its adapter. Begin with `State(since_s=now)`."""

    condition: Condition = Condition.NO_BLUEZ
    since_s: float = 0.0  # when the condition began
    silent_before_s: float = 0.0  # time scanned in vain before `since_s`
    rung: int = 0  # the next step to consider; beyond the last: rest
    stepped_at_s: float = float("-inf")
    settle_s: float = 0.0  # of the last step, while its climb goes on
    cause: Condition | None = None  # what the climb began with
    advertised_at_s: float | None = None
    notified_at_s: float = float("-inf")
    taken: tuple[tuple[Step, float], ...] = ()  # of the last hour
    counts: Mapping[Step, int] = field(default_factory=dict)  # since the process began

    @property
    def is_climbing(self) -> bool:
        """Whether a step was taken whose success is not seen yet."""
        return self.settle_s > 0


Outcome: TypeAlias = tuple[State, Step | None]


def observe(state: State, condition: Condition, now_s: float) -> State:
    """The adapter's condition is this now."""
    if condition is state.condition:
        return state
    scans = condition in {Condition.SCANNING, Condition.PAUSED}
    silent_s = _silent_s(state, now_s) if scans else 0.0
    if scans and state.cause not in {None, Condition.SCANNING}:  # what was off, missing or idle is mended
        state = replace(state, rung=0, settle_s=0.0, cause=None)
    return replace(state, condition=condition, since_s=now_s, silent_before_s=silent_s)


def advertised(state: State, now_s: float) -> State:
    """An advertisement was heard: the radio lives, the climb is over."""
    return replace(state, advertised_at_s=now_s, since_s=now_s, silent_before_s=0.0, rung=0, settle_s=0.0, cause=None)


def notified(state: State, now_s: float) -> State:
    """A link delivered something."""
    return replace(state, notified_at_s=now_s)


def due(state: State, now_s: float, policy: Policy, *, others_live: bool = False) -> Outcome:
    """The step to take now, which counts as taken; `None` when it is not time, or nothing may be done.

    `others_live`: another adapter shows life, which restarting bluetoothd or the computer would end.
    """
    at_s = next_deadline(state, policy)
    if at_s is None or now_s < at_s:
        return state, None
    step = _choose(state, now_s, policy, others_live=others_live)
    if step is None:
        return _resting(state, now_s, policy), None
    recent = tuple((taken, when_s) for taken, when_s in state.taken if when_s > now_s - HOUR_S)
    return replace(
        state,
        rung=step + 1,
        stepped_at_s=now_s,
        settle_s=policy.ladder[step].settle_s,
        cause=state.cause or state.condition,
        since_s=now_s,
        silent_before_s=0.0,
        taken=(*recent, (step, now_s)),
        counts=MappingProxyType({**state.counts, step: state.counts.get(step, 0) + 1}),
    ), step


def next_deadline(state: State, policy: Policy) -> float | None:
    """When to call `due`, monotonic seconds; `None` while the scan rests for a connection."""
    if state.condition is Condition.PAUSED:
        return None
    wait_s = max(_patience_s(state, policy), state.settle_s) - state.silent_before_s
    return max(state.since_s + wait_s, state.stepped_at_s + state.settle_s)


def _patience_s(state: State, policy: Policy) -> float:
    if state.is_climbing:
        return state.settle_s
    return policy.silence_s if state.condition in {Condition.SCANNING, Condition.MISSING} else policy.grace_s


def _silent_s(state: State, now_s: float) -> float:
    scanned_s = now_s - state.since_s if state.condition is Condition.SCANNING else 0.0
    return state.silent_before_s + scanned_s


def _choose(state: State, now_s: float, policy: Policy, *, others_live: bool) -> Step | None:
    """The gentlest step that was not tried in this climb, can help, and is allowed."""
    gentlest = max(state.rung, _FLOOR[state.condition])
    for step in Step:
        if step >= gentlest and _allowed(step, state, now_s, policy, others_live=others_live):
            return step
    return None


def _allowed(step: Step, state: State, now_s: float, policy: Policy, *, others_live: bool) -> bool:
    used = sum(taken is step and when_s > now_s - HOUR_S for taken, when_s in state.taken)
    if used >= policy.ladder[step].per_hour:
        return False
    if step > _FLOOR[state.condition] and now_s < state.notified_at_s + policy.links_alive_s:
        return False
    if step >= Step.RESTART_BLUETOOTHD and others_live:
        return False
    return step is not Step.REBOOT or now_s >= policy.reboot_uptime_s


def _resting(state: State, now_s: float, policy: Policy) -> State:
    """Nothing may be done: begin at the gentlest step again later, sooner when links live and only the scan hangs."""
    links_live = now_s < state.notified_at_s + policy.links_alive_s
    rest_s = policy.silence_s if links_live else policy.rest_s
    return replace(state, rung=0, since_s=now_s, silent_before_s=0.0, stepped_at_s=now_s, settle_s=rest_s)
