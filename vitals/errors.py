"""Errors say what to do next: try again, or set the thing aside. Nobody matches message strings."""

from __future__ import annotations


class WardlightError(Exception):
    """Base of every error that a Wardlight module lets escape on purpose."""


class RetryableError(WardlightError):
    """The same call may succeed later.

    `retry_after_s`: the least delay the other side asked for, in seconds; `None` when it named none.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PermanentError(WardlightError):
    """Trying again cannot help: keep the input with this reason, or stop and tell an operator."""


class ConfigurationError(PermanentError):
    """A setting is missing or wrong. The message names the setting and says what to write instead."""


class MalformedMessageError(PermanentError):
    """Input that does not follow the wire format.

    `reason`: a stable code (`truncated`, `type`, `unknown_version`, `too_large`, …) that is counted;
    `field`: the path of the offending field in the message, such as `devices[3].samples[0].value`, or `""`
    when the message as a whole is unreadable.
    """

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


class JournalFullError(RetryableError):
    """The journal is at its bound, or its disk is full, and its policy is to refuse rather than to drop."""


class JournalCorruptError(PermanentError):
    """The journal's file is damaged or was written by a newer version; the message says which and what to do."""
