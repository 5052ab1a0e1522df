"""A scripted double of a database's write interface: it answers as a test says, and remembers which lines it took.

It stands for what no real server here can be made to do: InfluxDB 2's and 3's partial write, 429 and 503 with
Retry-After, a server that is slow, resets connections, or speaks broken TLS.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """One answer. `status` 0: no answer but a reset; -1: none until the double ends. `takes`: lines all the same."""

    status: int
    message: str = ""
    retry_after: str | None = None
    takes: bool = False


class ScriptedDatabase:
    """Serves while the context lasts.

    `script`: replies to the next writes, in order; after them everything is taken. `refuse`: line → the reason why it
    is refused, with 422, the others being taken (partial write). `largest`: bytes of a body; beyond it, 413.
    `accepts`: the only header `Authorization` that is let in, when there is one; else 401.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        double = self
        self.script: deque[Reply] = deque()
        self.refuse: Callable[[bytes], str | None] = lambda line: None
        self.refusal = 422
        self.largest = 1 << 30
        self.accepts: str | None = None
        self.lines: Counter[bytes] = Counter()
        self.posts = 0
        self.tokens: list[str | None] = []
        self.places: list[str] = []
        self.released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                double._write(self)

            def do_GET(self) -> None:
                _send(self, 200, b"{}")

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a connection that a client gave up is part of the script

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._tls = tls
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _write(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.posts += 1
        self.tokens.append(request.headers.get("Authorization"))
        self.places.append(parse_qs(urlsplit(request.path).query)["bucket"][0])
        lines = body.splitlines(keepends=True)
        if self.accepts not in (None, self.tokens[-1]):
            reply = Reply(401, "unauthorized access")
        else:
            reply = self.script.popleft() if self.script else self._judged(lines, len(body))
        if reply.takes or reply.status == 204:
            self.lines.update(line for line in lines if self.refuse(line) is None)
        if reply.status == 0:
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close_connection = True
            request.connection.close()
            return
        if reply.status == -1:
            self.released.wait(30)
            request.close_connection = True
            return
        content = json.dumps({"code": "code", "message": reply.message}).encode() if reply.status != 204 else b""
        _send(request, reply.status, content, reply.retry_after)

    def _judged(self, lines: list[bytes], size: int) -> Reply:
        if size > self.largest:
            return Reply(413, "request too large")
        refused = [reason for reason in map(self.refuse, lines) if reason]
        return Reply(self.refusal, refused[0], takes=True) if refused else Reply(204)


def _send(request: BaseHTTPRequestHandler, status: int, content: bytes, retry_after: str | None = None) -> None:
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(content)))
    if retry_after is not None:
        request.send_header("Retry-After", retry_after)
    request.end_headers()
    request.wfile.write(content)
