"""The person behind a wearable, second by second: body, story and light. Pure.

wearer = start(patient, seed)
wearer, lived = step(wearer, connected=True)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulators import body, ppg
from simulators.bluez.peripheral import Lived
from simulators.body import BodyState
from simulators.story import ScenarioPatient
from simulators.timeline import Contact, device_at, targets_at


@dataclass(frozen=True, slots=True)
class Wearer:
    """`at_s`: whole seconds lived. `repeat_every_s` above 0: the story starts again after so many."""

    patient: ScenarioPatient
    seed: int
    body: BodyState
    repeat_every_s: float = 0.0
    at_s: int = 0


def start(patient: ScenarioPatient, seed: int, repeat_every_s: float = 0.0) -> Wearer:
    """Somebody at the beginning of his or her story; `seed` ≥ 0."""
    return Wearer(patient, seed, body.start(seed, targets_at(patient, 0.0)), repeat_every_s)


def step(wearer: Wearer, *, connected: bool) -> tuple[Wearer, Lived]:
    """A second further; the wearable is the patient's first device."""
    patient, at_s = wearer.patient, wearer.at_s
    story_s = at_s % wearer.repeat_every_s if wearer.repeat_every_s else at_s
    moved, second = body.step(wearer.body, targets_at(patient, story_s))
    condition = device_at(patient, patient.devices[0].device, story_s)
    noise = np.random.default_rng((wearer.seed, at_s))
    covered = condition.contact is not Contact.PROBE_OFF
    light = (
        ppg.illuminate(second, patient.perfusion, noise) if covered else ppg.uncovered(second.cardiac_phase.size, noise)
    )
    return replace(wearer, body=moved, at_s=at_s + 1), Lived(
        at_s=at_s,
        second=second,
        condition=condition,
        light=light,
        perfusion_pct=patient.perfusion,
        connected=connected,
    )
