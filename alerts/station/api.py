"""The station as JSON, for other programs: the same tiles and alarms that the page shows.

Reading needs nothing. Acknowledging and pausing need the token that `GET /api/alarms` hands out, in the header
`X-Wardlight-Token` (alerts/station/guard.py says why).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from alerts.attention import MAX_REASON, Acknowledged, Paused
from alerts.station.board import Board
from vitals.errors import WardlightError

ANONYMOUS: Final = "station"  # who acknowledged, while nobody says who they are: there are no accounts yet
MAX_ACTOR: Final = 16  # initials or a short name; it stands in every alarm list
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"

_log = structlog.get_logger(__name__)


class Acknowledgement(Struct, frozen=True):
    """The body of an acknowledgement: who takes notice."""

    actor: str = ""


class Pausing(Struct, frozen=True):
    """The body of a pause: who pauses, and why."""

    actor: str = ""
    reason: str = ""


def routes(board: Board, metrics: Callable[[], str]) -> list[Route]:
    """The JSON interface on `board`; `metrics` gives Prometheus text."""

    async def tiles(_request: Request) -> Response:
        snapshot = await board.snapshot()
        return answer({"clock": snapshot.clock, "tiles": snapshot.tiles})

    async def alarms(_request: Request) -> Response:
        clock, shown = board.alarms()
        return answer({"clock": clock, "token": board.token, "alarms": shown})

    async def acknowledge(request: Request) -> Response:
        return await _acknowledge(board, request.path_params["alarm_id"], await request.body())

    async def pause_audio(request: Request) -> Response:
        alarm_id = request.path_params["alarm_id"]
        return await _pause(await request.body(), lambda actor, _: board.live.pause_audio(alarm_id, actor))

    async def pause_alarms(request: Request) -> Response:
        patient = request.path_params["patient"]
        return await _pause(await request.body(), lambda actor, why: board.live.pause_alarms(patient, actor, why))

    async def resume_alarms(request: Request) -> Response:
        patient = request.path_params["patient"]
        return await _pause(await request.body(), lambda actor, _: board.live.resume_alarms(patient, actor))

    async def healthz(_request: Request) -> Response:
        await board.encoded()  # a view that cannot be shown is not healthy: the handler of errors answers 500
        return PlainTextResponse("ok\n")

    async def metrics_text(_request: Request) -> Response:
        return Response(metrics(), media_type=PROMETHEUS)

    return [
        Route("/api/tiles", tiles),
        Route("/api/alarms", alarms),
        Route("/api/alarms/{alarm_id}/acknowledge", acknowledge, methods=["POST"]),
        Route("/api/alarms/{alarm_id}/pause-audio", pause_audio, methods=["POST"]),
        Route("/api/patients/{patient}/pause-alarms", pause_alarms, methods=["POST"]),
        Route("/api/patients/{patient}/resume-alarms", resume_alarms, methods=["POST"]),
        Route("/healthz", healthz),
        Route("/metrics", metrics_text),
    ]


async def _acknowledge(board: Board, alarm_id: str, body: bytes) -> Response:
    try:
        actor = actor_of(msgspec.json.decode(body or b"{}", type=Acknowledgement).actor)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return problem(400, f'Send a JSON object such as {{"actor": "AB"}}: {error}')
    try:
        result = board.live.acknowledge(alarm_id, actor)
    except WardlightError as error:
        _log.warning("station_acknowledge_failed", alarm_id=alarm_id, error=str(error))
        return problem(503, f"NOT acknowledged: {error}.")
    if result is Acknowledged.UNKNOWN:
        return problem(404, "There is no such open alarm; it may have ended by itself.")
    if result is Acknowledged.ALREADY:
        return problem(409, f"Acknowledged already, by {board.acknowledged_by(alarm_id)}.")
    return answer({"acknowledged": alarm_id, "actor": actor})


async def _pause(body: bytes, decide: Callable[[str, str], Paused]) -> Response:
    try:
        told = msgspec.json.decode(body or b"{}", type=Pausing)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return problem(400, f'Send a JSON object such as {{"actor": "AB", "reason": "nursing care"}}: {error}')
    actor = actor_of(told.actor)
    try:
        result = decide(actor, _printable(told.reason, MAX_REASON))
    except WardlightError as error:
        _log.warning("station_pause_failed", error=str(error))
        return problem(503, f"NOT changed: {error}.")
    if result is Paused.UNKNOWN:
        return problem(404, "There is no such open alarm or patient.")
    if result is not Paused.ACCEPTED:
        return problem(409, f"NOT changed: {result.value}.")
    return answer({"actor": actor})


def actor_of(given: str) -> str:
    """A name fit to be stored and shown: printable, trimmed, at most `MAX_ACTOR` long; `ANONYMOUS` for none."""
    return _printable(given, MAX_ACTOR) or ANONYMOUS


def _printable(given: str, longest: int) -> str:
    printable = "".join(c for c in given if c.isprintable())
    return " ".join(printable.split())[:longest].strip()


def answer(body: object, status_code: int = 200) -> Response:
    """`body` as JSON."""
    return Response(msgspec.json.encode(body), status_code=status_code, media_type="application/json")


def problem(status_code: int, text: str) -> Response:
    """An error with a sentence for the person who made the request."""
    return answer({"error": text}, status_code)
