"""A double of Grafana's documented HTTP interface: keeps state, refuses what the documentation does not allow.

Source: Grafana documentation, "HTTP API reference": dashboards, folders, data sources, alerting provisioning, access
control.
It is no Grafana: what the real one does beyond the documentation is not tested with it.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

TOKEN = "glsa_double"
GRANTED = {
    "folders:create": ["*"],
    "dashboards:create": ["*"],
    "dashboards:write": ["*"],
    "datasources:create": ["*"],
    "alert.provisioning:write": ["*"],
}


class GrafanaDouble:
    """Serves on a free port while it is entered; `boards`, `folders`, `sources`, `rules` are what it holds."""

    def __init__(self) -> None:
        self.boards: dict[str, dict[str, Any]] = {}
        self.folders: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.granted = dict(GRANTED)
        self.writes: list[str] = []
        double = self

        class Handler(_Handler):
            grafana = double

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> GrafanaDouble:
        threading.Thread(target=self._server.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """The status and the body of an answer."""
        kind, _, name = path.removeprefix("/api/").rpartition("/")
        if method != "GET":
            self.writes.append(f"{method} {path}")
        places = {
            "folders": (self.folders, "folders", ("title",)),
            "dashboards/uid": (self.boards, "", ()),
            "datasources/uid": (self.sources, "datasources", ("name", "type", "access")),
            "v1/provisioning/alert-rules": (
                self.rules,
                "v1/provisioning/alert-rules",
                ("title", "ruleGroup", "folderUID", "condition", "data", "for", "noDataState", "execErrState"),
            ),
        }
        if path == "/api/access-control/user/permissions":
            return 200, self.granted
        if (method, path) == ("POST", "/api/dashboards/db"):
            return self._save(body)
        if kind in places and method in ("GET", "DELETE"):
            held = places[kind][0]
            if name not in held:
                return 404, {"message": f"{kind} {name} not found"}
            return (200, held[name]) if method == "GET" else (200, {"message": "deleted", "was": bool(held.pop(name))})
        for held, collection, needed in places.values():
            if method == "POST" and path == f"/api/{collection}" and collection:
                return self._create(held, needed, body)
        return 405, {"message": f"{method} {path} is not in the documentation that this double knows"}

    def _create(self, held: dict[str, Any], needed: tuple[str, ...], body: Any) -> tuple[int, Any]:
        missing = [name for name in needed if not body.get(name)]
        if missing:
            return 400, {"message": f"{', '.join(missing)} missing"}
        if body["uid"] in held:
            return 409, {"message": "exists"}
        if held is self.rules and body["folderUID"] not in self.folders:
            return 400, {"message": "folder does not exist"}
        held[body["uid"]] = body
        return (201 if held is self.rules else 200), body

    def _save(self, body: Any) -> tuple[int, Any]:
        board = body["dashboard"]
        if not board.get("title"):
            return 400, {"message": "Dashboard title cannot be empty", "status": "empty-name"}
        if body.get("folderUid") not in self.folders:
            return 400, {"message": "folder not found"}
        there = self.boards.get(board["uid"])
        if there is not None and not body.get("overwrite"):
            return 412, {"message": "changed by someone else", "status": "version-mismatch"}
        version = 1 if there is None else there["dashboard"]["version"] + 1
        kept = {**board, "id": 7, "version": version}
        self.boards[board["uid"]] = {"dashboard": kept, "meta": {"folderUid": body["folderUid"], "version": version}}
        return 200, {"uid": board["uid"], "status": "success", "version": version}


class _Handler(BaseHTTPRequestHandler):
    grafana: ClassVar[GrafanaDouble]
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, told = 401, {"message": "Invalid API key"}
        else:
            status, told = self.grafana.answer(self.command, self.path.split("?")[0], body)
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Say nothing."""
