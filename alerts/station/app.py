"""The station as an ASGI application, and the small server that runs it on this computer only."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from alerts.limits import Rules
from alerts.limits_in_force import InForce
from alerts.station import api
from alerts.station.board import Board, LiveView
from alerts.station.events import EventHub, EventStream
from alerts.station.guard import LOOPBACK_HOSTS, SECURITY_HEADERS, Guard
from alerts.station.pages import Look, Pages
from alerts.station.record import NO_RULES, AlarmLog, History, RecordReader
from vitals.errors import ConfigurationError

STATIC: Final = Path(__file__).parent / "static"
MAX_CONNECTIONS: Final = 256  # four for each browser that may watch; beyond it uvicorn answers 503
DRAIN_S: Final = 3  # how long a stopping server waits for requests under way

_log = structlog.get_logger(__name__)


def create_app(
    live: LiveView,
    history: History,
    alarm_log: AlarmLog,
    *,
    ward: str,
    zone: tzinfo,
    limits: Callable[[str], Rules] = lambda _patient: NO_RULES,
    in_force: Callable[[str], Sequence[InForce]] = lambda _patient: (),
    now_ns: Callable[[], int] = time.time_ns,
    allowed_hosts: Collection[str] = LOOPBACK_HOSTS,
    metrics: Callable[[], str] = str,
    simulated: bool = False,
    phones: Sequence[BaseRoute] = (),
    phone_hosts: Collection[str] = (),
    warning: Callable[[], str] = str,
) -> Starlette:
    """The station of one ward.

    `zone`: for every time shown. `limits`: the rules in force for a patient; `in_force`: where they come from.
    `metrics`: Prometheus text of the whole process. `simulated`: says on every page that the data are not a patient's.
    `phones`: the routes for phones and pagers, `phone_hosts`: the host names under which only those answer.
    `warning`: see `Board`. `app.state.hub` is the `EventHub`.
    """
    assets = _fingerprint(STATIC)
    board = Board(live, zone=zone, now_ns=now_ns, assets=assets, warning=warning)
    hub = EventHub(board.encoded)
    pages = Pages(board, RecordReader(history, alarm_log, limits, zone, in_force), Look(ward, simulated, assets))

    async def explain(request: Request, error: Exception) -> Response:
        return _explained(pages, request, error)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(hub.run(), name="station-hub")
            yield
            beating.cancel()

    app = Starlette(
        routes=[
            *pages.routes(),
            *api.routes(board, metrics),
            *phones,
            Route("/events", endpoint=EventStream(hub), methods=["GET"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, allowed_hosts=allowed_hosts, token=board.token, phone_hosts=phone_hosts)],
        exception_handlers={HTTPException: explain, Exception: explain},
        lifespan=lifespan,
    )
    app.state.hub = hub
    return app


def _explained(pages: Pages, request: Request, error: Exception) -> Response:
    status_code = error.status_code if isinstance(error, HTTPException) else 500
    text = {404: "There is nothing at this address.", 405: "This address does not take that method."}.get(
        status_code, "The server failed to answer. Look after the patients directly, and tell the operator."
    )
    if request.url.path.startswith(("/api/", "/push/", "/receipts/")):
        response = api.problem(status_code, text)
    else:
        response = pages.message(status_code, "Not found" if status_code == 404 else "Not answered", text)
    response.headers.update(SECURITY_HEADERS)  # the answer to an unforeseen error is made outside of the guard
    return response


def _fingerprint(folder: Path) -> str:
    """Changes when a style or script does, so that open pages know to reload."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals to whoever runs all its services."""
        yield


async def serve_station(
    app: Starlette, host: str = "127.0.0.1", port: int = 8070, *, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until cancelled; `ready` is called with the address once it answers (port 0 takes a free one).

    Raises `ConfigurationError` for a host other than loopback, and for a port that is taken.
    """
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=DRAIN_S,
        lifespan="on",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="station-server")
    try:
        if ready is not None:
            ready(_address(listening))  # connections already queue in the socket
        await asyncio.shield(serving)
    finally:
        app.state.hub.close()
        server.should_exit = True
        await serving
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    if not _is_loopback(host):
        raise ConfigurationError(
            f"station: host {host!r} is not this computer. The station has no accounts yet and listens on loopback "
            "only; write 127.0.0.1, and reach it from another computer through an SSH tunnel"
        )
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"station: port {port} on {host} cannot be opened ({error.strerror}); choose another"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
