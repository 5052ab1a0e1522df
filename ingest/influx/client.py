"""One database, reached through `influxdb-client`: prebuilt bodies out, answers in. Blocking: call it in a thread.

The synchronous service of the library is used, without its retries and batching: what to do with an answer is decided
in `ingest.influx.verdicts`, and nothing is dropped behind our back.
"""

from __future__ import annotations

import gzip
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from ingest.influx.config import Kind, Target
from ingest.influx.verdicts import Action, Answer, NoAnswer, judge
from vitals.errors import ConfigurationError, PermanentError, RetryableError

TIMEOUT_MS: Final = 30_000  # for one POST of 5,000 lines, which takes 50 ms: what takes longer will not come
_GZIP_LEVEL: Final = 1  # the library's 9 takes eight times as long for a tenth less
_ANSWERED: Final = 204
_NOT_FOUND: Final = 404
_NEARLY: Final = 0.95  # of the time allowed: what failed after that was too slow, not refused
_TLS_STATUS: Final = 0  # how the library reports a TLS error that urllib3 raised
_LIFE: Final = re.compile(r"^vm_app_start_timestamp (\S+)$", re.MULTILINE)
_MAX_TOKEN_BYTES: Final = 8_192
_CLIENT: Final[Any] = InfluxDBClient  # most of the library has no types
_WRITING: Final[Any] = WriteService


def read_token(target: Target, folder: Path) -> str:
    """The secret of `target`, from its file beside the configuration; raises `ConfigurationError`, never tells it."""
    if target.token_file is None:
        return ""
    path = folder / target.token_file
    try:
        text = path.read_bytes()[:_MAX_TOKEN_BYTES].decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"influx {target.name!r}: token_file {path} cannot be read ({error}): write the token into it, "
            "readable by the service only (chmod 600)"
        ) from error
    if not text or any(not 0x21 <= ord(character) <= 0x7E for character in text):
        raise ConfigurationError(f"influx {target.name!r}: token_file {path} has to hold the token alone, on one line")
    if target.kind is Kind.INFLUX1 and ":" not in text:
        raise ConfigurationError(f"influx {target.name!r}: token_file {path} has to hold user:password")
    return text


class Client:
    """Connections to one target. `folder`: where the configuration lies, which names files relative to itself.

    Raises `ConfigurationError` when the token or the authority cannot be read.
    """

    def __init__(self, target: Target, folder: Path = Path(), *, timeout_ms: int = TIMEOUT_MS) -> None:
        self.target = target
        self._folder = folder
        self._timeout_ms = timeout_ms
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._influx.close()

    def renew(self) -> None:
        """Read token and authority again: a person may have mended them."""
        before = self._influx
        self._open()
        before.close()

    def _open(self) -> None:
        ca_file = str(self._folder / self.target.ca_file) if self.target.ca_file else None
        if ca_file and not os.access(ca_file, os.R_OK):
            raise ConfigurationError(f"influx {self.target.name!r}: ca_file {ca_file} cannot be read: check the path")
        token = read_token(self.target, self._folder)
        self._influx = _CLIENT(
            url=self.target.url,
            token=token,
            org=self.target.org or None,
            timeout=self._timeout_ms,
            retries=False,
            ssl_ca_cert=ca_file,
            auth_basic=bool(token) and self.target.kind is Kind.INFLUX1,
        )
        self._writing = _WRITING(self._influx.api_client)

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, body: bytes, place: str = "") -> Answer:
        """Send lines to `place`, the target's bucket or database unless named; what came back, never an exception."""
        place = place or self.target.place
        packed = gzip.compress(body, _GZIP_LEVEL) if self.target.gzip else body
        encoding = "gzip" if self.target.gzip else "identity"
        precision = self.target.precision.value
        return self._answered(lambda: self._post(place, packed, encoding, precision))

    def _post(self, place: str, body: bytes, encoding: str, precision: str) -> object:
        if self.target.kind is not Kind.INFLUX1:
            # VictoriaMetrics has neither, and the library insists on both
            org, bucket = self.target.org or "-", place or "-"
            return self._writing.post_write(org, bucket, body, precision=precision, content_encoding=encoding)
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": encoding}
        return self._call("/write", "POST", [("db", place), ("precision", precision)], body, headers)

    def _answered(self, call: Callable[[], object]) -> Answer:
        began_s = time.monotonic()
        try:
            call()
        except ApiException as error:
            return _refused(error)
        except Exception as error:  # noqa: BLE001 - the library lets every error of urllib3 through, and none is an answer
            waited_s = time.monotonic() - began_s
            absent = NoAnswer.TIMEOUT if waited_s >= _NEARLY * self._timeout_ms / 1_000 else NoAnswer.RESET
            return Answer(absent, f"{type(error).__name__}: {error}")
        return Answer(_ANSWERED)

    # -- asking ------------------------------------------------------------------------------------------------------

    def life(self) -> str:
        """Which life of the target this is, where its answers are not durable; "" where they are.

        Raises `RetryableError` when it does not say.
        """
        if self.target.kind is not Kind.VICTORIAMETRICS:
            return ""
        found = _LIFE.search(self.text("/metrics"))
        if found is None:
            raise RetryableError(f"influx {self.target.name!r}: /metrics does not say when the target started")
        return found.group(1)

    def text(
        self,
        path: str,
        parameters: list[tuple[str, str]] | None = None,
        *,
        method: str = "GET",
        content: object = None,
        absent: str | None = None,
    ) -> str:
        """The answer to one request; `content` is sent as JSON. `absent`: the answer to stand for "not found".

        Raises `RetryableError` or `PermanentError`, with what to check.
        """
        kind = "text/plain; charset=utf-8" if content is None else "application/json"
        found: list[str] = []

        def call() -> None:
            found.append(
                self._call(path, method, parameters or [], b"" if content is None else content, {"Content-Type": kind})
            )

        answer = self._answered(call)
        if answer.status == _ANSWERED:
            return found[0]
        if answer.status == _NOT_FOUND and absent is not None:
            return absent
        verdict = judge(answer, 0)
        said = f"influx {self.target.name!r}: {method} {path}: {verdict.reason}"
        if verdict.action is Action.WAIT:
            raise RetryableError(said)
        raise PermanentError(f"{said}; {verdict.advice}" if verdict.advice else said)

    def _call(
        self, path: str, method: str, parameters: list[tuple[str, str]], body: object, headers: dict[str, str]
    ) -> str:
        response = self._influx.api_client.call_api(
            path,
            method,
            query_params=parameters,
            header_params=headers,
            body=body,
            _return_http_data_only=True,
            _preload_content=False,  # the library would take what is no JSON for an error
        )
        return str(response.data.decode())


def _refused(error: Any) -> Answer:
    if error.response is None:
        absent = NoAnswer.TLS if error.status == _TLS_STATUS else NoAnswer.RESET
        return Answer(absent, str(error.reason))
    message = error.message.decode(errors="replace") if isinstance(error.message, bytes) else str(error.message)
    return Answer(int(error.status), message, error.retry_after)
