"""Prometheus metrics of a running server, read from its parts at each scrape: nothing counts twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alerts.app import AlertService
from alerts.notify.receipt_desk import ReceiptDesk
from ingest.app import IngestService
from ingest.broker import BrokerSource
from ingest.endpoint import Endpoint
from ingest.store.consumer import StoreConsumer
from vitals.journal import Journal
from wardlight.databases import Databases
from wardlight.heartbeat import HeartbeatService
from wardlight.heartbeat_watch import Watch
from wardlight.influx_metrics import influx_metrics


class Metrics(Collector):
    """Call it for the Prometheus text."""

    def __init__(
        self,
        *,
        ingest: IngestService,
        store: StoreConsumer,
        alerts: AlertService,
        journal: Journal,
        endpoint: Endpoint | None,
        broker: BrokerSource | None,
        databases: Databases,
        heartbeat: HeartbeatService,
        receipts: ReceiptDesk,
    ) -> None:
        self._receipts = receipts
        self._ingest = ingest
        self._store = store
        self._alerts = alerts
        self._journal = journal
        self._endpoint = endpoint
        self._broker = broker
        self._databases = databases
        self._heartbeat = heartbeat
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def __call__(self) -> str:
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterator[Metric]:
        """Every metric as of now."""
        yield from self._of_ingest()
        yield from self._of_consumers()
        yield from self._of_notifications()
        yield from influx_metrics(self._databases.health())
        if self._heartbeat.watch is not None:
            yield from _of_heartbeat(self._heartbeat.watch)
        if self._endpoint is not None:
            yield from self._of_endpoint(self._endpoint)
        if self._broker is not None:
            yield _gauge(
                "wardlight_broker_connected", "Whether the broker is connected.", self._broker.health.connected
            )

    def _of_ingest(self) -> Iterator[Metric]:
        stats = self._ingest.stats
        yield _counter("wardlight_ingest_commits", "Durable group commits.", stats.commits)
        yield _counter("wardlight_ingest_refused_commits", "Commits refused by a full disk.", stats.refused_commits)
        yield _labelled(
            "wardlight_ingest_counts", "Messages and readings, by what became of them.", "what", stats.counts
        )
        yield _labelled("wardlight_ingest_rejected", "Set aside, by reason.", "reason", stats.rejected)

    def _of_consumers(self) -> Iterator[Metric]:
        health = self._store.health()
        yield _gauge("wardlight_journal_bytes", "Payload held by the ingest journal.", self._journal.size_bytes)
        yield _gauge("wardlight_store_lag_records", "Journal records not stored yet.", health.lag_records)
        yield _gauge("wardlight_store_lag_seconds", "Age of the oldest of them.", health.lag_s)
        yield _counter("wardlight_store_unreadable", "Journal records the store had to skip.", health.unreadable)
        lag = self._journal.newest - self._alerts.position
        yield _gauge("wardlight_alerts_lag_records", "Journal records not judged yet.", lag)
        late = self._alerts.late
        yield _counter("wardlight_alerts_late_samples", "Samples that came after a newer one of their stream.", late)
        alarms = self._alerts.alarms()
        counts: dict[str, int] = {"high": 0, "medium": 0, "low": 0}
        for alarm in alarms:
            counts[alarm.priority.name.lower()] += 1
        open_alarms = GaugeMetricFamily("wardlight_open_alarms", "Open alarms by priority.", labels=["priority"])
        for priority, count in counts.items():
            open_alarms.add_metric([priority], count)
        yield open_alarms

    def _of_notifications(self) -> Iterator[Metric]:
        messages = CounterMetricFamily(
            "wardlight_messages", "Notifications by what became of them.", labels=["channel", "state"]
        )
        for channel, counts in self._alerts.messages.items():
            for state, count in counts.items():
                messages.add_metric([channel, state], count)
        yield messages
        receipts = CounterMetricFamily(
            "wardlight_receipts", "What phones and pagers reported.", labels=["channel", "state"]
        )
        for (channel, said), count in self._receipts.counts.items():
            receipts.add_metric([channel, said.value], count)
        yield receipts
        if (caller := self._alerts.caller) is not None:
            yield _gauge("wardlight_calls_waiting", "Alarms that nobody on duty has acknowledged.", caller.waiting)
            yield _labelled("wardlight_calls", "Calls to people on duty, by why.", "why", caller.made)

    def _of_endpoint(self, endpoint: Endpoint) -> Iterator[Metric]:
        stats = endpoint.stats
        yield _gauge("wardlight_endpoint_connections", "Open connections.", stats.connections)
        yield _counter("wardlight_endpoint_messages", "Messages taken in.", stats.messages)
        yield _counter(
            "wardlight_endpoint_pauses", "Times that reading stopped because ingest was behind.", stats.pauses
        )
        yield _labelled("wardlight_endpoint_violations", "Connections closed, by reason.", "reason", stats.violations)


def _of_heartbeat(watch: Watch) -> Iterator[Metric]:
    beat = watch.beat
    yield _gauge("wardlight_heartbeat_age_seconds", "Since the self-test's alarm came through.", watch.age_s)
    if beat.took_s is not None:
        yield _gauge("wardlight_heartbeat_seconds", "How long the latest took, from reading to hand-over.", beat.took_s)
    results = {happening.value: count for happening, count in beat.counts.items()}
    yield _labelled("wardlight_heartbeats", "Rounds of the self-test, by what became of them.", "result", results)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in sorted(counts.items()):
        family.add_metric([key], count)
    return family
