"""`wardlight boards`: put the care team's boards into a Grafana, compare them, take them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from vitals.errors import ConfigurationError
from wardlight.boards_grafana import FOLDER_UID, Database, Grafana, sources
from wardlight.boards_plan import Board, Change, Step, planned
from wardlight.boards_rule import RULE_UIDS, rules

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Grafana: the care team's boards. They show and do not alarm. docs/boards.md has the first steps.",
)
FOLDER: Final = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "boards"
_PLACE_OF_STATION: Final = "station"  # the variable that holds the station page's address

Url = Annotated[str, typer.Option(help="Grafana's address, https://grafana.example:3000.")]
TokenFile = Annotated[Path, typer.Option("--token-file", help="The token of a service account, alone in a file.")]
Language = Annotated[str, typer.Option(help="influxql (InfluxDB 1, 2, 3) or metricsql (VictoriaMetrics).")]
Station = Annotated[str, typer.Option(help="The station page's address, for links.")]
Boards = Annotated[Path, typer.Option(help="Folder of the boards.")]


@app.command("install")
def install_command(
    url: Url,
    token_file: TokenFile,
    language: Language = "influxql",
    station: Station = "http://127.0.0.1:8080",
    database_url: Annotated[str, typer.Option(help="The database as Grafana reaches it.")] = "http://127.0.0.1:8086",
    database: Annotated[str, typer.Option(help="Bucket or database of readings.")] = "vitals",
    rollups: Annotated[str, typer.Option(help="Bucket or database of rollups.")] = "vitals_rollup",
    database_token_file: Annotated[Path | None, typer.Option(help="InfluxDB's token, one that may only read.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    overwrite_edits: Annotated[bool, typer.Option(help="Write over what people changed.")] = False,
    boards: Boards = FOLDER,
) -> None:
    """Show what would change, ask, then make folder, data sources, boards and the rules about the pipeline. Repeatable.

    [bold]Example[/]: wardlight boards install --url https://grafana.example:3000 --token-file grafana.token
    """
    grafana, console = Grafana(url, token_file), Console()
    _check_permissions(grafana)
    changes = _changes(grafana, language, station, boards)
    _show(changes, console)
    due = [
        change for change in changes if change.step in (Step.CREATE, Step.UPDATE) or _forced(change, overwrite_edits)
    ]
    held = [change for change in changes if change.step in (Step.EDITED, Step.FOREIGN) and change not in due]
    if due and not yes and not typer.confirm(f"Install {len(due)} boards?"):
        raise typer.Exit(1)
    if grafana.ensure_folder():
        console.print(f"folder {FOLDER_UID}: made")
    for source in sources(language, Database(database_url, database, rollups, _secret(database_token_file))):
        console.print(
            f"data source {source['name']}: {'made' if grafana.ensure_source(source) else 'there, left as it is'}"
        )
    for change in due:
        grafana.install(change.board)
        console.print(f"{change.board['title']}: installed")
    for rule in rules(language, sources(language, Database(database_url))[0]["uid"], FOLDER_UID):
        console.print(f"rule {rule['title']}: {'made' if grafana.ensure_rule(rule) else 'there, left as it is'}")
    if held:
        names = ", ".join(change.board["title"] for change in held)
        console.print(f"left alone: {names}. Save a copy under another name, then use --overwrite-edits.")
        raise typer.Exit(1)


@app.command("diff")
def diff_command(
    url: Url,
    token_file: TokenFile,
    language: Language = "influxql",
    station: Station = "http://127.0.0.1:8080",
    boards: Boards = FOLDER,
) -> None:
    """What `install` would change, and what people changed since. Exit code 1 for any difference.

    [bold]Example[/]: wardlight boards diff --url https://grafana.example:3000 --token-file grafana.token
    """
    changes = _changes(Grafana(url, token_file), language, station, boards)
    _show(changes, Console())
    raise typer.Exit(0 if all(change.step is Step.KEEP for change in changes) else 1)


@app.command("remove")
def remove_command(
    url: Url,
    token_file: TokenFile,
    language: Language = "influxql",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    overwrite_edits: Annotated[bool, typer.Option(help="Remove what people changed, too.")] = False,
    boards: Boards = FOLDER,
) -> None:
    """Remove our boards and rules. Folder and data sources stay: others may use them.

    [bold]Example[/]: wardlight boards remove --url https://grafana.example:3000 --token-file grafana.token
    """
    grafana, console = Grafana(url, token_file), Console()
    there = [change for change in _changes(grafana, language, "", boards) if change.step is not Step.CREATE]
    mine = [change for change in there if change.step in (Step.KEEP, Step.UPDATE) or _forced(change, overwrite_edits)]
    if mine and not yes and not typer.confirm(f"Remove {len(mine)} boards?"):
        raise typer.Exit(1)
    for change in mine:
        if grafana.remove(change.board["uid"]):
            console.print(f"{change.board['title']}: removed")
    for uid in RULE_UIDS:
        if grafana.remove_rule(uid):
            console.print(f"rule {uid}: removed")
    left = [change.board["title"] for change in there if change not in mine]
    if left:
        console.print(f"left alone, since people changed them: {', '.join(left)}")
        raise typer.Exit(1)


def _forced(change: Change, overwrite: bool) -> bool:
    return overwrite and change.step in (Step.EDITED, Step.FOREIGN)


def _changes(grafana: Grafana, language: str, station: str, folder: Path) -> list[Change]:
    wanted = _wanted(language, station, folder)
    return planned(wanted, grafana.boards([board["uid"] for board in wanted]))


def _wanted(language: str, station: str, folder: Path) -> list[Board]:
    files = sorted((folder / language).glob("*.json"))
    if not files:
        raise ConfigurationError(f"boards: no boards in {folder / language}: --language is influxql or metricsql")
    found: list[Board] = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    for board in found:
        for variable in board["templating"]["list"]:
            if variable["name"] == _PLACE_OF_STATION and station:
                variable["query"] = station.rstrip("/")
    return found


def _check_permissions(grafana: Grafana) -> None:
    lacking = grafana.lacking()
    if lacking:
        raise ConfigurationError(
            f"boards: the service account lacks {', '.join(lacking)}. In Grafana: Administration, Service accounts; "
            "the role Admin has all of them"
        )


def _show(changes: list[Change], console: Console) -> None:
    for change in changes:
        console.print(f"{change.board['title']}: {change.step.value}", markup=False)
        for difference in change.differences:
            console.print(f"    {difference}", markup=False)


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"boards: --database-token-file {path} cannot be read ({error})") from error
