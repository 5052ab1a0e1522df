"""`wardlight journal verify`: whether the journals of alarms and of changed limits are still what was written."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from vitals.chain import START, Verdict, verify
from vitals.errors import ConfigurationError
from vitals.journal import Journal
from vitals.journal_schema import CHAIN_BASE
from wardlight.layout import DEFAULT_DATA, DataFolder

_TRIES: Final = 3  # the service may trim while we read


class Chained(StrEnum):
    """The journals that carry a hash chain."""

    ALARMS = "alarms"
    LIMITS = "limits"


def verify_command(
    name: Annotated[Chained, typer.Argument(help="Alarm transitions, or changes of limits.")] = Chained.ALARMS,
    data: Annotated[Path, typer.Option(help="The data folder of the service.")] = DEFAULT_DATA,
    head: Annotated[
        str | None, typer.Option(metavar="LINK", help="A link noted earlier: does the journal still lead through it?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of sentences.")] = False,
) -> None:
    """Check the hash chain of a journal: was an entry changed, removed or inserted?

    Each entry carries a hash over itself and the one before. Note the newest link elsewhere now and then: a journal
    that was written anew as a whole no longer leads through it. Safe beside the running service.
    Exit code 0: it holds; 1: it does not.

    [bold]Examples[/]

    wardlight journal verify --data /var/lib/wardlight

    wardlight journal verify limits

    wardlight journal verify --head 3f7a…  (64 hexadecimal digits)
    """
    folder = DataFolder(data)
    path = {Chained.ALARMS: folder.alarms, Chained.LIMITS: folder.limits}[name]
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist: name the service's folder with --data")
    verdict = verdict_of(path, _link(head))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(verdict)).decode())
    else:
        _tell(verdict, Console(highlight=False))
    if verdict.broken_at is not None or verdict.found is False:
        raise typer.Exit(1)


def verdict_of(path: Path, expected: bytes | None = None) -> Verdict:
    """Walk through the chain of the journal at `path`."""
    for _ in range(_TRIES):
        with Journal(path, read_only=True) as journal:
            verdict = verify(journal.linked(), journal.mark(CHAIN_BASE) or START, expected=expected)
        if verdict.broken_at is None:
            break
    return verdict


def _link(head: str | None) -> bytes | None:
    if head is None:
        return None
    try:
        link = bytes.fromhex(head)
    except ValueError:
        link = b""
    if len(link) != len(START):
        raise ConfigurationError("--head: a link is 64 hexadecimal digits, as `wardlight journal verify` prints it")
    return link


def _tell(verdict: Verdict, console: Console) -> None:
    if not verdict.records and verdict.broken_at is None:
        console.print("This journal has no linked entries yet.")
        return
    if verdict.broken_at is not None:
        console.print(f"[bold red]Broken[/] at entry {verdict.broken_at:,}: {verdict.why}.", soft_wrap=True)
        console.print("Keep the file as it is, and compare it with a backup.")
    else:
        console.print(f"{verdict.records:,} entries from {verdict.first:,} on are as they were written.")
    if verdict.found is not None:
        said = "is" if verdict.found else "was trimmed, or [bold red]is not[/]"
        console.print(f"The link that you named {said} part of this journal.")
    if verdict.head:
        console.print(f"Newest link that holds: {verdict.head}", soft_wrap=True)
