"""`wardlight doctor`: look at this installation and say what to do about each finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wardlight.findings import Finding, Severity, exit_code
from wardlight.layout import DEFAULT_DATA

_STYLE: Final = {
    Severity.OK: ("✓", "green"),
    Severity.NOTE: ("·", "dim"),
    Severity.WARNING: ("!", "yellow"),
    Severity.FAILURE: ("✗", "bold red"),
}
_PORTS: Final = (("gateways", 8883), ("station page", 8080))


def doctor_command(
    data: Annotated[Path, typer.Option(help="The data folder of the service.")] = DEFAULT_DATA,
    ward: Annotated[Path | None, typer.Option(help="A ward file to check.")] = None,
    alerts: Annotated[Path | None, typer.Option(help="An alerts.toml to check; nothing is sent.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
) -> None:
    """Check this installation and say what to do about each finding.

    Safe beside a running service: it reads, and tries one small file in the data folder. Exit code 0 when nothing
    failed (warnings and notes do not count), 1 when something did, 2 for a wrong argument.

    [bold]Examples[/]

    wardlight doctor

    wardlight doctor --data /var/lib/wardlight --ward /etc/wardlight/ward.toml --json
    """
    from wardlight.probes import examine

    found = examine(data, ward, alerts, _PORTS)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode([asdict(finding) for finding in found])).decode())
    else:
        show(found, Console())
    raise typer.Exit(exit_code(found))


def show(found: Sequence[Finding], console: Console) -> None:
    """Print the findings as a table, and one line of summary."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("Check", no_wrap=True)
    table.add_column("Finding", overflow="fold")
    table.add_column("What to do", overflow="fold")
    for finding in found:
        mark, style = _STYLE[finding.severity]
        table.add_row(
            Text(mark, style), finding.check, Text(finding.detail, style if mark in "!✗" else ""), Text(finding.remedy)
        )
    console.print(table)
    failed = sum(finding.severity is Severity.FAILURE for finding in found)
    warned = sum(finding.severity is Severity.WARNING for finding in found)
    console.print()
    console.print(f"{failed} failed, {warned} to look at", style="red" if failed else "yellow" if warned else "green")
