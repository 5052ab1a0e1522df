"""A shim: the parts of InfluxDB 2's HTTP interface that are used, in front of a real InfluxDB 1.

Writes and InfluxQL go through to the real engine; organisations and mappings are the shim's own. It is no InfluxDB 2:
error bodies are translated, everything else about version 2 is unknown to it.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlencode, urlsplit

ORG = {"id": "0000000000000001", "name": "hospital"}
TOKEN = "shim-token"
_CODES = {400: "invalid", 401: "unauthorized", 404: "not found", 413: "request too large", 500: "internal error"}


class Influx2Shim:
    """Serves while the context lasts; `port`: of the real InfluxDB 1."""

    def __init__(self, port: int) -> None:
        shim = self
        self.mappings: list[dict[str, Any]] = []
        self.agents: set[str] = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                shim._serve(self, port)

            def do_POST(self) -> None:
                shim._serve(self, port)

            def do_PATCH(self) -> None:
                shim._serve(self, port)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, request: BaseHTTPRequestHandler, port: int) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        url = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.agents.add(str(request.headers.get("User-Agent")))
        if url.path == "/health":
            _answer(request, 200, {"status": "pass"})
        elif request.headers.get("Authorization") != f"Token {TOKEN}":
            _answer(request, 401, {"code": "unauthorized", "message": "unauthorized access"})
        elif url.path == "/api/v2/write":
            parameters = {"db": query["bucket"], "precision": query["precision"]}
            encoding = request.headers.get("Content-Encoding", "identity")
            status, text = _v1(port, "POST", f"/write?{urlencode(parameters)}", body, encoding)
            message = json.loads(text).get("error", "") if text else ""
            _answer(request, status, {"code": _CODES.get(status, "?"), "message": message} if status != 204 else None)
        elif url.path == "/query":
            status, text = _v1(port, "GET", f"/query?{url.query}")
            _answer(request, status, json.loads(text))
        else:
            self._administer(request, port, url.path, query, json.loads(body or b"{}"))

    def _administer(
        self, request: BaseHTTPRequestHandler, port: int, path: str, query: dict[str, str], content: dict[str, Any]
    ) -> None:
        if path == "/api/v2/orgs":
            _answer(request, 200, {"orgs": [ORG] if query["org"] == ORG["name"] else []})
        elif path == "/api/v2/dbrps" and request.command == "GET":
            _answer(request, 200, {"content": [m for m in self.mappings if m["bucketID"] == query["bucketID"]]})
        elif path == "/api/v2/dbrps":
            self.mappings.append(content)
            _answer(request, 201, content)
        elif request.command == "PATCH":
            _ask(port, _altered(path.rsplit("/", 1)[1], content))
            _answer(request, 200, {})
        elif request.command == "POST":
            _ask(port, f'CREATE DATABASE "{content["name"]}"')
            _ask(port, _altered(content["name"], content))
            _answer(request, 201, {"id": content["name"]})
        else:
            _answer(request, 200, {"buckets": _buckets(port, query["name"])})


def _altered(name: str, content: dict[str, Any]) -> str:
    seconds = [rule["everySeconds"] for rule in content["retentionRules"]]
    return f'ALTER RETENTION POLICY autogen ON "{name}" DURATION {f"{seconds[0]}s" if seconds else "INF"}'


def _buckets(port: int, name: str) -> list[dict[str, Any]]:
    found = _ask(port, "SHOW DATABASES")["results"][0]["series"][0].get("values", [])
    if [name] not in found:
        return []
    policy = _ask(port, f'SHOW RETENTION POLICIES ON "{name}"')["results"][0]["series"][0]["values"][0]
    hours = int(policy[1].split("h")[0]) if "h" in policy[1] else 0
    return [{"id": name, "name": name, "retentionRules": [{"everySeconds": hours * 3_600}] if hours else []}]


def _ask(port: int, query: str) -> Any:
    return json.loads(_v1(port, "POST", f"/query?q={quote(query)}")[1])


def _v1(port: int, method: str, path: str, body: bytes = b"", encoding: str = "identity") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Encoding": encoding} if body else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _answer(request: BaseHTTPRequestHandler, status: int, content: object | None) -> None:
    body = b"" if content is None else json.dumps(content).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def main(port: int) -> None:
    """Serve in front of the InfluxDB 1 on `port` until standard input ends; prints the address."""
    with Influx2Shim(port) as shim:
        sys.stdout.write(f"{shim.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
