"""Conversations with wearables, as files: what came over the air, and what the driver must make of it.

A folder in `devices` carries the name of a driver, each file in it is one connection:

    begin = ["subscribe 2a37"]              what the driver does first, "?" for optional; may be left out

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

Left out means none. A reading is its name, its value or "missing" and the reason, its quality; then, where it applies,
"0.84 s earlier", "stored", "#1" (the sequence). Besides, every prefix of every frame and any damage to it is fed as
well: no driver may raise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.devices.driver import Action, Driver, Heard, HeardSample, HeardWave, Write
from gateway.devices.registry import driver_named
from gateway.gatt.frame import uuid16
from vitals.model import VITALS

FOLDER = Path(__file__).parent / "devices"
FILES = sorted(FOLDER.glob("*/*.toml"))
SECOND = 1_000_000_000
START = 1_000 * SECOND  # of the monotonic clock, when the connection is made
SIG = uuid16(0)[8:]
KEYS = {"about", "at_s", "uuid", "hex", "readings", "waves", "actions", "notes", "malformed"}

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")


def conversation(file: Path) -> tuple[Driver, dict[str, Any]]:
    driver = driver_named(file.parent.name)
    assert driver is not None, f"no driver is called {file.parent.name}"
    return driver, tomllib.loads(file.read_text(encoding="utf-8"))


def frames(steps: list[dict[str, Any]]) -> Iterator[tuple[str, bytes, int]]:
    for number, step in enumerate(steps, 1):
        at_ns = START + round(step.get("at_s", number) * SECOND)
        uuid = step.get("uuid", "")
        yield uuid16(int(uuid, 16)) if len(uuid) == 4 else uuid, bytes.fromhex(step.get("hex", "")), at_ns


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


@each_file
def test_a_conversation(file: Path) -> None:
    driver, talk = conversation(file)
    state, actions = driver.begin()
    assert [action_line(action) for action in actions][: len(talk.get("begin", []))] == talk.get("begin", [])
    for step, (uuid, data, at_ns) in zip(talk["step"], frames(talk["step"]), strict=True):
        assert step.keys() <= KEYS, f"{file}: unknown key"
        state, heard = driver.feed(state, uuid, data, at_ns) if uuid else driver.tick(state, at_ns)
        expected = {key: step[key] for key in ("readings", "waves", "actions", "notes", "malformed") if step.get(key)}
        assert told(heard, at_ns) == expected, step.get("about", step)


@each_file
def test_no_prefix_of_a_frame_raises(file: Path) -> None:
    driver, talk = conversation(file)
    state, _ = driver.begin()
    for uuid, data, at_ns in filter(lambda frame: frame[0], frames(talk["step"])):
        for length in range(len(data) + 1):
            driver.feed(state, uuid, data[:length], at_ns)
        state, _ = driver.feed(state, uuid, data, at_ns)


@each_file
def test_no_damage_to_a_frame_raises(file: Path) -> None:
    driver, talk = conversation(file)
    random = Random(file.name)
    state, _ = driver.begin()
    for uuid, data, at_ns in frames(talk["step"]):
        for _ in range(50):
            damaged = bytearray(data + random.randbytes(random.randrange(3)))
            for place in random.choices(range(len(damaged)), k=random.randrange(4)) if damaged else ():
                damaged[place] = random.randrange(256)
            state, heard = driver.feed(state, uuid, bytes(damaged), at_ns)
            assert all((sample.value is None) != (sample.reason == 0) for sample in heard.samples)
            state, _ = driver.tick(state, at_ns)


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=lambda folder: folder.name)
def test_a_folder_names_a_driver(folder: Path) -> None:
    assert driver_named(folder.name) is not None
