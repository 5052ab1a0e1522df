"""Every conversation in `devices`: a folder carries the name of a driver; `conversation` says what is in a file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random

import pytest
from conversation import Conversation, cut, damage, hold

from gateway.devices.driver import Driver
from gateway.devices.registry import DRIVERS, driver_named

FOLDER = Path(__file__).parent / "devices"
FILES = sorted(FOLDER.glob("*/*.toml"))

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")


def opened(file: Path) -> tuple[Driver, Conversation]:
    driver = driver_named(file.parent.name)
    assert driver is not None, f"no driver is called {file.parent.name}"
    return driver, tomllib.loads(file.read_text(encoding="utf-8"))


@each_file
def test_a_driver_makes_of_a_conversation_what_the_file_says(file: Path) -> None:
    hold(*opened(file))


@each_file
def test_no_prefix_of_a_frame_raises(file: Path) -> None:
    cut(*opened(file))


@each_file
def test_no_damage_to_a_frame_raises(file: Path) -> None:
    damage(*opened(file), Random(file.name))


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_every_driver_has_a_folder_of_frames(driver: Driver) -> None:
    assert [file for file in FILES if file.parent.name == driver.name]


def test_a_conversation_that_goes_otherwise_is_noticed() -> None:
    driver, talk = opened(FOLDER / "heart-rate" / "standard.toml")
    for change in ({"hex": "02"}, {"notes": {}}, {"readings": ["heart_rate 1 usable"]}, {"reading": []}):
        with pytest.raises(AssertionError):
            hold(driver, {"step": [{**talk["step"][0], **change}]})
