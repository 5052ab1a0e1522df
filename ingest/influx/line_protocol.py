"""Readings as line protocol, whole portions at a time. Pure.

One line per reading:

    vitals,device=ox-17,patient=P-0001,site=north spo2=97.0,spo2_reason=0.0,spo2_quality=1.0 1767225600000000000
    vitals,device=ox-17,patient=P-0001,site=north spo2_reason=2.0 1767225601000000000
    rr_interval,device=strap-04,patient=P-0001,site=north ms=812.0,reason=0.0,quality=1.0 1767225600000000000

A missing value is a line without the value and with the reason (`vitals.model.Reason`), never a number. The quality is
left out while it is unknown, as it is of most devices, always. A tag is never empty: the database would drop it, and
two patients would become one. Every number is written as a float: the first value of a field decides its type, and a
later one of another type is refused.

Source: "Line protocol", InfluxData documentation of InfluxDB 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from vitals.columns import SampleBlock
from vitals.model import VITALS, Quality, Reason, Vital

LINES_PER_BODY: Final = 5_000  # per POST: 0.28 µs a line; ten times as many save nothing, and lose more when refused
UNASSIGNED: Final = "(unassigned)"  # who wears a device that stands under nobody; no pseudonym has parentheses
MEASUREMENT: Final = "vitals"
RR_MEASUREMENT: Final = "rr_interval"
PROBE_MEASUREMENT: Final = "wardlight_probe"  # the line that tells a bad target from a bad line
_HEADS: Final = 40_000  # remembered beginnings of lines: 20,000 wearables with a derived device each
_TAG_ESCAPES: Final = str.maketrans(  # a backslash has no escape of its own in a tag; no name of ours has one
    {",": "\\,", "=": "\\=", " ": "\\ ", "\\": "/", "\n": "/", "\r": "/"}
)
_TEXT_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": " ", "\r": " "})


class Precision(StrEnum):
    """What a timestamp counts."""

    NANOSECONDS = "ns"
    MILLISECONDS = "ms"  # what VictoriaMetrics keeps of a time

    @property
    def divisor(self) -> int:
        """Nanoseconds in one step."""
        return 1 if self is Precision.NANOSECONDS else 10**6


class Fields(NamedTuple):
    """Where one vital stands in the database."""

    measurement: str
    value: str
    reason: str
    quality: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Bodies of POSTs, each of whole lines; `count` lines in all. `expired`: readings too old for the target.

    `bodies` can be gone through once: each is made when it is asked for, so that one is made while another is sent,
    and a backlog is never in memory as text.
    """

    bodies: Iterable[bytes]
    count: int
    expired: int = 0


def vital_name(vital: int) -> str:
    """The name of a vital; one that a newer version journalled keeps its number."""
    return VITALS[Vital(vital)].name if vital in VITALS else f"vital_{vital}"


def fields_of(vital: int) -> Fields:
    """The measurement and the fields of a vital; beats have a measurement of their own, several sharing a second."""
    if vital == Vital.RR_INTERVAL:
        return Fields(RR_MEASUREMENT, "ms", "reason", "quality")
    name = vital_name(vital)
    return Fields(MEASUREMENT, name, f"{name}_reason", f"{name}_quality")


def stamps_of(sampled_at_ns: npt.NDArray[Any], sequence: npt.NDArray[Any], precision: Precision) -> npt.NDArray[Any]:
    """Timestamps, (n,): readings of one stream that share a time stand apart by their sequence, or one would replace
    the other."""
    stamps: npt.NDArray[Any] = sampled_at_ns // precision.divisor + sequence
    return stamps


def vitals_lines(
    blocks: Sequence[SampleBlock],
    site: str,
    precision: Precision,
    *,
    oldest_ns: int = 0,
    lines_per_body: int = LINES_PER_BODY,
) -> Lines:
    """The readings of `blocks` in order, those before `oldest_ns` left out, at most `lines_per_body` in one body."""
    blocks = [block for block in blocks if block.rows.size]
    if not blocks:
        return Lines((), 0)
    columns = _columns(blocks)
    heads = [
        head
        for block in blocks
        for pair in zip(block.devices, block.patients, strict=True)
        for head in _heads(site, *pair)
    ]
    total = len(columns["vital"])
    if oldest_ns:
        kept = columns["sampled_at_ns"] >= oldest_ns
        columns = {name: column[kept] for name, column in columns.items()}
    count = len(columns["vital"])
    bodies = (
        _body({name: column[start : start + lines_per_body] for name, column in columns.items()}, heads, precision)
        for start in range(0, count, lines_per_body)
    )
    return Lines(bodies, count, total - count)


_NAMES: Final = ("sampled_at_ns", "value", "sequence", "vital", "reason", "quality")


def _columns(blocks: Sequence[SampleBlock]) -> dict[str, npt.NDArray[Any]]:
    """The columns of all blocks, `device` counted through them."""
    columns = {name: np.concatenate([block.rows[name] for block in blocks]) for name in _NAMES}
    firsts = np.cumsum([0, *(len(block.devices) for block in blocks[:-1])])
    sizes = [block.rows.size for block in blocks]
    device = np.concatenate([block.rows["device"] for block in blocks])
    columns["device"] = device + np.repeat(firsts, sizes)
    return columns


def _body(rows: Mapping[str, npt.NDArray[Any]], heads: Sequence[str], precision: Precision) -> bytes:
    """All rows as lines, through one template: a microsecond a line, `influxdb_client.Point` takes thirteen."""
    vital, value = rows["vital"].astype(np.int64), rows["value"]
    present = np.isfinite(value)
    head = rows["device"] * 2 + (vital == Vital.RR_INTERVAL)
    codes = ((vital << 16) | (rows["reason"].astype(np.int64) << 8) | rows["quality"]) * 2 + present
    distinct, kinds = np.unique(codes, return_inverse=True)
    parts = [_parts(int(code)) for code in distinct]
    numbers: list[Any] = value.tolist()
    for index in np.flatnonzero(~present).tolist():
        numbers[index] = ""
    kind = kinds.tolist()
    arguments = zip(
        map(heads.__getitem__, head.tolist()),
        map([before for before, _ in parts].__getitem__, kind),
        numbers,
        map([after for _, after in parts].__getitem__, kind),
        stamps_of(rows["sampled_at_ns"], rows["sequence"], precision).tolist(),
        strict=True,
    )
    return ("%s%s%s%s%d\n" * len(kind) % tuple(chain.from_iterable(arguments))).encode()


@lru_cache(maxsize=_HEADS)
def _heads(site: str, device: str, patient: str) -> tuple[str, str]:
    """How the lines of a device begin: its vitals, and its beats."""
    tags = {"device": device or UNASSIGNED, "patient": patient or UNASSIGNED, "site": site}
    return head_of(MEASUREMENT, tags), head_of(RR_MEASUREMENT, tags)


@lru_cache(maxsize=4_096)
def _parts(code: int) -> tuple[str, str]:
    """What stands before and after the number of a line; without a number, what stands in its place."""
    code, present = divmod(code, 2)
    vital, reason, quality = code >> 16, (code >> 8) & 0xFF, code & 0xFF
    if not present and reason == Reason.PRESENT:
        reason = int(Reason.NOT_A_NUMBER)  # no reading of ours has neither; a chart must not take it for one
    name = fields_of(vital)
    judged = (
        f"{name.reason}={reason}.0 "
        if quality == Quality.UNKNOWN
        else (f"{name.reason}={reason}.0,{name.quality}={quality}.0 ")
    )
    return (f"{name.value}=", f",{judged}") if present else ("", judged)


def head_of(measurement: str, tags: Mapping[str, str]) -> str:
    """The measurement and its tags in the order of their keys, and the space after them; empty tags are left out."""
    told = "".join(f",{key}={_tag(value)}" for key, value in sorted(tags.items()) if value)
    return f"{measurement}{told} "


def line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, float | str | None], stamp: int) -> bytes:
    """One line with its newline; fields that are `None` are left out, and one has to stay."""
    told = ",".join(f"{key}={_field(value)}" for key, value in fields.items() if value is not None)
    if not told:
        raise ValueError(f"a line of {measurement} needs a field")
    return f"{head_of(measurement, tags)}{told} {stamp}\n".encode()


def probe_line(site: str, now_ns: int, precision: Precision) -> bytes:
    """The line that every target accepts: when it is refused, the lines are not to blame."""
    return line(PROBE_MEASUREMENT, {"site": site}, {"ok": 1.0}, now_ns // precision.divisor)


def in_bodies(lines: Sequence[bytes], lines_per_body: int = LINES_PER_BODY) -> Iterator[bytes]:
    """Lines joined to bodies of at most `lines_per_body`."""
    for start in range(0, len(lines), lines_per_body):
        yield b"".join(lines[start : start + lines_per_body])


def joined(bodies: Iterable[bytes], least_bytes: int) -> Iterator[bytes]:
    """The lines of several bodies in one, as long as it is smaller than `least_bytes`; empty ones are left out."""
    pending = b""
    for body in bodies:
        pending += body
        if len(pending) >= least_bytes:
            yield pending
            pending = b""
    if pending:
        yield pending


def _tag(value: str) -> str:
    return value.translate(_TAG_ESCAPES)


def _field(value: float | str) -> str:
    return f'"{value.translate(_TEXT_ESCAPES)}"' if isinstance(value, str) else repr(float(value))
