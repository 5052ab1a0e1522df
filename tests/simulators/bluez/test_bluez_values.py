"""The simulated BlueZ without a bus: tables, budgets, the ledger's file, the outbox, wards."""

from __future__ import annotations

import asyncio
import socket
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import decode_config
from gateway.devices.driver import Seen
from gateway.devices.registry import driver_for
from simulators.bluez import AdapterFaults, Failure, PeripheralSpec, outbox, ward, wearables
from simulators.bluez.faults import FaultBudget, healed
from simulators.bluez.ledger import Ledger, read
from simulators.bluez.link import Link, LinkEvent, after
from simulators.bluez.objects import CHARACTERISTIC, gatt_objects
from simulators.bluez.outbox import Outbox, Parcel
from simulators.scenario import shipped_scenario
from vitals.errors import ConfigurationError

UUID = "00002a37-0000-1000-8000-00805f9b34fb"


def test_a_link_loses_its_connection_only_by_an_event_that_ends_it() -> None:
    for link, event in product(Link, LinkEvent):
        if _legal(link, event) and link.connected and not after(link, event).connected:
            assert event in {LinkEvent.LOST, LinkEvent.CLOSED}


def test_an_event_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="RESOLVED cannot happen to a link that is IDLE"):
        after(Link.IDLE, LinkEvent.RESOLVED)


def test_every_link_can_be_lost_but_an_idle_one() -> None:
    assert {link for link in Link if _legal(link, LinkEvent.LOST)} == set(Link) - {Link.IDLE}


def _legal(link: Link, event: LinkEvent) -> bool:
    try:
        after(link, event)
    except ValueError:
        return False
    return True


@given(times=st.integers(0, 5), calls=st.integers(0, 10))
def test_a_failure_comes_as_often_as_wanted(times: int, calls: int) -> None:
    budget = FaultBudget((Failure("Connect", times=times), Failure("ReadValue")))
    assert sum(budget.take("Connect") is not None for _ in range(calls)) == min(times, calls)
    assert budget.take("ReadValue") is not None
    assert budget.take("WriteValue") is None


def test_a_scanner_heals_on_its_step_and_on_greater_ones() -> None:
    dead = AdapterFaults(scanner="dead", heals_on="power_cycle")
    assert healed(dead, "scan_restart").scanner == "dead"
    assert healed(dead, "power_cycle").scanner == "works"
    assert healed(dead, "daemon_restart").scanner == "works"
    assert healed(AdapterFaults(scanner="dead"), "daemon_restart").scanner == "dead"


@pytest.mark.parametrize("moves", [0, 1, 200])
def test_gatt_paths_end_in_four_digits(moves: int) -> None:
    services = wearables.make(PeripheralSpec(address=ward.address(1), kind="polar-h10")).profile.services
    made = gatt_objects("/org/bluez/hci0/dev_X", services, moves)
    assert all(len(path.rpartition("/")[2].lstrip("abcdefghijklmnopqrstuvwxyz")) <= 4 for path in made)
    assert sum(o.interface == CHARACTERISTIC for o in made.values()) == sum(len(s.characteristics) for s in services)
    assert moves == 0 or not set(made) & set(gatt_objects("/org/bluez/hci0/dev_X", services, 0))


# ── the ledger ──


@given(values=st.lists(st.binary(max_size=244), min_size=1, max_size=20), torn=st.integers(0, 200))
def test_a_ledger_goes_on_after_a_torn_line(
    tmp_path_factory: pytest.TempPathFactory, values: list[bytes], torn: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    _write(path, values)
    line = path.read_bytes().splitlines(keepends=True)[-1]
    path.write_bytes(path.read_bytes() + line[: min(torn, len(line) - 1)])
    _write(path, values)
    assert [d.value for d in read(path)] == values * 2
    assert [d.sequence for d in read(path)] == list(range(1, 2 * len(values) + 1))


def _write(path: Path, values: list[bytes]) -> None:
    ledger = Ledger(path)
    for value in values:
        ledger.note("C0", UUID, value, at_ns=1, monotonic_ns=1)
    ledger.close()


# ── the outbox ──


async def test_a_slow_reader_gets_everything_in_order() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    box, sent = Outbox(ours, pytest.fail), list[int]()
    pieces = [bytes([n % 256]) * 5000 for n in range(300)]
    for number, piece in enumerate(pieces):
        box.put(Parcel(piece, on_sent=lambda number=number: sent.append(number)))
    assert len(sent) < len(pieces)  # the kernel's buffer is full, and nothing is lost
    reader, writer = await asyncio.open_connection(sock=theirs)
    assert await reader.readexactly(5000 * 300) == b"".join(pieces)
    assert sent == list(range(300))
    box.close()
    writer.close()
    await writer.wait_closed()
    ours.close()


async def test_a_reader_that_stopped_costs_notifications_first_and_then_the_bus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "MAX_DROPPABLE_BYTES", 1000)
    monkeypatch.setattr(outbox, "MAX_BYTES", 3000)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    failed: list[Exception] = []
    box = Outbox(ours, failed.append)
    while box.offer(Parcel(bytes(500))):
        pass
    assert failed == []
    for _ in range(5):
        box.put(Parcel(bytes(500)))
    assert isinstance(failed[0], BufferError)
    ours.close()
    theirs.close()


# ── wards ──


def test_a_mixed_ward_is_known_to_the_gateway() -> None:
    specs = ward.mixed(22)
    assert len({spec.address for spec in specs}) == 22
    assert {spec.kind for spec in specs} == set(wearables.KINDS)
    for spec in specs:
        profile = wearables.make(spec).profile
        assert driver_for(Seen(spec.address, profile.name, services=frozenset(profile.advertised))) is not None


def test_the_gateway_takes_the_settings_of_a_ward() -> None:
    specs = ward.mixed(20)
    text = ward.gateway_settings(
        specs, url="mqtt://127.0.0.1:1883", site="demo", folder="/tmp/x", adapters=("hci0", "hci1")
    )
    assert decode_config(text).radio.adapters == ("hci0", "hci1")
    assert {d.address for d in decode_config(text).device} == {spec.address for spec in specs}


def test_wearables_of_one_patient_share_a_body() -> None:
    specs = ward.of_scenario(shipped_scenario("demo"))
    bodies = {(spec.patient.patient, spec.body_seed) for spec in specs}
    assert len(bodies) == len({spec.patient.patient for spec in specs})
    assert PeripheralSpec(address=ward.address(1)).body_seed != PeripheralSpec(address=ward.address(2)).body_seed


@pytest.mark.parametrize("wearables", [0, 201])
def test_a_ward_of_no_size_is_refused(wearables: int) -> None:
    with pytest.raises(ConfigurationError, match="1 to 200"):
        ward.mixed(wearables)
