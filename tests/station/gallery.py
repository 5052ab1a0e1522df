"""A pretended ward for looking at the station page: twelve patients, one in each state worth seeing.

`python tests/station/gallery.py [PORT]` serves it until interrupted; the tests use the same ward. No engine, no store.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from queue import Queue
from threading import Thread
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from starlette.applications import Starlette

from alerts.attention import Acknowledged, Paused
from alerts.events import AlarmEvent, Kind, Priority, Transition
from alerts.limits import Level, Rule, Rules, Source
from alerts.station.app import create_app, serve_station
from alerts.view import Doubt, OpenAlarm, Origin, PausedAlarms, Tile, TileVital
from vitals.model import Quality, Reason, Vital

NS = 1_000_000_000
NOW_NS = 1_768_442_400 * NS  # 2026-01-15 03:00:00 in Berlin
ZONE = ZoneInfo("Europe/Berlin")
HIGH, MEDIUM, LOW = Priority.HIGH, Priority.MEDIUM, Priority.LOW
S, H, P, R = Vital.SPO2, Vital.HEART_RATE, Vital.PULSE_RATE, Vital.RESP_RATE


@dataclass(frozen=True)
class Bed:
    """What one pretended patient shows: vital → (value, age in seconds), with the exceptions after it."""

    bed: str
    values: dict[Vital, tuple[float, float]]
    why: dict[Vital, Reason] = field(default_factory=dict)
    doubtful: dict[Vital, Doubt] = field(default_factory=dict)
    reason: Reason = Reason.PRESENT
    battery_pct: float | None = 80.0

    @property
    def patient(self) -> str:
        return f"P-{int(self.bed.partition('-')[2]):04d}"


BEDS = (
    Bed("3-01", {S: (97, 0.6), H: (72, 0.4), R: (14, 2.0)}),
    Bed("3-02", {S: (82, 0.8), P: (118, 0.8), R: (26, 3.0)}),
    Bed("3-03", {S: (95, 1.0), H: (134, 0.5), R: (18, 1.5)}),
    Bed("3-04", {S: (96, 0.7), P: (38, 0.7), R: (11, 2.0)}),
    Bed(
        "3-05",
        {S: (94, 75.0), P: (81, 75.0), R: (15, 80.0)},
        {S: Reason.PROBE_OFF, P: Reason.PROBE_OFF, R: Reason.PROBE_OFF},
        reason=Reason.PROBE_OFF,
    ),
    Bed(
        "3-06",
        {S: (93, 340.0), P: (88, 340.0), R: (16, 341.0)},
        dict.fromkeys((S, P, R), Reason.GATEWAY_DOWN),
        reason=Reason.GATEWAY_DOWN,
    ),
    Bed(
        "3-07",
        {S: (96, 341.0), H: (64, 340.0), R: (12, 342.0)},
        dict.fromkeys((S, H, R), Reason.GATEWAY_DOWN),
        reason=Reason.GATEWAY_DOWN,
    ),
    Bed(
        "3-08",
        {S: (91, 0.9), H: (77, 0.9)},
        {R: Reason.POOR_SIGNAL},
        {S: Doubt.LOW_PERFUSION, H: Doubt.SOURCES_DISAGREE},
    ),
    Bed("3-09", {}, dict.fromkeys((S, P, R), Reason.NEVER_SEEN), reason=Reason.NEVER_SEEN, battery_pct=None),
    Bed("3-10", {S: (98, 0.5), H: (59, 0.5), R: (13, 1.0)}, battery_pct=12.0),
    Bed("3-11", {S: (95, 45.0), H: (102, 0.4), R: (19, 1.2)}, {S: Reason.RADIO_LOST}),
    Bed("3-12", {S: (87, 1.1), P: (93, 1.1), R: (21, 4.0)}),
)

# alarm id → bed, condition, priority, seconds since it was raised, value, limit
OPEN = {
    "a-0201": ("3-02", "spo2_low", HIGH, 95, 82.0, 88.0),
    "a-0202": ("3-02", "resp_rate_high", MEDIUM, 40, 26.0, 25.0),
    "a-0301": ("3-03", "heart_rate_high", MEDIUM, 200, 134.0, 120.0),
    "a-0401": ("3-04", "pulse_rate_low", HIGH, 31, 38.0, 40.0),
    "a-0501": ("3-05", "probe_off", LOW, 45, None, None),
    "a-0601": ("", "gateway_down", MEDIUM, 310, None, None),
    "a-1001": ("3-10", "battery_low", LOW, 1900, 12.0, 15.0),
    "a-1201": ("3-12", "spo2_low", MEDIUM, 420, 87.0, 88.0),
}
TAKEN = {"a-0301": "KS", "a-1001": "KS"}
GATEWAY_BEDS = ("3-06", "3-07")
DEVICES = {
    S: ("ox-1", Origin.OXIMETER),
    P: ("ox-1", Origin.OXIMETER),
    H: ("strap-1", Origin.STRAP),
    R: ("ox-1:ppg", Origin.PULSE_WAVE),
}
DIP = {
    Vital.DESATURATION_DEPTH: 6.0,
    Vital.DESATURATION_DURATION: 75.0,
    Vital.DESATURATION_AREA: 260.0,
}
DIP_S = (1290, 1215)  # one desaturation: began and ended so many seconds ago


@dataclass(frozen=True)
class Columns:
    """Stored readings of one vital, as the station reads them."""

    sampled_at_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    reason: npt.NDArray[np.uint8]
    quality: npt.NDArray[np.uint8]

    @property
    def devices(self) -> tuple[str, ...]:
        return ("ox-1",)

    @property
    def device(self) -> npt.NDArray[np.uint32]:
        return np.zeros(self.sampled_at_ns.size, np.uint32)


class PretendedWard:
    """A live view, a history and an alarm log in one, at whatever time `now_ns` says."""

    def __init__(self, beds: Sequence[Bed] = BEDS, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.beds = list(beds)
        self.now_ns = now_ns
        self.acknowledged: list[tuple[str, str]] = []
        self.says = ""  # what keeps the server itself from watching
        self.warns = ""  # why its alarms may not get through
        begun_ns = now_ns()
        self.paused: dict[str, PausedAlarms] = {}
        self._alarms = {alarm_id: self._alarm(alarm_id, begun_ns) for alarm_id in OPEN}

    def tiles(self) -> list[Tile]:
        return [replace(self._tile(bed), paused=self.paused.get(bed.patient)) for bed in self.beds]

    def each_tile(self) -> Iterator[Tile]:
        return iter(self.tiles())

    def bed(self, patient: str) -> str | None:
        return next((bed.bed for bed in self.beds if bed.patient == patient), None)

    def trouble(self) -> str:
        return self.says

    def alarms(self) -> list[OpenAlarm]:
        return list(self._alarms.values())

    def acknowledge(self, alarm_id: str, actor: str) -> Acknowledged:
        if alarm_id not in self._alarms:
            return Acknowledged.UNKNOWN
        if not self._alarms[alarm_id].audible:
            return Acknowledged.ALREADY
        self.acknowledged.append((alarm_id, actor))
        self._alarms[alarm_id] = replace(
            self._alarms[alarm_id], audible=False, acknowledged_by=actor, acknowledged_at_ns=self.now_ns()
        )
        return Acknowledged.ACCEPTED

    def pause_audio(self, alarm_id: str, actor: str) -> Paused:
        if alarm_id not in self._alarms:
            return Paused.UNKNOWN
        if not self._alarms[alarm_id].audible:
            return Paused.NOTHING
        until_ns = self.now_ns() + 120 * NS
        found = replace(self._alarms[alarm_id], audible=False, paused_by=actor, paused_until_ns=until_ns)
        self._alarms[alarm_id] = found
        return Paused.ACCEPTED

    def pause_alarms(self, patient: str, actor: str, reason: str) -> Paused:
        if all(bed.patient != patient for bed in self.beds):
            return Paused.UNKNOWN
        self.paused[patient] = PausedAlarms(self.now_ns() + 120 * NS, actor, reason)
        return Paused.ACCEPTED

    def resume_alarms(self, patient: str, actor: str) -> Paused:
        return Paused.ACCEPTED if self.paused.pop(patient, None) else Paused.NOTHING

    def end(self, alarm_id: str) -> None:
        """The condition of an alarm is over."""
        del self._alarms[alarm_id]

    def samples(self, patient: str, vital: Vital, start_ns: int, end_ns: int) -> Columns:
        bed = next(bed for bed in self.beds if bed.patient == patient)
        if vital in DIP and S in bed.values:
            at_ns = np.array([end_ns // NS * NS - DIP_S[1] * NS], np.int64)
            return Columns(at_ns, np.array([DIP[vital]]), np.zeros(1, np.uint8), np.full(1, Quality.USABLE, np.uint8))
        if vital not in bed.values:
            return Columns(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8), np.empty(0, np.uint8))
        times = np.arange(start_ns // NS + 1, end_ns // NS, dtype=np.int64) * NS
        ago_s = (end_ns - times) / NS
        level = bed.values[vital][0]
        rest = {S: 96.0, H: 74.0, P: 78.0, R: 15.0}[vital]
        settled = 1 / (1 + np.exp((ago_s - 150) / 25))
        noise = np.random.default_rng(int(vital)).normal(0, {S: 0.5, R: 0.8}.get(vital, 2.0), times.size)
        value = np.round(rest + (level - rest) * settled + 2 * np.sin(ago_s / 300) + noise)
        value = np.minimum(value, 100) if vital is S else value
        reason, quality = np.zeros(times.size, np.uint8), np.full(times.size, Quality.USABLE, np.uint8)
        off = (ago_s > 1500) & (ago_s < 1860) & (vital in (S, P))
        reason[off] = Reason.PROBE_OFF
        silent = (ago_s > 2400) & (ago_s < 2580)
        quality[(ago_s > 900) & (ago_s < 1100)] = Quality.DOUBTFUL
        value[off] = np.nan
        kept = ~silent & (ago_s >= bed.values[vital][1])
        return Columns(times[kept], value[kept], reason[kept], quality[kept])

    def alarm_events(self, patient: str, start_ns: int, end_ns: int) -> list[AlarmEvent]:
        bed = next(bed.bed for bed in self.beds if bed.patient == patient)
        event = AlarmEvent(
            1, "a-old", patient, bed, Kind.PHYSIOLOGICAL, "spo2_low", MEDIUM, Transition.RAISED,
            end_ns - 1300 * NS, end_ns - 1300 * NS, 1, value=86.0, limit=88.0,
        )  # fmt: skip
        taken = replace(
            event, number=2, transition=Transition.ACKNOWLEDGED, actor="KS", decided_at_ns=end_ns - 1250 * NS
        )
        ended = replace(event, number=3, transition=Transition.ENDED, at_ns=end_ns - 1190 * NS)
        off = replace(
            event, number=4, alarm_id="a-off", kind=Kind.TECHNICAL, condition="probe_off", priority=LOW,
            at_ns=end_ns - 1830 * NS, value=None, limit=None,
        )  # fmt: skip
        return [off, replace(off, transition=Transition.ENDED, at_ns=end_ns - 1500 * NS), event, taken, ended]

    def rules(self, _patient: str) -> Rules:
        def rule(name: str, sign: int, *limits: tuple[Priority, float]) -> Rule:
            levels = tuple(Level(priority, limit, sign * limit, 15 * NS) for priority, limit in limits)
            return Rule(name, Kind.PHYSIOLOGICAL, Source.VALUE, sign, 1.0, levels)

        pulse = (rule("low", -1, (MEDIUM, 50), (HIGH, 40)), rule("high", 1, (MEDIUM, 120), (HIGH, 140)))
        return {
            S: (rule("spo2_low", -1, (MEDIUM, 88), (HIGH, 80)),),
            H: pulse,
            P: pulse,
            R: (rule("resp_rate_low", -1, (MEDIUM, 8)), rule("resp_rate_high", 1, (MEDIUM, 25))),
        }

    def _alarm(self, alarm_id: str, now_ns: int) -> OpenAlarm:
        bed, condition, priority, ago_s, value, limit = OPEN[alarm_id]
        physiological = condition.endswith(("_low", "_high")) and condition != "battery_low"
        actor = TAKEN.get(alarm_id, "")
        gateway = condition == "gateway_down"
        return OpenAlarm(
            alarm_id=alarm_id,
            patient=f"P-{int(bed[2:]):04d}" if bed else "",
            bed=bed,
            kind=Kind.PHYSIOLOGICAL if physiological else Kind.TECHNICAL,
            condition=condition,
            priority=priority,
            raised_at_ns=now_ns - ago_s * NS,
            value=value,
            limit=limit,
            reason=Reason.PRESENT if physiological else Reason.GATEWAY_DOWN if gateway else Reason.PROBE_OFF,
            device="",
            gateway="gw-east" if gateway else "",
            detail="",
            beds=GATEWAY_BEDS if gateway else (),
            audible=not actor,
            announced=True,
            acknowledged_by=actor,
            acknowledged_at_ns=now_ns - 20 * NS if actor else None,
        )

    def _tile(self, bed: Bed) -> Tile:
        own = [a for a in self._alarms.values() if a.bed == bed.bed or bed.bed in a.beds]
        worst = max((a.priority for a in own), default=None)
        shown = set(bed.values) | set(bed.why)
        return Tile(
            patient=bed.patient,
            bed=bed.bed,
            reason=bed.reason,
            vitals=tuple(self._vital(bed, vital, own) for vital in sorted(shown)),
            battery_pct=bed.battery_pct,
            sources=tuple(self._sources(bed)),
            priority=worst,
            acknowledged=bool(own) and not any(a.audible for a in own if a.priority is worst),
        )

    def _sources(self, bed: Bed) -> Iterator[TileVital]:
        """What each device says: what the tile shows, and an oximeter's own pulse beside a strap."""
        for vital in sorted(set(bed.values) | set(bed.why)):
            yield replace(self._vital(bed, vital, []), doubt=Doubt.NONE, quality=Quality.USABLE)
        if {S, H} <= set(bed.values) and not bed.why.get(S):
            own = self._vital(bed, H, [])
            pulse = None if own.value is None else own.value + (41 if H in bed.doubtful else 1)
            yield replace(
                own, vital=P, value=pulse, device=DEVICES[P][0], origin=DEVICES[P][1], quality=Quality.DOUBTFUL,
                doubt=Doubt.POOR_SIGNAL,
            )  # fmt: skip

    def _vital(self, bed: Bed, vital: Vital, own: list[OpenAlarm]) -> TileVital:
        value, age_s = bed.values.get(vital, (None, 0.0))
        why = bed.why.get(vital, Reason.PRESENT)
        device, origin = DEVICES[vital]
        return TileVital(
            vital=vital,
            value=value if why is Reason.PRESENT else None,
            reason=why,
            quality=Quality.DOUBTFUL if vital in bed.doubtful else Quality.USABLE,
            sampled_at_ns=None if value is None else self.now_ns() - int(age_s * NS),
            last_value=value,
            device=device,
            origin=origin,
            doubt=bed.doubtful.get(vital, Doubt.NONE),
            priority=max((a.priority for a in own if a.condition.startswith(vital.name.lower())), default=None),
        )


def pretended_station(ward: PretendedWard, metrics: Callable[[], str] = str) -> Starlette:
    """The station on a pretended ward."""
    return create_app(
        ward,
        ward,
        ward,
        ward="North 3",
        zone=ZONE,
        limits=ward.rules,
        now_ns=ward.now_ns,
        metrics=metrics,
        simulated=True,
        warning=lambda: ward.warns,
    )


@contextmanager
def serving(ward: PretendedWard) -> Iterator[str]:
    """The station on a real port, in a thread of its own; the address."""
    opened: Queue[str] = Queue(maxsize=1)
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
        with suppress(asyncio.CancelledError):
            await serve_station(pretended_station(ward), port=0, ready=opened.put)

    thread = Thread(target=lambda: asyncio.run(serve()), name="pretended-station")
    thread.start()
    try:
        yield opened.get(timeout=20)
    finally:
        stop[0]()
        thread.join(timeout=20)
        assert not thread.is_alive()


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 8071
    asyncio.run(serve_station(pretended_station(PretendedWard()), port=chosen, ready=print))
