"""Conversations with wearables, as files: what came over the air, and what the driver must make of it.

Each file is one connection. What is left out is not expected:

    begin = ["subscribe 2a37"]              the driver's first actions, "?" for optional, or the first few of them

    [[step]]
    about = "where the frame comes from"
    at_s = 1.5                              seconds since connecting; the step's number when left out
    uuid = "2a37"                           16 bits of the SIG, or 128; none for a tick of the clock
    hex = "04 48"
    readings = ["heart_rate missing probe_off unusable"]
    waves = ["ppg_infrared 25 samples of 4 bytes at 75 Hz"]
    actions = ["write 2a52 0101"]
    notes = { model = "H10" }
    malformed = 1                           how many complaints

A reading is its name, its value or "missing" and the reason, its quality; then, where it applies, "0.84 s earlier",
"stored", "#1" (the sequence).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from gateway.devices.driver import Action, Driver, Heard, HeardSample, HeardWave, Write
from gateway.gatt.frame import uuid16
from vitals.model import VITALS

Conversation = Mapping[str, Any]

SECOND = 1_000_000_000
START = 1_000 * SECOND  # of the monotonic clock, when the connection is made
SIG = uuid16(0)[8:]
SAID = ("readings", "waves", "actions", "notes", "malformed")
KEYS = {"about", "at_s", "uuid", "hex", *SAID}


def hold(driver: Driver, talk: Conversation) -> None:
    """Feed the whole conversation and compare; also fails on a misspelt key."""
    state, first = driver.begin()
    begin = talk.get("begin", [])
    assert [action_line(action) for action in first][: len(begin)] == begin
    for step, (uuid, data, at_ns) in zip(talk["step"], frames(talk), strict=True):
        assert step.keys() <= KEYS, f"unknown: {step.keys() - KEYS}"
        state, heard = driver.feed(state, uuid, data, at_ns) if uuid else driver.tick(state, at_ns)
        assert told(heard, at_ns) == {key: step[key] for key in SAID if step.get(key)}, step.get("about", step)


def cut(driver: Driver, talk: Conversation) -> None:
    """Feed every prefix of every frame: a driver never raises."""
    state, _ = driver.begin()
    for uuid, data, at_ns in frames(talk):
        for length in range(len(data) + 1):
            driver.feed(state, uuid, data[:length], at_ns)
        state, _ = driver.feed(state, uuid, data, at_ns)


def damage(driver: Driver, talk: Conversation, random: Random) -> None:
    """Feed every frame with bytes changed and added, in one connection."""
    state, _ = driver.begin()
    for uuid, data, at_ns in frames(talk):
        for _ in range(50):
            damaged = bytearray(data + random.randbytes(random.randrange(3)))
            for place in random.choices(range(len(damaged)), k=random.randrange(4)) if damaged else ():
                damaged[place] = random.randrange(256)
            state, heard = driver.feed(state, uuid, bytes(damaged), at_ns)
            assert all((sample.value is None) != (sample.reason == 0) for sample in heard.samples)
            state, _ = driver.tick(state, at_ns)


def frames(talk: Conversation) -> Iterator[tuple[str, bytes, int]]:
    """Characteristic, bytes and time of every step."""
    for number, step in enumerate(talk["step"], 1):
        at_ns = START + round(step.get("at_s", number) * SECOND)
        uuid = step.get("uuid", "")
        yield uuid16(int(uuid, 16)) if len(uuid) == 4 else uuid, bytes.fromhex(step.get("hex", "")), at_ns


def told(heard: Heard, at_ns: int) -> dict[str, Any]:
    """What a driver said, as the files say it."""
    said = {
        "readings": [sample_line(sample, at_ns) for sample in heard.samples],
        "waves": [wave_line(wave) for wave in heard.waves],
        "actions": [action_line(action) for action in heard.actions],
        "notes": dict(heard.notes),
        "malformed": len(heard.malformed),
    }
    return {key: value for key, value in said.items() if value}


def sample_line(sample: HeardSample, at_ns: int) -> str:
    words = [VITALS[sample.vital].name]
    words.append(f"missing {sample.reason.name.lower()}" if sample.value is None else f"{round(sample.value, 3):.10g}")
    words.append(sample.quality.name.lower())
    if sample.at_monotonic_ns != at_ns:
        words.append(f"{round((at_ns - sample.at_monotonic_ns) / SECOND, 3):g} s earlier")
    words += ["stored"] if sample.stored else []
    words += [f"#{sample.sequence}"] if sample.sequence else []
    return " ".join(words)


def wave_line(wave: HeardWave) -> str:
    count = len(wave.samples) // wave.width_bytes
    return f"{wave.waveform.name.lower()} {count} samples of {wave.width_bytes} bytes at {wave.sample_rate_hz:g} Hz"


def action_line(action: Action) -> str:
    short = action.uuid[4:8] if action.uuid.endswith(SIG) else action.uuid
    data = f" {action.data.hex()}" if isinstance(action, Write) else ""
    return f"{type(action).__name__.lower()} {short}{data}{'?' if action.optional else ''}"
