"""Journal records as lines: readings, and what gateways say of themselves. Pure.

gateway,gateway=gw-3-east,site=north presence=1.0,spooled=0.0,dropped=0.0,clock_source=0.0,uncertainty_ms=1.5 …
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from ingest.influx.line_protocol import LINES_PER_BODY, Lines, Precision, in_bodies, line, vitals_lines
from vitals.columns import RecordKind, SampleBlock, decode_block
from vitals.control import decode_status
from vitals.errors import MalformedMessageError
from vitals.model import GatewayStatus

GATEWAY_MEASUREMENT = "gateway"


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
            elif kind == RecordKind.STATUS:
                statuses.append(status_line(decode_status(payload), site, precision))
        except MalformedMessageError:
            unreadable += 1
    readings = vitals_lines(blocks, site, precision, oldest_ns=oldest_ns, lines_per_body=lines_per_body)
    return Encoded(with_lines(readings, statuses, lines_per_body), unreadable)


def with_lines(lines: Lines, more: Sequence[bytes], lines_per_body: int = LINES_PER_BODY) -> Lines:
    """`lines`, and `more` lines after them."""
    return Lines(chain(lines.bodies, in_bodies(more, lines_per_body)), lines.count + len(more), lines.expired)


def status_line(status: GatewayStatus, site: str, precision: Precision) -> bytes:
    """What a gateway says of itself, as numbers: `vitals.model.Presence` and `ClockSource` by their number."""
    fields: dict[str, float | str | None] = {
        "presence": float(status.presence),
        "spooled": float(status.spooled),
        "dropped": float(status.dropped),
        "clock_source": float(status.clock.source),
        "uncertainty_ms": status.clock.uncertainty_ms,
    }
    tags = {"gateway": status.gateway, "site": site}
    return line(GATEWAY_MEASUREMENT, tags, fields, status.at_ns // precision.divisor)
