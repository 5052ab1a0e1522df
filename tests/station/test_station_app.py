"""Pages, interface and guard: what comes back, with which headers, and what is refused."""

from __future__ import annotations

import re

import httpx
import pytest
from gallery import NOW_NS, PretendedWard, pretended_station
from starlette.applications import Starlette

from alerts.station.api import actor_of
from alerts.station.guard import SECURITY_HEADERS
from vitals.errors import RetryableError
from vitals.model import Vital

ACKNOWLEDGE = "/api/alarms/a-0201/acknowledge"


async def token(client: httpx.AsyncClient) -> str:
    return str((await client.get("/api/alarms")).json()["token"])


async def acknowledge(client: httpx.AsyncClient, path: str = ACKNOWLEDGE, **headers: str) -> httpx.Response:
    sent = {"x-wardlight-token": await token(client), **{k.replace("_", "-"): v for k, v in headers.items()}}
    return await client.post(path, json={"actor": "AB"}, headers=sent)


# -- pages -------------------------------------------------------------------------------------------------------------


async def test_the_ward_page_holds_no_value_and_says_what_it_is(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert "SIMULATED DATA – not for clinical use" in page
    assert "Listens on this computer only · no accounts yet" in page
    assert 'data-current="no"' in page  # until the script has heard from the server
    assert "P-0001" not in page


@pytest.mark.parametrize("path", ["/", "/patients/P-0002", "/patients/P-0002/record", "/patients/x", "/nowhere"])
async def test_no_page_needs_anything_inline_or_foreign(client: httpx.AsyncClient, path: str) -> None:
    page = (await client.get(path)).text
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"\son\w+=|\sstyle=|javascript:", page)
    assert all(address.startswith(("/", "#")) for address in re.findall(r'(?:src|href)="([^"]+)"', page))


@pytest.mark.parametrize(
    ("path", "status_code"),
    [
        *(("/", 200), ("/patients/P-0002", 200), ("/patients/nobody", 404), ("/patients/nobody/record", 404)),
        *(("/static/ward.js", 200), ("/static/../app.py", 404), ("/static/nothing.js", 404), ("/nowhere", 404)),
        *(("/api/tiles", 200), (ACKNOWLEDGE, 405), ("/healthz", 200), ("/metrics", 200)),
    ],
)
async def test_every_answer_carries_the_security_headers(
    client: httpx.AsyncClient, path: str, status_code: int
) -> None:
    answer = await client.get(path)
    assert answer.status_code == status_code
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS


async def test_an_unknown_patient_is_told_in_words_and_escaped(client: httpx.AsyncClient) -> None:
    answer = await client.get("/patients/<img src=x>")
    assert answer.status_code == 404
    assert "Nobody called" in answer.text
    assert "<img" not in answer.text


@pytest.mark.parametrize("width", ["", "0", "-5", "abc", "²", "99999999", "520"])
async def test_the_record_has_charts_whatever_width_is_asked_for(client: httpx.AsyncClient, width: str) -> None:
    page = (await client.get("/patients/P-0002/record", params={"width": width})).text
    assert re.findall(r'data-vital="(\w+)"', page) == ["spo2", "pulse_rate", "resp_rate"]
    assert all(260 <= int(found) <= 2000 for found in re.findall(r'<svg[^>]* width="(\d+)"', page))
    assert "Alarms of the last 24 hours" in page
    assert "KS at 02:39" in page


async def test_a_store_that_cannot_be_read_is_said_and_is_not_an_empty_chart(
    client: httpx.AsyncClient, ward: PretendedWard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RetryableError("the store is locked.")

    monkeypatch.setattr(ward, "samples", fails)
    answer = await client.get("/patients/P-0002/record")
    assert answer.status_code == 503
    assert "The stored values cannot be read: the store is locked." in answer.text
    assert "<svg" not in answer.text


async def test_an_unforeseen_error_is_answered_without_its_details(
    client: httpx.AsyncClient, ward: PretendedWard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(ward, "each_tile", fails)
    monkeypatch.setattr(ward, "bed", fails)
    for path in ("/patients/P-0002", "/api/tiles", "/healthz"):
        answer = await client.get(path)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.headers["content-security-policy"] == SECURITY_HEADERS["content-security-policy"]


# -- guard -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example", "[", "@", ""])
async def test_a_foreign_host_name_is_refused_on_every_path(client: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/api/tiles", "/static/ward.js", "/events"):
        answer = await client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert "http://localhost" in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8070", "127.0.0.1:8070", "[::1]:8070"])
async def test_loopback_names_are_answered(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/healthz", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "file://localhost"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"x_wardlight_token": "guessed"},
        {"x_wardlight_token": ""},
        {"x_wardlight_token": "ü"},
    ],
)
async def test_a_change_from_elsewhere_or_without_the_token_is_refused(
    client: httpx.AsyncClient, ward: PretendedWard, headers: dict[str, str]
) -> None:
    sent = {"x-wardlight-token": await token(client)}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    encoded = {name.encode(): value.encode() for name, value in sent.items()}
    answer = await client.post(ACKNOWLEDGE, json={}, headers=encoded)
    assert answer.status_code == 403
    assert answer.text.startswith("Refused: ")
    assert ward.acknowledged == []


async def test_our_own_page_and_a_program_with_the_token_may_acknowledge(
    client: httpx.AsyncClient, ward: PretendedWard
) -> None:
    own = await acknowledge(client, origin="http://localhost", sec_fetch_site="same-origin")
    program = await acknowledge(client, "/api/alarms/a-0401/acknowledge")
    assert (own.status_code, program.status_code) == (200, 200)
    assert ward.acknowledged == [("a-0201", "AB"), ("a-0401", "AB")]


async def test_a_body_too_large_is_refused(client: httpx.AsyncClient, ward: PretendedWard) -> None:
    headers = {"x-wardlight-token": await token(client)}
    answer = await client.post(ACKNOWLEDGE, content=b"x" * 5000, headers=headers)
    assert answer.status_code == 413
    assert ward.acknowledged == []


async def test_nothing_changes_by_get(client: httpx.AsyncClient, ward: PretendedWard) -> None:
    for method in ("GET", "HEAD"):
        assert (await client.request(method, ACKNOWLEDGE)).status_code == 405
    assert ward.acknowledged == []


async def test_each_start_of_the_server_has_its_own_token(client: httpx.AsyncClient, ward: PretendedWard) -> None:
    transport = httpx.ASGITransport(pretended_station(ward))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as other:
        assert await token(other) != await token(client)


# -- interface ---------------------------------------------------------------------------------------------------------


async def test_an_alarm_that_is_not_open_is_404_and_one_acknowledged_is_409(
    client: httpx.AsyncClient, ward: PretendedWard
) -> None:
    unknown = await acknowledge(client, "/api/alarms/nothing/acknowledge")
    assert (unknown.status_code, "may have ended" in unknown.json()["error"]) == (404, True)
    assert (await acknowledge(client)).json() == {"acknowledged": "a-0201", "actor": "AB"}
    again = await acknowledge(client)
    assert (again.status_code, again.json()) == (409, {"error": "Acknowledged already, by AB."})
    assert ward.acknowledged == [("a-0201", "AB")]


async def test_an_acknowledgement_that_is_not_durable_says_so(
    client: httpx.AsyncClient, ward: PretendedWard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RetryableError("the disk is full")

    monkeypatch.setattr(ward, "acknowledge", fails)
    answer = await acknowledge(client)
    assert (answer.status_code, answer.json()) == (503, {"error": "NOT acknowledged: the disk is full."})


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"actor": 5}', b"\xff"])
async def test_an_unreadable_acknowledgement_is_400(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"x-wardlight-token": await token(client)}
    answer = await client.post(ACKNOWLEDGE, content=body, headers=headers)
    assert answer.status_code == 400
    assert '{"actor": "AB"}' in answer.json()["error"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("AB", "AB"), ("", "station"), (" \n ", "station"), ("  A\u202e B\x00 ", "A B"), ("x" * 40, "x" * 16)],
)
def test_a_name_is_made_fit_to_be_shown(given: str, kept: str) -> None:
    assert actor_of(given) == kept


async def test_tiles_and_alarms_as_json(client: httpx.AsyncClient) -> None:
    tiles = (await client.get("/api/tiles")).json()
    assert tiles["clock"] == "03:00:00"
    assert len(tiles["tiles"]) == 12
    alarms = (await client.get("/api/alarms")).json()["alarms"]
    assert {alarm["id"] for alarm in alarms} >= {"a-0201", "a-0601"}


async def test_metrics_are_what_the_process_says(ward: PretendedWard) -> None:
    app: Starlette = pretended_station(ward, metrics=lambda: "wardlight_up 1\n")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/metrics")
    assert (answer.text, answer.headers["content-type"]) == (
        "wardlight_up 1\n",
        "text/plain; version=0.0.4; charset=utf-8",
    )


def test_the_pretended_history_is_not_empty(ward: PretendedWard) -> None:
    assert len(ward.samples("P-0001", Vital.SPO2, NOW_NS - 3_600_000_000_000, NOW_NS).value) > 3000
