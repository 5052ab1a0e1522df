"""What boards learn of gateways, wearables and beds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from influx_world import SECOND_NS, START_NS, second

from ingest.influx.encoding import encode_records
from ingest.influx.line_protocol import Precision
from ingest.influx.status_lines import DELAY_EVERY_S, bed_line, delay_lines, status_lines
from vitals.columns import RecordKind, SampleBlock, encode_block
from vitals.control import encode_status
from vitals.model import GatewayHealth, GatewayStatus, Presence, RadioHealth, WearableHealth
from vitals.ward import Patient

NS = Precision.NANOSECONDS
HEALTH = GatewayHealth(
    wearables=(
        WearableHealth("ox-17", "streaming", rssi_dbm=-67, battery_pct=80, silent_s=0.5, reconnects=2),
        WearableHealth("ox-18"),
    ),
    radios=(RadioHealth("hci0", "scanning", 3, (("reset", 2), ("power", 1))),),
    problems=('The radio "hci0" hangs: plug it in again.',),
    held=4,
    set_aside=1,
    uptime_s=60.5,
)


def test_a_status_tells_of_the_gateway_and_of_each_wearable() -> None:
    status = GatewayStatus("gw-1", Presence.ONLINE, START_NS, "1.0", spooled=7, health=HEALTH)
    gateway, first, second_one = (found.decode() for found in status_lines(status, "north", NS))
    assert gateway.startswith("gateway,gateway=gw-1,site=north presence=1.0,spooled=7.0,dropped=0.0,")
    told = 'held=4.0,set_aside=1.0,uptime_s=60.5,wearables=2.0,connections=3.0,recoveries=3.0,problems=1.0,problem="'
    assert told in gateway
    assert '\\"hci0\\"' in gateway
    assert first == (
        "wearable,device=ox-17,gateway=gw-1,site=north "
        f'reconnects=2.0,rssi_dbm=-67.0,battery_pct=80.0,silent_s=0.5,phase="streaming" {START_NS}\n'
    )
    assert second_one == f"wearable,device=ox-18,gateway=gw-1,site=north reconnects=0.0 {START_NS}\n"


def test_a_last_will_tells_of_no_parts() -> None:
    (only,) = status_lines(GatewayStatus("gw-1", Presence.LOST, START_NS), "north", Precision.MILLISECONDS)
    assert b"held" not in only
    assert only.endswith(b" %d\n" % (START_NS // 10**6))


def received(delays_s: list[float], gateways: tuple[str, ...], *, at_s: int = 0) -> SampleBlock:
    """A block of one reading from each of several devices, so old when they came."""
    assert START_NS % (DELAY_EVERY_S * SECOND_NS) == 0
    block = second(0, len(delays_s))
    rows = block.rows[::3].copy()
    rows["received_at_ns"] = START_NS + at_s * SECOND_NS
    rows["sampled_at_ns"] = rows["received_at_ns"] - [round(delay * SECOND_NS) for delay in delays_s]
    return replace(block, gateways=gateways, rows=rows)


def test_delays_are_told_of_each_gateway() -> None:
    block = received([0.5, 90.0, 2.0], ("gw-b", "gw-b", "gw-a"))
    assert [found.decode() for found in delay_lines(block, "north", NS)] == [
        f"gateway,gateway=gw-a,site=north delay_s=2.0,least_delay_s=2.0 {START_NS}\n",
        f"gateway,gateway=gw-b,site=north delay_s=90.0,least_delay_s=0.5 {START_NS}\n",
    ]


@pytest.mark.parametrize("at_s", [1, DELAY_EVERY_S - 1, DELAY_EVERY_S + 1])
def test_delays_are_told_now_and_then(at_s: int) -> None:
    assert list(delay_lines(received([0.5], ("gw",), at_s=at_s), "north", NS)) == []


def test_what_the_server_makes_itself_has_no_delay() -> None:
    block = replace(received([0.5, 9.0], ("gw", "")), devices=("ox-1:ppg", "P-0001:best"))
    assert list(delay_lines(block, "north", NS)) == []


def test_statuses_and_delays_come_with_the_readings() -> None:
    block = received([0.5], ("gw",))
    status = encode_status(GatewayStatus("gw", Presence.ONLINE, START_NS, health=HEALTH))
    records = [(int(RecordKind.SAMPLES), encode_block(block)), (int(RecordKind.STATUS), status)]
    encoded = encode_records(records, "north", NS)
    lines = b"".join(encoded.lines.bodies).splitlines()
    assert [found.split(b",")[0] for found in lines] == [b"vitals", b"gateway", b"gateway", b"wearable", b"wearable"]
    assert encoded.lines.count == len(lines)


def test_a_bed_names_its_patient_as_tag_and_as_field() -> None:
    told = bed_line(Patient("P-0001", "3 01", ("ox-1", "strap-1")), "north", START_NS, NS).decode()
    assert told == f'bed,bed=3\\ 01,patient=P-0001,site=north occupied=1.0,wearables=2.0,wearer="P-0001" {START_NS}\n'
