"""The wire format: one pair of encoders and one decoder, and nothing but the documented error escapes it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitals.errors import MalformedMessageError
from vitals.model import (
    ClockSource,
    ClockTrust,
    DeviceBatch,
    GatewayBatch,
    Quality,
    Reason,
    Sample,
    Vital,
    Waveform,
    WaveformBlock,
)
from vitals.wire import (
    MAX_DEVICES,
    MAX_PAYLOAD_BYTES,
    MAX_SAMPLES,
    MAX_WAVEFORM_BYTES,
    MAX_WAVEFORMS,
    Decoded,
    decode,
    encode,
    from_wire,
    number_of,
)
from vitals.wire_json import encode_json

NOW = 1_750_000_000_123_456_789
MAX_NS = 2**63 - 1
ENCODERS = pytest.mark.parametrize("form", [encode, encode_json])

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,12}", fullmatch=True)
times = st.integers(1, MAX_NS)  # 0 means "not told"
finite = st.floats(allow_nan=False, allow_infinity=False)
qualities = st.sampled_from(Quality)
missing = st.sampled_from([reason for reason in Reason if reason is not Reason.PRESENT])


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    value = draw(st.none() | finite)
    reason = Reason.PRESENT if value is not None else draw(missing)
    return Sample(
        draw(st.sampled_from(Vital)), draw(times), value, reason, draw(qualities), draw(st.integers(0, 65535))
    )


@st.composite
def waveforms(draw: st.DrawFn) -> WaveformBlock:
    width = draw(st.sampled_from([2, 4]))
    counts = draw(st.lists(st.integers(-(1 << (8 * width - 1)), (1 << (8 * width - 1)) - 1), max_size=5))
    packed = b"".join(count.to_bytes(width, "little", signed=True) for count in counts)
    rate_hz = draw(st.floats(0.001, 10_000))
    return WaveformBlock(draw(st.sampled_from(Waveform)), draw(times), rate_hz, packed, width, draw(qualities))


def devices() -> st.SearchStrategy[DeviceBatch]:
    return st.builds(
        DeviceBatch,
        names,
        st.lists(samples(), max_size=4).map(tuple),
        st.lists(waveforms(), max_size=2).map(tuple),
        st.none() | st.integers(-200, 100),
    )


batches = st.builds(
    GatewayBatch,
    names,
    st.integers(0, MAX_NS),
    st.integers(0, MAX_NS),
    st.integers(0, MAX_NS),
    times,
    st.builds(ClockTrust, st.sampled_from(ClockSource), st.floats(0, 1e12)),
    st.lists(devices(), max_size=3).map(tuple),
)

EXAMPLE = GatewayBatch(
    "gw-1",
    7,
    42,
    40,
    NOW,
    ClockTrust(ClockSource.HOLDOVER, 12.5),
    (
        DeviceBatch(
            "strap-1", (Sample(Vital.HEART_RATE, NOW, 61.0), Sample(Vital.RR_INTERVAL, NOW, 981.0, sequence=1))
        ),
        DeviceBatch(
            "ox:2",
            (Sample(Vital.SPO2, NOW, None, Reason.PROBE_OFF, Quality.UNUSABLE),),
            (WaveformBlock(Waveform.PPG_RED, NOW, 50.0, bytes(range(8)), 2, Quality.USABLE),),
            -71,
        ),
    ),
)


# -- round trips -------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(batches)
def test_what_is_encoded_is_what_is_decoded_in_both_forms(batch: GatewayBatch) -> None:
    for form in (encode, encode_json):
        decoded = decode(form(batch))
        assert decoded.rejected == ()
        assert from_wire(decoded.batch) == batch


def test_decode_takes_a_view_of_a_larger_buffer() -> None:
    assert from_wire(decode(memoryview(encode(EXAMPLE))).batch) == EXAMPLE
    assert from_wire(decode(memoryview(encode_json(EXAMPLE))).batch) == EXAMPLE


def test_message_pack_is_small_and_starts_unlike_json() -> None:
    assert encode(EXAMPLE)[:1] != b"{" == encode_json(EXAMPLE)[:1]
    assert len(encode(EXAMPLE)) < len(encode_json(EXAMPLE)) / 3


@ENCODERS
def test_every_truncated_prefix_is_refused(form: Callable[[GatewayBatch], bytes]) -> None:
    payload = form(EXAMPLE)
    for length in range(len(payload)):
        with pytest.raises(MalformedMessageError):
            decode(payload[:length])


@ENCODERS
def test_trailing_bytes_are_refused(form: Callable[[GatewayBatch], bytes]) -> None:
    with pytest.raises(MalformedMessageError):
        decode(form(EXAMPLE) + b"\x00")


def test_later_versions_may_add_positions_and_fields() -> None:
    message = msgspec.msgpack.decode(encode(EXAMPLE))
    for part in (message, message[8][0], message[8][0][1][0], message[8][1][2][0]):
        part.append("a later field")
    assert from_wire(decode(msgspec.msgpack.encode(message)).batch) == EXAMPLE
    named = json.loads(encode_json(EXAMPLE))
    for part in (named, named["devices"][0], named["devices"][0]["samples"][0], named["devices"][1]["waveforms"][0]):
        part["later"] = {"field": 1}
    assert from_wire(decode(json.dumps(named).encode()).batch) == EXAMPLE


# -- what is said of a message that cannot be used ---------------------------------------------------------------------


def wire(**changes: object) -> list[Any]:
    """A message in wire positions with some of them replaced."""
    fields = ["version", "gateway", "epoch", "sequence", "oldest", "sent_at_ns", "clock_source", "uncertainty_ms"]
    message: list[Any] = [1, "gw-1", 7, 42, 40, NOW, 0, 1.0, []]
    for name, value in changes.items():
        message[[*fields, "devices"].index(name)] = value
    return message


def refusal(message: object) -> tuple[str, str]:
    payload = message if isinstance(message, bytes) else msgspec.msgpack.encode(message)
    with pytest.raises(MalformedMessageError) as refused:
        decode(payload)
    assert str(refused.value)
    return refused.value.reason, refused.value.field


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        (b"", "truncated", ""),
        (b"\xc1", "truncated", ""),
        (b"{", "truncated", ""),
        (b"{}", "unknown_version", "version"),
        (b"{\xff}", "truncated", ""),
        (b"[" * 100_000, "truncated", ""),  # as MessagePack the number 91, and more of them
        (b"\x91" * 100_000, "truncated", ""),  # arrays in arrays without end
        (b'{"devices":' * 50_000, "truncated", ""),
        (bytes(MAX_PAYLOAD_BYTES + 1), "too_large", ""),
        (None, "type", ""),
        (7, "type", ""),
        ({"version": 1}, "type", ""),
        ([], "type", ""),
        ([1], "truncated", "gateway"),
        (wire()[:8], "truncated", "devices"),
        (wire(version=2), "unknown_version", "version"),
        (wire(version=True), "unknown_version", "version"),
        (wire(version="1"), "unknown_version", "version"),
        (wire(version=None), "unknown_version", "version"),
        (wire(gateway=""), "type", "gateway"),
        (wire(gateway="a/b"), "type", "gateway"),
        (wire(gateway="gw-1\n"), "type", "gateway"),
        (wire(gateway="x" * 65), "type", "gateway"),
        (wire(epoch=-1), "type", "epoch"),
        (wire(epoch=2**63), "type", "epoch"),
        (wire(sequence=1.5), "type", "sequence"),
        (wire(oldest=None), "type", "oldest"),
        (wire(sent_at_ns="now"), "type", "sent_at_ns"),
        (wire(clock_source=9), "type", "clock_source"),
        (wire(uncertainty_ms=math.nan), "type", "uncertainty_ms"),
        (wire(uncertainty_ms=-1.0), "type", "uncertainty_ms"),
        (wire(devices={}), "type", "devices"),
        (wire(devices=None), "type", "devices"),
    ],
)
def test_a_message_without_a_usable_part_is_refused_with_its_reason(message: object, reason: str, field: str) -> None:
    assert refusal(message) == (reason, field)


def test_json_names_the_field_too() -> None:
    message = json.loads(encode_json(EXAMPLE)) | {"epoch": "seven"}
    assert refusal(json.dumps(message).encode()) == ("type", "epoch")


@ENCODERS
def test_the_number_of_a_message_can_be_read_when_the_rest_cannot(form: Callable[[GatewayBatch], bytes]) -> None:
    number = number_of(form(EXAMPLE))
    assert number is not None
    assert (number.gateway, number.epoch, number.sequence, number.oldest) == ("gw-1", 7, 42, 40)


@pytest.mark.parametrize("message", [b"", b"{", b"\xc1", wire(version=2), wire(epoch=-1), wire()[:4], 7, None])
def test_a_message_without_a_number_has_none(message: object) -> None:
    assert number_of(message if isinstance(message, bytes) else msgspec.msgpack.encode(message)) is None


# -- one bad part does not cost its neighbours -------------------------------------------------------------------------

GOOD_SAMPLE = [1, NOW, 61.0]
GOOD_WAVEFORM = [64, NOW, 50.0, bytes(8)]


def salvage(*parts: object) -> Decoded:
    return decode(msgspec.msgpack.encode(wire(devices=list(parts))))


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ("no array", ""),
        ([], ""),
        ([99, NOW, 1.0], ".vital"),
        (["spo2", NOW, 1.0], ".vital"),
        ([1, -1, 1.0], ".sampled_at_ns"),
        ([1, 2**63, 1.0], ".sampled_at_ns"),
        ([1, NOW, "61"], ".value"),
        ([1, NOW, 61.0, 99], ".reason"),
        ([1, NOW, 61.0, 0, -1], ".quality"),
        ([1, NOW, 61.0, 0, 0, 65_536], ".sequence"),
    ],
)
def test_a_bad_sample_is_named_and_the_others_are_kept(bad: object, field: str) -> None:
    decoded = salvage(["a", [GOOD_SAMPLE, bad, GOOD_SAMPLE]], ["b", [GOOD_SAMPLE]])
    assert [len(device.samples) for device in decoded.batch.devices] == [2, 1]
    assert [(r.reason, r.field) for r in decoded.rejected] == [("type", f"devices[0].samples[1]{field}")]


@pytest.mark.parametrize(
    ("bad", "reason", "field"),
    [
        (7, "type", ""),
        ([63, NOW, 50.0, b""], "type", ".waveform"),
        ([64, None, 50.0, b""], "type", ".started_at_ns"),
        ([64, NOW, 0.0, b""], "type", ".sample_rate_hz"),
        ([64, NOW, math.nan, b""], "type", ".sample_rate_hz"),
        ([64, NOW, 1e-300, bytes(8)], "type", ".sample_rate_hz"),
        ([64, NOW, 50.0, bytes(MAX_WAVEFORM_BYTES + 4)], "type", ".samples"),
        ([64, NOW, 50.0, bytes(4), 3], "type", ".width_bytes"),
        ([64, NOW, 50.0, bytes(5)], "truncated", ".samples"),
        ([64, NOW, 50.0, bytes(3), 2], "truncated", ".samples"),
    ],
)
def test_a_bad_waveform_is_named_and_the_others_are_kept(bad: object, reason: str, field: str) -> None:
    decoded = salvage(["a", [GOOD_SAMPLE], [GOOD_WAVEFORM, bad, GOOD_WAVEFORM]])
    (device,) = decoded.batch.devices
    assert (len(device.samples), len(device.waveforms)) == (1, 2)
    assert [(r.reason, r.field) for r in decoded.rejected] == [(reason, f"devices[0].waveforms[1]{field}")]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (None, "devices[1]"),
        ([], "devices[1]"),
        (["no name!", [GOOD_SAMPLE]], "devices[1].device"),
        ([None, [GOOD_SAMPLE]], "devices[1].device"),
        (["b", [GOOD_SAMPLE], [], 1_000], "devices[1].rssi_dbm"),
    ],
)
def test_a_bad_device_is_named_and_the_others_are_kept(bad: object, field: str) -> None:
    decoded = salvage(["a", [GOOD_SAMPLE]], bad, ["c", [GOOD_SAMPLE]])
    assert [device.device for device in decoded.batch.devices] == ["a", "c"]
    assert [(r.reason, r.field) for r in decoded.rejected] == [("type", field)]


def test_what_is_too_many_is_cut_and_said() -> None:
    decoded = salvage(
        ["a", [GOOD_SAMPLE] * (MAX_SAMPLES + 1), [GOOD_WAVEFORM] * (MAX_WAVEFORMS + 1)], *[["b"]] * MAX_DEVICES
    )
    assert len(decoded.batch.devices) == MAX_DEVICES
    assert len(decoded.batch.devices[0].samples) == MAX_SAMPLES
    assert len(decoded.batch.devices[0].waveforms) == MAX_WAVEFORMS
    assert {(r.reason, r.field) for r in decoded.rejected} == {
        ("too_many", f"devices[0].samples[{MAX_SAMPLES}]"),
        ("too_many", f"devices[0].waveforms[{MAX_WAVEFORMS}]"),
        ("too_many", f"devices[{MAX_DEVICES}]"),
    }


def test_a_message_of_rubbish_does_not_multiply() -> None:
    assert len(salvage(["a", [None] * MAX_SAMPLES]).rejected) == 64


# -- JSON for people ---------------------------------------------------------------------------------------------------


def by_hand(**device: object) -> Decoded:
    message = {"version": 1, "gateway": "wifi-1", "devices": [{"device": "ring", **device}]}
    return decode(json.dumps(message).encode())


def test_the_shortest_json_message_has_defaults_for_the_rest() -> None:
    batch = from_wire(by_hand(samples=[{"vital": "spo2", "value": 97}]).batch)
    assert (batch.epoch, batch.clock.source) == (0, ClockSource.DEVICE)
    (device,) = batch.devices
    assert device.samples == (Sample(Vital.SPO2, 0, 97.0),)


def test_json_times_are_read_as_people_write_them() -> None:
    sample = {"vital": "spo2", "value": 97, "sampled_at": "2025-06-15T15:06:40.250+02:00"}
    (device,) = by_hand(samples=[sample]).batch.devices
    expected = int(datetime(2025, 6, 15, 13, 6, 40, tzinfo=UTC).timestamp()) * 10**9 + 250_000_000
    assert device.samples[0].sampled_at_ns == expected


@pytest.mark.parametrize(
    ("sample", "field"),
    [
        ({"vital": "pulse", "value": 61}, "vital"),
        ({"vital": "spo2", "value": 97, "sampled_at": "yesterday"}, "sampled_at_ns"),
        ({"vital": "spo2", "value": 97, "sampled_at": "2025-06-15T15:06:40"}, "sampled_at_ns"),  # of which zone?
        ({"vital": "spo2", "value": 97, "sampled_at": "1959-06-15T15:06:40Z"}, "sampled_at_ns"),
        ({"vital": "spo2", "value": "97"}, "value"),
        ({"vital": "spo2", "reason": "lost"}, "reason"),
        ({"vital": "spo2", "value": 97, "quality": 17}, "quality"),
    ],
)
def test_json_names_the_wrong_field_of_a_sample(sample: dict[str, object], field: str) -> None:
    decoded = by_hand(samples=[sample, {"vital": "spo2", "value": 97}])
    assert [r.field for r in decoded.rejected] == [f"devices[0].samples[0].{field}"]
    assert len(decoded.batch.devices[0].samples) == 1


@pytest.mark.parametrize("counts", [[40_000], ["a"], [1.5], [None], "abc", {"a": 1}])
def test_json_waveforms_that_are_no_integers_of_their_width_are_named(counts: object) -> None:
    block = {"waveform": "ppg_red", "started_at_ns": NOW, "sample_rate_hz": 50, "width_bytes": 2, "samples": counts}
    decoded = by_hand(waveforms=[block])
    assert [r.field for r in decoded.rejected] == ["devices[0].waveforms[0].samples"]


# -- anything at all ---------------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=6)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
pack_values = json_values | st.lists(json_values | st.binary(max_size=6), max_size=9)
_KEYS = """version gateway clock devices device samples waveforms vital value sampled_at sampled_at_ns reason quality
    source waveform width_bytes sample_rate_hz started_at"""
json_keys = st.sampled_from(_KEYS.split())
keyed_values = st.recursive(
    scalars | st.sampled_from(["spo2", "present", "ppg_red", "2025-06-15T15:06:40Z", "0001-01-01T00:00:00+14:00"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_keys, inner, max_size=8),
    max_leaves=20,
)


def decodes_or_refuses(payload: bytes) -> None:
    """Anything but a batch or the documented error fails the test that calls."""
    number_of(payload)
    with suppress(MalformedMessageError):
        decoded = decode(payload)
        assert decoded.batch.version == 1
        assert all(rejected.reason and rejected.field for rejected in decoded.rejected)


@given(st.binary(max_size=80))
def test_any_bytes(payload: bytes) -> None:
    decodes_or_refuses(payload)


@settings(max_examples=60)
@given(pack_values)
def test_any_message_pack(value: object) -> None:
    decodes_or_refuses(msgspec.msgpack.encode(value))


@settings(max_examples=60)
@given(st.integers(0, 8), pack_values)
def test_any_value_in_any_position(position: int, value: object) -> None:
    message = msgspec.msgpack.decode(encode(EXAMPLE))
    message[position] = value
    decodes_or_refuses(msgspec.msgpack.encode(message))


@settings(max_examples=60)
@given(pack_values, pack_values, pack_values)
def test_any_value_in_a_device(name: object, samples: object, waveforms: object) -> None:
    decodes_or_refuses(
        msgspec.msgpack.encode(wire(devices=[[name, samples, waveforms], ["b", [samples], [waveforms]]]))
    )


@settings(max_examples=100)
@given(keyed_values)
def test_any_json(value: object) -> None:
    decodes_or_refuses(json.dumps({"version": 1, "gateway": "g", "devices": value}).encode())
    decodes_or_refuses(json.dumps({"version": 1, "gateway": "g", "devices": [value]}).encode())
    decodes_or_refuses(json.dumps(value).encode())


@given(st.data())
def test_any_flipped_byte(data: st.DataObject) -> None:
    payload = bytearray(encode(EXAMPLE) if data.draw(st.booleans()) else encode_json(EXAMPLE))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    decodes_or_refuses(bytes(payload))
