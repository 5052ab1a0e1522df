"""`wardlight journal`: look into the journals beside the running service: positions, gaps, and what was set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitals.errors import ConfigurationError
from vitals.journal import Gap, Journal
from wardlight.journal_verify import verify_command
from wardlight.layout import DEFAULT_DATA, DataFolder, now_ns, read_ward

if TYPE_CHECKING:
    from ingest.validate import Poison

app = typer.Typer(no_args_is_help=True, help="Look into the journals, beside the running service.")
app.command("verify")(verify_command)

EXCERPT_CHARACTERS: Final = 60

DataOption = Annotated[Path, typer.Option(help="The data folder of the service.")]
WardOption = Annotated[Path | None, typer.Option(help="The ward file, for times in the ward's zone; UTC without.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]


class Name(StrEnum):
    """The journals of a server."""

    JOURNAL = "journal"
    POISON = "poison"
    ALARMS = "alarms"
    LIMITS = "limits"


@dataclass(frozen=True, slots=True)
class CursorState:
    """A consumer's position, how many records it has not read, and how old the first of those is."""

    name: str
    position: int
    lag: int
    behind_s: float


@dataclass(frozen=True, slots=True)
class State:
    """A journal at one moment; `oldest_at_ns` and `newest_at_ns` are 0 in an empty one."""

    name: str
    oldest: int
    newest: int
    oldest_at_ns: int
    newest_at_ns: int
    size_bytes: int
    cursors: tuple[CursorState, ...]
    gaps: tuple[Gap, ...]


@app.command("show")
def show_command(
    name: Annotated[Name | None, typer.Argument(help="Which journal; all when none is named.")] = None,
    data: DataOption = DEFAULT_DATA,
    ward: WardOption = None,
    as_json: JsonOption = False,
) -> None:
    """Positions, size and age of the journals, how far each consumer is, and what was dropped unread.

    [bold]Examples[/]

    wardlight journal show

    wardlight journal show alarms --data /var/lib/wardlight --ward /etc/wardlight/ward.toml
    """
    wanted = list(Name) if name is None else [name]
    paths = {each: path_of(DataFolder(data), each) for each in wanted}
    states = [read_state(each, path, now_ns()) for each, path in paths.items() if path.exists()]
    if not states:
        raise ConfigurationError(f"{data} holds no journal: name the service's folder with --data")
    if as_json:
        _print_json(states)
        return
    zone = zone_of(ward)
    for state in states:
        _print_state(state, zone, Console())


def path_of(folder: DataFolder, name: Name) -> Path:
    """The file of a journal."""
    return {
        Name.JOURNAL: folder.journal,
        Name.POISON: folder.poison,
        Name.ALARMS: folder.alarms,
        Name.LIMITS: folder.limits,
    }[name]


def read_state(name: str, path: Path, at_ns: int) -> State:
    """What the journal at `path` holds, `behind_s` as of `at_ns`."""
    with Journal(path, read_only=True) as journal:
        oldest, newest = journal.oldest, journal.newest
        return State(
            name,
            oldest,
            newest,
            _appended_at(journal, oldest),
            _appended_at(journal, newest),
            journal.size_bytes,
            tuple(_cursor_state(journal, *cursor, newest, at_ns) for cursor in journal.cursors().items()),
            tuple(journal.gaps()),
        )


def _appended_at(journal: Journal, sequence: int) -> int:
    found = journal.read(sequence - 1, limit=1) if sequence else []
    return found[0].appended_at_ns if found else 0


def _cursor_state(journal: Journal, name: str, position: int, newest: int, at_ns: int) -> CursorState:
    waiting = journal.read(position, limit=1)
    behind_s = max(0.0, (at_ns - waiting[0].appended_at_ns) / 1e9) if waiting else 0.0
    return CursorState(name, position, max(0, newest - position), behind_s)


def _print_state(state: State, zone: tzinfo, console: Console) -> None:
    console.print(Text(state.name, "bold"))
    console.print(f"  records {state.oldest:,} to {state.newest:,}, {state.size_bytes / 1e6:,.1f} MB", highlight=False)
    if state.newest:
        ends = f"{local(state.oldest_at_ns, zone)} to {local(state.newest_at_ns, zone)}"
        console.print(f"  from {ends} ({zone})", highlight=False)
    for cursor in state.cursors:
        lag = f"{cursor.lag:,} records, {cursor.behind_s:,.0f} s behind" if cursor.lag else "has read everything"
        console.print(f"  {cursor.name} at {cursor.position:,}: {lag}", highlight=False)
    for gap in state.gaps:
        count = gap.last - gap.first + 1
        how = "dropped unread" if state.cursors else "dropped"
        said = f"  {how}: {gap.first:,} to {gap.last:,} ({count:,} records, {gap.bytes:,} bytes)"
        console.print(f"{said} from {local(gap.at_ns, zone)} on, for {gap.reason}", style="yellow", highlight=False)
    console.print()


@app.command("poison")
def poison_command(
    data: DataOption = DEFAULT_DATA,
    ward: WardOption = None,
    gateway: Annotated[str | None, typer.Option(help="Only from this gateway.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this reason, such as unknown_version.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 50,
    as_json: JsonOption = False,
    export: Annotated[int | None, typer.Option(metavar="ID", help="Write the bytes of this entry to --output.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file for --export; it must not exist.")] = None,
) -> None:
    """What ingest could not use, newest last: a whole message, or one field of one, with the reason.

    Everything listed was acknowledged to its sender and is kept here, never retried. `--export` gets the bytes back
    as they were received, to look at or to publish again.

    [bold]Examples[/]

    wardlight journal poison --gateway gw-3 --reason type

    wardlight journal poison --export 17 --output message.bin
    """
    from ingest.poison import numbered

    path = DataFolder(data).poison
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist: name the service's folder with --data")
    if export is not None:
        write_payload(path, export, output)
        return
    with Journal(path, read_only=True) as journal:
        found = list(islice(numbered(journal, gateway=gateway, reason=reason), limit))[::-1]
    if as_json:
        _print_json([_as_json(number, poison) for number, poison in found])
    else:
        _print_poison(found, zone_of(ward), Console())


def write_payload(path: Path, number: int, output: Path | None) -> None:
    """Write what entry `number` holds of its message to the new file `output`."""
    from ingest.poison import entry

    if output is None:
        raise ConfigurationError("--export needs --output FILE to write to")
    with Journal(path, read_only=True) as journal:
        poison = entry(journal, number)
    if poison is None:
        raise ConfigurationError(f"there is no entry {number}: `wardlight journal poison` lists them")
    if not poison.excerpt:
        raise ConfigurationError(f"entry {number} carries no bytes: another entry of the same message does")
    try:
        with output.open("xb") as file:
            file.write(poison.excerpt)
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written ({error.strerror}): name another file") from error
    typer.echo(f"{len(poison.excerpt):,} of {poison.size:,} bytes written to {output}", err=True)


def _print_poison(found: Sequence[tuple[int, Poison]], zone: tzinfo, console: Console) -> None:
    if not found:
        console.print("Nothing was set aside.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("Id", f"Received ({zone})", "Gateway", "Reason", "Field", "What was wrong", "Excerpt"):
        table.add_column(heading, overflow="fold")
    for number, poison in found:
        cells = (poison.gateway, poison.reason, poison.field, poison.message, printable(poison.excerpt))
        table.add_row(str(number), local(poison.received_at_ns, zone), *map(Text, cells))
    console.print(table)


def printable(payload: bytes) -> str:
    """The beginning of a payload as one line that no terminal minds, control characters and all."""
    return ascii(payload[:EXCERPT_CHARACTERS].decode("latin-1"))[1:-1] + (
        "…" if len(payload) > EXCERPT_CHARACTERS else ""
    )


def _as_json(number: int, poison: Poison) -> Mapping[str, object]:
    return {
        "id": number,
        "received_at": local(poison.received_at_ns, UTC),
        "topic": poison.topic,
        "gateway": poison.gateway,
        "reason": poison.reason,
        "field": poison.field,
        "message": poison.message,
        "size_bytes": poison.size,
        "excerpt": printable(poison.excerpt),
    }


def zone_of(ward: Path | None) -> tzinfo:
    """The time zone for people: the ward's, or UTC when no ward file is named."""
    return UTC if ward is None else ZoneInfo(read_ward(ward).time_zone)


def local(at_ns: int, zone: tzinfo) -> str:
    """A time for people, to the second, with its offset."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, zone).isoformat(sep=" ")


def _print_json(value: object) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
