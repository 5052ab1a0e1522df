"""`influx.toml`: what is accepted, and that a mistake is named with what to write instead."""

from __future__ import annotations

import pytest

from ingest.influx.config import Kind, decode_targets
from ingest.influx.line_protocol import Precision
from vitals.errors import ConfigurationError

GOOD = {
    "name": '"ward"',
    "kind": '"influx2"',
    "url": '"https://influx.example:8086"',
    "org": '"hospital"',
    "bucket": '"vitals"',
    "token_file": '"influx.token"',
}
DAY_NS = 86_400 * 10**9


def toml(**changes: str | None) -> bytes:
    settings = {**GOOD, **changes}
    return ("[[influx]]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items() if value)).encode()


def test_a_target_and_what_follows_from_its_kind() -> None:
    (found,) = decode_targets(toml(keep_days="30", keep_rollup_days="400"))
    assert (found.kind, found.place, found.rollup_place) == (Kind.INFLUX2, "vitals", "vitals_rollup")
    assert (found.precision, found.settle_s) == (Precision.NANOSECONDS, 0.0)
    assert found.oldest_ns(100 * DAY_NS) == 70 * DAY_NS + 3_600 * 10**9
    assert found.oldest_ns(100 * DAY_NS, rollups=True) == 0
    victoria = toml(kind='"victoriametrics"', org=None, bucket=None, token_file=None)
    (found,) = decode_targets(victoria)
    assert (found.precision, found.settle_s, found.rollup_place) == (Precision.MILLISECONDS, 60.0, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": '"http://influx.example:8086"'}, "allow_http = true"),
        ({"url": '"influx.example"'}, "url has to look like"),
        ({"url": '"https://me:secret@influx.example"'}, "token_file"),
        ({"url": '"https://influx.example:99999"'}, "url has to look like"),
        ({"token_file": None}, "needs token_file"),
        ({"bucket": None}, "needs bucket"),
        ({"database": '"x"'}, "has no database"),
        ({"kind": '"influx4"'}, "influx4"),
        ({"name": '"a b"'}, "letters"),
        ({"tokn_file": '"x"'}, "tokn_file"),
        ({"tail_s": "1"}, "tail_s"),
        ({"drain_lines_per_s": "10"}, "drain_lines_per_s"),
        ({"keep_days": "0"}, "keep_days"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, str | None], words: str) -> None:
    with pytest.raises(ConfigurationError, match="influx") as told:
        decode_targets(toml(**changes))
    assert words in str(told.value)
    assert "secret" not in str(told.value)


def test_each_name_stands_once_and_rubbish_is_no_file() -> None:
    with pytest.raises(ConfigurationError, match="stands twice"):
        decode_targets(toml() + toml())
    with pytest.raises(ConfigurationError, match="influx"):
        decode_targets(b"\xff[[")
    assert decode_targets(b"") == ()
