"""apprise against a real HTTP server that fails, hangs and comes back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from alert_desk import WAIT_S, Desk, running, until
from alert_world import T0

from alerts.events import Priority
from alerts.notify.channels import AppriseChannel
from alerts.notify.message import Message
from alerts.notify.outbox import Retry, Subscription


class WebService:
    """What apprise posts JSON to. `mode`: "take", "fail" or "hang"."""

    def __init__(self) -> None:
        self.mode = "take"
        self.taken: list[dict[str, Any]] = []
        self.attempts = 0
        self.released = threading.Event()

    @contextmanager
    def listening(self) -> Iterator[str]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.attempts += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.mode == "hang":
                    outer.released.wait(WAIT_S)
                status = 200 if outer.mode == "take" else 503
                if status == 200:
                    outer.taken.append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"json://user:s3cret@127.0.0.1:{server.server_port}/hook"
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()


async def test_a_web_service_that_fails_hangs_and_comes_back(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    web = WebService()
    web.mode = "fail"
    with web.listening() as url:
        channel = AppriseChannel(Subscription("hook"), url, timeout_s=0.2)
        service = desk.service(channel)
        async with running(service):
            desk.seconds(0, 20, "d-0", spo2=85.0)
            await until(lambda: web.attempts >= 2)
            web.mode = "hang"
            hanging_from = web.attempts
            await until(lambda: web.attempts > hanging_from)
            message = Message("t", "b", Priority.LOW, (), T0)
            async with asyncio.timeout(WAIT_S):
                while (answer := await channel.send(message)) != Retry("the attempt before has not come back yet"):
                    assert isinstance(answer, Retry)
            web.mode = "take"
            web.released.set()
            await until(desk.deliveries)
    assert web.taken[0]["title"] == "** Bed 3-00: SpO₂ low, 85 %"
    assert web.taken[0]["type"] == "warning"
    assert "s3cret" not in "".join(capfd.readouterr())
