"""The pages for people: the ward, one patient, and the patient's record as a fragment that its page fetches again.

The pages carry no value: values come with the live events only, to a script that also watches how old they are. A page
from a cache, a page without script, a page of yesterday thus shows nothing that could be taken for current.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from alerts.station.board import Board
from alerts.station.record import RecordReader
from vitals.errors import WardlightError

TEMPLATES: Final = Path(__file__).parent / "templates"
DEFAULT_WIDTH_PX: Final = 720  # of a chart, for a client that does not say

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What stands on every page: the ward's name, the banners, and the version of the scripts."""

    ward: str
    simulated: bool
    assets: str


class Pages:
    """The HTML side of the station."""

    def __init__(self, board: Board, records: RecordReader, look: Look) -> None:
        self._board = board
        self._records = records
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._environment.globals["look"] = look

    def routes(self) -> list[Route]:
        """All pages."""
        return [
            Route("/", self._ward),
            Route("/patients/{patient}", self._patient),
            Route("/patients/{patient}/record", self._record),
        ]

    def message(self, status_code: int, title: str, text: str) -> Response:
        """A page that says what is wrong and leads back to the ward."""
        return self._render("message.html", status_code, title=title, text=text)

    async def _ward(self, _request: Request) -> Response:
        return self._render("ward.html")

    async def _patient(self, request: Request) -> Response:
        bed = self._board.live.bed(request.path_params["patient"])
        if bed is None:
            return self._unknown(request)
        return self._render("patient.html", patient=request.path_params["patient"], bed=bed)

    async def _record(self, request: Request) -> Response:
        patient = request.path_params["patient"]
        if self._board.live.bed(patient) is None:
            return self._unknown(request)
        given = request.query_params.get("width", "")
        width_px = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else DEFAULT_WIDTH_PX
        still_open, now_ns = self._board.live.alarms(), self._board.now_ns()
        try:
            record = await run_in_threadpool(self._records.read, patient, still_open, now_ns, width_px)
        except WardlightError as error:
            _log.warning("station_record_unreadable", patient=patient, error=str(error))
            text = f"The stored values cannot be read: {error} The live values above do not depend on them."
            return self.message(503, "No chart", text)
        return self._render("record.html", record=record)

    def _unknown(self, request: Request) -> Response:
        text = f"Nobody called {request.path_params['patient'][:64]!r} is monitored on this ward."
        return self.message(404, "No such patient", text)

    def _render(self, template: str, status_code: int = 200, **context: Any) -> HTMLResponse:
        return HTMLResponse(self._environment.get_template(template).render(context), status_code)
