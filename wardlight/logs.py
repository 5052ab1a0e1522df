"""Logs for operators: one event a line on standard error, JSON unless a person is watching."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(*, level: int = logging.INFO) -> None:
    """Set up structlog and route the libraries' own loggers (uvicorn, apprise, paho) to the same place.

    Values of keys that may hold a secret are masked, whatever a caller passes.
    """
    human = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask_secrets,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # looked up at each line: a test may exchange it
        cache_logger_on_first_use=False,
    )
    logging.getLogger("bleak").setLevel(logging.ERROR)  # it warns of what `gateway.bluez_watch` reports in our words
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


_SECRET = ("password", "token", "secret", "credential", "url")


def _mask_secrets(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in event:
        if any(word in key.lower() for word in _SECRET):
            event[key] = "•••"
    return event
