"""One commit in the making: messages are sorted into readings, statuses and poison, and effects gather."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from ingest.receipts import LedgerChange
from ingest.source import Incoming, Rejection
from ingest.validate import MAX_EXCERPT_BYTES, Accepted, Poison
from vitals.columns import RecordKind
from vitals.control import decode_status, encode_receipt, encode_status
from vitals.errors import MalformedMessageError
from vitals.topics import Topic
from vitals.wire import WireBatch, WireNumber, decode, number_of

MAX_FINDINGS: Final = 64  # findings on readings kept per commit, the rest is only counted: a mad sensor fills no disk
_TOPICS: Final = 20_000  # parsed once and remembered: two for each of the gateways of one ingest
_parse_topic: Final = lru_cache(maxsize=_TOPICS)(Topic.parse)


@dataclass(slots=True)
class Effects:
    """What a commit writes and answers.

    `records` and `marks` go into the journal in one transaction, `poison` before them into its own. `receipts`:
    (topic, payload), sent after the commit. `counts`: `messages`, `statuses`, `readings` and `waveforms` (stored),
    `duplicates` (messages received before), `gaps` (messages that gateways gave up), `repeated` and `late` (readings).
    `rejected`: findings by reason. `failures`: of our own code, where the readings could be kept all the same.
    """

    records: list[tuple[int, bytes]] = field(default_factory=list)
    poison: list[Poison] = field(default_factory=list)
    receipts: list[tuple[str, bytes]] = field(default_factory=list)
    marks: dict[str, bytes] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Commit:
    """Sorts messages; `accepted` are the batches whose readings are to be judged. `site`: ours, `None` for any."""

    def __init__(self, change: LedgerChange, site: str | None = None) -> None:
        self.change = change
        self._site = site
        self.effects = Effects()
        self.accepted: list[Accepted] = []
        self._statuses: list[tuple[int, bytes]] = []
        self._sites: dict[str, str] = {}
        self._findings = 0

    def sort(self, message: Incoming | Rejection) -> None:
        """Decode one message and put it where it belongs; what a sender did wrong becomes poison."""
        self.effects.counts["messages"] += 1
        if isinstance(message, Rejection):
            self._refuse(message.incoming, message.reason, message.field, message.message)
            return
        try:
            self._sort_by_topic(message, _parse_topic(message.topic))
        except MalformedMessageError as error:
            self._refuse(message, error.reason, error.field, str(error))

    def _sort_by_topic(self, message: Incoming, topic: Topic) -> None:
        if self._site not in (None, topic.site):
            sentence = f"this is the ingest of site {self._site!r}: correct the gateway's site, it keeps its readings"
            raise MalformedMessageError("site", "topic", sentence)
        if topic.name == "batch":
            self._sort_batch(message, topic)
        elif topic.name == "status":
            self._sort_status(message, topic)
        else:
            raise MalformedMessageError("topic", "topic", f"{topic.name!r} goes down to gateways, not up")

    def _sort_batch(self, message: Incoming, topic: Topic) -> None:
        try:
            decoded = decode(message.payload)
        except MalformedMessageError:
            if self._receive_unusable(message, topic):
                raise
            return
        if not self._receive(decoded.batch, topic):
            return
        self.accepted.append(Accepted(message, decoded))
        excerpt = message.payload
        for rejected in decoded.rejected:
            self.effects.rejected[rejected.reason] += 1
            self.keep(message, rejected.reason, rejected.field, rejected.message, excerpt)
            excerpt = b""  # once is enough

    def _receive(self, number: WireNumber | WireBatch, topic: Topic) -> bool:
        """Tell the ledger; whether the message is new."""
        if number.gateway != topic.gateway:
            raise _other_gateway(number.gateway, topic)
        if number.epoch and not number.sequence:
            raise MalformedMessageError("sequence", "sequence", "messages of an epoch are counted from 1")
        new, lost = self.change.receive(number.gateway, number.epoch, number.sequence, number.oldest)
        self._sites[number.gateway] = topic.site
        self.effects.counts["gaps"] += lost
        self.effects.counts["duplicates"] += not new
        return new

    def _sort_status(self, message: Incoming, topic: Topic) -> None:
        status = decode_status(message.payload)
        if status.gateway != topic.gateway:
            raise _other_gateway(status.gateway, topic)
        self._statuses.append((RecordKind.STATUS, encode_status(status)))
        self.effects.counts["statuses"] += 1

    def _refuse(self, message: Incoming, reason: str, field: str, sentence: str) -> None:
        self.effects.rejected[reason] += 1
        self.keep(message, reason, field, sentence, message.payload)

    def refuse_internal(self, message: Incoming, error: BaseException) -> None:
        """Keep a message that failed in our own code, and receipt it: asking for it again would not help."""
        self.effects.counts["messages"] += 1
        self._refuse(message, "internal", "", f"{type(error).__name__}: {error}")
        try:
            topic = _parse_topic(message.topic)
            if topic.name == "batch":
                self._receive_unusable(message, topic)
        except Exception:  # noqa: BLE001 - whatever is wrong with it: it names no message to receipt
            return

    def _receive_unusable(self, message: Incoming, topic: Topic) -> bool:
        """Tell the ledger of a message that is set aside, if its number can be read; whether it is new."""
        number = number_of(message.payload)
        return number is None or self._receive(number, topic)

    def findings_kept(self, reason: str, found: int) -> int:
        """Count `found` readings with a finding; how many of them are to be kept, the first ones."""
        if found:
            self.effects.rejected[reason] += found
        kept = min(found, MAX_FINDINGS - self._findings)
        self._findings += kept
        return kept

    def finish(self, readings: list[tuple[int, bytes]]) -> Effects:
        """The effects, complete: `readings` are records, statuses follow them."""
        effects = self.effects
        effects.records = [*readings, *self._statuses]
        effects.marks = self.change.marks()
        for receipt in self.change.receipts():
            topic = Topic(self._sites[receipt.gateway], receipt.gateway, "receipt")
            effects.receipts.append((str(topic), encode_receipt(receipt)))
        return effects

    def keep(self, message: Incoming, reason: str, field: str, sentence: str, excerpt: bytes) -> None:
        """Set something aside as poison, with as much of `excerpt` as is kept."""
        gateway = _gateway_of(message.topic)
        shown, size = excerpt[:MAX_EXCERPT_BYTES], len(excerpt)
        self.effects.poison.append(
            Poison(message.received_at_ns, message.topic, gateway, reason, field, sentence, shown, size)
        )


def _other_gateway(gateway: str, topic: Topic) -> MalformedMessageError:
    return MalformedMessageError(
        "topic", "gateway", f"the message says gateway {gateway!r}, its topic {topic.gateway!r}"
    )


def _gateway_of(topic: str) -> str:
    try:
        return _parse_topic(topic).gateway
    except MalformedMessageError:
        return ""
