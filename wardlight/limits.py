"""`wardlight limits`: which alarm limits hold for a patient, and changing them with who and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from alerts.config import AlertConfig, decode_config, read_preset
from alerts.limit_changes import ConfigurationChange, LimitChange, Setting, limit_change, preset_of, preset_words
from alerts.limit_journal import LimitHistory, append, read_history, writing
from alerts.limits import Preset
from alerts.limits_in_force import Difference, Origin, check, differences, in_force
from vitals.errors import ConfigurationError
from vitals.ward import Patient, Ward
from wardlight.export import moment_ns
from wardlight.layout import DEFAULT_DATA, DataFolder, now_ns, read_ward
from wardlight.limits_tables import console, entry_record, history_table, limit_record, limits_table, until_words

WAIT_S: Final = 5.0  # for another command, or a server that starts, to finish writing
MOST_LISTED: Final = 12  # beds in a message
TAKEN: Final = "Written down. A running server takes it into force within two seconds."

app: Final = typer.Typer(no_args_is_help=True, help="Alarm limits of a patient: what holds, and changing it.")

DataOption = Annotated[Path, typer.Option(help="The server's data folder.")]
WardOption = Annotated[Path, typer.Option(help="The ward file that the server runs with.")]
AlertsOption = Annotated[
    Path | None, typer.Option(help="alerts.toml, for its preset; otherwise the preset that the server runs with.")
]
ByOption = Annotated[str, typer.Option(help="Who wants it: a role or initials.")]
WhyOption = Annotated[str, typer.Option(help="Why, in a few words. No patient's name.")]
WhoArgument = Annotated[str, typer.Argument(metavar="BED", help="The bed, or the patient's pseudonym.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@app.command("show")
def show_command(
    ward: WardOption,
    who: Annotated[str | None, typer.Argument(metavar="[BED]", help="All that holds for one bed or patient.")] = None,
    data: DataOption = DEFAULT_DATA,
    alerts: AlertsOption = None,
    as_json: JsonOption = False,
) -> None:
    """The limits in force and where each comes from: the ward's preset, the ward file, or a change by whom and why.

    Without a bed: whatever differs from the preset, of all patients.

    [bold]Examples[/]

    wardlight limits show --ward ward.toml

    wardlight limits show 3-01 --ward ward.toml
    """
    of_ward, changes, at_ns = read_ward(ward), (history := _history(DataFolder(data))).changes, now_ns()
    preset = preset_in_force(history, alerts)
    chosen = of_ward.patients if who is None else [find(of_ward, who)]
    found = []
    for patient in chosen:
        changed, counting = changes.overrides(patient.patient, at_ns), changes.counting(patient.patient, at_ns)
        found += [(patient, limit) for limit in in_force(preset, patient, changed, counting)]
    if who is None:
        found = [(patient, limit) for patient, limit in found if limit.origin is not Origin.PRESET]
    if as_json:
        for patient, limit in found:
            typer.echo(json.dumps(limit_record(patient, limit)))
        return
    zone = ZoneInfo(of_ward.time_zone)
    title = f"{preset_words(preset)}, limits {'that differ from it' if who is None else f'of {who}'}, times in {zone}"
    console().print(limits_table(found, zone, title))


@app.command("set")
def set_command(
    who: WhoArgument,
    settings: Annotated[list[str], typer.Argument(metavar="VITAL.SETTING=NUMBER...", help="Such as spo2.low=86.")],
    ward: WardOption,
    by: ByOption,
    why: WhyOption,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="It ends by itself then: 07:00, or 2026-11-23T07:00, ward time.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    alerts: AlertsOption = None,
) -> None:
    """Change limits of one patient. What is unsafe is refused and changes nothing (exit code 2).

    Settings: low, severe_low, high, severe_high, their delays (low_delay_s …), and hysteresis; those of one command
    are checked and take effect together. The ward's own defaults are in the preset.

    [bold]Examples[/]

    wardlight limits set 3-01 spo2.low=86 spo2.low_delay_s=20 --ward ward.toml --by "ward doctor" --why "COPD, 84-88"

    wardlight limits set 3-01 spo2.low=85 --until 07:00 --ward ward.toml --by AB --why "dips asleep, seen"
    """
    wanted = tuple(map(parse, settings))
    _Desk(read_ward(ward), DataFolder(data), alerts).change(who, wanted, by=by, why=why, until=until)


@app.command("reset")
def reset_command(
    who: WhoArgument,
    settings: Annotated[list[str], typer.Argument(metavar="VITAL.SETTING...", help="Such as spo2.low.")],
    ward: WardOption,
    by: ByOption,
    why: WhyOption,
    data: DataOption = DEFAULT_DATA,
    alerts: AlertsOption = None,
) -> None:
    """Go back to what the ward's files say, for one patient.

    [bold]Example[/]: wardlight limits reset 3-01 spo2.low spo2.low_delay_s --ward ward.toml --by AB --why "recovered"
    """
    wanted = tuple(Setting(*named(text), None) for text in settings)
    _Desk(read_ward(ward), DataFolder(data), alerts).change(who, wanted, by=by, why=why)


@app.command("history")
def history_command(
    ward: WardOption,
    who: Annotated[str | None, typer.Argument(metavar="[BED]", help="Only of this bed or patient.")] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Who changed what, when and why, and what a server found changed in its files; the oldest first.

    [bold]Examples[/]

    wardlight limits history --ward ward.toml

    wardlight limits history 3-01 --ward ward.toml --json
    """
    of_ward = read_ward(ward)
    patient = None if who is None else _name(of_ward, who)
    entries = [e for e in _history(DataFolder(data)).entries if patient is None or _is_of(e, patient)]
    if as_json:
        for entry in entries:
            typer.echo(json.dumps(entry_record(entry)))
        return
    beds = {p.patient: p.bed for p in of_ward.patients}
    console().print(history_table(entries, beds, ZoneInfo(of_ward.time_zone)))


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where a change is checked and written down."""

    ward: Ward
    data: DataFolder
    alerts: Path | None

    def change(self, who: str, settings: tuple[Setting, ...], *, by: str, why: str, until: str | None = None) -> None:
        """Check the limits that would follow, write the change, and say what holds now; refuses with exit code 2."""
        patient, at_ns = find(self.ward, who), now_ns()
        zone = ZoneInfo(self.ward.time_zone)
        until_ns = 0 if until is None else end_ns(until, zone, at_ns)
        _require(self.data)
        with writing(self.data.limits, wait_s=WAIT_S) as journal:
            history = LimitHistory()
            history.read_on(journal)
            preset = preset_in_force(history, self.alerts)
            change = limit_change(
                patient.patient, settings, by, why, at_ns=at_ns, until_ns=until_ns, preset=preset_words(preset)
            )
            before = history.changes.overrides(patient.patient, at_ns)
            history.changes.take(change)
            try:
                check(preset, patient, history.changes, at_ns)
            except ConfigurationError as error:
                why_not = str(error).replace("ward: patient", "patient")
                raise ConfigurationError(f"bed {patient.bed}: refused, nothing was changed: {why_not}") from error
            append(journal, change)
        for line in told(differences(preset, patient, before, history.changes, at_ns), patient.bed, zone):
            typer.echo(line)


def find(ward: Ward, who: str) -> Patient:
    """The patient in that bed, or of that pseudonym; raises `ConfigurationError` that lists the beds."""
    for patient in ward.patients:
        if who in (patient.bed, patient.patient):
            return patient
    beds = [patient.bed for patient in ward.patients]
    listed = ", ".join(beds[:MOST_LISTED]) + (f" and {len(beds) - MOST_LISTED} more" if len(beds) > MOST_LISTED else "")
    raise ConfigurationError(
        f"{who!r} is neither a bed nor a patient of the ward file; its beds are {listed or 'none'}"
    )


def parse(text: str) -> Setting:
    """`spo2.low=86`; raises `ConfigurationError`."""
    name, equals, number = text.partition("=")
    if not equals:
        raise ConfigurationError(f"{text!r}: write VITAL.SETTING=NUMBER, such as spo2.low=86")
    try:
        value = float(number)
    except ValueError as error:
        raise ConfigurationError(f"{text!r}: {number!r} is not a number; write one such as spo2.low=86") from error
    return Setting(*named(name), value)


def named(text: str) -> tuple[str, str]:
    """`spo2.low` as vital and field; raises `ConfigurationError`."""
    vital, dot, field = text.partition(".")
    if not (vital and dot and field) or "=" in field:
        raise ConfigurationError(f"{text!r}: write VITAL.SETTING, such as spo2.low")
    return vital, field


def end_ns(text: str, zone: ZoneInfo, at_ns: int) -> int:
    """When a change ends: a time of day is the next such time in the ward; raises `ConfigurationError`."""
    try:
        of_day = time.fromisoformat(text)
    except ValueError:
        return moment_ns(text, zone, "--until")
    now = datetime.fromtimestamp(at_ns / 1e9, zone)
    until = datetime.combine(now.date(), of_day, zone)
    if until <= now:
        until = datetime.combine(now.date() + timedelta(days=1), of_day, zone)
    return round(until.timestamp()) * 1_000_000_000


def preset_in_force(history: LimitHistory, alerts: Path | None) -> Preset:
    """The preset that the server runs with; of `alerts` when named; the shipped one where no server ever ran."""
    if alerts is not None:
        try:
            config = decode_config(alerts.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"{alerts} cannot be read ({error.strerror}): check the path") from error
        return read_preset(config, alerts.parent)
    if history.configuration is not None:
        return preset_of(history.configuration.configuration)
    return read_preset(AlertConfig(), Path())


def told(changed: Sequence[Difference], bed: str, zone: ZoneInfo) -> list[str]:
    """What a change did, for whoever made it."""
    lines = [f"Bed {bed}: {change}" + until_words(change.until_ns, zone) for change in changed]
    return [*lines, TAKEN] if lines else [f"Bed {bed}: the change is written down; the limits stay what they were."]


def _history(data: DataFolder) -> LimitHistory:
    _require(data)
    return read_history(data.limits)


def _require(data: DataFolder) -> None:
    if not data.root.is_dir():
        raise ConfigurationError(f"{data.root} does not exist: name the server's data folder with --data")


def _name(ward: Ward, who: str) -> str:
    """A bed's patient; a pseudonym as it is, for somebody may have left the ward."""
    return next((p.patient for p in ward.patients if p.bed == who), who)


def _is_of(entry: LimitChange | ConfigurationChange, patient: str) -> bool:
    return isinstance(entry, ConfigurationChange) or entry.patient == patient
