"""What every request must satisfy and every answer carries: host, origin, token, and the headers browsers obey.

There are no accounts yet, so the page defends against the other pages in the same browser: a foreign site must not be
able to read it (host check against DNS rebinding), frame it, or press its buttons (same origin and a token). The
browser's own headers are the first check, the token the second; nothing changes by GET.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER: Final = "x-wardlight-token"  # noqa: S105 - the name of a header, not a secret
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_BODY_BYTES: Final = 4096  # the largest request is an acknowledgement with initials

SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",  # a value from a cache is a value that is not current
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


PHONE_PATHS: Final = ("/push", "/push-worker.js", "/push/", "/receipts/", "/static/")  # those in "/": with all below


class Guard:
    """ASGI middleware around the whole station.

    `allowed_hosts`: host names, without port, under which the page may be asked for. `phone_hosts`: those under which
    only `PHONE_PATHS` answer. `token`: what a changing request must carry in `TOKEN_HEADER`, but for phones and pagers,
    which have something of their own to show.
    """

    def __init__(
        self, app: ASGIApp, *, allowed_hosts: Collection[str], token: str, phone_hosts: Collection[str] = ()
    ) -> None:
        self._app = app
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._phone_hosts = frozenset(host.lower() for host in phone_hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, method: str, path: str, headers: Headers) -> PlainTextResponse | None:
        host, of_phones = hostname(headers.get("host", "")), is_of_phones(path)
        if host not in self._allowed_hosts and not (host in self._phone_hosts and of_phones):
            return PlainTextResponse(
                "This station page does not answer to that host name. Open it as http://localhost, or add the name "
                "to the station's allowed hosts.\n",
                status_code=421,
            )
        if method in ("GET", "HEAD"):
            return None
        if not same_origin(headers):
            return PlainTextResponse("Refused: the request comes from another site.\n", status_code=403)
        if not of_phones and not self._has_token(headers):
            return PlainTextResponse(
                "Refused: the page is older than the server or carries no token. Reload it and try again.\n",
                status_code=403,
            )
        if not _small(headers):
            return PlainTextResponse(
                f"Refused: send a body of stated length, up to {MAX_BODY_BYTES} bytes.\n", status_code=413
            )
        return None

    def _has_token(self, headers: Headers) -> bool:
        return secrets.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self._token.encode())


def is_of_phones(path: str) -> bool:
    """Whether a path belongs to the side of phones and pagers."""
    return any(path == known or (known.endswith("/") and path.startswith(known)) for known in PHONE_PATHS)


def hostname(host: str) -> str:
    """The name in a Host header, lower case, without port; `""` when there is none to be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def same_origin(headers: Headers) -> bool:
    """Whether a request comes from our own page, or from no page at all (a program, which then needs the token).

    Browsers send `Sec-Fetch-Site` and, with every POST, `Origin`; a page can forge neither.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    return origin is None or _authority(origin) == headers.get("host", "").lower()


def _authority(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _small(headers: Headers) -> bool:
    length = headers.get("content-length", "")
    return length.isascii() and length.isdigit() and int(length) <= MAX_BODY_BYTES
