"""Journal records as lines: readings, and what gateways say of themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from ingest.influx.line_protocol import LINES_PER_BODY, Lines, Precision, in_bodies, vitals_lines
from ingest.influx.status_lines import delay_lines, status_lines
from vitals.columns import RecordKind, SampleBlock, decode_block
from vitals.control import decode_status
from vitals.errors import MalformedMessageError


@dataclass(frozen=True, slots=True)
class Encoded:
    """The lines of some records, and how many records could not be read."""

    lines: Lines
    unreadable: int = 0


def encode_records(
    records: Iterable[tuple[int, bytes]],
    site: str,
    precision: Precision,
    *,
    oldest_ns: int = 0,
    lines_per_body: int = LINES_PER_BODY,
) -> Encoded:
    """The lines of `(kind, payload)` records of the ingest journal; readings before `oldest_ns` are left out."""
    blocks: list[SampleBlock] = []
    statuses: list[bytes] = []
    unreadable = 0
    for kind, payload in records:
        try:
            if kind == RecordKind.SAMPLES:
                blocks.append(decode_block(payload))
                statuses += delay_lines(blocks[-1], site, precision)
            elif kind == RecordKind.STATUS:
                statuses += status_lines(decode_status(payload), site, precision)
        except MalformedMessageError:
            unreadable += 1
    readings = vitals_lines(blocks, site, precision, oldest_ns=oldest_ns, lines_per_body=lines_per_body)
    return Encoded(with_lines(readings, statuses, lines_per_body), unreadable)


def with_lines(lines: Lines, more: Sequence[bytes], lines_per_body: int = LINES_PER_BODY) -> Lines:
    """`lines`, and `more` lines after them."""
    return Lines(chain(lines.bodies, in_bodies(more, lines_per_body)), lines.count + len(more), lines.expired)
