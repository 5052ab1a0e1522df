"""`wardlight rehearse`: what other alarm settings would have done on recorded days, next to today's."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress

from alerts.adaptive import Adaptive, decode_adaptive
from alerts.limits import Preset, decode_preset
from alerts.reference import Episode, episodes
from alerts.rehearse import Outcome, Recorded, Variant, changed, only, plain_thresholds, rehearse
from vitals.errors import ConfigurationError
from vitals.model import VITAL_BY_NAME, Vital
from wardlight.alarms_report import write_picture
from wardlight.layout import DEFAULT_DATA, DataFolder, now_ns, read_ward
from wardlight.rehearse_tables import as_record, outcome_chart, outcome_table

SHIPPED: Final = ("adult", "adult-mild-waits", "adaptive")
MOST_CELLS: Final = 200  # of a grid: each is a passage of the engine through all days
_DAYS: Final = re.compile(r"(\d{1,3})([dh])")
_HOUR_NS: Final = 3_600_000_000_000


def rehearse_command(
    settings: Annotated[
        list[str] | None, typer.Option(help="Proposed preset: a file, or adult-mild-waits. May stand several times.")
    ] = None,
    adaptive: Annotated[
        str | None, typer.Option(help="Fit the proposal's limits to each patient: a file, or adaptive.")
    ] = None,
    today: Annotated[str, typer.Option(help="Today's preset: a file, or adult.")] = "adult",
    data: Annotated[Path | None, typer.Option(help="Folder of recordings: BIDMC, O2Ring, RR intervals.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Stored days instead: like 7d, 12h or a time.")] = None,
    data_dir: Annotated[Path, typer.Option(help="The server's data folder, for --from.")] = DEFAULT_DATA,
    ward: Annotated[Path | None, typer.Option(help="The ward file, for --from: beds and patients' own limits.")] = None,
    grid: Annotated[
        list[str] | None, typer.Option(help="Sweep a setting of the plain thresholds: spo2.low=85,88,90")
    ] = None,
    shift: Annotated[
        list[str] | None, typer.Option(help="Play recordings as of another baseline: spo2=-5 takes 5 points off.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Write a picture too: an .svg file.")] = None,
) -> None:
    """Replay recorded days through today's and proposed alarm settings: alarms, delays, episodes late or missed.

    An episode is a minute or more beyond a limit of the plain thresholds, in readings that are not doubtful. A grid
    counts the swept vitals only.

    [bold]Examples[/]

    wardlight rehearse --data recordings --settings adult-mild-waits --adaptive adaptive

    wardlight rehearse --from 7d --ward ward.toml --settings new.toml --picture week.svg

    wardlight rehearse --data recordings --grid spo2.low=84,86,88,90 --grid spo2.low_delay_s=0,5,10,15,30,60
    """
    if (data is None) == (start is None):
        raise ConfigurationError("say what to replay: --data FOLDER of recordings, or --from 7d of the server's store")
    if shift and data is None:
        raise ConfigurationError("--shift plays recordings of --data differently; stored days are taken as they are")
    variants = _variants(settings or [], adaptive, today, grid or [])
    shifts = dict(_shift(text) for text in shift or ())
    console = Console(stderr=True)
    with Progress(console=console) as progress:
        recorded = _recorded(data, start, data_dir, ward, shifts, progress)
        if grid:
            swept = {VITAL_BY_NAME[vital] for _, cell in cells(grid) for vital, _ in cell}
            recorded = only(recorded, swept)
        reference = plain_thresholds(_preset(today))
        found = episodes(recorded.block, reference.vitals)
        outcomes = [_rehearsed(recorded, variant, found, progress) for variant in variants]
    if picture is not None:
        write_picture(picture, outcome_chart(outcomes))
    if as_json:
        typer.echo(json.dumps(as_record(recorded, found, outcomes), indent=2))
    else:
        Console(width=None if console.is_terminal else 160).print(outcome_table(recorded, found, outcomes))


def _variants(settings: Sequence[str], adaptive: str | None, today: str, grid: Sequence[str]) -> list[Variant]:
    """What is rehearsed, the plain thresholds first: everything is compared with them."""
    current = _preset(today)
    plain = plain_thresholds(current)
    found = [Variant("plain thresholds", plain, as_received=True)]
    if grid:
        return found + [Variant(name, changed(plain, cell), as_received=True) for name, cell in cells(grid)]
    fitted = None if adaptive is None else _adaptive(adaptive)
    found.append(Variant("today", current))
    found += [Variant(Path(name).stem, _preset(name)) for name in settings]
    if fitted is not None:
        base = found[-1]
        found.append(Variant(f"{base.name}, adaptive", base.preset, fitted))
    return found


def cells(grid: Sequence[str]) -> list[tuple[str, dict[tuple[str, str], float]]]:
    """Every combination of the swept settings, with its name; raises `ConfigurationError`."""
    axes = []
    for text in grid:
        match = re.fullmatch(r"(\w+)\.(\w+)=([\d.,]+)", text)
        if match is None or match[1] not in VITAL_BY_NAME:
            raise ConfigurationError(f"--grid {text!r}: write a vital, a field and values: spo2.low=85,88,90")
        try:
            axes.append([((match[1], match[2]), float(value)) for value in match[3].split(",")])
        except ValueError as error:
            raise ConfigurationError(f"--grid {text!r}: the values are numbers with commas between") from error
    found = [(", ".join(f"{v}.{f} {n:g}" for (v, f), n in cell), dict(cell)) for cell in product(*axes)]
    if len(found) > MOST_CELLS:
        raise ConfigurationError(f"--grid: {len(found)} combinations; at most {MOST_CELLS}, name fewer values")
    return found


def _shift(text: str) -> tuple[Vital, float]:
    name, _, amount = text.partition("=")
    try:
        return VITAL_BY_NAME[name], float(amount)
    except (KeyError, ValueError) as error:
        raise ConfigurationError(f"--shift {text!r}: write a vital and a number, like spo2=-5") from error


def _text(name: str) -> bytes:
    if name in SHIPPED:
        return files("alerts").joinpath(f"presets/{name}.toml").read_bytes()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{name} cannot be read ({error.strerror}); name a file, or one of {', '.join(SHIPPED)}"
        ) from error


def _preset(name: str) -> Preset:
    return decode_preset(_text(name))


def _adaptive(name: str) -> Adaptive:
    return decode_adaptive(_text(name))


def _recorded(
    data: Path | None,
    start: str | None,
    folder: Path,
    ward: Path | None,
    shifts: dict[Vital, float],
    progress: Progress,
) -> Recorded:
    from wardlight.rehearse_data import recorded_of, recordings_in, stored

    bar = progress.add_task("readings", total=1.0)

    def advance(done: float) -> None:
        progress.update(bar, completed=done)

    if data is not None:
        recordings, problems = recordings_in(data)
        if problems:
            progress.console.print(f"{len(problems)} files have no numbers to rehearse with, the first: {problems[0]}")
        return recorded_of(recordings, shift=shifts, advance=advance)
    known = None if ward is None else read_ward(ward)
    begin_ns = _begin_ns(start or "", ZoneInfo(known.time_zone if known else "UTC"))
    return stored(DataFolder(folder).store, known, begin_ns, now_ns(), advance)


def _begin_ns(text: str, zone: ZoneInfo) -> int:
    from wardlight.export import moment_ns

    match = _DAYS.fullmatch(text)
    if match is None:
        return moment_ns(text, zone, "--from")
    return now_ns() - int(match[1]) * (24 if match[2] == "d" else 1) * _HOUR_NS


def _rehearsed(recorded: Recorded, variant: Variant, found: Sequence[Episode], progress: Progress) -> Outcome:
    bar = progress.add_task(variant.name, total=1.0)
    return rehearse(recorded, variant, found, lambda done: progress.update(bar, completed=done))
