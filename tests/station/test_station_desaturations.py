"""Desaturation events on the patient's page: put together from what is stored, drawn and listed, and no alarms."""

from __future__ import annotations

import re

import httpx
from gallery import DIP_S, NOW_NS, NS, ZONE, PretendedWard

from alerts.station.desaturations import EVENT, Desaturation, desaturations, event_bands, shown
from vitals.model import Vital

EVENTS = (Vital.DESATURATION_DEPTH, Vital.DESATURATION_DURATION, Vital.DESATURATION_AREA)


def found(ward: PretendedWard) -> list[Desaturation]:
    return desaturations(*(ward.samples("P-0001", vital, NOW_NS - 3600 * NS, NOW_NS) for vital in EVENTS))


def test_the_readings_of_one_event_are_put_together(ward: PretendedWard) -> None:
    assert found(ward) == [Desaturation(NOW_NS - DIP_S[0] * NS, NOW_NS - DIP_S[1] * NS, 6.0, 260.0)]


def test_an_event_without_its_duration_is_left_out_and_one_without_its_area_is_not(ward: PretendedWard) -> None:
    depth, duration, area = (ward.samples("P-0001", vital, 0, NOW_NS) for vital in EVENTS)
    nothing = ward.samples("P-0009", Vital.SPO2, 0, NOW_NS)
    assert desaturations(depth, nothing, area) == []
    assert [event.area_pct_s for event in desaturations(depth, duration, nothing)] == [None]


def test_an_event_is_drawn_as_an_event_and_not_as_an_alarm(ward: PretendedWard) -> None:
    (band,) = event_bands(found(ward), ZONE)
    assert (band.priority, band.title) == (EVENT, "Desaturation, 6 % below the baseline, 02:38, 75 s")
    (line,) = shown(found(ward), ZONE, NOW_NS)
    assert (line.since, line.until, line.depth, line.lasted, line.area) == (
        *("02:38", "02:39", "6 % below", "75 s", "260 %·s"),
    )


async def test_the_page_lists_them_apart_from_the_alarms(client: httpx.AsyncClient) -> None:
    page = (await client.get("/patients/P-0001/record?width=700")).text
    assert "Desaturations of the last 24 hours: 1" in page
    assert len(re.findall(r'class="band event"', page)) == 1
    assert "grey bar: doubtful" in page
