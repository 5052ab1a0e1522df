"""Where a connection's bytes become whole packets: assembly, size limits and the rate limit. Pure."""

from __future__ import annotations

from mqtt5 import DisconnectReasonCode

from ingest.mqtt.codec import ViolationError
from ingest.mqtt.events import SessionBounds
from ingest.mqtt.v311 import frame_end


class OversizedError(ViolationError):
    """A packet announces more bytes than its kind may have; `beginning` of it has come, with its body at `body_at`."""

    def __init__(self, beginning: bytes, body_at: int, announced_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            DisconnectReasonCode.PACKET_TOO_LARGE, f"a packet of {announced_bytes:,} bytes; at most {limit_bytes:,}"
        )
        self.beginning = beginning
        self.body_at = body_at


class Inbox:
    """Bytes received and not yet taken apart.

    `next_packet` leaves the packet in `buffer`, so that a payload is copied out only once. `open` lifts the limit of a
    PUBLISH from that of an unknown client. `partial_since_s`: when the packet was begun that is still not complete.
    """

    def __init__(self, bounds: SessionBounds, now_s: float) -> None:
        self.buffer = b""
        self.partial_since_s: float | None = None
        self._bounds = bounds
        self._max_publish_bytes = bounds.max_control_bytes
        self._at = 0
        self._more: list[bytes] = []  # what came since, joined only when it can complete a packet: no quadratic copying
        self._held_bytes = 0
        self._needed_bytes = 0
        self._tokens = bounds.burst
        self._refilled_s = now_s

    @property
    def held_bytes(self) -> int:
        """How much memory waits here."""
        return self._held_bytes - self._at

    @property
    def exhausted(self) -> bool:
        """Whether the rate is used up; `refill` ends it."""
        return self._tokens < 1

    def open(self) -> None:
        """The client is known: messages may have their full size."""
        self._max_publish_bytes = self._bounds.max_packet_bytes

    def clear(self) -> None:
        """Forget what is held: nobody will read it."""
        self.buffer, self.partial_since_s = b"", None
        self._at = self._held_bytes = 0
        self._more.clear()

    def refill(self, now_s: float) -> None:
        """Grant the packets that the time since the last call allows."""
        bounds = self._bounds
        self._tokens = min(bounds.burst, self._tokens + (now_s - self._refilled_s) * bounds.messages_per_s)
        self._refilled_s = now_s

    def feed(self, data: bytes) -> bool:
        """Take bytes; whether they may complete a packet."""
        if data:
            self._more.append(data)
            self._held_bytes += len(data)
        if self.held_bytes < self._needed_bytes:
            return False
        if self._more:
            rest = self.buffer[self._at :]
            self.buffer = rest + b"".join(self._more) if rest or len(self._more) > 1 else self._more[0]
            self._more.clear()
            self._at, self._held_bytes = 0, len(self.buffer)
        return True

    def next_packet(self, now_s: float) -> tuple[int, int, int] | None:
        """Where the next whole packet begins, its body begins, and it ends; `None`: more bytes or time are needed."""
        buffer, at = self.buffer, self._at
        self._needed_bytes = 0
        if self._tokens < 1:
            return None
        if at == len(buffer):
            self.partial_since_s = None
            return None
        try:
            start, end = frame_end(buffer, at)
        except IndexError:
            self._wait(now_s, 0)
            return None
        except ValueError as error:
            raise ViolationError(DisconnectReasonCode.MALFORMED_PACKET, str(error)) from error
        limit = self._max_publish_bytes if buffer[at] & 0xF0 == 0x30 else self._bounds.max_control_bytes
        if end - at > limit:
            raise OversizedError(buffer[at:], start - at, end - at, limit)
        if end > len(buffer):
            self._wait(now_s, end - at)
            return None
        self._at = end
        self._tokens -= 1
        self.partial_since_s = None
        return at, start, end

    def _wait(self, now_s: float, needed_bytes: int) -> None:
        self._needed_bytes = needed_bytes
        if self.partial_since_s is None:
            self.partial_since_s = now_s
