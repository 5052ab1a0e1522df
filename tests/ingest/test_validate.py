"""Validation: what a reading may be, what is said of one that may not, and where in the message it stood."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from ingest.source import Incoming
from ingest.validate import (
    MAX_FUTURE_NS,
    MAX_UNCERTAINTY_MS,
    OLDEST_NS,
    Accepted,
    Flat,
    believable,
    flatten,
    judge,
    path_of,
    strip_times,
)
from vitals.columns import Rows
from vitals.model import VITALS, ClockSource, Quality, Reason, Vital, Waveform
from vitals.wire import decode

SECOND = 1_000_000_000
NOW = 1_750_000_000 * SECOND


def accepted(*devices: list[object], received_at_ns: int = NOW, uncertainty_ms: float = 5.0) -> Accepted:
    """A message with `devices` in wire positions: [name, samples, waveforms]."""
    message = [1, "gw-1", 9, 1, 1, NOW, int(ClockSource.SYNCHRONISED), uncertainty_ms, list(devices)]
    payload = msgspec.msgpack.encode(message)
    return Accepted(Incoming("wardlight/v1/north/gw-1/batch", payload, received_at_ns, lambda: None), decode(payload))


def judged(*samples: list[object], uncertainty_ms: float = 5.0) -> Rows:
    flat = flatten([accepted(["ox-1", list(samples)], uncertainty_ms=uncertainty_ms)])
    judge(flat)
    return flat.rows


def test_flatten_keeps_the_order_of_messages_devices_and_samples() -> None:
    flat = flatten(
        [
            accepted(
                ["a", [[1, NOW, 60.0], [3, NOW, 97.0]]], ["b", []], ["c", [[1, NOW, 70.0]]], received_at_ns=NOW + 1
            ),
            accepted(received_at_ns=NOW + 2),
            accepted(["c", [[1, NOW + 1, 71.0, 0, 2, 3]]], received_at_ns=NOW + 3),
        ]
    )
    assert flat.devices == ("a", "b", "c")
    assert flat.gateways == ("gw-1",) * 3
    assert flat.rows["raw"].tolist() == [60, 97, 70, 71]
    assert flat.rows["device"].tolist() == [0, 0, 2, 2]
    assert flat.rows["received_at_ns"].tolist() == [NOW + 1] * 3 + [NOW + 3]
    assert (flat.rows["quality"][3], flat.rows["sequence"][3]) == (Quality.DOUBTFUL, 3)
    assert [flat.place(row) for row in range(4)] == [(0, 0, 0), (0, 0, 1), (0, 2, 0), (2, 0, 0)]


def test_nothing_flattens_to_nothing() -> None:
    flat = flatten([accepted(["a", []])])
    assert len(flat.rows) == 0
    assert judge(flat).storable.tolist() == []


@pytest.mark.parametrize(
    ("sample", "value", "reason"),
    [
        ([1, NOW, 60.0], 60.0, Reason.PRESENT),
        ([1, NOW, 60], 60.0, Reason.PRESENT),
        ([1, NOW, None], None, Reason.NO_READING),
        ([1, NOW, None, Reason.PROBE_OFF], None, Reason.PROBE_OFF),
        ([1, NOW, 60.0, Reason.SEARCHING], None, Reason.SEARCHING),
        ([1, NOW, math.nan], None, Reason.NOT_A_NUMBER),
        ([1, NOW, math.inf], None, Reason.NOT_A_NUMBER),
        ([1, NOW, math.nan, Reason.PROBE_OFF], None, Reason.PROBE_OFF),
        ([1, NOW, 60.0, 0, Quality.DOUBTFUL], 60.0, Reason.PRESENT),
        ([1, NOW, 60.0, 0, Quality.TEST], 60.0, Reason.PRESENT),
        ([1, NOW, 60.0, 0, Quality.UNUSABLE], None, Reason.POOR_SIGNAL),
        ([1, NOW, 1e308], None, Reason.OUT_OF_RANGE),
        ([1, NOW, -1.0], None, Reason.OUT_OF_RANGE),
    ],
)
def test_value_or_reason(sample: list[object], value: float | None, reason: Reason) -> None:
    (row,) = judged(sample)
    assert row["reason"] == reason
    assert (None if math.isnan(row["value"]) else row["value"]) == value
    raw = math.nan if sample[2] is None else float(sample[2])  # type: ignore[arg-type] # a number by the table above
    np.testing.assert_equal(float(row["raw"]), raw)


@pytest.mark.parametrize("vital", VITALS)
def test_the_ends_of_the_range_are_within_it(vital: Vital) -> None:
    info = VITALS[vital]
    values = [info.low, info.high, info.low - 0.001, info.high + 0.001]
    rows = judged(*([int(vital), NOW, value] for value in values))
    assert rows["reason"].tolist() == [0, 0, Reason.OUT_OF_RANGE, Reason.OUT_OF_RANGE]
    assert rows["raw"].tolist() == values


def test_without_a_time_the_reading_gets_that_of_its_arrival_and_says_so() -> None:
    unset, told = judged([1, 0, 60.0], [1, NOW - SECOND, 61.0])
    assert (unset["sampled_at_ns"], unset["clock"]) == (NOW, ClockSource.DEVICE)
    assert (told["sampled_at_ns"], told["clock"]) == (NOW - SECOND, ClockSource.SYNCHRONISED)


@pytest.mark.parametrize(
    ("at_ns", "uncertainty_ms", "good"),
    [
        (NOW, 0.0, True),
        (NOW - 30 * 86_400 * SECOND, 0.0, True),  # from a spool
        (NOW + MAX_FUTURE_NS, 0.0, True),
        (NOW + MAX_FUTURE_NS + 1, 0.0, False),
        (NOW + MAX_FUTURE_NS + 3 * SECOND, 3_000.0, True),
        (NOW + MAX_FUTURE_NS + 3 * SECOND + 1, 3_000.0, False),
        (NOW + MAX_FUTURE_NS + 60 * SECOND, 1e12, True),
        (NOW + MAX_FUTURE_NS + 60 * SECOND + 1, 1e12, False),  # no clock excuses more
        (OLDEST_NS, 0.0, True),
        (OLDEST_NS - 1, 0.0, False),
        (1, 1e12, False),  # 1970
        (4_102_444_800 * SECOND, 1e12, False),  # 2100
        ((1 << 63) - 1, 1e12, False),
    ],
)
def test_a_time_may_be_old_but_not_older_than_wearables_nor_ahead_of_us(
    at_ns: int, uncertainty_ms: float, good: bool
) -> None:
    assert MAX_UNCERTAINTY_MS == 60_000
    found = believable(np.array([at_ns]), np.array([NOW]), np.array([uncertainty_ms], np.float32))
    assert found.tolist() == [good]


def test_findings_name_rows_and_a_reading_without_a_true_time_has_no_other_finding() -> None:
    flat = flatten([accepted(["a", [[1, NOW, 999.0], [1, 5, 999.0], [1, NOW, math.nan], [1, NOW, None]]])])
    found = judge(flat)
    assert found.clock.tolist() == [1]
    assert found.out_of_range.tolist() == [0]
    assert found.not_a_number.tolist() == [2]


def test_strips_carry_their_place_and_time() -> None:
    block = [int(Waveform.PPG_RED), NOW - SECOND, 100.0, bytes(400)]
    timeless = [int(Waveform.PPG_RED), 0, 100.0, bytes(400)]
    future = [int(Waveform.ECG), NOW + 60 * SECOND, 100.0, bytes(400)]
    flat = flatten([accepted(["a", [], [block]], ["b", [], [timeless, future]])])
    assert [(s.message, s.position, s.index, s.device) for s in flat.strips] == [
        (0, 0, 0, 0),
        (0, 1, 0, 1),
        (0, 1, 1, 1),
    ]
    started, received, good = strip_times(flat)
    assert started.tolist() == [NOW - SECOND, NOW - SECOND, NOW + 60 * SECOND]
    assert received.tolist() == [NOW] * 3
    assert good.tolist() == [True, True, False]


def test_paths_count_what_decoding_set_aside() -> None:
    sample = [1, NOW, 60.0]
    flat: Flat = flatten(
        [
            accepted(
                "no device",
                ["a", [sample]],
                ["b", [], [], "no rssi"],
                ["c", "no list"],
                ["d", ["no sample", sample, ["no vital", NOW, 1.0], sample]],
            )
        ]
    )
    decoded = flat.messages[0].decoded
    places = [flat.place(row)[1:] for row in range(len(flat.rows))]
    assert [path_of(decoded, position, "samples", index, "value") for position, index in places] == [
        "devices[1].samples[0].value",
        "devices[4].samples[1].value",
        "devices[4].samples[3].value",
    ]
