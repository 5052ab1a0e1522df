"""A double of a push service (RFC 8030) on a real port: it judges who sends (RFC 8292) and reads what was encrypted
(RFC 8291) with the keys of the phones it made up. The real services cannot be reached from a test.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import http_ece
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from alerts.notify.phones import Endpoint, Keys


def unpadded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def padded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class FakePhone:
    """What a browser would keep: the private side of a subscription, and what was pushed to it."""

    path: str
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    answer: int | str = 201  # a status; or "reset", "hang"
    retry_after: str = ""
    got: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def endpoint(self, base: str) -> Endpoint:
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return Endpoint(base + self.path, Keys(unpadded(point), unpadded(self.auth)))


class PushService:
    """`complaints`: what was wrong with requests; each got 400 or 403, as from a real service."""

    def __init__(self) -> None:
        self.base = ""
        self.phones: dict[str, FakePhone] = {}
        self.complaints: list[str] = []
        self.released = threading.Event()

    def phone(self, answer: int | str = 201, retry_after: str = "") -> FakePhone:
        phone = FakePhone(f"/push/{secrets.token_urlsafe(24)}", answer=answer, retry_after=retry_after)
        self.phones[phone.path] = phone
        return phone

    def judge(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int | str, FakePhone | None]:
        phone = self.phones.get(path)
        if phone is None:
            return 404, None
        why = self._of_sender(headers.get("authorization", "")) or self._of_request(headers)
        if why:
            self.complaints.append(why)
            return 403, phone
        if len(body) > 4096:
            return 413, phone
        text = http_ece.decrypt(body, private_key=phone.private, auth_secret=phone.auth, version="aes128gcm")
        phone.got.append((headers, json.loads(text)))
        return phone.answer, phone

    def _of_sender(self, authorization: str) -> str:
        found = re.fullmatch(r"vapid t=([\w-]+)\.([\w-]+)\.([\w-]+),\s*k=([\w-]+)", authorization)
        if found is None:
            return f"no VAPID: {authorization[:20]}"
        header, claims, signed, key = found.groups()
        raw = padded(signed)
        pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), padded(key))
        try:
            public.verify(pair, f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return "wrong signature"
        told = json.loads(padded(claims))
        if told.get("aud") != self.base:
            return f"aud {told.get('aud')}"
        if not time.time() < told.get("exp", 0) <= time.time() + 86_400:
            return f"exp {told.get('exp')}"
        return "" if told.get("sub", "").startswith(("mailto:", "https://")) else f"sub {told.get('sub')}"

    def _of_request(self, headers: dict[str, str]) -> str:
        if headers.get("content-encoding") != "aes128gcm":
            return "content-encoding"
        if not headers.get("ttl", "").isdigit():
            return "ttl"
        if headers.get("urgency") not in ("very-low", "low", "normal", "high"):
            return "urgency"
        return "" if re.fullmatch(r"[A-Za-z0-9_-]{1,32}", headers.get("topic", "")) else "topic"


@contextmanager
def push_service() -> Iterator[PushService]:
    service = PushService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, phone = service.judge(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            if status == "hang":
                service.released.wait(20)
            if isinstance(status, str):
                self.connection.close()
                return
            self.send_response(status)
            if phone and phone.retry_after:
                self.send_header("Retry-After", phone.retry_after)
            if status in (301, 307):
                self.send_header("Location", service.base + "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
