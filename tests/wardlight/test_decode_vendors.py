"""`wardlight decode` of vendors' frames: every byte is explained, and what is wrong is said where it stands."""

from __future__ import annotations

from typing import Final

import pytest

from gateway.gatt.viatom import LiveWave, Reply, Request
from gateway.gatt.viatom_file import ViatomInfo
from wardlight.explain.table import frame_kind
from wardlight.explain.vendors import VENDOR_FRAMES
from wardlight.explain.words import explain, meaning

HEADER: Final = "0094357700000000"
FRAMES: Final = {
    "nonin": bytes.fromhex("0A141E012C0005610048"),
    "nonin-intervals": bytes.fromhex("0C000700012C1F40812C2000"),
    "nonin-pleth": bytes([53, *range(50), 0, 1]),
    "nonin-status": bytes.fromhex("0701001E550001"),
    "bci": bytes.fromhex("8532074861"),
    "berry": bytes.fromhex("ffaa010061614848a600191932c01dfeff556499"),
    "berry-version": bytes.fromhex("ffaa5356312e30342e30302e333600000000003a"),
    "viatom-request": Request.decode(bytes.fromhex("aa17e8000000001b")).encode(),
    "viatom-reply": bytes.fromhex("5500ff00000d00624200000000006100920a01002f"),
    "viatom-live": bytes.fromhex("5500ff00000d00624200000000006100920a01002f"),
    "viatom-live-wave": Reply(0, 0, LiveWave(98, 66, 97, worn=True, samples=(1, None)).encode()).encode(),
    "viatom-info": Reply(0, 0, ViatomInfo("O2Ring", "2001").encode()).encode(),
    "polar": bytes.fromhex(f"02{HEADER}01F7FFFFFFE703F8FFFEFFE503"),
    "polar-request": bytes.fromhex("020200013200"),
    "polar-response": bytes.fromhex("F001020000000232006400040103"),
    "jumper": bytes.fromhex("81386344"),
    "creative": bytes.fromhex("aa550f0801603f002d00388c"),
}

each_name = pytest.mark.parametrize("name", FRAMES)


def test_every_kind_has_a_frame_here() -> None:
    assert {kind.names[0] for kind in VENDOR_FRAMES} == FRAMES.keys()


@each_name
def test_every_byte_is_explained(name: str) -> None:
    explained = explain(frame_kind(name), FRAMES[name])
    assert explained.error is None
    assert explained.usable
    assert b"".join(field.raw for field in explained.fields) == FRAMES[name]
    assert all(meaning(field) for field in explained.fields)


@each_name
def test_every_prefix_is_explained_as_far_as_it_goes(name: str) -> None:
    for length in range(len(FRAMES[name])):
        explained = explain(frame_kind(name), FRAMES[name][:length])
        assert sum(len(field.raw) for field in explained.fields) <= length


def test_a_missing_number_is_no_number() -> None:
    explained = explain(frame_kind("nonin"), bytes.fromhex("0A081E000000067F01FF"))
    words = {field.name: meaning(field) for field in explained.fields}
    assert words["SpO2"] == "no value (127)"
    assert words["pulse rate"] == "no value (511)"


def test_what_is_wrong_inside_a_frame_is_said() -> None:
    explained = explain(frame_kind("creative"), bytes.fromhex("aa55f003030797"))
    assert explained.error is not None
    assert (explained.error.reason, explained.error.field) == ("value", "battery")
