"""Devices that talk nonsense in well-formed frames: drivers go on, say only what can be said, and stay small."""

from __future__ import annotations

import pickle
from random import Random
from typing import Any

import pytest

from gateway.devices.driver import Driver, Heard, Read, Resumes, Subscribe, Write
from gateway.devices.registry import VENDORS
from gateway.gatt import berrymed, creative, nonin, polar, viatom
from gateway.gatt.bci import BciPacket
from gateway.gatt.creative import CreativeFrame
from gateway.gatt.viatom import Reply, Request
from vitals.model import Reason, WaveformBlock

SECOND = 1_000_000_000
MOST_STATE_BYTES = 1 << 20  # pickled; a file that is half-way is 128 KiB
each_driver = pytest.mark.parametrize("driver", VENDORS, ids=lambda driver: driver.name)


def nonsense(random: Random, uuid: str) -> bytes:
    """Bytes whose outer form is right, for a characteristic."""
    body = random.randbytes(random.choice([0, 1, 2, 4, 5, 6, 7, 10, 12, 13, 20, 60]))
    if uuid in {nonin.MEASUREMENT, nonin.PULSE_INTERVALS, nonin.PLETH, nonin.DEVICE_STATUS}:
        size = {nonin.MEASUREMENT: 9, nonin.PULSE_INTERVALS: 11, nonin.PLETH: 52, nonin.DEVICE_STATUS: 6}[uuid]
        return bytes([size + 1]) + random.randbytes(size)
    if uuid == viatom.NOTIFY:
        json = b'{"CurTIME":"2025-03-07,23:43:%02d","FileList":"20250307234318.vld"}' % random.randrange(60)
        size = random.choice([0, 50, 900, 1 << 30]).to_bytes(4, "little")
        file = bytes([3, 0, 0xE9, 7, 3, 7, 23, 43, 18]) + random.randbytes(random.choice([4, 41, 103]))
        payload = random.choice([body, json, size, file, b""])
        return Reply(random.choice([0, 0, 0, 0, 1, 9]), random.choice([0, 0, 1, 2]), payload).encode()
    if uuid == creative.NOTIFY:
        return CreativeFrame((random.choice([0x0F, 0xF0]), random.choice([1, 2, 3])), body).encode()
    if uuid == berrymed.NOTIFY:
        raw = random.choice([BciPacket(97, 72, 50).encode() * 6, b"\xff\xaa" + random.randbytes(17)])
        return raw + bytes([sum(raw) & 0xFF]) if raw[:1] == b"\xff" else raw
    if uuid == polar.CONTROL_POINT:
        return bytes([0xF0, random.randrange(4), random.randrange(4), random.choice([0, 0, 0, 6, 13, 99])]) + body
    if uuid == polar.DATA:
        kind = random.choice([0, 1, 2, 3])
        when = random.choice([0, 5, SECOND, 3 * SECOND, (1 << 64) - 1]).to_bytes(8, "little")
        return bytes([kind]) + when + bytes([random.choice([0, 1, 0x80, 0x81])]) + body
    return body


def check(heard: Heard) -> None:
    for sample in heard.samples:
        assert (sample.value is None) != (sample.reason is Reason.PRESENT)
        assert sample.value not in {127, 255, 511} or sample.vital.name != "SPO2"
    for wave in heard.waves:
        WaveformBlock(wave.waveform, 0, wave.sample_rate_hz, wave.samples, wave.width_bytes, wave.quality)
        assert len(wave.samples) <= 4 * 200
    assert len(heard.samples) <= 2_000
    assert len(heard.actions) <= 8


@each_driver
@pytest.mark.parametrize("seed", range(3))
def test_nonsense_in_good_form(driver: Driver, seed: int) -> None:
    random = Random(f"{driver.name} {seed}")
    state, actions = driver.begin()
    uuids = [action.uuid for action in actions if isinstance(action, Subscribe | Read)]
    at_ns = 10 * SECOND
    for step in range(1500):
        at_ns += random.choice([0, 1, 10, 50, 900]) * 1_000_000
        uuid = random.choice(uuids[:4] if random.random() < 0.9 else uuids)
        state, heard = driver.feed(state, uuid, nonsense(random, uuid), at_ns)
        check(heard)
        if step % 5 == 0:
            state, heard = driver.tick(state, at_ns)
            check(heard)
        if step % 400 == 399 and isinstance(driver, Resumes):
            state, _ = driver.resume(state)
    assert len(pickle.dumps(state)) < MOST_STATE_BYTES


@each_driver
def test_a_silent_device_is_asked_at_most_once_a_second(driver: Driver) -> None:
    state, actions = driver.begin()
    writes: list[Any] = [action for action in actions if isinstance(action, Write)]
    for second in range(1, 301):
        state, heard = driver.tick(state, second * SECOND)
        writes += heard.actions
    assert len(writes) <= 300
    for write in writes:
        if write.uuid == viatom.WRITE:
            Request.decode(write.data)


@each_driver
def test_a_clock_that_stands_still_stops_nothing(driver: Driver) -> None:
    random = Random(5)
    state, actions = driver.begin()
    uuids = [action.uuid for action in actions if isinstance(action, Subscribe)]
    for _ in range(300):
        uuid = random.choice(uuids)
        state, heard = driver.feed(state, uuid, nonsense(random, uuid), 0)
        check(heard)
        state, heard = driver.tick(state, 0)
        check(heard)
