"""`wardlight decode`: a frame of a wearable, explained to a person."""

from __future__ import annotations

import json
import re
import sys
from struct import iter_unpack
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vitals.errors import ConfigurationError
from vitals.model import VITALS
from wardlight.explain.frames import FrameKind
from wardlight.explain.table import frame_kind
from wardlight.explain.words import (
    Explanation,
    error_words,
    explain,
    meaning,
    quality_words,
    value_words,
    when_words,
)

MAX_BYTES: Final = 4096  # eight times the longest attribute value: no frame is longer
_WIDTHS: Final = {2: "h", 4: "i"}  # bytes of a sample → its letter for `struct`
PIPED_WIDTH: Final = 120  # characters, where nobody says how wide the paper is


def decode_command(
    char: Annotated[str, typer.Argument(metavar="CHAR", help="2A37, 0x2a5f, a full UUID, or a name such as nonin.")],
    frame: Annotated[list[str], typer.Argument(metavar="HEX", help="The bytes; blanks, colons and 0x do not matter.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for other programs.")] = False,
) -> None:
    """Explain a Bluetooth frame field by field, and what Wardlight makes of it.

    Exit code 0: the frame can be used; 2: it cannot, or CHAR or HEX is wrong. A CHAR that is not known lists all.

    [bold]Examples[/]:

    wardlight decode 2A37 16 4d 16 03

    wardlight decode 0x2a5f "1C 5F 00 5A 00 20 00 00 00 00 57 F0"

    wardlight decode 00002a37-0000-1000-8000-00805f9b34fb 10:48:2c:03 --json
    """
    kind, data = frame_kind(char), frame_bytes(" ".join(frame))
    explanation = explain(kind, data)
    if as_json:
        typer.echo(json.dumps(as_record(kind, data, explanation), ensure_ascii=False))
    else:
        _show(kind, data, explanation)
    if not explanation.usable:
        raise typer.Exit(2)


def frame_bytes(text: str) -> bytes:
    """The bytes that `text` writes in hexadecimal; raises `ConfigurationError` that says where it does not."""
    words = re.sub(r"\b0x|[\s:,;-]", " ", text, flags=re.IGNORECASE).split()
    digits = "".join(words)
    wrong = re.search(r"[^0-9a-fA-F]", digits)
    if wrong:
        raise ConfigurationError(
            f"HEX has {wrong[0]!r} as digit {wrong.start() + 1}: write 0–9 and a–f, as in 16 4d 16"
        )
    odd = [word for word in words if len(word) % 2]
    if odd:
        raise ConfigurationError(f"HEX has {odd[0]!r}, which is not whole bytes: write two digits for each byte")
    if len(digits) > 2 * MAX_BYTES:
        raise ConfigurationError(f"HEX has {len(digits) // 2} bytes, a frame {MAX_BYTES} at most: give one frame")
    return bytes.fromhex(digits)


def as_record(kind: FrameKind, data: bytes, explained: Explanation) -> dict[str, Any]:
    """The explanation as plain JSON values."""
    error = explained.error
    return {
        "frame": kind.title,
        "characteristic": kind.uuid,
        "bytes": data.hex(),
        "usable": explained.usable,
        "fields": [{"name": f.name, "bytes": f.raw.hex(), "meaning": meaning(f)} for f in explained.fields],
        "readings": [
            {
                "vital": VITALS[sample.vital].name,
                "value": sample.value,
                "unit": VITALS[sample.vital].unit,
                "reason": sample.reason.name.lower(),
                "quality": sample.quality.name.lower(),
                "relative_ms": sample.at_monotonic_ns / 1e6,
                "stored": sample.stored,
            }
            for sample in explained.heard.samples
        ],
        "waves": [
            {
                "waveform": wave.waveform.name.lower(),
                "sample_rate_hz": wave.sample_rate_hz,
                "samples": [sample for (sample,) in iter_unpack(f"<{_WIDTHS[wave.width_bytes]}", wave.samples)],
            }
            for wave in explained.heard.waves
        ],
        "notes": dict(explained.heard.notes),
        "malformed": list(explained.heard.malformed),
        "error": error and {"reason": error.reason, "field": error.field, "message": error_words(error)},
    }


def _show(kind: FrameKind, data: bytes, explained: Explanation) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    console.print(_field_table(kind, data, explained))
    heard = explained.heard
    if heard.samples:
        console.print(_reading_table(explained))
    for wave in heard.waves:
        count = len(wave.samples) // wave.width_bytes
        console.print(f"{wave.waveform.name.lower()}: {count} samples at {wave.sample_rate_hz:g} Hz")
    for name, note in heard.notes.items():
        console.print(f"{escape(name)}: {escape(note)}")
    for told in heard.malformed:
        console.print(f"[yellow]not used:[/] {escape(told)}")
    if explained.error is not None:
        Console(stderr=True, highlight=False).print(
            f"[red]wardlight:[/] {escape(error_words(explained.error))}", soft_wrap=True
        )
    elif not (heard.samples or heard.waves or heard.notes or heard.malformed):
        console.print("Wardlight makes no reading of this frame alone.")


def _field_table(kind: FrameKind, data: bytes, explained: Explanation) -> Table:
    table = Table(title=f"{kind.title}, {len(data)} bytes", title_justify="left")
    for column in ("field", "bytes", "meaning"):
        table.add_column(column)
    for field in explained.fields:
        table.add_row(escape(field.name), field.raw.hex(" "), escape(meaning(field)))
    read = sum(len(field.raw) for field in explained.fields)
    if read < len(data):
        table.add_row("[red]not read[/]", data[read:].hex(" "), "")
    return table


def _reading_table(explained: Explanation) -> Table:
    table = Table(title="What Wardlight makes of it", title_justify="left")
    for column in ("vital", "value", "quality", "when"):
        table.add_column(column)
    for sample in explained.heard.samples:
        table.add_row(VITALS[sample.vital].label, value_words(sample), quality_words(sample), when_words(sample))
    return table
