"""Make a target ready: its buckets or databases, how long they keep, and whether it may be written and read.

Doing it twice changes nothing. How long an existing place keeps is lengthened when the configuration says so, and
shortened only when told to, because that deletes what is older.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from ingest.influx.client import Client
from ingest.influx.config import Kind, Target
from ingest.influx.line_protocol import probe_line
from ingest.influx.verdicts import Action, judge
from vitals.errors import PermanentError

DAY_S: Final = 86_400
_FOREVER_S: Final = 0  # what InfluxDB says for "keeps everything"
_DURATION: Final = re.compile(r"(\d+)(w|d|h|m|s)")
_UNIT_S: Final = {"w": 7 * DAY_S, "d": DAY_S, "h": 3_600, "m": 60, "s": 1}


class Outcome(StrEnum):
    """What became of a step."""

    OK = "ok"  # nothing to do
    DONE = "done"
    NEEDED = "needed"  # not done: a dry run
    NOTE = "note"  # for a person to decide


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the report."""

    what: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket or database as it should be. `keep_s`: `_FOREVER_S` for everything."""

    name: str
    keep_s: int


def places_of(target: Target) -> list[Place]:
    """What a target needs."""
    found = [Place(target.place, _seconds(target.keep_days))]
    if target.own_rollups:
        found.append(Place(target.rollup_place, _seconds(target.keep_rollup_days or target.keep_days)))
    return found


def setup(client: Client, site: str, now_ns: int, *, dry_run: bool = False, shorten: bool = False) -> Iterator[Step]:
    """Do what is needed, step by step. Raises `PermanentError` or `RetryableError`, with what to check."""
    target = client.target
    if target.kind is Kind.VICTORIAMETRICS:
        yield from _victoriametrics(client)
    else:
        for place in places_of(target):
            yield from _PROVIDERS[target.kind](client, place, dry_run, shorten)
    if dry_run:
        return
    for place in places_of(target):
        yield _writable(client, place.name, site, now_ns)


def _writable(client: Client, place: str, site: str, now_ns: int) -> Step:
    answer = client.write(probe_line(site, now_ns, client.target.precision), place)
    verdict = judge(answer, now_ns)
    if verdict.action is not Action.DONE:
        raise PermanentError(f"a probe cannot be written into {place or 'it'}: {verdict.reason}; {verdict.advice}")
    return Step(f"write into {place or client.target.url}", Outcome.OK, "a probe was accepted")


# -- InfluxDB 1 ------------------------------------------------------------------------------------------------------


def _influx1(client: Client, place: Place, dry_run: bool, shorten: bool) -> Iterator[Step]:
    name = _quoted(place.name)
    known = {row[0] for row in _rows(client, "SHOW DATABASES")}
    if place.name not in known:
        yield _change(f"create database {place.name}", dry_run, lambda: _rows(client, f"CREATE DATABASE {name}"))
        if dry_run:
            return
        shorten = True  # nothing is in it yet
    policies = {row[0]: row for row in _rows(client, f"SHOW RETENTION POLICIES ON {name}")}
    default = next((policy for policy in policies.values() if policy[-1]), None)
    if default is None:
        raise PermanentError(f"database {place.name} has no default retention policy: make one")
    duration = f"{place.keep_s}s" if place.keep_s else "INF"
    yield from _retention(
        place,
        _duration_s(str(default[1])),
        dry_run,
        shorten,
        lambda: _rows(client, f"ALTER RETENTION POLICY {_quoted(default[0])} ON {name} DURATION {duration}"),
    )


def _rows(client: Client, query: str) -> list[list[Any]]:
    method = "GET" if query.startswith("SHOW") else "POST"
    return influxql_rows(client.text("/query", [("q", query)], method=method))


def influxql_rows(text: str) -> list[list[Any]]:
    """The rows of the first statement; raises `PermanentError` with the server's words."""
    result = msgspec.json.decode(text)["results"][0]
    if "error" in result:
        raise PermanentError(f"the database refuses a query: {result['error']}")
    return [row for series in result.get("series", ()) for row in series.get("values", ())]


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _duration_s(text: str) -> int:
    """A duration as InfluxDB writes it, `720h0m0s`; 0 for ever."""
    return sum(int(count) * _UNIT_S[unit] for count, unit in _DURATION.findall(text))


# -- InfluxDB 2 ------------------------------------------------------------------------------------------------------


def _influx2(client: Client, place: Place, dry_run: bool, shorten: bool) -> Iterator[Step]:
    org = _only(client, "/api/v2/orgs", [("org", client.target.org)], "orgs")
    if org is None:
        raise PermanentError(f"there is no organisation {client.target.org!r}, or the token may not see it")
    bucket = _only(client, "/api/v2/buckets", [("orgID", org["id"]), ("name", place.name)], "buckets")
    rules = [{"type": "expire", "everySeconds": place.keep_s}] if place.keep_s else []
    if bucket is None:
        content = {"orgID": org["id"], "name": place.name, "retentionRules": rules}
        make = f"create bucket {place.name}"
        yield _change(make, dry_run, lambda: client.text("/api/v2/buckets", method="POST", content=content))
        if dry_run:
            return
        bucket = _only(client, "/api/v2/buckets", [("orgID", org["id"]), ("name", place.name)], "buckets")
        if bucket is None:
            raise PermanentError(
                f"bucket {place.name} was created, but the token may not see it: let it read the bucket"
            )
    keeps_s = next((rule["everySeconds"] for rule in bucket.get("retentionRules", ())), _FOREVER_S)
    path = f"/api/v2/buckets/{bucket['id']}"
    yield from _retention(
        place,
        keeps_s,
        dry_run,
        shorten,
        lambda: client.text(path, method="PATCH", content={"retentionRules": rules}),
    )
    yield from _mapping(client, place, org["id"], bucket["id"], dry_run)


def _mapping(client: Client, place: Place, org_id: str, bucket_id: str, dry_run: bool) -> Iterator[Step]:
    """InfluxQL, which the boards use, finds a bucket through a mapping of database and retention policy."""
    asked = [("orgID", org_id), ("bucketID", bucket_id)]
    if _only(client, "/api/v2/dbrps", asked, "content") is not None:
        yield Step(f"InfluxQL mapping of {place.name}", Outcome.OK)
        return
    content = {
        "orgID": org_id,
        "bucketID": bucket_id,
        "database": place.name,
        "retention_policy": "autogen",
        "default": True,
    }
    yield _change(
        f"InfluxQL mapping of {place.name}",
        dry_run,
        lambda: client.text("/api/v2/dbrps", method="POST", content=content),
    )


def _only(client: Client, path: str, parameters: list[tuple[str, str]], key: str) -> dict[str, Any] | None:
    """The one entry of a list; `None` when it is empty, which newer servers say with 404."""
    text = client.text(path, parameters, absent="{}")
    found = msgspec.json.decode(text).get(key) or []
    return dict(found[0]) if found else None


# -- InfluxDB 3 and VictoriaMetrics ----------------------------------------------------------------------------------


def _influx3(client: Client, place: Place, dry_run: bool, shorten: bool) -> Iterator[Step]:
    del shorten  # how long a database keeps is fixed when it is made
    listed = msgspec.json.decode(client.text("/api/v3/configure/database", [("format", "json")]))
    if place.name in {row.get("iox::database") or row.get("name") for row in listed}:
        yield Step(f"database {place.name}", Outcome.OK)
        return
    content: dict[str, str] = {"db": place.name}
    if place.keep_s:
        content["retention_period"] = f"{place.keep_s // DAY_S or 1}d"
    yield _change(
        f"create database {place.name}",
        dry_run,
        lambda: client.text("/api/v3/configure/database", method="POST", content=content),
    )


def _victoriametrics(client: Client) -> Iterator[Step]:
    client.text("/health")
    yield Step("reachable", Outcome.OK)
    client.life()
    yield Step("restarts can be seen", Outcome.OK, "/metrics tells when it started")
    flags = dict(re.findall(r'^-([\w.]+)="?([^"\n]*)"?$', client.text("/flags"), re.MULTILINE))
    dedup = flags.get("dedup.minScrapeInterval", "0s")
    if _duration_ms(dedup) < 1:
        yield Step(
            "duplicates",
            Outcome.NOTE,
            "start it with -dedup.minScrapeInterval=1ms, or counts double where lines are sent again",
        )
    yield Step("retention", Outcome.NOTE, f"set by its own flag -retentionPeriod, now {flags.get('retentionPeriod')!r}")


def _duration_ms(text: str) -> float:
    found = re.match(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    return float(found.group(1)) * {"ms": 1, "m": 60_000, "h": 3_600_000}.get(found.group(2), 1_000) if found else 0.0


_PROVIDERS: Final[dict[Kind, Callable[[Client, Place, bool, bool], Iterator[Step]]]] = {
    Kind.INFLUX1: _influx1,
    Kind.INFLUX2: _influx2,
    Kind.INFLUX3: _influx3,
}


def _retention(place: Place, keeps_s: int, dry_run: bool, shorten: bool, apply: Callable[[], object]) -> Iterator[Step]:
    what = f"{place.name} keeps {_told(place.keep_s)}"
    if keeps_s == place.keep_s:
        yield Step(what, Outcome.OK)
    elif place.keep_s and (not keeps_s or keeps_s > place.keep_s) and not shorten:
        advice = f"it keeps {_told(keeps_s)}; --shorten changes that, and deletes what is older"
        yield Step(what, Outcome.NOTE, advice)
    else:
        yield _change(what, dry_run, apply)


def _told(seconds: int) -> str:
    return f"{seconds / DAY_S:g} days" if seconds else "everything"


def _seconds(days: float | None) -> int:
    return _FOREVER_S if days is None else int(days * DAY_S)


def _change(what: str, dry_run: bool, apply: Callable[[], object]) -> Step:
    if dry_run:
        return Step(what, Outcome.NEEDED)
    apply()
    return Step(what, Outcome.DONE)
