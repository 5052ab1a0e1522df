"""Pictures of the boards for docs/boards.md: `make boards-pictures`. Slow; needs npm, Chromium, chromedriver, influxd.

A real InfluxDB holds the simulated day of the tests and answers every question of the boards; the answers are drawn
with Grafana's own libraries (@grafana/ui, @grafana/data) in a page that nothing but Chromium sees. It is no Grafana:
what is drawn by its application is left out or stands in (docs/boards.md).
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
TESTS: Final = ROOT / "tests"
sys.path[:0] = [str(ROOT), str(TESTS), str(TESTS / "boards"), str(TESTS / "station"), str(TESTS / "influx")]

from board_files import GRAFANA, Choice, asked_by, read  # noqa: E402  # the tests' own modules: the path comes first
from engines import answer, fill  # noqa: E402
from influx_processes import Influxd  # noqa: E402
from PIL import Image  # noqa: E402
from test_station_browser import chromium  # noqa: E402
from ward_day import lines  # noqa: E402

from ingest.influx.line_protocol import Precision  # noqa: E402

IMAGES: Final = ROOT / "docs" / "images"
MOST_BYTES: Final = 200_000  # of a picture in the repository
SIZES: Final = {"desktop": (1440, 900), "phone": (390, 844)}
EVERYBODY: Final = ("All", "All")
SHOWN: Final = {  # board: bed and patient that are chosen in it, in words and for the database
    "ward": (EVERYBODY, Choice(range_s=3_600)),
    "patient": (("3-01", "P-0001"), Choice(bed="3-01", patient="P-0001", range_s=21_600)),
    "gateways": ((), Choice(range_s=21_600)),
    "night": (EVERYBODY, Choice(range_s=43_200)),
    "alarms": (EVERYBODY, Choice(range_s=604_800)),
}
FILLED_S: Final = 90  # as long as it takes to fill the database on a slow machine
COLORS: Final = 256  # enough for charts, and a third of the bytes
DRAWN_S: Final = 60
SETTLED_S: Final = 2  # tables measure their columns after they are drawn, and nothing tells when


def main() -> None:
    """Ask, build, take."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        (site / "answers.json").write_text(json.dumps(_answers(site / "influxdb")))
        (site / "index.html").write_text((HERE / "index.html").read_text())
        build = [HERE / "node_modules/.bin/esbuild", "page.jsx", "--bundle", f"--outfile={site / 'page.js'}"]
        options = ["--jsx=automatic", "--define:process.env.NODE_ENV='production'", "--log-level=error"]
        options += ["--loader:.svg=dataurl", "--loader:.ttf=dataurl"]
        subprocess.run([*build, *options], cwd=HERE, check=True)  # noqa: S603  # ours, locked
        _take(site)


def _answers(folder: Path) -> dict[str, Any]:
    database = Influxd(folder)
    database.start()
    try:
        now_s = int(time.time())
        fill(database, lines(now_s, Precision.NANOSECONDS, ahead_s=FILLED_S))
        time.sleep(max(0, now_s + FILLED_S - time.time()))  # or ages would be below nought
        return {name: _answered(database, name, *shown) for name, shown in SHOWN.items()}
    finally:
        database.stop()


def _answered(database: Influxd, name: str, chosen: tuple[str, ...], choice: Choice) -> dict[str, Any]:
    board = read(GRAFANA / "boards" / "influxql" / f"wardlight-{name}.json")
    found: dict[str, dict[str, Any]] = {}
    for question in asked_by(board, choice):
        found.setdefault(question.panel, {})[question.ref_id] = answer(database, question)
    to_ms = int(time.time() * 1_000)
    words = ["Site: north", *(f"{what}: {value}" for what, value in zip(("Bed", "Patient"), chosen, strict=False))]
    return {
        "board": board, "answers": found, "from": to_ms - choice.range_s * 1_000, "to": to_ms,
        "chosen": [*words, f"last {choice.range_s // 3_600} h"],
    }  # fmt: skip


def _take(site: Path) -> None:
    handler = partial(_Quiet, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for size_name, size in SIZES.items():
            with chromium(site / f"profile-{size_name}", size) as driver:
                for name in SHOWN:
                    driver.get(f"http://127.0.0.1:{server.server_port}/index.html?board={name}")
                    _await(driver)
                    _save(driver, IMAGES / f"boards-{name}-{size_name}.png", size)
    finally:
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the library gives it
        """Say nothing, of Grafana's icons neither: they are no part of its libraries and are left out."""


def _await(driver: Any) -> None:
    deadline = time.monotonic() + DRAWN_S
    while driver.title != "drawn":
        if driver.title.startswith("failed") or time.monotonic() > deadline:
            sys.exit(f"pictures: {driver.title}\n" + "\n".join(map(str, driver.get_log("browser"))))
        time.sleep(0.1)


def _save(driver: Any, path: Path, size: tuple[int, int]) -> None:
    """The whole page in one window: tables draw only the rows that can be seen."""
    height = int(driver.execute_script("return document.documentElement.scrollHeight"))
    metrics = {"width": size[0], "height": height, "deviceScaleFactor": 1, "mobile": size == SIZES["phone"]}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    time.sleep(SETTLED_S)
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {})
    with Image.open(io.BytesIO(base64.b64decode(taken["data"]))) as picture:
        picture.convert("RGB").quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
    metrics["height"] = size[1]
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    if path.stat().st_size > MOST_BYTES:
        sys.exit(f"pictures: {path.name} has {path.stat().st_size} bytes, more than {MOST_BYTES}: show less in it")


if __name__ == "__main__":
    main()
