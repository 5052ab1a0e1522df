"""The fleet's patched bytes are exactly what the real encoder would have written."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.fleet import FLEET_VITALS, Fleet
from vitals.errors import ConfigurationError
from vitals.model import GatewayBatch
from vitals.topics import Topic
from vitals.wire import decode, from_wire

AT_NS = 1_700_000_000_000_000_000
_NS = 1_000_000_000


def read(payload: bytes) -> GatewayBatch:
    decoded = decode(payload)
    assert decoded.rejected == ()
    return from_wire(decoded.batch)


@pytest.mark.parametrize(("wearables", "per_message"), [(1, 1), (20, 20), (103, 20), (5, 20), (40, 1), (300, 150)])
def test_every_wearable_says_its_values_once_a_second(wearables: int, per_message: int) -> None:
    fleet = Fleet(wearables=wearables, per_message=per_message, seed=3)
    for second in range(3):
        at_ns = AT_NS + second * _NS
        batches = [read(p) for p in fleet.second(sampled_at_ns=at_ns, sequence=second + 1, epoch=9)]
        assert [b.gateway for b in batches] == list(fleet.gateways)
        assert {(b.epoch, b.sequence, b.oldest, b.sent_at_ns) for b in batches} == {(9, second + 1, 1, at_ns)}
        devices = [d for b in batches for d in b.devices]
        assert [d.device for d in devices] == list(fleet.devices)
        assert max(len(b.devices) for b in batches) <= per_message
        for device, values in zip(devices, fleet.values, strict=True):
            assert [s.vital for s in device.samples] == list(FLEET_VITALS)
            assert [s.value for s in device.samples] == values.tolist()
            assert {s.sampled_at_ns for s in device.samples} == {at_ns}


def test_topics_name_the_gateways() -> None:
    fleet = Fleet(wearables=4, per_message=2, site="north")
    assert [Topic.parse(t) for t in fleet.topics] == [Topic("north", g, "batch") for g in fleet.gateways]


def test_payloads_of_earlier_seconds_do_not_change() -> None:
    fleet = Fleet(wearables=4, per_message=2)
    first = fleet.second(sampled_at_ns=AT_NS, sequence=1)
    kept = [read(p) for p in first]
    fleet.second(sampled_at_ns=AT_NS + _NS, sequence=2)
    assert [read(p) for p in first] == kept


def test_nobody_alarms_but_the_share_that_was_asked_for() -> None:
    fleet = Fleet(wearables=2_000, per_message=50, seed=5, abnormal_share=0.1)
    assert 150 < fleet.abnormal.sum() < 250
    for second in range(20):
        fleet.second(sampled_at_ns=AT_NS + second * _NS, sequence=second + 1)
        heart, spo2, resp = fleet.values.T
        beyond = (heart > 120) | (heart < 50) | (spo2 < 88) | (resp > 24) | (resp < 8)
        assert np.array_equal(beyond, fleet.abnormal)
    fleet.make_normal(np.flatnonzero(fleet.abnormal))
    fleet.second(sampled_at_ns=AT_NS, sequence=21)
    assert (fleet.values[:, 1] >= 88).all()


def test_values_move_as_a_patient_does() -> None:
    fleet = Fleet(wearables=200, per_message=50)
    series = []
    for second in range(30):
        fleet.second(sampled_at_ns=AT_NS + second * _NS, sequence=second + 1)
        series.append(fleet.values[:, 0])
    heart = np.array(series)
    assert (heart.std(axis=0) > 0.3).mean() > 0.95
    assert np.abs(np.diff(heart, axis=0)).mean() < heart.std()


def test_the_same_seed_gives_the_same_bytes() -> None:
    once, again = (Fleet(wearables=30, per_message=10, seed=7, abnormal_share=0.2) for _ in range(2))
    for second in range(3):
        at = {"sampled_at_ns": AT_NS + second * _NS, "sequence": second + 1}
        assert once.second(**at) == again.second(**at)


def test_the_ward_fits() -> None:
    fleet = Fleet(wearables=30, per_message=10)
    assert set(fleet.ward().patient_of()) == set(fleet.devices)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"wearables": 0}, "wearables"), ({"per_message": 1_000}, "per_message"), ({"abnormal_share": 1.5}, "share")],
)
def test_an_impossible_fleet_is_refused(changes: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Fleet(**({"wearables": 10, "per_message": 5} | changes))  # type: ignore[arg-type] # wrong on purpose
