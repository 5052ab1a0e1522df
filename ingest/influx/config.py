"""Which databases the vitals go to: `influx.toml`, read and checked. Pure.

    [[influx]]
    name = "ward"                       # of cursors and metrics: keep it, or everything is sent from the start
    kind = "influx2"                    # influx2, influx3, influx1 or victoriametrics
    url = "https://influx.example:8086"
    org = "hospital"                    # influx2 only
    bucket = "vitals"                   # influx2; `database = "vitals"` for influx1 and influx3
    token_file = "influx.token"         # a secret never stands in this file
    ca_file = "ca.pem"                  # optional: the authority of the server's certificate
    gzip = true                         # optional
    keep_days = 30                      # optional: readings; what is older is not sent
    keep_rollup_days = 400              # optional: minutes and quarters of an hour
    snippets = true                     # optional: pulse waves around alarms
    drain_lines_per_s = 60000           # optional: how fast a backlog is sent at most

TLS is demanded; `allow_http = true` does without it, for a database on the same machine or a network of its own.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from ingest.influx.line_protocol import Precision
from vitals.errors import ConfigurationError

TAIL_S: Final = 60.0  # VictoriaMetrics flushes every 5 s; a slow disk may take several times as long
DRAIN_LINES_PER_S: Final = 60_000  # an hour of 2,000 a second in two minutes; a database of one core takes little more
Days = Annotated[float, Meta(gt=0, le=36_500)]
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")


class Kind(StrEnum):
    """What speaks at the other end."""

    INFLUX1 = "influx1"
    INFLUX2 = "influx2"
    INFLUX3 = "influx3"
    VICTORIAMETRICS = "victoriametrics"


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """One database. `token_file`: for influx1 it holds `user:password`. `tail_s`: see `ingest.influx.settling`.

    `drain_lines_per_s`: readings, live ones included; a site that makes more than half as many raises it.
    """

    name: str
    kind: Kind
    url: str
    org: str = ""
    bucket: str = ""
    database: str = ""
    token_file: str | None = None
    ca_file: str | None = None
    gzip: bool = False
    snippets: bool = True
    allow_http: bool = False
    keep_days: Days | None = None
    keep_rollup_days: Days | None = None
    tail_s: Annotated[float, Meta(ge=5, le=240)] = TAIL_S
    drain_lines_per_s: Annotated[int, Meta(ge=1_000)] = DRAIN_LINES_PER_S

    @property
    def precision(self) -> Precision:
        """Of the timestamps the target keeps."""
        return Precision.MILLISECONDS if self.kind is Kind.VICTORIAMETRICS else Precision.NANOSECONDS

    @property
    def place(self) -> str:
        """Bucket or database, whatever the target calls it."""
        return self.bucket or self.database

    @property
    def rollup_place(self) -> str:
        """Where rollups go: a bucket of their own when they are kept for another time."""
        return f"{self.place}_rollup" if self.own_rollups else self.place

    @property
    def own_rollups(self) -> bool:
        """Whether rollups have a bucket or database of their own, since retention is the bucket's."""
        kept = self.keep_rollup_days or self.keep_days
        return self.kind is not Kind.VICTORIAMETRICS and kept != self.keep_days

    @property
    def settle_s(self) -> float:
        """How long after its answer a write is safe."""
        return self.tail_s if self.kind is Kind.VICTORIAMETRICS else 0.0

    def oldest_ns(self, now_ns: int, *, rollups: bool = False) -> int:
        """What is older than this the target would refuse or delete at once; 0 when it keeps everything."""
        days = (self.keep_rollup_days or self.keep_days) if rollups else self.keep_days
        return 0 if days is None else max(0, now_ns - int(days * 86_400 * 1e9) + _MARGIN_NS)


_MARGIN_NS: Final = 3_600 * 10**9  # so that a line does not grow too old on its way


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    influx: tuple[Target, ...] = ()


def decode_targets(text: bytes) -> tuple[Target, ...]:
    """Read and check an `influx.toml`; raises `ConfigurationError` that names the setting and what to write."""
    try:
        targets = msgspec.toml.decode(text, type=_File).influx
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"influx: {error}") from error
    names = [target.name for target in targets]
    for target in targets:
        if names.count(target.name) > 1:
            raise ConfigurationError(f"influx: name {target.name!r} stands twice; each target has its own")
        _check(target)
    return targets


def _check(target: Target) -> None:
    where = f"influx {target.name!r}"
    if not _NAME.match(target.name):
        raise ConfigurationError(f"{where}: name takes up to 32 letters, digits, '-' and '_'")
    _check_url(target, where)
    needed = {Kind.INFLUX2: ("org", "bucket"), Kind.INFLUX1: ("database",), Kind.INFLUX3: ("database",)}
    for setting in needed.get(target.kind, ()):
        if not getattr(target, setting):
            raise ConfigurationError(f'{where}: {target.kind} needs {setting} = "…"')
    if target.kind in (Kind.INFLUX2, Kind.INFLUX3) and not target.token_file:
        raise ConfigurationError(f'{where}: {target.kind} needs token_file = "…", a file that holds the token alone')
    other = {Kind.INFLUX2: "database", Kind.INFLUX1: "bucket", Kind.INFLUX3: "bucket"}.get(target.kind)
    if other and getattr(target, other):
        raise ConfigurationError(f"{where}: {target.kind} has no {other}; write {needed[target.kind][-1]} instead")


def _check_url(target: Target, where: str) -> None:
    try:
        url = urlsplit(target.url)
        port_ok = url.port is None or url.port > 0
    except ValueError:
        port_ok, url = False, urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname or not port_ok:
        raise ConfigurationError(f"{where}: url has to look like https://influx.example:8086")
    if url.username or url.password or url.query:
        raise ConfigurationError(f"{where}: url holds an address only; user and password belong into token_file")
    if url.scheme == "http" and not target.allow_http:
        raise ConfigurationError(
            f"{where}: {target.url} is not encrypted; write https://…, or allow_http = true for a database on this "
            "machine or in a network of its own"
        )
