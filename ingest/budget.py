"""How much a source has handed to the intake that is not committed yet, against its bounds. Pure."""

from __future__ import annotations


class Budget:
    """Messages and payload bytes between "handed over" and "acknowledged".

    `exceeded` begins above a bound and ends at half of it, so that reading does not stop and go with every message.
    """

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self.messages = 0
        self.bytes = 0
        self.exceeded = False
        self._max_messages = max_messages
        self._max_bytes = max_bytes

    def take(self, messages: int, size_bytes: int) -> bool:
        """Messages of `size_bytes` together are handed over; whether `exceeded` changed."""
        self.messages += messages
        self.bytes += size_bytes
        if not self.exceeded and (self.messages > self._max_messages or self.bytes > self._max_bytes):
            self.exceeded = True
            return True
        return False

    def give_back(self, size_bytes: int) -> bool:
        """A message is committed; whether `exceeded` changed."""
        self.messages -= 1
        self.bytes -= size_bytes
        if self.exceeded and self.messages * 2 <= self._max_messages and self.bytes * 2 <= self._max_bytes:
            self.exceeded = False
            return True
        return False
