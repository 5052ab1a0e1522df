"""Pausing and resuming over the station's interface."""

from __future__ import annotations

import httpx
import pytest
from gallery import PretendedWard

PAUSE = "/api/patients/P-0002/pause-alarms"


async def press(client: httpx.AsyncClient, path: str, **body: str) -> httpx.Response:
    token = str((await client.get("/api/alarms")).json()["token"])
    return await client.post(path, json=body, headers={"x-wardlight-token": token})


async def test_a_pause_stands_on_the_tile_until_it_is_resumed(client: httpx.AsyncClient, ward: PretendedWard) -> None:
    answered = await press(client, PAUSE, actor="AB", reason="nursing\ncare" + "!" * 90)
    assert (answered.status_code, answered.json()) == (200, {"actor": "AB"})
    tiles = {t["patient"]: t for t in (await client.get("/api/tiles")).json()["tiles"]}
    assert tiles["P-0002"]["paused"].startswith("until ")
    assert " by AB · nursingcare!!!" in tiles["P-0002"]["paused"]
    assert 110 < tiles["P-0002"]["paused_s"] <= 120
    assert {t["paused"] for patient, t in tiles.items() if patient != "P-0002"} == {""}
    assert len(ward.paused["P-0002"].reason) == 60
    assert (await press(client, PAUSE.replace("pause-", "resume-"), actor="CD")).status_code == 200
    assert (await press(client, PAUSE.replace("pause-", "resume-"), actor="CD")).status_code == 409


async def test_the_sound_of_one_alarm_is_paused_by_whom_and_until_when(client: httpx.AsyncClient) -> None:
    path = "/api/alarms/a-0201/pause-audio"
    assert (await press(client, path, actor="AB")).status_code == 200
    alarms = {a["id"]: a for a in (await client.get("/api/alarms")).json()["alarms"]}
    assert alarms["a-0201"]["paused"].startswith("paused until ")
    assert alarms["a-0201"]["paused"].endswith(" by AB")
    assert (await press(client, path, actor="AB")).status_code == 409


@pytest.mark.parametrize("path", ["/api/patients/P-9/pause-alarms", "/api/alarms/none/pause-audio"])
async def test_what_is_not_there_cannot_be_paused(client: httpx.AsyncClient, path: str) -> None:
    assert (await press(client, path)).status_code == 404


async def test_pausing_is_guarded_and_reads_its_body(client: httpx.AsyncClient, ward: PretendedWard) -> None:
    assert (await client.post(PAUSE, json={})).status_code == 403
    token = str((await client.get("/api/alarms")).json()["token"])
    refused = await client.post(PAUSE, content=b"[1", headers={"x-wardlight-token": token})
    assert refused.status_code == 400
    assert not ward.paused
