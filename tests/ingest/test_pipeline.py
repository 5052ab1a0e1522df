"""The pipeline: messages in, effects out; the same rows however messages are grouped."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.commit import MAX_FINDINGS, Effects
from ingest.pipeline import MAX_MESSAGES, Pipeline
from ingest.receipts import ReceiptLedger
from ingest.signals.stage import SignalStage
from ingest.source import Incoming, Rejection
from ingest.validate import MAX_EXCERPT_BYTES, Accepted, flatten, judge, strip_times
from vitals.columns import RecordKind, SampleBlock, concatenate, decode_block
from vitals.control import decode_receipt, decode_status, encode_receipt, encode_status
from vitals.derived import is_best
from vitals.model import (
    ClockSource,
    ClockTrust,
    DeviceBatch,
    GatewayBatch,
    GatewayStatus,
    Presence,
    Quality,
    Reason,
    Receipt,
    Sample,
    Vital,
    Waveform,
    WaveformBlock,
)
from vitals.wire import MAX_PAYLOAD_BYTES, decode, encode
from vitals.wire_json import encode_json

SECOND = 1_000_000_000
NOW = 1_750_000_000 * SECOND
CLOCK = ClockTrust(ClockSource.SYNCHRONISED, 5.0)


def batch(*devices: DeviceBatch, sequence: int = 1, epoch: int = 9, oldest: int = 1, gateway: str = "gw-1") -> bytes:
    return encode(GatewayBatch(gateway, epoch, sequence, oldest, NOW, CLOCK, devices))


def heart_rate(value: float | None, at_s: float = 0, *, device: str = "strap-1", **more: Any) -> DeviceBatch:
    reason = Reason.PRESENT if value is not None else Reason.PROBE_OFF
    sample = Sample(Vital.HEART_RATE, NOW + round(at_s * SECOND), value, **{"reason": reason, **more})
    return DeviceBatch(device, (sample,))


def ppg(at_s: float, counts: Sequence[int], *, waveform: Waveform = Waveform.PPG_INFRARED) -> WaveformBlock:
    return WaveformBlock(waveform, NOW + round(at_s * SECOND), 50.0, np.array(counts, "<i4").tobytes())


def incoming(payload: bytes, topic: str = "wardlight/v1/north/gw-1/batch", after_s: float = 100) -> Incoming:
    return Incoming(topic, payload, NOW + round(after_s * SECOND), lambda: None)


def block_of(*effects: Effects) -> SampleBlock:
    """What was received, without the best values made of it."""
    block = _all_of(*effects)
    best = np.array([is_best(device) for device in block.devices], np.bool_)
    own = block.rows[~best[block.rows["device"]]]
    listed = max([*own["device"].tolist(), *(wave.device for wave in block.waveforms)], default=-1) + 1
    names = (block.devices[:listed], block.patients[:listed], block.gateways[:listed])
    return SampleBlock(*names, own, block.waveforms)


def _all_of(*effects: Effects) -> SampleBlock:
    payloads = [payload for e in effects for kind, payload in e.records if kind == RecordKind.SAMPLES]
    return concatenate([decode_block(payload) for payload in payloads])


def test_another_sites_message_is_set_aside_and_its_gateway_keeps_it() -> None:
    foreign = incoming(batch(heart_rate(72.0)), "wardlight/v1/south/gw-1/batch")
    effects = Pipeline({}, site="north").feed([foreign])
    assert [(p.reason, p.field) for p in effects.poison] == [("site", "topic")]
    assert (effects.records, effects.receipts) == ([], [])
    assert Pipeline({}, site="south").feed([foreign]).receipts


def test_a_message_becomes_rows_with_patient_gateway_and_times() -> None:
    devices = (heart_rate(72.0, 3), heart_rate(None, 4, device="strap-2"))
    block = block_of(Pipeline({"strap-1": "P-0001", "strap-2": "P-0002"}).feed([incoming(batch(*devices))]))
    assert block.devices == ("strap-1", "strap-2")
    assert block.patients == ("P-0001", "P-0002")
    assert block.gateways == ("gw-1", "gw-1")
    assert (block.rows["sampled_at_ns"] - NOW).tolist() == [3 * SECOND, 4 * SECOND]
    assert (block.rows["received_at_ns"] - NOW).tolist() == [100 * SECOND] * 2
    assert block.rows["uncertainty_ms"].tolist() == [5.0, 5.0]
    assert block.rows["reason"].tolist() == [Reason.PRESENT, Reason.PROBE_OFF]
    np.testing.assert_array_equal(block.rows["value"], [72.0, np.nan])


def test_unassigned_devices_are_stored_all_the_same() -> None:
    block = block_of(Pipeline({"a": "P-0001"}).feed([incoming(batch(heart_rate(72.0, device="b")))]))
    assert (block.devices, block.patients, block.gateways) == (("b",), ("",), ("gw-1",))
    assert block.rows["value"].tolist() == [72.0]


def test_json_and_message_pack_make_the_same_rows() -> None:
    message = GatewayBatch("gw-1", 9, 1, 1, NOW, CLOCK, (heart_rate(72.0),))
    blocks = [block_of(Pipeline({}).feed([incoming(form(message))])) for form in (encode, encode_json)]
    assert blocks[0].rows.tobytes() == blocks[1].rows.tobytes()


def test_one_commit_is_one_block_and_statuses_follow() -> None:
    status = GatewayStatus("gw-1", Presence.ONLINE, NOW, "1.0", 3, 1)
    effects = Pipeline({}).feed(
        [
            incoming(batch(heart_rate(72.0), sequence=1)),
            incoming(encode_status(status), "wardlight/v1/north/gw-1/status"),
            incoming(batch(heart_rate(73.0, 1), sequence=2)),
        ]
    )
    assert [kind for kind, _ in effects.records] == [RecordKind.SAMPLES, RecordKind.STATUS]
    assert decode_status(effects.records[1][1]) == status
    assert len(block_of(effects).rows) == 2


def test_receipts_and_marks_of_a_commit() -> None:
    pipeline = Pipeline({})
    effects = pipeline.feed(
        [
            incoming(batch(sequence=1)),
            incoming(batch(sequence=2)),
            incoming(batch(sequence=7, gateway="gw-2"), "wardlight/v1/south/gw-2/batch"),
            incoming(batch(epoch=0, gateway="gw-3"), "wardlight/v1/north/gw-3/batch"),
        ]
    )
    assert [(topic, decode_receipt(payload)) for topic, payload in effects.receipts] == [
        ("wardlight/v1/north/gw-1/receipt", Receipt("gw-1", 9, 2)),
        ("wardlight/v1/south/gw-2/receipt", Receipt("gw-2", 9, 0, ahead=((7, 7),))),
    ]
    assert set(effects.marks) == {"receipt:gw-1", "receipt:gw-2"}
    again = Pipeline({}, ReceiptLedger(effects.marks)).feed([incoming(batch(heart_rate(72.0), sequence=2))])
    assert again.records == []
    assert again.counts["duplicates"] == 1
    assert again.receipts == effects.receipts[:1]


def test_what_the_gateway_gave_up_is_counted() -> None:
    pipeline = Pipeline({})
    pipeline.feed([incoming(batch(sequence=1))])
    assert pipeline.feed([incoming(batch(sequence=9, oldest=6))]).counts["gaps"] == 4


@pytest.mark.parametrize(
    ("topic", "payload", "reason", "field"),
    [
        ("wardlight/v1/north/gw-1/batch", b"", "truncated", ""),
        ("wardlight/v1/north/gw-1/batch", batch(heart_rate(72.0))[:-3], "truncated", ""),
        ("wardlight/v1/north/gw-1/batch", b"\xc1\xff", "truncated", ""),
        ("wardlight/v1/north/gw-1/batch", b'{"version": 1}', "type", "gateway"),
        ("wardlight/v1/north/gw-1/batch", b'{"version": 7}', "unknown_version", "version"),
        ("wardlight/v1/north/gw-1/batch", msgspec.msgpack.encode([2, "gw-1"]), "unknown_version", "version"),
        ("wardlight/v1/north/gw-1/batch", bytes(MAX_PAYLOAD_BYTES + 1), "too_large", ""),
        ("wardlight/v1/north/gw-1/batch", batch(sequence=0), "sequence", "sequence"),
        ("wardlight/v1/north/gw-2/batch", batch(heart_rate(72.0)), "topic", "gateway"),
        ("wardlight/v1/north/gw-1/receipt", encode_receipt(Receipt("gw-1", 9, 1)), "topic", "topic"),
        ("wardlight/v1/north/gw-1/config", b"", "topic", "topic"),
        ("wardlight/v2/north/gw-1/batch", batch(heart_rate(72.0)), "topic", "topic"),
        ("", b"", "topic", "topic"),
        ("wardlight/v1/north/gw-1/status", b"{}", "type", ""),
        ("wardlight/v1/north/gw-1/status", b"\xff", "truncated", ""),
        (
            "wardlight/v1/north/gw-1/status",
            encode_status(GatewayStatus("gw-2", Presence.ONLINE, NOW)),
            "topic",
            "gateway",
        ),
    ],
)
def test_a_message_that_cannot_be_used_is_kept_with_reason_and_field(
    topic: str, payload: bytes, reason: str, field: str
) -> None:
    effects = Pipeline({}).feed([incoming(payload, topic)])
    (poison,) = effects.poison
    assert (poison.reason, poison.field, poison.topic) == (reason, field, topic)
    assert (poison.excerpt, poison.size) == (payload[:MAX_EXCERPT_BYTES], len(payload))
    assert poison.message
    assert effects.rejected == {reason: 1}
    assert (effects.records, effects.receipts, effects.marks) == ([], [], {})


def test_a_message_with_an_unusable_header_is_kept_once_and_receipted_lest_it_blocks_its_gateway() -> None:
    pipeline = Pipeline({})
    unusable = msgspec.msgpack.encode([1, "gw-1", 9, 1, 1, "now", 0, 1.0, []])
    first, again = pipeline.feed([incoming(unusable)]), pipeline.feed([incoming(unusable)])
    assert [(p.reason, p.field) for p in first.poison] == [("type", "sent_at_ns")]
    assert [decode_receipt(payload) for _, payload in first.receipts] == [Receipt("gw-1", 9, 1)]
    assert (again.poison, again.receipts, again.counts["duplicates"]) == ([], first.receipts, 1)


def test_a_message_of_a_newer_version_is_kept_but_stays_with_its_gateway_too() -> None:
    effects = Pipeline({}).feed([incoming(msgspec.msgpack.encode([2, "gw-1", 9, 1, 1, NOW, 0, 1.0, []]))])
    assert effects.rejected == {"unknown_version": 1}
    assert effects.receipts == []


def test_what_a_source_set_aside_is_kept() -> None:
    rejection = Rejection(incoming(b"xyz", "wardlight/v1/north/gw-9/batch"), "not_authorised", "topic", "not yours")
    (poison,) = Pipeline({}).feed([rejection]).poison
    assert (poison.reason, poison.field, poison.message, poison.excerpt) == (
        "not_authorised",
        "topic",
        "not yours",
        b"xyz",
    )
    assert poison.gateway == "gw-9"


def test_a_bad_part_is_kept_once_with_the_payload_and_the_rest_is_stored() -> None:
    message = [1, "gw-1", 9, 1, 1, NOW, 0, 1.0, [["a", [[1, "soon", 60.0], [99, NOW, 1.0], [1, NOW, 61.0]]], 7]]
    payload = msgspec.msgpack.encode(message)
    effects = Pipeline({}).feed([incoming(payload)])
    assert [(p.field, p.excerpt) for p in effects.poison] == [
        ("devices[0].samples[0].sampled_at_ns", payload),
        ("devices[0].samples[1].vital", b""),
        ("devices[1]", b""),
    ]
    assert block_of(effects).rows["raw"].tolist() == [61.0]
    assert [decode_receipt(payload).through for _, payload in effects.receipts] == [1]


def test_a_reading_out_of_range_is_stored_without_a_value_and_reported() -> None:
    effects = Pipeline({}).feed([incoming(batch(heart_rate(60.0), heart_rate(999.0, device="strap-2")))])
    row = block_of(effects).rows[1]
    assert (row["raw"], row["reason"]) == (999.0, Reason.OUT_OF_RANGE)
    assert math.isnan(row["value"])
    (poison,) = effects.poison
    assert (poison.reason, poison.field) == ("out_of_range", "devices[1].samples[0].value")
    assert "strap-2" in poison.message
    assert "999" in poison.message
    assert "10 to 300 /min" in poison.message


@pytest.mark.parametrize("at_s", [-NOW / SECOND + 1, 4_102_444_800 - NOW / SECOND])
def test_a_reading_of_1970_or_2100_is_not_stored_but_kept(at_s: float) -> None:
    payload = batch(heart_rate(60.0, at_s), heart_rate(61.0))
    effects = Pipeline({}).feed([incoming(payload)])
    assert block_of(effects).rows["raw"].tolist() == [61.0]
    (poison,) = effects.poison
    assert (poison.reason, poison.field) == ("clock", "devices[0].samples[0].sampled_at_ns")
    assert poison.excerpt == payload


def test_a_waveform_of_the_future_is_not_stored_but_kept() -> None:
    device = DeviceBatch("ox-1", waveforms=(ppg(0, [1, 2]), ppg(9_999, [1, 2])))
    effects = Pipeline({}).feed([incoming(batch(device))])
    assert len(block_of(effects).waveforms) == 1
    assert [(p.reason, p.field) for p in effects.poison] == [("clock", "devices[0].waveforms[1].started_at_ns")]


def test_findings_on_readings_are_bounded_per_commit_and_all_are_counted() -> None:
    devices = [heart_rate(999.0, device=f"d-{n}") for n in range(100)]
    effects = Pipeline({}).feed([incoming(batch(*devices))])
    assert len(effects.poison) == MAX_FINDINGS
    assert effects.rejected == {"out_of_range": 100}


def test_a_late_reading_is_stored_as_received_and_does_not_disturb_the_filter() -> None:
    pipeline = Pipeline({})
    values = [60.0, 60.0, 60.0, 60.0]
    for number, value in enumerate(values):
        pipeline.feed([incoming(batch(heart_rate(value, 10 + number), sequence=number + 1))])
    late = pipeline.feed([incoming(batch(heart_rate(150.0, 5), sequence=8))])
    spike = pipeline.feed([incoming(batch(heart_rate(150.0, 14), sequence=9))])
    assert (late.counts["late"], block_of(late).rows["value"].tolist()) == (1, [150.0])
    assert block_of(spike).rows["value"].tolist() == [60.0]
    assert block_of(spike).rows["raw"].tolist() == [150.0]


def test_a_reading_that_comes_twice_is_stored_once() -> None:
    pipeline = Pipeline({})
    first = pipeline.feed([incoming(batch(heart_rate(60.0), epoch=0))])
    again = pipeline.feed([incoming(batch(heart_rate(60.0), epoch=0)), incoming(batch(heart_rate(61.0, 1), epoch=0))])
    assert len(block_of(first, again).rows) == 2
    assert again.counts["repeated"] == 1


def test_readings_in_test_mode_are_stored_and_enter_no_filter() -> None:
    pipeline = Pipeline({})
    for second in range(4):
        pipeline.feed([incoming(batch(heart_rate(60.0, second), sequence=second + 1))])
    test = pipeline.feed([incoming(batch(heart_rate(150.0, 4, quality=Quality.TEST), sequence=5))])
    after = pipeline.feed([incoming(batch(heart_rate(90.0, 5), sequence=6))])
    assert block_of(test, after).rows["value"].tolist() == [150.0, 90.0]
    assert block_of(test).rows["quality"].tolist() == [Quality.TEST]


def test_every_vital_and_every_device_has_a_window_of_its_own() -> None:
    vitals = {Vital.HEART_RATE: 60.0, Vital.PULSE_RATE: 60.0, Vital.SPO2: 60.0, Vital.RESP_RATE: 20.0}
    pipeline = Pipeline({})
    for second in range(6):
        devices = [
            DeviceBatch(device, tuple(Sample(v, NOW + second * SECOND, value + more) for v, value in vitals.items()))
            for device, more in (("a", 0.0), ("b", 30.0), ("c", 0.0))
        ]
        rows = block_of(pipeline.feed([incoming(batch(*devices, sequence=second + 1))])).rows
        assert rows["value"].tolist() == rows["raw"].tolist()


def test_every_waveform_has_a_filter_of_its_own() -> None:
    together, infrared, red = Pipeline({}), Pipeline({}), Pipeline({})
    for second in range(3):
        first = ppg(second, [70_000 + n % 7 for n in range(50)])
        other = ppg(second, [20_000 + n % 5 for n in range(50)], waveform=Waveform.PPG_RED)
        both, one, two = (
            block_of(p.feed([incoming(batch(DeviceBatch("a", waveforms=strips), sequence=second + 1))])).waveforms
            for p, strips in ((together, (first, other)), (infrared, (first,)), (red, (other,)))
        )
        assert [w.filtered for w in both] == [w.filtered for w in (*one, *two)]


def test_a_device_that_takes_the_place_of_a_forgotten_one_inherits_nothing() -> None:
    stage = SignalStage(capacity=1)
    for device in "ab":
        strip = ppg(0, [70_000 + ord(device)] * 50)
        flat = flatten(
            [Accepted(incoming(b""), decode(batch(DeviceBatch(device, heart_rate(60.0).samples, (strip,)))))]
        )
        judge(flat)
        slots = stage.place(flat.devices)
        rows = stage.smooth(slots, flat.rows)
        strips = stage.band_pass(slots, flat.strips, *strip_times(flat)[:2])
        assert (rows.repeated, rows.late, strips.repeated, len(strips.waveforms)) == (0, 0, 0, 1)
        rows.keep()
        strips.keep()


def test_rr_intervals_and_battery_pass_unfiltered() -> None:
    values = [800.0, 805.0, 400.0, 810.0]
    samples = tuple(Sample(Vital.RR_INTERVAL, NOW, value, sequence=n) for n, value in enumerate(values))
    samples += tuple(Sample(Vital.BATTERY, NOW + n, value) for n, value in enumerate([90.0, 90.0, 90.0, 10.0]))
    rows = block_of(Pipeline({}).feed([incoming(batch(DeviceBatch("a", samples)))])).rows
    assert rows["value"].tolist() == [*values, 90.0, 90.0, 90.0, 10.0]


def test_ppg_is_filtered_and_acceleration_is_not() -> None:
    counts = (1_000 * np.sin(np.arange(50) / 5) + 70_000).astype(int).tolist()
    device = DeviceBatch("a", waveforms=(ppg(0, counts), ppg(0, counts, waveform=Waveform.ACCELERATION_X)))
    first, second = block_of(Pipeline({}).feed([incoming(batch(device))])).waveforms
    assert first.samples == second.samples == np.array(counts, "<i4").tobytes()
    assert len(np.frombuffer(first.filtered, "<f4")) == 50
    assert second.filtered == b""


def test_a_waveform_block_that_comes_twice_is_stored_once() -> None:
    device = DeviceBatch("a", waveforms=(ppg(0, [1, 2, 3]), ppg(0, [1, 2, 3]), ppg(1, [1, 2, 3])))
    effects = Pipeline({}).feed([incoming(batch(device))])
    assert [w.started_at_ns - NOW for w in block_of(effects).waveforms] == [0, SECOND]
    assert effects.counts["repeated"] == 1


def test_an_empty_block_and_a_rate_without_pass_band_pass_as_received() -> None:
    slow = WaveformBlock(Waveform.PPG_RED, NOW, 4.0, bytes(16))
    device = DeviceBatch("a", waveforms=(ppg(0, []), slow))
    assert [w.filtered for w in block_of(Pipeline({}).feed([incoming(batch(device))])).waveforms] == [b"", b""]


def test_a_commit_is_bounded() -> None:
    with pytest.raises(ValueError, match=str(MAX_MESSAGES)):
        Pipeline({}).feed([incoming(b"")] * (MAX_MESSAGES + 1))


def test_when_feed_fails_nothing_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline({})
    message = incoming(batch(heart_rate(60.0), DeviceBatch("a", waveforms=(ppg(0, [1, 2, 3]),))))
    with monkeypatch.context() as broken:
        broken.setattr("ingest.pipeline.encode_block", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pipeline.feed([message])
    effects, untouched = pipeline.feed([message]), Pipeline({}).feed([message])
    assert (effects.records, effects.counts) == (untouched.records, untouched.counts)


def test_what_the_pipeline_fails_on_is_set_aside_and_receipted() -> None:
    pipeline = Pipeline({})
    effects = pipeline.set_aside(incoming(batch(heart_rate(60.0))), RuntimeError("a bug"))
    assert [(p.reason, p.message) for p in effects.poison] == [("internal", "RuntimeError: a bug")]
    assert [decode_receipt(payload).through for _, payload in effects.receipts] == [1]
    assert pipeline.set_aside(incoming(b"\xc1"), RuntimeError("a bug")).receipts == []


def test_nobody_speaks_in_the_name_of_the_server() -> None:
    disguised = [heart_rate(40.0, device=f"P-0001{suffix}") for suffix in (":best", ":rr", ":ppg")]
    invented = DeviceBatch("strap-1", (Sample(Vital.HRV_SDNN, NOW, 50.0),))
    effects = Pipeline({"strap-1": "P-0001"}).feed([incoming(batch(*disguised, heart_rate(72.0), invented))])
    assert block_of(effects).rows["value"].tolist() == [72.0]
    assert sorted((p.reason, p.field) for p in effects.poison) == [
        ("reserved", "devices[4].samples[0].vital"),
        *[("type", f"devices[{place}].device") for place in range(3)],
    ]


# -- the same rows, however messages are grouped -----------------------------------------------------------------------


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    vital = draw(st.sampled_from([Vital.HEART_RATE, Vital.SPO2, Vital.RR_INTERVAL]))
    at_ns = NOW + draw(st.integers(-3, 12)) * SECOND
    value = draw(st.one_of(st.none(), st.sampled_from([60.0, 61.0, 90.0, 97.0, 800.0, 5000.0])))
    reason = Reason.PRESENT if value is not None else draw(st.sampled_from([Reason.NO_READING, Reason.PROBE_OFF]))
    quality = draw(st.sampled_from([Quality.USABLE, Quality.UNUSABLE, Quality.TEST]))
    return Sample(vital, at_ns, value, reason, quality, draw(st.integers(0, 1)))


@st.composite
def waveforms(draw: st.DrawFn) -> WaveformBlock:
    counts = draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=50, max_size=50))
    return ppg(draw(st.integers(0, 5)), counts)


devices = st.builds(
    DeviceBatch,
    st.sampled_from(["a", "b", "c"]),
    st.lists(samples(), max_size=4).map(tuple),
    st.lists(waveforms(), max_size=1).map(tuple),
)
messages = st.lists(
    st.tuples(st.sampled_from(["gw-1", "gw-2"]), st.integers(0, 6), st.integers(1, 3), st.lists(devices, max_size=3)),
    max_size=12,
)


@settings(max_examples=60)
@given(messages, st.lists(st.integers(1, 6), max_size=12))
def test_grouping_changes_no_row(drawn: list[tuple[str, int, int, list[DeviceBatch]]], sizes: list[int]) -> None:
    fed = [
        incoming(
            batch(*parts, sequence=sequence + 1, epoch=sequence % 3, oldest=oldest, gateway=gateway),
            f"wardlight/v1/north/{gateway}/batch",
        )
        for gateway, sequence, oldest, parts in drawn
    ]
    one_by_one, grouped = Pipeline({"a": "P-0001"}), Pipeline({"a": "P-0001"})
    single = [one_by_one.feed([message]) for message in fed]
    several = [grouped.feed(group) for group in _groups(fed, sizes)]
    assert _readings(single) == _readings(several)
    assert _total(single) == _total(several)
    assert dict(mark for e in single for mark in e.marks.items()) == dict(
        mark for e in several for mark in e.marks.items()
    )


def _groups(fed: list[Incoming], sizes: list[int]) -> Iterator[list[Incoming]]:
    rest = list(fed)
    for size in [*sizes, *[1] * len(fed)]:
        if rest:
            yield rest[:size]
        rest = rest[size:]


def _readings(effects: list[Effects]) -> list[object]:
    """Every row and block, in order, byte for byte, with names instead of indices; best values apart."""
    block, best = block_of(*effects), _all_of(*effects)
    rows = [row for part in (block, best) for row in _named(part)]
    waves = [(block.devices[w.device], w.started_at_ns, w.samples, w.filtered) for w in block.waveforms]
    return [rows, waves]


def _named(block: SampleBlock) -> list[object]:
    names = list(zip(block.devices, block.patients, block.gateways, strict=True))
    rows = block.rows.copy()
    rows["device"] = rows["source"] = 0
    places = block.rows[["device", "source"]].tolist()
    named = [(names[d], block.devices[s], row.tobytes()) for (d, s), row in zip(places, rows, strict=True)]
    return sorted(named, key=lambda row: is_best(row[0][0]))


def _total(effects: list[Effects]) -> Counter[str]:
    total: Counter[str] = Counter()
    for e in effects:
        total += e.counts + e.rejected
    return total


# -- anything at all ---------------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
times = st.sampled_from([0, 1, NOW, NOW + 200 * SECOND, 2**63 - 1]) | values
sample_like = st.tuples(st.integers(0, 9) | values, times, values, values, values, values).map(list)
strip_like = st.tuples(
    st.sampled_from(list(map(int, Waveform))) | values,
    times,
    st.sampled_from([1e-300, 17.0, 1e4]) | values,
    st.binary(max_size=12) | values,
).map(list)
device_like = st.tuples(
    st.just("a") | values, st.lists(sample_like | values, max_size=4), st.lists(strip_like | values, max_size=2)
).map(list)
batch_like = st.tuples(
    st.just(1),
    st.just("gw-1"),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    times,
    st.integers(0, 3),
    st.floats(0, 1e12),
    st.lists(device_like | values, max_size=3),
).map(list)


@settings(max_examples=60)
@given(st.lists(batch_like | values, min_size=1, max_size=3))
def test_whatever_is_sent_is_stored_or_kept_and_never_raises(payloads: list[object]) -> None:
    pipeline = Pipeline({})
    effects = pipeline.feed([incoming(msgspec.msgpack.encode(payload)) for payload in payloads])
    assert effects.counts["messages"] == len(payloads)
    rows = block_of(effects).rows
    assert not np.isnan(rows["value"][rows["reason"] == Reason.PRESENT]).any()
    assert np.isnan(rows["value"][rows["reason"] != Reason.PRESENT]).all()
    assert (rows["sampled_at_ns"] > 0).all()


@given(st.binary(max_size=60), st.sampled_from(["batch", "status", "receipt", "nonsense"]))
def test_any_bytes_on_any_topic_never_raise(payload: bytes, name: str) -> None:
    effects = Pipeline({}).feed([incoming(payload, f"wardlight/v1/north/gw-1/{name}")])
    assert len(effects.poison) + len(effects.records) >= 1
