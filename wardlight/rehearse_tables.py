"""How a rehearsal is shown: a table, plain JSON values, and a picture. Compared with the first outcome throughout."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.table import Table

from alerts.reference import LEAST_EPISODE_NS, Episode, Verdict, verdict
from alerts.rehearse import Outcome, Recorded
from wardlight.bars import bar_chart


def outcome_table(recorded: Recorded, episodes: Sequence[Episode], outcomes: Sequence[Outcome]) -> Table:
    """Alarms per bed and day in all and by condition, the change against the first, and what became of episodes."""
    conditions = _conditions(outcomes)
    title = (
        f"{len(set(recorded.block.patients))} patients, {recorded.patient_days:.2f} patient-days, {len(episodes)} "
        f"episodes of {LEAST_EPISODE_NS // 10**9} s or more. Alarms per bed and day (number)"
    )
    table = Table(title=title, title_justify="left")
    for heading in ("settings", "alarms", "change", *(c.replace("_", " ") for c in conditions)):
        table.add_column(heading, justify="left" if heading == "settings" else "right")
    for heading in ("caught", "late", "missed", "delay, s: median", "total"):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        counts, verdicts, delays = outcome.by_condition, outcome.verdicts, _delays_s(outcome)
        table.add_row(
            outcome.name,
            f"{outcome.per_bed_day():.2f} ({len(outcome.spans)})",
            _percent(change(outcome, outcomes[0])),
            *(f"{outcome.per_bed_day(counts[c]):.2f} ({counts[c]})" for c in conditions),
            *(str(verdicts[v]) for v in Verdict),
            f"{median(delays):.0f}" if delays else "–",
            f"{sum(delays):.0f}" if delays else "–",
        )
    return table


def as_record(recorded: Recorded, episodes: Sequence[Episode], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything as plain JSON values; episodes with the delay that each of the settings had, `null` for missed."""
    return {
        "patients": len(set(recorded.block.patients)),
        "patient_days": recorded.patient_days,
        "settings": [_of_outcome(outcome, outcomes[0]) for outcome in outcomes],
        "episodes": [
            {
                "patient": episode.patient,
                "vital": episode.vital.name.lower(),
                "side": episode.side,
                "start_ns": episode.start_ns,
                "lasted_s": (episode.end_ns - episode.start_ns) / 1e9,
                "delay_s": {o.name: _seconds(o.delays_ns[index]) for o in outcomes},
                "verdict": {o.name: verdict(o.delays_ns[index]).value for o in outcomes},
            }
            for index, episode in enumerate(episodes)
        ],
    }


def _of_outcome(outcome: Outcome, first: Outcome) -> dict[str, Any]:
    delays = _delays_s(outcome)
    return {
        "name": outcome.name,
        "alarms": len(outcome.spans),
        "alarms_per_bed_day": outcome.per_bed_day(),
        "change_share": change(outcome, first),
        "by_condition": dict(outcome.by_condition),
        "episodes": {v.value: outcome.verdicts[v] for v in Verdict},
        "delay_median_s": median(delays) if delays else None,
        "delay_total_s": sum(delays),
        "limits_by_patient": outcome.limits,
    }


def outcome_chart(outcomes: Sequence[Outcome]) -> str:
    """Alarms by settings, and episodes late or missed, as SVG."""
    rows = [(o.name, (len(o.spans), o.verdicts[Verdict.LATE], o.verdicts[Verdict.MISSED])) for o in outcomes]
    return bar_chart("Rehearsal", ("alarms", "episodes told late", "episodes missed"), rows)


def change(outcome: Outcome, first: Outcome) -> float | None:
    """The change in alarms against `first`: -0.85 for 85 % fewer; `None` when `first` had none."""
    return len(outcome.spans) / len(first.spans) - 1 if first.spans else None


def _conditions(outcomes: Sequence[Outcome]) -> list[str]:
    return sorted({condition for outcome in outcomes for condition in outcome.by_condition})


def _delays_s(outcome: Outcome) -> list[float]:
    return [delay / 1e9 for delay in outcome.delays_ns if delay is not None]


def _seconds(delay_ns: int | None) -> float | None:
    return None if delay_ns is None else delay_ns / 1e9


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:+.0%}"
