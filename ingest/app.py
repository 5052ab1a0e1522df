"""The ingest service: takes messages from a source, commits them, and only then acknowledges.

    source ─▶ Intake ─▶ Pipeline.feed ─▶ poison journal ─▶ journal ─▶ acknowledge, receipts

One group commit is under way at a time, and it takes what came in meanwhile: the busier, the larger the groups. A lone
message is committed at once; commits that follow begin `COMMIT_EVERY_S` apart. A message is acknowledged when
everything of it is on disk, and not before. When the disk is full the messages stay, nothing is acknowledged, sources
pause, and the same commit is tried again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from ingest.best import BestValues
from ingest.commit import Effects
from ingest.intake import Intake, Message, received
from ingest.pipeline import Pipeline
from ingest.poison import PoisonStore
from ingest.receipts import MARK_PREFIX, ReceiptLedger
from vitals.columns import RecordKind, SampleBlock, decode_block
from vitals.control import encode_receipt
from vitals.errors import JournalFullError
from vitals.journal import Journal
from vitals.topics import Topic

COMMIT_EVERY_S: Final = 0.1  # a commit and who reads it cost 10 ms for five messages and 13 for ten; an alarm may wait
FIRST_RETRY_S: Final = 0.1
MAX_RETRY_S: Final = 5.0  # a full disk is looked at again this often
TRIM_EVERY_NS: Final = 10_000_000_000
WARM_UP_NS: Final = 10_000_000_000  # of journal replayed at start: the filters look back 5 readings or 5 s
WARM_UP_RECORDS: Final = 2_000  # at most: more small commits are no reason to start late
_WARM_UP_PAGE: Final = 16  # records read at once while warming up; a commit with PPG may make 2 MB

_log: Final = structlog.get_logger("ingest")


@dataclass(slots=True)
class Stats:
    """Counters since the start. `counts` and `rejected`: see `ingest.commit.Effects`."""

    commits: int = 0
    refused_commits: int = 0  # tries that ended at a full disk or journal
    counts: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)


class IngestService:
    """See the module's text. Sources `offer` to `intake` and heed its `congested`.

    `patient_of`: device → pseudonym. `now_ns`: the time, UTC. `publish_receipt`: called from the event loop with a
    topic and a payload after each commit; a receipt that is lost is repeated with the next message. `site`: ours, see
    `Pipeline`. Opening raises `JournalCorruptError` for a journal whose receipts cannot be read.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        poison: PoisonStore,
        patient_of: Mapping[str, str],
        now_ns: Callable[[], int],
        publish_receipt: Callable[[str, bytes], None],
        site: str | None = None,
        best: BestValues | None = None,
    ) -> None:
        self.intake = Intake()
        self.stats = Stats()
        self._journal = journal
        self._poison = poison
        self._now_ns = now_ns
        self._publish_receipt = publish_receipt
        self._trimmed_at_ns = now_ns()
        self._ledger = ReceiptLedger(journal.marks(MARK_PREFIX))
        self._pipeline = Pipeline(patient_of, self._ledger, site=site, best=best)
        for block in _last_blocks(journal):
            self._pipeline.warm_up(block)

    def offer(self, message: Message) -> None:
        """Take a message, at once and always."""
        self.intake.offer(message)

    @property
    def best(self) -> BestValues:
        """What chooses the best values, for whoever journals readings that it derived from ours."""
        return self._pipeline.best

    def announce(self, site: str) -> None:
        """Publish what every gateway of `site` was receipted before this start.

        A gateway hears at once where it stands; one whose spool went back in time learns it before it sends.
        """
        for receipt in self._ledger.receipts():
            self._publish_receipt(str(Topic(site, receipt.gateway, "receipt")), encode_receipt(receipt))

    async def run(self) -> None:
        """Commit what is offered, until cancelled; a commit that is cut short leaves its messages unacknowledged.

        Raises only what makes going on pointless: a journal that is damaged or gone.
        """
        loop = asyncio.get_running_loop()
        while True:
            taken = await self.intake.next_messages()
            began_s = loop.time()
            for messages, effects in self._feed(taken):
                await self._write(effects)
                self._answer(messages, effects)
                self.intake.done(messages)
            await self._trim()
            if not self.intake.plenty:
                await asyncio.sleep(began_s + COMMIT_EVERY_S - loop.time())

    def _feed(self, messages: list[Message]) -> list[tuple[list[Message], Effects]]:
        """The effects of `messages` as one commit, or one by one when that fails, to isolate the one at fault."""
        try:
            return [(messages, self._pipeline.feed(messages))]
        except Exception as error:  # noqa: BLE001 - no message may stop the worker, whatever it hits
            _log.error("commit failed, feeding its messages one by one", error=repr(error), messages=len(messages))
        return [([message], self._feed_one(message)) for message in messages]

    def _feed_one(self, message: Message) -> Effects:
        try:
            return self._pipeline.feed([message])
        except Exception as error:  # noqa: BLE001 - kept as poison, with the error
            _log.exception("a message cannot be processed and is kept as poison: please report this")
            return self._pipeline.set_aside(message, error)

    async def _write(self, effects: Effects) -> None:
        """Write poison, then records and marks; again and again while the disk or a journal is full."""
        delay_s = FIRST_RETRY_S
        poison = effects.poison
        while True:
            now_ns = self._now_ns()
            try:
                if poison:
                    await asyncio.to_thread(self._poison.keep, poison, now_ns=now_ns)
                    poison = []
                if effects.records or effects.marks:
                    await asyncio.to_thread(self._journal.append, effects.records, now_ns=now_ns, marks=effects.marks)
            except JournalFullError as error:
                self.stats.refused_commits += 1
                self.intake.hold()
                _log.error("cannot write, the senders keep their messages", error=str(error), retry_in_s=delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, MAX_RETRY_S)
            else:
                return

    def _answer(self, messages: Sequence[Message], effects: Effects) -> None:
        """Count, acknowledge and receipt what is durable now."""
        for failure in effects.failures:
            _log.error("readings are kept, but something could not be made of them: please report this", error=failure)
        self.stats.commits += 1
        self.stats.counts.update(effects.counts)
        self.stats.rejected.update(effects.rejected)
        for message in messages:
            _call(received(message).acknowledge)
        for topic, payload in effects.receipts:
            _call(self._publish_receipt, topic, payload)

    async def _trim(self) -> None:
        now_ns = self._now_ns()
        if abs(now_ns - self._trimmed_at_ns) < TRIM_EVERY_NS:
            return
        self._trimmed_at_ns = now_ns
        for journal in (self._journal, self._poison.journal):
            try:
                await asyncio.to_thread(journal.trim, now_ns=now_ns)
            except JournalFullError as error:
                _log.error("cannot trim a journal", error=str(error))


def _call(back: Callable[..., None], *arguments: object) -> None:
    """Call back into a source; what it raises concerns one connection, not the worker."""
    try:
        back(*arguments)
    except Exception:  # noqa: BLE001 - see above
        _log.exception("a source failed to pass on an acknowledgement or a receipt")


def _last_blocks(journal: Journal) -> list[SampleBlock]:
    """The readings, without waveforms, of the last `WARM_UP_NS` before the newest record, oldest first."""
    blocks: list[SampleBlock] = []
    newest, since_ns = journal.newest, 0
    for last in range(newest, max(0, newest - WARM_UP_RECORDS), -_WARM_UP_PAGE):
        page = journal.read(max(0, last - _WARM_UP_PAGE), limit=min(last, _WARM_UP_PAGE), max_bytes=1 << 30)
        if not page:
            break
        since_ns = since_ns or page[-1].appended_at_ns - WARM_UP_NS
        recent = [record for record in page if record.appended_at_ns >= since_ns]
        decoded = [decode_block(record.payload) for record in recent if record.kind == RecordKind.SAMPLES]
        blocks = [replace(block, waveforms=()) for block in decoded] + blocks
        if len(recent) < len(page):
            break
    return blocks
