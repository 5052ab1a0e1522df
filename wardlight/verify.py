"""Did it arrive, and when: what was produced against what is stored, and when messages were handed to people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from alerts.events import AlarmRecordKind
from alerts.notify.outbox import DeliveryState, decode_delivery
from ingest.store.reader import StoreReader
from simulators.truth import TRUTH_DTYPE, Difference, Rows, Stream, Truth
from vitals.derived import is_virtual
from vitals.journal import Journal
from vitals.model import Vital


def compare_with_store(truth: Truth, reader: StoreReader) -> Difference:
    """Hold what the wearables produced against what is stored as received, key by key and value by value.

    What the server derived itself is no part of it.
    """
    return truth.compare(dict(_stored(reader)))


def _stored(reader: StoreReader) -> Iterator[tuple[Stream, Rows]]:
    for patient in reader.patients():
        extent = reader.extent(patient)
        if extent is None:
            continue
        samples = reader.samples(patient, None, *extent)
        for index, device in enumerate(samples.devices):
            if is_virtual(device):
                continue
            for vital in Vital:
                mine = (samples.device == index) & (samples.vital == int(vital))
                rows = np.empty(int(mine.sum()), TRUTH_DTYPE)
                for name in ("sampled_at_ns", "sequence", "reason"):
                    rows[name] = getattr(samples, name)[mine]
                rows["value"] = samples.raw[mine]
                if rows.size:
                    yield (device, vital), rows


def handed_over(alarms: Journal) -> dict[int, int]:
    """Number of an alarm event → when its message was first handed to a channel, from the alarm journal."""

    found: dict[int, int] = {}
    after = 0
    while records := alarms.read(after):
        for record in records:
            if record.kind == AlarmRecordKind.DELIVERY:
                delivery = decode_delivery(record.payload)
                if delivery.state is DeliveryState.HANDED_OVER:
                    for number in delivery.numbers:
                        found.setdefault(number, delivery.finished_at_ns)
        after = records[-1].sequence
    return found
