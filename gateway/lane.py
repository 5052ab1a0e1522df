"""One spool on its way to ingest, as a pure machine: what is live, what is backlog, what is in flight, what is freed.

    receipted ──── backlog, oldest first, at a bounded rate ────▶ │ live_from ──── live, at once ────▶ newest

What was heard in the last seconds goes first, so that a bed is monitored as soon as its gateway is back; the hours
before fill the rest. Ingest tells what it holds: everything up to a sequence, and ranges `ahead` of that. What it holds
is never sent again, and everything else is, whatever became of it: the backlog is not remembered but follows from what
is held and what is in flight.

A broker's PUBACK proves nothing, so only a receipt frees a message. A receipt that does not come means that something
between here and ingest dropped messages: the oldest is sent again alone, and the window doubles with every receipt
until it is whole again. When ingest takes what is newer, again and again, but never the oldest, it cannot read it: see
`unreadable`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, TypeAlias

WINDOW_MESSAGES: Final = 512  # unreceipted at once: 8 minutes of backlog per receipt, and a bound for ingest's memory
WINDOW_BYTES: Final = 4 << 20  # the same in bytes, for messages with waveforms
LIVE_MESSAGES: Final = 20  # what is younger than about 20 s: alarms still call that live
SET_ASIDE_TRIES: Final = 4  # a message that ingest passed over so often, each time taking newer ones
_MAX_RANGES: Final = 64  # of what was sent: only for counting what was sent twice

Ranges: TypeAlias = tuple[tuple[int, int], ...]  # (first, last), ascending, apart


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of lanes and connection, see `gateway.config.UplinkConfig`."""

    receipt_timeout_s: float = 10.0
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 30.0
    window_messages: int = WINDOW_MESSAGES
    window_bytes: int = WINDOW_BYTES
    live_messages: int = LIVE_MESSAGES
    backlog_per_s: float = 100.0


@dataclass(frozen=True, slots=True)
class Lane:
    """Everything that is known of one spool's way. Begin with `begin`."""

    epoch: int
    receipted: int  # ingest holds everything up to here
    reached: int  # the highest sequence that can ever have left this gateway
    window: int  # how much backlog may be unreceipted now, in messages
    ahead: Ranges = ()  # ingest holds these as well
    is_open: bool = False  # whether there is a connection
    live_from: int = 1
    live_sent: int = 0  # the highest sequence that was sent as live
    restart_live: bool = False  # live data stood still: it goes on from the newest
    unanswered: int = 0  # live messages sent since the last receipt that told something new
    in_flight: Ranges = ()  # (sequence, bytes), oldest first
    head_at_s: float = 0.0  # since when the oldest in flight is that
    backlog_at_s: float = 0.0  # no backlog before, for its rate
    stuck: int = 0  # the message that was overdue last,
    tries: int = 0  # how often ingest passed it over,
    top: int = 0  # and the highest sequence that had been sent then
    told: Ranges = ()  # everything that was sent since the process began
    resent: int = 0
    receipts_ahead: int = 0  # of messages that never existed
    stale: bool = False  # ingest knows later messages of this epoch: nothing may be sent before `renewed`


@dataclass(frozen=True, slots=True)
class Portion:
    """What to read from the spool and send: after this sequence, at most so many messages and bytes."""

    after: int
    messages: int
    bytes: int


def begin(epoch: int, *, receipted: int, newest: int, limits: Limits) -> Lane:
    """The lane at start, from its spool.

    Everything up to `newest` may have been sent by an earlier process, so receipts for it are believed.
    """
    return Lane(epoch, receipted, newest, limits.window_messages)


# -- what to send ----------------------------------------------------------------------------------------------------


def wants_live(lane: Lane, *, newest: int, limits: Limits) -> Portion | None:
    """Which live messages may be sent now, the spool's newest being `newest`; `None` when none."""
    if not lane.is_open or lane.stale:
        return None
    after = max(lane.live_sent, newest - limits.live_messages) if lane.restart_live else lane.live_sent
    after = _past(lane.ahead, max(after, lane.receipted))
    flying = [size for sequence, size in lane.in_flight if sequence >= lane.live_from]
    messages = limits.window_messages - max(len(flying), lane.unanswered)
    return _portion(after, min(messages, newest - after), limits.window_bytes - sum(flying))


def wants_backlog(lane: Lane, *, oldest: int, now_s: float, limits: Limits) -> Portion | None:
    """Which older messages may be sent now, the spool's oldest being `oldest`; `None` when none."""
    if not has_backlog(lane, oldest=oldest) or now_s < lane.backlog_at_s:
        return None
    after = _first_missing(lane, oldest) - 1
    last = min([lane.live_from - 1, *(first - 1 for first, _ in lane.ahead if first > after)])
    flying = [size for sequence, size in lane.in_flight if sequence < lane.live_from]
    return _portion(after, min(lane.window - len(flying), last - after), limits.window_bytes - sum(flying))


def has_backlog(lane: Lane, *, oldest: int) -> bool:
    """Whether anything older than what is live is to be sent."""
    return lane.is_open and not lane.stale and _first_missing(lane, oldest) < lane.live_from


def deadline(lane: Lane, *, limits: Limits) -> float | None:
    """When to call `overdue`, monotonic seconds; `None` for never."""
    return lane.head_at_s + limits.receipt_timeout_s if lane.is_open and lane.in_flight else None


def unreadable(lane: Lane) -> int | None:
    """The message that ingest cannot read, if there is one: it is to be set aside and sent empty."""
    held = lane.stuck <= lane.receipted or _covers(lane.ahead, lane.stuck)
    return None if held or lane.tries < SET_ASIDE_TRIES else lane.stuck


def _portion(after: int, messages: int, size: int) -> Portion | None:
    return Portion(after, messages, size) if messages > 0 and size > 0 else None


def _first_missing(lane: Lane, oldest: int) -> int:
    """The lowest sequence that the spool has, that ingest does not hold and that is not in flight."""
    after = _past(lane.ahead, max(lane.receipted, oldest - 1))
    for sequence, _ in lane.in_flight:
        if sequence == after + 1:
            after = _past(lane.ahead, sequence)
        elif sequence > after:
            break
    return after + 1


# -- what happened ---------------------------------------------------------------------------------------------------


def opened(lane: Lane, *, newest: int, limits: Limits) -> Lane:
    """A connection is there, while the spool's newest message is `newest`."""
    live_from = max(lane.receipted + 1, newest - limits.live_messages + 1)
    return replace(
        lane,
        is_open=True,
        live_from=live_from,
        live_sent=_past(lane.ahead, live_from - 1),
        restart_live=False,
        unanswered=0,
        window=limits.window_messages,
    )


def lost(lane: Lane) -> Lane:
    """The connection is gone: what was in flight may or may not have come."""
    return replace(lane, is_open=False, in_flight=())


def sent(lane: Lane, messages: tuple[tuple[int, int], ...], *, now_s: float, limits: Limits) -> Lane:
    """Messages, `(sequence, bytes)` each, were handed to the connection, in order; raises `ValueError` otherwise."""
    sequences = [sequence for sequence, _ in messages]
    if not messages:
        return lane
    flying = {sequence for sequence, _ in lane.in_flight}
    if not lane.is_open or flying.intersection(sequences) or any(b <= a for a, b in pairwise(sequences)):
        raise ValueError(f"messages are sent in order, once and while connected, not {sequences}")
    first, last = sequences[0], sequences[-1]
    told = lane.told
    for sequence in sequences:
        told = _add(told, sequence)
    is_live = first > lane.live_sent
    in_flight = tuple(sorted(lane.in_flight + messages))
    return replace(
        lane,
        reached=max(lane.reached, last),
        told=told,
        resent=lane.resent + sum(_covers(lane.told, sequence) for sequence in sequences),
        in_flight=in_flight,
        head_at_s=lane.head_at_s if in_flight[:1] == lane.in_flight[:1] else now_s,
        live_from=first if is_live and (lane.restart_live and first > lane.live_sent + 1) else lane.live_from,
        live_sent=max(lane.live_sent, last),
        restart_live=lane.restart_live and not is_live,
        unanswered=lane.unanswered + (len(messages) if is_live else 0),
        backlog_at_s=lane.backlog_at_s
        if is_live
        else max(now_s, lane.backlog_at_s) + len(messages) / limits.backlog_per_s,
    )


def receipted(lane: Lane, through: int, ahead: Ranges, *, now_s: float, limits: Limits) -> Lane:
    """A receipt of this lane's epoch came."""
    if max(through, *(last for _, last in ahead), 0) > lane.reached:
        return replace(lane, receipts_ahead=lane.receipts_ahead + 1, stale=True)  # the spool went back in time
    through = max(through, lane.receipted)
    through = _past(ahead, through)
    ahead = tuple((first, last) for first, last in ahead if first > through)
    if through == lane.receipted and ahead == lane.ahead:
        return lane
    in_flight = tuple(m for m in lane.in_flight if m[0] > through and not _covers(ahead, m[0]))
    return replace(
        lane,
        receipted=through,
        ahead=ahead,
        live_sent=max(lane.live_sent, through),
        in_flight=in_flight,
        head_at_s=lane.head_at_s if in_flight[:1] == lane.in_flight[:1] else now_s,
        window=min(lane.window * 2, limits.window_messages),
        unanswered=0,
    )


def overdue(lane: Lane, *, now_s: float, limits: Limits) -> Lane:
    """The deadline for a receipt passed: all that is in flight becomes backlog, and the oldest goes first, alone."""
    due_s = deadline(lane, limits=limits)
    if due_s is None or now_s < due_s:
        return lane  # a receipt came while the timer fired
    head, taken = lane.in_flight[0][0], lane.ahead[-1][1] if lane.ahead else 0
    passed_over = head == lane.stuck and taken > lane.top  # by what was sent after it, not by what a broker still held
    return replace(
        lane,
        in_flight=(),
        live_from=lane.live_sent + 1,
        restart_live=True,
        window=1,
        backlog_at_s=now_s,
        stuck=head,
        tries=(lane.tries if head == lane.stuck else 0) + passed_over,
        top=lane.reached,
    )


def renewed(lane: Lane, epoch: int, *, newest: int, limits: Limits) -> Lane:
    """The spool began a new epoch: what it holds is to be sent again under that name."""
    fresh = replace(lane, epoch=epoch, stale=False, ahead=(), in_flight=(), stuck=0, tries=0, top=0)
    return opened(fresh, newest=newest, limits=limits) if lane.is_open else fresh


# -- ranges ----------------------------------------------------------------------------------------------------------


def _covers(ranges: Ranges, sequence: int) -> bool:
    return any(first <= sequence <= last for first, last in ranges)


def _past(ranges: Ranges, after: int) -> int:
    """The highest sequence so that everything from `after` + 1 to it is in `ranges`; `after` itself when nothing is."""
    for first, last in ranges:
        if first <= after + 1:
            after = max(after, last)
    return after


def _add(ranges: Ranges, sequence: int) -> Ranges:
    if ranges and sequence == ranges[-1][1] + 1:  # the ordinary case
        return (*ranges[:-1], (ranges[-1][0], sequence))
    if _covers(ranges, sequence):
        return ranges
    joined: list[tuple[int, int]] = []
    for first, last in sorted((*ranges, (sequence, sequence))):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined[-_MAX_RANGES:])
