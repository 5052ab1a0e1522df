"""The limits in force on the patient's page: one line for each limit, and who changed it."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

import httpx
from gallery import NOW_NS, PretendedWard, pretended_station
from starlette.applications import Starlette

from alerts.limit_changes import LimitChange, Setting
from alerts.limits_in_force import InForce, Origin
from alerts.station.app import create_app
from alerts.station.limits import shown

ZONE: Final = ZoneInfo("Europe/Berlin")
CHANGE: Final = LimitChange("P-0002", (Setting("spo2", "low", 86.0),), "AB", "COPD <2>", NOW_NS, NOW_NS + 10**9)
FOUND: Final = (
    InForce("spo2", "hysteresis", 1.0, Origin.PRESET),
    InForce("spo2", "low", 86.0, Origin.CHANGED, CHANGE),
    InForce("spo2", "low_delay_s", 15.0, Origin.PRESET),
    InForce("spo2", "severe_low", 80.0, Origin.WARD_FILE),
)


def test_a_limit_stands_with_its_delay_and_who_changed_it() -> None:
    low, severe = shown(FOUND, ZONE, NOW_NS)
    assert (low.name, low.value, low.changed) == ("SpO₂ low", "86 % after 15 s", True)
    assert low.source.startswith("changed by AB at ")
    assert low.source.endswith(": COPD <2>; ward preset")
    assert ", until " in low.source
    assert (severe.name, severe.value, severe.source, severe.changed) == ("SpO₂ severe low", "80 %", "ward file", False)


def test_a_hysteresis_is_shown_where_it_was_changed() -> None:
    changed = InForce("spo2", "hysteresis", 2.0, Origin.CHANGED, CHANGE)
    assert [(line.name, line.value) for line in shown([changed], ZONE, NOW_NS)] == [("SpO₂ hysteresis", "2 %")]


async def record(station: Starlette) -> str:
    transport = httpx.ASGITransport(station, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return (await client.get("/patients/P-0002/record")).text


async def test_the_page_says_who_changed_what_and_why(ward: PretendedWard) -> None:
    assert "Limits in force" not in await record(pretended_station(ward)), "nothing is known of them there"
    station = create_app(
        ward, ward, ward, ward="North 3", zone=ZONE, now_ns=ward.now_ns, in_force=lambda _patient: FOUND
    )
    page = await record(station)
    assert "<h2>Limits in force</h2>" in page
    assert "changed by AB at" in page
    assert "COPD &lt;2&gt;" in page, "what people wrote is text, not markup"
