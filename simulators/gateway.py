"""A simulated gateway: it collects its wearables' seconds into batches and stamps them with an honest time. Pure.

    states = start(scenario, start_ns=..., seed=1)      # one GatewayState per gateway of the scenario
    state, said = step(state)                           # said.batch, said.network, said.due_ns

Step k covers second k of the story and is due at `start_ns + (k + 1) s`: the caller waits for that moment, then puts
`said.batch` into the gateway's spool, and lets the spool send while `said.network` is up. The batch carries epoch and
sequence 0; the spool numbers it. The gateway's wall clock is the true time plus whatever the scenario does to it; its
monotonic clock is true. `vitals.clock` makes of both what a real gateway would: times that stay right while the wall
clock jumps, marked `HOLDOVER`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

import numpy as np

from simulators import body, wearable
from simulators.body import BodyState
from simulators.story import Scenario, ScenarioDevice, ScenarioGateway, ScenarioPatient
from simulators.timeline import Network, device_at, folded_s, gateway_at, targets_at
from vitals.clock import ClockKeeper, Moment, observe
from vitals.model import DeviceBatch, GatewayBatch

_NS: Final = 1_000_000_000
_BATTERY_EVERY_S: Final = 60  # besides every change


@dataclass(frozen=True, slots=True)
class GatewayState:
    """A gateway between two seconds: a plain value. `bodies` runs parallel to `patients`."""

    scenario: Scenario
    gateway: ScenarioGateway
    patients: tuple[ScenarioPatient, ...]
    bodies: tuple[BodyState, ...]
    seed: int
    start_ns: int
    tick: int
    keeper: ClockKeeper


@dataclass(frozen=True, slots=True)
class GatewaySecond:
    """What a gateway has after one second. `due_ns`: true UTC at which the second is over."""

    batch: GatewayBatch
    network: Network
    due_ns: int


def start(scenario: Scenario, *, start_ns: int, seed: int = 1) -> tuple[GatewayState, ...]:
    """Every gateway of the scenario, its clock synchronised, at the beginning of the story."""
    return tuple(_start(scenario, gateway, start_ns, seed) for gateway in scenario.gateways)


def _start(scenario: Scenario, gateway: ScenarioGateway, start_ns: int, seed: int) -> GatewayState:
    patients = tuple(p for p in scenario.patients if p.gateway == gateway.gateway)
    bodies = tuple(body.start(_seed(seed, p.patient), targets_at(p, 0.0)) for p in patients)
    keeper, _ = observe(ClockKeeper(), wall_ns=start_ns, monotonic_ns=0, synchronised=True)
    return GatewayState(scenario, gateway, patients, bodies, seed, start_ns, 0, keeper)


def _seed(seed: int, name: str) -> int:
    return (seed << 32) | crc32(name.encode())


def step(state: GatewayState) -> tuple[GatewayState, GatewaySecond]:
    """One second further."""
    at_s = folded_s(state.scenario, state.tick)
    condition = gateway_at(state.gateway, at_s)
    monotonic_ns = (state.tick + 1) * _NS
    due_ns = state.start_ns + monotonic_ns
    keeper, now = observe(
        state.keeper, wall_ns=due_ns + condition.wall_error_ns, monotonic_ns=monotonic_ns, synchronised=True
    )
    lived = [body.step(b, targets_at(p, at_s)) for b, p in zip(state.bodies, state.patients, strict=True)]
    heard = tuple(
        said
        for patient, (_, second) in zip(state.patients, lived, strict=True)
        for said in _listen(state, patient, second, at_s, now)
    )
    batch = GatewayBatch(
        gateway=state.gateway.gateway,
        epoch=0,
        sequence=0,
        oldest=0,
        sent_at_ns=now.utc_ns,
        clock=now.trust,
        devices=heard,
    )
    after = replace(state, bodies=tuple(b for b, _ in lived), tick=state.tick + 1, keeper=keeper)
    return after, GatewaySecond(batch, condition.network, due_ns)


def _listen(
    state: GatewayState, patient: ScenarioPatient, second: body.BodySecond, at_s: float, now: Moment
) -> Iterator[DeviceBatch]:
    """What the patient's devices said in this second."""
    for worn in patient.devices:
        said = wearable.sense(
            worn,
            second,
            device_at(patient, worn.device, at_s),
            started_at_ns=now.utc_ns - _NS,
            perfusion_pct=patient.perfusion,
            battery_due=_battery_due(state, patient, worn, at_s),
            noise=np.random.default_rng((_seed(state.seed, worn.device), state.tick)),
        )
        if said is not None:
            yield said


def _battery_due(state: GatewayState, patient: ScenarioPatient, worn: ScenarioDevice, at_s: float) -> bool:
    """A device tells its battery at the start, every minute and when it changes."""
    if state.tick % _BATTERY_EVERY_S == 0:
        return True
    before = device_at(patient, worn.device, folded_s(state.scenario, state.tick - 1))
    return before.battery_pct != device_at(patient, worn.device, at_s).battery_pct
