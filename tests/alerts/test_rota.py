"""Who is on call: never nobody, also on the days when clocks change; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
import pytest
from duty_world import BERLIN, CHANNELS, PEOPLE, SHIFTS, S, berlin_ns, rota
from hypothesis import given
from hypothesis import strategies as st

from alerts.rota import DAYS, Absence, Person, Quiet, Shift, make_rota
from vitals.errors import ConfigurationError

SPRING, AUTUMN = "2026-03-29T00:00", "2026-10-25T00:00"


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_every_minute_of_a_day_on_which_clocks_change_has_a_responder(day: str) -> None:
    found = rota(shifts=(Shift("night", ("night",), "18:30", "02:30"), Shift("day", ("day",), "02:30", "18:30")))
    names = [found.on_call(berlin_ns(day) + minute * 60 * S) for minute in range(25 * 60)]
    assert all(len(on_call) == 1 for on_call in names)


def test_the_night_ends_by_the_wall_clock_of_the_ward() -> None:
    found = rota()
    for day in ("2026-03-29", "2026-06-01", "2026-10-25", "2026-12-01"):
        assert found.on_call(berlin_ns(f"{day}T05:59")) == ("night",)
        assert found.on_call(berlin_ns(f"{day}T06:00")) == ("day",)
        assert found.on_call(berlin_ns(f"{day}T18:30")) == ("night",)


_TIMES = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02d}:{minute % 60:02d}")


@given(
    cuts=st.lists(_TIMES, min_size=1, max_size=4, unique=True).map(sorted),
    at_s=st.integers(1_700_000_000, 1_900_000_000),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_a_rota_that_is_accepted_always_has_a_responder(cuts: list[str], at_s: int, zone: str) -> None:
    shifts = [Shift(start, ("day",), start, cuts[(i + 1) % len(cuts)]) for i, start in enumerate(cuts)]
    found = make_rota(PEOPLE, shifts, (), None, zone=type(BERLIN)(zone), channels=CHANNELS)
    assert found.on_call(at_s * S) == ("day",)


@given(start=_TIMES, end=_TIMES, missing=st.sampled_from(DAYS))
def test_a_gap_is_refused(start: str, end: str, missing: Any) -> None:
    days = tuple(day for day in DAYS if day != missing)
    shifts = [Shift("all", ("day",), "00:00", "00:00", days)]
    with pytest.raises(ConfigurationError, match=f"nobody is on call from {missing} 00:00"):
        make_rota(PEOPLE, shifts, (), None, zone=BERLIN, channels=CHANNELS)
    if start < end:
        with pytest.raises(ConfigurationError, match="shifts: nobody is on call from"):
            make_rota(PEOPLE, [Shift("part", ("day",), start, end)], (), None, zone=BERLIN, channels=CHANNELS)


def test_a_stand_in_is_called_for_somebody_absent_and_no_longer() -> None:
    away = Absence("day", datetime(2026, 5, 4, 6), datetime(2026, 5, 5, 6))  # noqa: DTZ001  the ward's wall clock
    found = rota(absences=(away,))
    assert found.on_call(berlin_ns("2026-05-04T06:00")) == ("spare",)
    assert found.on_call(berlin_ns("2026-05-05T06:00")) == ("day",)
    assert found.stand_ins(berlin_ns("2026-05-05T06:00")) == ("spare",)


def test_quiet_hours_go_over_midnight() -> None:
    found = rota(Quiet("22:00", "06:00"))
    assert [found.is_quiet(berlin_ns(f"2026-05-04T{t}")) for t in ("21:59", "22:00", "05:59", "06:00")] == [
        False,
        True,
        True,
        False,
    ]


_WRONG = {
    "people 'x'.channels: has no channel": {"people": (*PEOPLE, Person("x"))},
    "people 'x'.channels: channel 'fax' is not": {"people": (*PEOPLE, Person("x", ("fax",)))},
    "people 'day' stands twice": {"people": (*PEOPLE, PEOPLE[0])},
    "people 'x'.stand_in: 'y' is not": {"people": (*PEOPLE, Person("x", ("day-phone",), "y"))},
    "goes round in a circle": {"people": (*PEOPLE, Person("x", ("day-phone",), "x"))},
    "shifts 'day'.responders: is empty": {"shifts": (msgspec.structs.replace(SHIFTS[0], responders=()),)},
    "shifts 'day'.responders: 'y' is not": {"shifts": (msgspec.structs.replace(SHIFTS[0], responders=("y",)),)},
    "shifts 'day'.days: is empty": {"shifts": (msgspec.structs.replace(SHIFTS[0], days=()),)},
    "shifts 'day'.from: '6' is no time": {"shifts": (msgspec.structs.replace(SHIFTS[0], start="6"),)},
    "nobody is on call from mon 00:00": {"shifts": SHIFTS[:1]},
    "absences of 'charge': has no stand_in": {
        "absences": (Absence("charge", datetime(2026, 1, 1), datetime(2026, 1, 2)),)  # noqa: DTZ001
    },
    "quiet.to: '25:00' is no time": {"quiet": Quiet("22:00", "25:00")},
}


@pytest.mark.parametrize("expected", _WRONG)
def test_what_would_leave_somebody_uncalled_is_refused_by_name(expected: str) -> None:
    given_ = {"people": PEOPLE, "shifts": SHIFTS, "absences": (), "quiet": None, **_WRONG[expected]}
    with pytest.raises(ConfigurationError, match=expected):
        make_rota(**given_, zone=BERLIN, channels=CHANNELS)  # type: ignore[arg-type]  a table of settings
    assert replace(rota(), quiet=None).on_call(0)
