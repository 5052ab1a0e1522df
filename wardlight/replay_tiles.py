"""What a server makes of a replay: the tiles of its station page, best values with their sources among them."""

from __future__ import annotations

from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import msgspec
from rich.console import RenderableType
from rich.text import Text

from alerts.station.snapshot import ShownTile
from wardlight.demo_screen import ward_table

TIMEOUT_S: Final = 10.0


class _Answer(msgspec.Struct):
    """`GET /api/tiles` (alerts/station/api.py)."""

    clock: str
    tiles: list[ShownTile]


def tiles_table(station: str) -> RenderableType:
    """The tiles of the station page at the URL `station` as a table, or a sentence that says why there is none."""
    if urlsplit(station).scheme not in ("http", "https"):
        return Text(
            f"No tiles: {station!r} is no address of a station page; write one like http://127.0.0.1:8080", "red"
        )
    try:
        with urlopen(f"{station.rstrip('/')}/api/tiles", timeout=TIMEOUT_S) as reply:  # noqa: S310  checked above
            found = msgspec.json.decode(reply.read(), type=_Answer)
    except (URLError, TimeoutError, msgspec.DecodeError) as error:
        return Text(f"No tiles: {station} does not answer as a station page ({error}); is that its address?", "red")
    rows = [(tile, f"{tile.marker} {tile.headline}".strip()) for tile in found.tiles]
    return ward_table(rows, f"the ward at {found.clock}")
