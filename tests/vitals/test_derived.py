"""The names of virtual devices: told apart from wearables, never too long, never made twice over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vitals.derived import best_name, derived_name, intervals_name, is_best, is_virtual, source_of
from vitals.model import SERVER_VITALS, VITALS, Vital

LONGEST = 64


@pytest.mark.parametrize(("name", "suffix"), [(derived_name, ":ppg"), (intervals_name, ":rr"), (best_name, ":best")])
def test_a_virtual_device_is_named_after_what_it_is_made_from(name: Callable[[str], str], suffix: str) -> None:
    fits = "x" * (LONGEST - len(suffix))
    assert name("a-1") == f"a-1{suffix}"
    assert len(name(fits)) == LONGEST
    assert name(fits + "x") is None
    assert name(name("a-1")) is None
    assert (is_virtual("a-1"), is_virtual(name("a-1"))) == (False, True)


def test_the_best_value_belongs_to_a_patient_and_says_nothing_of_one_wearable() -> None:
    assert best_name("") is None
    assert [is_best(name) for name in ("P-1:best", "ox-1:ppg", "ox-1:rr", "ox-1", "best")] == [True] + [False] * 4
    assert [source_of(name) for name in ("ox-1:ppg", "ox-1:rr", "ox-1", "P-1:best")] == ["ox-1"] * 3 + ["P-1:best"]


def test_every_vital_is_described_and_the_servers_own_come_last() -> None:
    assert set(VITALS) == set(Vital)
    assert sorted(Vital) == list(range(1, len(Vital) + 1))
    assert min(SERVER_VITALS) > max(set(Vital) - SERVER_VITALS)
