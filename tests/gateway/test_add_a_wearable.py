"""The wearable that docs/add-a-wearable.md adds works as it is printed there."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from conversation import cut, damage, hold

from gateway.devices.driver import Driver, Seen
from gateway.gatt.reader import Reader
from wardlight.explain.frames import FrameKind
from wardlight.explain.words import explain

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-wearable.md").read_text(encoding="utf-8")


def block(beginning: str) -> str:
    """The indented block of the page that begins with `beginning`."""
    lines = []
    for line in PAGE[PAGE.index(f"    {beginning}") :].splitlines():
        if line.strip() and not line.startswith("    "):
            break
        lines.append(line.removeprefix("    "))
    return "\n".join(lines)


@pytest.fixture
def acme() -> Iterator[ModuleType]:
    module = ModuleType("acme")
    sys.modules["acme"] = module  # dataclasses look their module up
    exec(compile(block('"""Acme finger clip.'), "acme.py", "exec"), module.__dict__)
    yield module
    del sys.modules["acme"]


@pytest.fixture
def driver(acme: ModuleType) -> Driver:
    made: Driver = acme.AcmeDriver()
    return made


def test_the_frames_of_the_page_are_understood(driver: Driver) -> None:
    talk = tomllib.loads(block("# Frames that were made up"))
    assert len(talk["step"]) == 5
    hold(driver, talk)
    cut(driver, talk)
    damage(driver, talk, Random(1))


def test_the_wearable_is_recognised(driver: Driver) -> None:
    assert driver.matches(Seen("AA:BB:CC:DD:EE:01", "Acme 12"))
    assert not driver.matches(Seen("AA:BB:CC:DD:EE:01", "Toaster"))


def test_what_was_read_can_be_written(acme: ModuleType) -> None:
    frame = bytes.fromhex("A5 02 5B FF")
    assert acme.Measurement.read(Reader(frame)).encode() == frame


def test_the_line_for_decode_explains_its_frames(acme: ModuleType) -> None:
    line = block("FrameKind((").strip().rstrip(",")
    kind = eval(line, {"FrameKind": FrameKind, "acme": acme, "AcmeDriver": acme.AcmeDriver})
    explained = explain(kind, bytes.fromhex("A5 00 61 48"))
    assert [field.name for field in explained.fields] == ["sync", "status", "SpO2", "pulse rate"]
    assert [sample.value for sample in explained.heard.samples] == [97, 72]
