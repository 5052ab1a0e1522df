"""The ways in of a server: its own endpoint, a broker, or both; and what ingest needs of them."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog

from ingest.app import IngestService
from ingest.broker import BrokerConfig, BrokerSource
from ingest.endpoint import Endpoint, EndpointConfig
from ingest.source import Incoming
from vitals.errors import ConfigurationError
from vitals.self_test import SELF_TEST
from wardlight.layout import now_ns

_log: Final = structlog.get_logger("server")


def by_certificate(_username: str | None, _password: bytes | None, certificate_cn: str | None) -> str | None:
    """A gateway is who its certificate says: the common name is the gateway's name. The self-test's is nobody's."""
    return None if certificate_cn == SELF_TEST else certificate_cn


class Sources:
    """The ways in, behind what the ingest service needs of them: receipts down, and stopping when it is behind."""

    def __init__(self) -> None:
        self.endpoint: Endpoint | None = None
        self.broker: BrokerSource | None = None

    async def listen(
        self, stack: AsyncExitStack, config: EndpointConfig, tls: ssl.SSLContext | None, ingest: IngestService
    ) -> None:
        """Let gateways connect; raises `ConfigurationError` when the port cannot be opened."""
        endpoint = Endpoint(
            config,
            ingest.offer,
            ingest.offer,
            now_ns=now_ns,
            monotonic=time.monotonic,
            tls=tls,
            authenticate=None if tls is None else by_certificate,
        )
        try:
            self.endpoint = await stack.enter_async_context(endpoint)
        except OSError as error:
            where = f"port {config.port} on {config.host}"
            raise ConfigurationError(
                f"gateways: {where} cannot be opened ({error.strerror}); choose another --port or --host"
            ) from error

    async def connect(
        self, stack: AsyncExitStack, config: BrokerConfig, ingest: IngestService, hear: Callable[[Incoming], None]
    ) -> None:
        """Connect to the broker, now and whenever it is back. `hear`: what gets its messages, and offers them."""
        self.broker = await stack.enter_async_context(BrokerSource(config, hear, ingest.offer, now_ns=now_ns))

    async def close(self) -> None:
        """Take in no more; what is not acknowledged stays with its sender."""
        for source in (self.endpoint, self.broker):
            if source is not None:
                await source.close()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a receipt wherever its gateway may be."""
        for source in (self.endpoint, self.broker):
            if source is not None:
                source.publish(topic, payload, retain=True)

    async def heed(self, ingest: IngestService) -> None:
        """Stop reading while the intake is congested."""
        while True:
            await ingest.intake.congestion()
            _log.warning("ingest is behind: sources pause, gateways keep their readings")
            for source in (self.endpoint, self.broker):
                if source is not None:
                    source.pause()
            await ingest.intake.relieved()
            for source in (self.endpoint, self.broker):
                if source is not None:
                    source.resume()
