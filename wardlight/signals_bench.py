"""`wardlight bench signals`: how well the signal methods do on recordings with a reference."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from vitals.errors import ConfigurationError

if TYPE_CHECKING:
    from wardlight.signals_data import Found
    from wardlight.signals_scores import Measure, Score

PIPED_WIDTH: Final = 160  # characters, where nobody says how wide the paper is

app = typer.Typer(no_args_is_help=True, help="Measure this installation on recordings with a reference.")


@app.callback()
def _group() -> None:
    """Keeps `signals` a sub-command, although it is the only one yet."""


@app.command("signals")
def signals_command(
    data: Annotated[Path, typer.Option(help="A folder with recordings; sub-folders too.")],
    as_json: Annotated[bool, typer.Option("--json", help="All figures of every record as JSON.")] = False,
    records: Annotated[bool, typer.Option("--records", help="A line for every record too.")] = False,
) -> None:
    """Score pulse rate, breathing, ectopic beats and oxygen on every recording found below a folder.

    Files are known by their content: IEEE SPC and BAMI .mat, BIDMC and CinC 2015 .npz, MIT-BIH .atr with .hea,
    O2Ring .csv, RR intervals in ms as .txt. A figure that has to hold is shown beside its bound.

    [bold]Examples[/]

    wardlight bench signals --data ../shared/data

    wardlight bench signals --data night-studies --json > scores.json
    """
    from wardlight.signals_data import LAYOUTS, files, find

    if not data.is_dir():
        raise ConfigurationError(f"{data} is no folder: name the one that holds the recordings with --data")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console) as progress:
        reading = progress.add_task("reading", total=len(files(data)))
        found, problems = find(data, lambda _: progress.advance(reading))
        scores = score_all(found, progress)
    for problem in problems:
        console.print(f"[yellow]left out:[/] {problem}", highlight=False, soft_wrap=True)
    if not scores:
        raise ConfigurationError(f"{data} holds no recording of a known layout: {LAYOUTS}")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode([as_record(score) for score in scores])).decode())
        return
    _print(scores, with_records=records)


def score_all(families: Iterable[Found], progress: Progress) -> list[Score]:
    """The scores of all families, in the order found; a line of progress for each."""
    scores: list[Score] = []
    for found in families:
        line = progress.add_task(found.family, total=None)
        scores += score_family(found, partial(progress.advance, line))
        done = progress.tasks[line].completed
        progress.update(line, total=done, completed=done)
    return scores


def score_family(found: Found, progress: Callable[[], None]) -> list[Score]:
    """The scores of the recordings of one folder and layout."""
    from wardlight import signals_beats, signals_rates

    records = cast("list[Any]", found.recordings)
    match found.layout:
        case "ieee_spc" | "bami":
            return [signals_rates.score_motion(found.family, found.layout, records, progress)]
        case "bidmc":
            return list(signals_rates.score_bedside(found.family, records, progress))
        case "cinc_vt":
            return [signals_rates.score_alarms(found.family, records, progress)]
        case "mitdb":
            return [signals_beats.score_beats(found.family, records, progress)]
        case "rr":
            return [signals_beats.score_intervals(found.family, records, progress)]
        case _:
            return [signals_beats.score_nights(found.family, records, progress)]


def as_record(score: Score) -> dict[str, Any]:
    """A score as plain JSON values; a figure that cannot be told is null."""
    return {
        "family": score.family,
        "task": score.task,
        "records": score.records,
        "us_per_device_second": float(score.us_per_device_s),
        "measures": [
            {
                "name": measure.name,
                "value": _or_none(measure.value),
                "bound": measure.bound,
                "bound_is": None if measure.bound is None else "at most" if measure.at_most else "at least",
                "holds": measure.holds,
            }
            for measure in score.measures
        ],
        "per_record": {
            name: {key: _or_none(value) for key, value in figures.items()} for name, figures in score.per_record.items()
        },
    }


def _or_none(value: float | str) -> float | str | None:
    if isinstance(value, str | int):
        return value
    return float(value) if math.isfinite(value) else None


def _print(scores: Sequence[Score], *, with_records: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    for score in scores:
        table = Table(title=f"{score.family}: {score.task}, {score.records} records", title_justify="left", box=None)
        for heading in ("figure", "value", "must be", ""):
            table.add_column(heading, justify="right" if heading == "value" else "left")
        for measure in score.measures:
            value = f"{measure.value:.{measure.decimals}f}" if math.isfinite(measure.value) else "–"
            table.add_row(measure.name, value, *_verdict(measure))
        table.add_row("CPU per device-second, µs", f"{score.us_per_device_s:.0f}")
        console.print(table)
        if with_records:
            _print_records(console, score)
        console.print()


def _verdict(measure: Measure) -> tuple[str, str]:
    if measure.bound is None:
        return "", ""
    sign = "≤" if measure.at_most else "≥"
    return f"{sign} {measure.bound:g}", "[green]holds[/]" if measure.holds else "[red]misses[/]"


def _print_records(console: Console, score: Score) -> None:
    table = Table(box=None)
    names = list(next(iter(score.per_record.values())))
    for heading in ("record", *names):
        table.add_column(heading, justify="left" if heading == "record" else "right", overflow="fold")
    for record, figures in score.per_record.items():
        cells = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in (figures[name] for name in names))
        table.add_row(record, *cells)
    console.print(table)
