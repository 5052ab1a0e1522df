"""Frames captured from real wearables, published by people who owned them; read in place, never copied here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.gatt.heart_rate import HeartRateMeasurement

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
CAPTURES = DATA / "ble_payloads" / "captures.jsonl"
LINES = [json.loads(line) for line in CAPTURES.read_text().splitlines()] if CAPTURES.is_file() else []

pytestmark = pytest.mark.skipif(not LINES, reason=f"no frames in {CAPTURES}; set WARDLIGHT_DATA")


@pytest.mark.parametrize("line", [line for line in LINES if line["char"] == "2A37"], ids=lambda line: line["id"])
def test_a_heart_rate_capture(line: dict[str, Any]) -> None:
    frame, expect = bytes.fromhex(line["hex"]), line["expect"]
    said = HeartRateMeasurement.decode(frame)
    assert (said.heart_rate, said.contact) == (expect["hr"], expect["contact"])
    assert list(said.rr_intervals) == expect["rr_1024"]
    assert said.rr_intervals_ms == pytest.approx(expect["rr_ms"], abs=0.01)
    assert said.encode() == frame
