"""The tiles at the end of a replay: asked of a real station page, and a plain sentence when there is none."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import UTC
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from rich.console import Console

from alerts.station.snapshot import show_tiles
from alerts.view import Doubt, Origin, Tile, TileVital
from vitals.model import Quality, Reason, Vital
from wardlight.replay_tiles import tiles_table

NOW_NS = 1_790_000_000_000_000_000
RATE = TileVital(
    Vital.HEART_RATE, 92.0, Reason.PRESENT, Quality.DOUBTFUL, NOW_NS, 92.0, "strap-1", None, Origin.STRAP,
    Doubt.SOURCES_DISAGREE,
)  # fmt: skip


@pytest.fixture
def station() -> Iterator[str]:
    tiles = show_tiles([Tile("P-1", "3-01", Reason.PRESENT, (RATE,), None, None, acknowledged=False)], [], NOW_NS, UTC)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/api/tiles"
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(msgspec.json.encode({"clock": "03:00:00", "tiles": tiles}) if known else b"")

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def printed(address: str) -> str:
    said = io.StringIO()
    Console(file=said, width=160).print(tiles_table(address))
    return said.getvalue()


def test_best_values_are_shown_with_source_and_doubt(station: str) -> None:
    text = printed(f"{station}/")
    assert "~92 strap" in text
    assert "HR: doubtful, the devices disagree" in text
    assert "the ward at 03:00:00" in text


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "file:///etc/passwd", "127.0.0.1:8080"])
def test_an_address_without_a_station_page_is_said_to_be_one(address: str) -> None:
    assert "No tiles: " in printed(address)


def test_another_page_is_no_station(station: str) -> None:
    assert "does not answer as a station page" in printed(f"{station}/elsewhere")
