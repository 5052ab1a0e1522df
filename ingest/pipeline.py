"""The ingest pipeline: messages in, effects out. Pure; the shell around it is `ingest.app`.

    sort ─▶ flatten ─▶ judge ─▶ order, duplicates, filters ─▶ best values ─▶ one encoded block
    (decode, receipts, statuses, poison)

The rows do not depend on how messages are grouped into commits. State changes last and together: when `feed` raises,
nothing has changed, and the same messages may be fed one by one to find the one at fault (`set_aside`). Only the best
values move on at once; what they heard already makes no best value a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Final

import numpy as np

from ingest.best import BestValues
from ingest.commit import Commit, Effects
from ingest.receipts import ReceiptLedger
from ingest.signals.stage import CAPACITY, SignalStage
from ingest.source import Incoming, Rejection
from ingest.streams import Times
from ingest.validate import Findings, Flat, Strip, flatten, judge, path_of, strip_times
from vitals.columns import RecordKind, SampleBlock, encode_block, part_of
from vitals.derived import is_virtual
from vitals.model import VITALS
from vitals.self_test import SELF_TEST
from vitals.wire import MAX_DEVICES, WireSample

MAX_MESSAGES: Final = CAPACITY // MAX_DEVICES  # per commit: no more devices than are remembered


class Pipeline:
    """See the module's text.

    `patient_of`: device → pseudonym; a device that is missing there is stored with patient `""`. `ledger`: as
    restored from the journal's marks. `site`: ours; messages under another's topics are set aside unreceipted, so that
    their gateway keeps them. `None` takes any. `best`: what chooses the best values; whoever journals readings that it
    derived lets them pass through it too, from the same thread.
    """

    def __init__(
        self,
        patient_of: Mapping[str, str],
        ledger: ReceiptLedger | None = None,
        *,
        site: str | None = None,
        best: BestValues | None = None,
    ) -> None:
        self.patient_of = patient_of
        self._site = site
        self._ledger = ledger or ReceiptLedger()
        self._signals = SignalStage()
        self.best = best or BestValues()

    def feed(self, messages: Sequence[Incoming | Rejection]) -> Effects:
        """What up to `MAX_MESSAGES` messages, in arrival order, make of a commit."""
        if len(messages) > MAX_MESSAGES:
            msg = f"a commit takes at most {MAX_MESSAGES} messages"
            raise ValueError(msg)
        commit = Commit(self._ledger.begin(), self._site)
        for message in messages:
            commit.sort(message)
        readings, keep = self._process(commit) if commit.accepted else ([], _nothing)
        effects = commit.finish(readings)
        keep()
        self._ledger.apply(commit.change)
        return effects

    def set_aside(self, message: Incoming | Rejection, error: Exception) -> Effects:
        """The effects of a message that `feed` failed on: kept as poison with reason `internal`, and receipted."""
        commit = Commit(self._ledger.begin(), self._site)
        commit.refuse_internal(message.incoming if isinstance(message, Rejection) else message, error)
        effects = commit.finish([])
        self._ledger.apply(commit.change)
        return effects

    def warm_up(self, block: SampleBlock) -> None:
        """Remember the streams of a journalled block: after a restart, oldest block first."""
        self.best.choose(block)
        real = ~np.array([is_virtual(device) for device in block.devices], np.bool_)
        rows = block.rows[real[block.rows["device"]]].copy()
        rows["value"] = np.where(np.isnan(rows["value"]), np.nan, rows["raw"])  # filters saw what was received
        self._signals.smooth(self._signals.place(block.devices), rows).keep()

    def _process(self, commit: Commit) -> tuple[list[tuple[int, bytes]], Callable[[], None]]:
        """The records of the accepted messages' readings, and what makes their streams remember them."""
        flat = flatten(commit.accepted)
        found = judge(flat)
        _report_rows(commit, flat, found)
        slots = self._signals.place(flat.devices)
        rows = self._signals.smooth(slots, flat.rows if found.storable.all() else flat.rows[found.storable])
        strips = self._signals.band_pass(slots, *_well_timed(commit, flat))
        commit.effects.counts.update(
            readings=len(rows.rows),
            waveforms=len(strips.waveforms),
            repeated=rows.repeated + strips.repeated,
            late=rows.late,
        )

        patients = tuple(map(self.patient_of.get, flat.devices, repeat("")))
        block = SampleBlock(flat.devices, patients, flat.gateways, rows.rows, tuple(strips.waveforms))

        def keep() -> None:
            rows.keep()
            strips.keep()

        return list(self._records(block, commit)), keep

    def _records(self, block: SampleBlock, commit: Commit) -> Iterator[tuple[int, bytes]]:
        """What is journalled: the readings with their best values, and apart from them the synthetic patient's."""
        test: SampleBlock | None = None
        if SELF_TEST in block.gateways:
            own = np.array([pair == (SELF_TEST, SELF_TEST) for pair in zip(block.gateways, block.devices, strict=True)])
            block, test = part_of(block, ~own), part_of(block, own)
        if len(block.rows) or block.waveforms:
            yield RecordKind.SAMPLES, encode_block(self._with_best(block, commit))
        if test is not None and len(test.rows):
            yield RecordKind.SELF_TEST, encode_block(replace(test, patients=(SELF_TEST,) * len(test.devices)))

    def _with_best(self, block: SampleBlock, commit: Commit) -> SampleBlock:
        """The block with its best values, or as it is should that fail: no reading is lost to a second opinion."""
        try:
            return self.best.choose(block)
        except Exception as error:  # noqa: BLE001 - alarms judge each device alone where there is no best value
            commit.effects.failures.append(f"no best values: {error!r}")
            self.best.forget()
            return block


def _nothing() -> None:
    """What a commit without readings has to remember."""


def _report_rows(commit: Commit, flat: Flat, found: Findings) -> None:
    for reason, leaf, rows in (
        ("clock", "sampled_at_ns", found.clock),
        ("reserved", "vital", found.reserved),
        ("out_of_range", "value", found.out_of_range),
        ("not_a_number", "value", found.not_a_number),
    ):
        for row in rows[: commit.findings_kept(reason, len(rows))].tolist():
            number, position, index = flat.place(row)
            message = flat.messages[number]
            device = message.decoded.batch.devices[position]
            field = path_of(message.decoded, position, "samples", index, leaf)
            sentence = f"device {device.device}: {_what_is_wrong(reason, device.samples[index])}"
            stored = reason not in ("clock", "reserved")
            commit.keep(message.incoming, reason, field, sentence, b"" if stored else message.incoming.payload)


def _what_is_wrong(reason: str, sample: WireSample) -> str:
    info = VITALS[sample.vital]
    if reason == "clock":
        return f"a {info.name} of time {sample.sampled_at_ns} cannot be; check the gateway's clock"
    if reason == "reserved":
        return f"{info.name} is made by the server and not accepted from a device"
    if reason == "out_of_range":
        return f"{sample.value} is no {info.name}, which is {info.low:g} to {info.high:g} {info.unit}"
    return f"{sample.value} is no {info.name}"


def _well_timed(commit: Commit, flat: Flat) -> tuple[list[Strip], Times, Times]:
    """The strips whose time may be true, when they began and when they came; the others are reported."""
    started_ns, received_ns, good = strip_times(flat)
    bad = np.flatnonzero(~good)
    for number in bad[: commit.findings_kept("clock", len(bad))].tolist():
        strip = flat.strips[number]
        message = flat.messages[strip.message]
        field = path_of(message.decoded, strip.position, "waveforms", strip.index, "started_at_ns")
        began = f"a waveform that began at {strip.block.started_at_ns} cannot be; check the gateway's clock"
        sentence = f"device {flat.devices[strip.device]}: {began}"
        commit.keep(message.incoming, "clock", field, sentence, message.incoming.payload)
    return [flat.strips[i] for i in np.flatnonzero(good).tolist()], started_ns[good], received_ns[good]
