"""The gateway: everything between a wearable and the server, composed and kept running.

    Radio, LocalMqtt ──▶ Recorder (collect, time, store) ──▶ Spools ──▶ Uplink ──▶ server

`run` it in-process or from the command line. Nothing that a radio, a network, a disk or a clock does ends it; what
should not happen does, and the service manager starts it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from gateway.config import GatewayConfig
from gateway.devices.driver import Heard
from gateway.health import Facts, health_of, report
from gateway.held import Held
from gateway.local_mqtt import LocalMqtt
from gateway.log import Level, QuietLog
from gateway.pushed import PushedSettings
from gateway.recorder import Recorder
from gateway.spools import Spools
from gateway.system_clock import boot_id, read_clocks
from gateway.systemd import notify
from gateway.timekeeper import ClockReading
from gateway.uplink import Uplink
from vitals.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.radio_status import RadioEvent, RadioStatus

STATUS_FILE: Final = "status.json"
TELL_EVERY_S: Final = 1.0
STORED_WITHIN_S: Final = 15.0  # else the watchdog is not told that all is well: the disk hangs
FLUSH_S: Final = 2.0  # at the end, to bring what was heard last to the server
LEAVE_S: Final = 8.0  # at the end, for links to be closed; systemd waits for 10

OnHeard = Callable[[str, Heard, "int | None", int], None]


class Radio(Protocol):
    """What brings Bluetooth wearables in, see `gateway.ble`."""

    async def run(self) -> None: ...
    def snapshot(self) -> RadioStatus: ...


MakeRadio = Callable[["GatewayConfig", OnHeard, "Callable[[RadioEvent], None]"], Radio]


def bluetooth(config: GatewayConfig, on_heard: OnHeard, on_event: Callable[[RadioEvent], None]) -> Radio:
    """The real radio; raises `ConfigurationError` for a driver that does not exist."""
    from gateway.bluetooth import radio_of  # noqa: PLC0415  bleak costs 0.3 s on a Pi that hears Wi-Fi wearables only

    return radio_of(config, on_heard, on_event)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is outside of the gateway, exchangeable in tests."""

    make_radio: MakeRadio = bluetooth
    read_clocks: Callable[[], ClockReading] = read_clocks
    boot_id: Callable[[], str] = boot_id
    notify: Callable[[str], object] = field(default=notify)


async def run(
    config: GatewayConfig,
    *,
    local: dict[str, Any] | None = None,
    stop: asyncio.Event | None = None,
    surroundings: Surroundings | None = None,
) -> None:
    """Run the gateway until `stop` is set or the task is cancelled.

    `local`: the local settings file, decoded, which pushed settings are laid over; needed when `[push]` is configured.
    Raises `ConfigurationError`; `JournalFullError` when the spools cannot be opened.
    """
    stop, around = stop or asyncio.Event(), surroundings or Surroundings()
    pushed = _pushed(config, local)
    while True:
        gateway = Gateway(pushed.config if pushed else config, around, pushed)
        await gateway.run(stop)
        if stop.is_set():
            return


def _pushed(config: GatewayConfig, local: dict[str, Any] | None) -> PushedSettings | None:
    if config.push is None or local is None:
        return None
    folder = Path(config.spool.folder)
    _make(folder, "spool.folder")
    return PushedSettings(folder, config.push.public_key, local)


class Gateway:
    """One life of the gateway, with one set of settings."""

    def __init__(self, config: GatewayConfig, around: Surroundings, pushed: PushedSettings | None) -> None:
        self._config = config
        self._around = around
        self._pushed = pushed
        self._anew = asyncio.Event()  # other settings are in force: start again with them
        self._log = QuietLog("gateway", per_minute=config.log.per_minute, monotonic=time.monotonic)
        self._began_s = time.monotonic()
        self._heard_at_ns: dict[str, int] = {}
        self._folder, self._runtime = Path(config.spool.folder), Path(config.runtime_folder)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set or other settings are in force."""
        _make(self._folder, "spool.folder")
        _make(self._runtime, "runtime_folder")
        with ExitStack() as opened:
            bounds = self._config.spool
            self._spools = opened.enter_context(
                Spools(
                    self._folder,
                    self._runtime,
                    self._config.gateway,
                    max_bytes=bounds.max_bytes,
                    max_age_s=bounds.max_age_s,
                )
            )
            self._held = opened.enter_context(Held(self._folder / "held.db"))
            self._compose()
            await self._work(stop)

    def _compose(self) -> None:
        config, around = self._config, self._around
        self._recorder = Recorder(
            self._spools,
            self._held,
            boot=around.boot_id(),
            read_clocks=around.read_clocks,
            hold_s=config.clock.hold_s,
            server_is_there=lambda: self._uplink.connected,
        )
        first, *others = self._spools.by_importance
        self._uplink = Uplink(
            config.uplink,
            first,
            now_ns=self._recorder.now_ns,
            monotonic=time.monotonic,
            clock=lambda: self._recorder.clock,
            also=others,
            health=lambda: health_of(self._facts()),
            on_config=self._take_settings if self._pushed else None,
        )
        self._radio: Radio | None = None
        if config.radio.enabled and config.device:
            self._radio = around.make_radio(config, self._hear, self._radio_event)
        self._local: LocalMqtt | None = None
        if config.local_mqtt is not None:
            monotonic_ns = self._monotonic_ns
            self._local = LocalMqtt(config.local_mqtt, on_heard=self._hear, monotonic_ns=monotonic_ns)

    async def _work(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            inputs = [
                tasks.create_task(part.run(), name=name)
                for name, part in (("radio", self._radio), ("local mqtt", self._local))
                if part is not None
            ]
            recording = tasks.create_task(self._recorder.run(), name="recorder")
            sending = tasks.create_task(self._uplink.run(), name="uplink")
            others = [tasks.create_task(self._tell(), name="status")]
            if self._pushed is not None and self._pushed.on_trial:
                others.append(tasks.create_task(self._watch_trial(self._pushed), name="trial"))
            self._around.notify("READY=1")
            self._log.say(
                "info", "started", wearables=len(self._config.device), server=self._config.uplink.address.host
            )
            await _either(stop, self._anew)
            self._around.notify("STOPPING=1" if stop.is_set() else "RELOADING=1")
            await self._leave(inputs, recording, sending)
            for task in others:
                task.cancel()

    async def _leave(
        self, inputs: list[asyncio.Task[None]], recording: asyncio.Task[None], sending: asyncio.Task[None]
    ) -> None:
        """What was heard goes to the disk, then to the server if it is there, then links are closed."""
        for task in (*inputs, recording):
            task.cancel()
        await asyncio.wait([recording])
        if self._uplink.connected:
            await self._uplink.drained(FLUSH_S)
        sending.cancel()
        await asyncio.wait([*inputs, sending], timeout=LEAVE_S - FLUSH_S)

    # -- what comes in -----------------------------------------------------------------------------------------------

    def _hear(self, device: str, heard: Heard, rssi_dbm: int | None, at_monotonic_ns: int) -> None:
        if heard.samples or heard.waves:
            self._heard_at_ns[device] = max(at_monotonic_ns, self._heard_at_ns.get(device, 0))
        for what in heard.malformed:
            self._log.say("warning", "unusable frame", about=device, what=what)
        self._recorder.hear(device, heard, rssi_dbm)

    def _radio_event(self, event: RadioEvent) -> None:
        level: Level = "info" if event.what in {"link_up", "bluez_back", "adapter_on", "recovered"} else "warning"
        self._log.say(level, event.text, about=event.device or event.adapter, kind=event.kind, what=event.what)

    # -- what is told ------------------------------------------------------------------------------------------------

    def _facts(self) -> Facts:
        now_ns = self._monotonic_ns()
        faults = [self._spools.fault, self._local.error if self._local else ""]
        faults.append(f"settings: {self._pushed.kept.refusal}" if self._pushed and self._pushed.kept.refusal else "")
        drops = self._spools.drops | {
            f"heard: {what}": count for what, count in self._recorder.collector.counts.items()
        }
        drops |= {"held: size": dropped} if (dropped := self._held.dropped) else {}
        drops |= {f"wifi: {what}": n for what, n in self._local.counts.items() if n} if self._local else {}
        return Facts(
            uptime_s=time.monotonic() - self._began_s,
            clock=self._recorder.clock,
            held=self._held.waiting,
            drops=drops,
            radio=self._radio.snapshot() if self._radio else None,
            heard_ago_s={device: (now_ns - at_ns) / 1e9 for device, at_ns in self._heard_at_ns.items()},
            wifi=self._config.local_mqtt.wearables if self._config.local_mqtt else (),
            faults=tuple(filter(None, faults)),
            set_aside=self._uplink.stats.set_aside,
            config_version=self._pushed.kept.version if self._pushed else 0,
        )

    async def _tell(self) -> None:
        """Once a second: `status.json` for people at the gateway, and a sign of life for systemd."""
        told = ""
        while True:
            stats = self._uplink.stats
            if stats.last_error not in {"", told}:
                self._log.say("warning", "uplink", error=stats.last_error)
            told = stats.last_error
            said = report(
                self._config.site,
                self._config.gateway,
                server=self._config.uplink.url,
                version=version("wardlight"),
                at_ns=self._recorder.now_ns(),
                stats=stats,
                facts=self._facts(),
            )
            self._write_status(msgspec.json.encode(said))
            if self._monotonic_ns() - self._recorder.stored_at_ns <= STORED_WITHIN_S * 1e9:
                self._around.notify("WATCHDOG=1")
            await asyncio.sleep(TELL_EVERY_S)

    def _write_status(self, said: bytes) -> None:
        """In memory (tmpfs), in one step."""
        file = self._runtime / STATUS_FILE
        fresh = file.with_name(STATUS_FILE + ".new")
        try:
            fresh.write_bytes(said)
            fresh.replace(file)
        except OSError as error:
            self._log.say("warning", "status.json cannot be written", error=str(error))

    def _monotonic_ns(self) -> int:
        return self._around.read_clocks().monotonic_ns

    # -- pushed settings ---------------------------------------------------------------------------------------------

    def _take_settings(self, payload: bytes) -> None:
        if self._pushed is not None and self._pushed.take(payload):
            self._log.say("info", "new settings from the server", version=self._pushed.kept.version)
            self._anew.set()

    async def _watch_trial(self, pushed: PushedSettings) -> None:
        """New settings have to bring a receipt in time, or they are taken back."""
        assert self._config.push is not None
        due_s = time.monotonic() + self._config.push.health_s
        while time.monotonic() < due_s:
            if self._uplink.answered_at_s is not None or (self._uplink.connected and not self._uplink.stats.spooled):
                pushed.pass_trial()
                return
            await asyncio.sleep(TELL_EVERY_S)
        pushed.roll_back(f"no receipt from {self._config.uplink.url} within {self._config.push.health_s:g} s")
        self._log.say("error", "settings taken back", why=pushed.kept.refusal)
        self._anew.set()


def _make(folder: Path, setting: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{setting}: {folder} cannot be made ({error.strerror}); name one of our own"
        ) from error


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
