"""The radio supervisor: one recovery ladder per adapter, fed with signs of life, and its steps taken and reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway import recovery
from gateway.ble_scanner import Scanner, Sighting
from gateway.bleak_edge import RadioCallError
from gateway.bluez_watch import BluezView, BluezWatch
from gateway.radio_status import AdapterStatus, RadioSettings, What
from gateway.radio_steps import WORDS, take_step
from gateway.recovery import Condition, Step
from gateway.slots import Slots

FAREWELL_S: Final = 2.0  # for the scans to stop at the end


@dataclass(slots=True)
class Adapter:
    """What the gateway keeps of an adapter that it saw once, or was told to use."""

    ladder: recovery.State
    scanner: Scanner
    keeper: asyncio.Task[None]


class Supervisor:
    """Adapters, their scans and their recovery.

    `report(what, adapter, text)` gets technical events; `on_sighting` every advertisement; `on_change` is called when
    a deadline may have moved. `use` it on the running loop, `close` it at the end.
    """

    def __init__(
        self,
        settings: RadioSettings,
        watch: BluezWatch,
        *,
        now_s: Callable[[], float],
        on_sighting: Callable[[str], Sighting],
        report: Callable[[What, str, str], None],
        on_change: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._now_s = now_s
        self._on_sighting = on_sighting
        self._report = report
        self._on_change = on_change
        self._needed = False
        self._adapters: dict[str, Adapter] = {}
        self._step: asyncio.Task[None] | None = None
        for name in settings.adapters:
            self._add(name)

    def need(self, needed: bool) -> None:
        """Whether there is anything to listen for; without, nothing is scanned and nothing recovered."""
        self._needed = needed
        self.look()

    def scanner(self, adapter: str) -> Scanner:
        """The scan of an adapter that something was sighted through."""
        return self._adapters[adapter].scanner

    def names(self) -> tuple[str, ...]:
        """The adapters in use."""
        return tuple(self._adapters)

    def seen(self, before: BluezView, after: BluezView) -> None:
        """bluetoothd or an adapter came or went."""
        for name in after.powered:
            if name not in self._adapters and not self._settings.adapters:
                self._add(name)
        for name, adapter in self._adapters.items():
            was, now = before.powered.get(name), after.powered.get(name)
            if was and not now:
                adapter.scanner.lost()
            if was != now and after.running and before.running:
                self._report(*_told(name, now))
        self.look()

    def look(self) -> None:
        """Adjust scans and ladders to what is now the case."""
        view, now_s = self._watch.view, self._now_s()
        for name, adapter in self._adapters.items():
            adapter.scanner.enable(self._needed and view.powered.get(name, False))
            condition = self._condition(view, name, adapter.scanner)
            adapter.ladder = recovery.observe(adapter.ladder, condition, now_s)
        self._on_change()

    def advertised(self, name: str) -> None:
        """An advertisement was heard through an adapter."""
        adapter = self._adapters[name]
        if adapter.ladder.is_climbing:
            self._report("recovered", name, f"{name} hears wearables again")
        adapter.ladder = recovery.advertised(adapter.ladder, self._now_s())

    def notified(self, name: str) -> None:
        """A link of an adapter delivered something."""
        adapter = self._adapters[name]
        adapter.ladder = recovery.notified(adapter.ladder, self._now_s())

    def next_deadline(self) -> float | None:
        """When to call `due`, monotonic seconds."""
        if not self._needed or (self._step is not None and not self._step.done()):
            return None  # a step that is being taken calls `on_change` when it is done
        policy = self._settings.policy
        times = [recovery.next_deadline(adapter.ladder, policy) for adapter in self._adapters.values()]
        return min((at_s for at_s in times if at_s is not None), default=None)

    def due(self) -> None:
        """Take the step that is due, if one is; one at a time on the whole computer."""
        now_s, policy = self._now_s(), self._settings.policy
        for name, adapter in self._adapters.items():
            if (at_s := self.next_deadline()) is None or at_s > now_s:
                return
            others_live = any(self._lives(other, now_s) for key, other in self._adapters.items() if key != name)
            why = adapter.ladder.condition
            adapter.ladder, step = recovery.due(adapter.ladder, now_s, policy, others_live=others_live)
            if step is not None:
                self._step = asyncio.create_task(self._take(step, name, adapter, why), name=f"radio {step.name}")

    def status(self, slots: Slots) -> tuple[AdapterStatus, ...]:
        """Every adapter."""
        now_s = self._now_s()
        return tuple(
            AdapterStatus(
                name=name,
                condition=adapter.ladder.condition,
                slots_used=slots.in_use(name),
                slots=slots.budget_of(name),
                advertisement_age_s=None if (at := adapter.ladder.advertised_at_s) is None else now_s - at,
                steps=dict(adapter.ladder.counts),
            )
            for name, adapter in self._adapters.items()
        )

    async def close(self) -> None:
        """Stop the scans and the step that is being taken."""
        tasks = [adapter.keeper for adapter in self._adapters.values()] + ([self._step] if self._step else [])
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=FAREWELL_S)

    # -- small parts -------------------------------------------------------------------------------------------------

    def _add(self, name: str) -> None:
        scanner = Scanner(name, self._on_sighting(name), self.look, call_s=self._settings.call_s)
        keeper = asyncio.create_task(scanner.run(), name=f"scan {name}")
        self._adapters[name] = Adapter(recovery.State(since_s=self._now_s()), scanner, keeper)

    def _condition(self, view: BluezView, name: str, scanner: Scanner) -> Condition:
        if not view.running:
            return Condition.NO_BLUEZ
        if name not in view.powered:
            return Condition.MISSING
        if not view.powered[name]:
            return Condition.OFF
        if scanner.at_rest:
            return Condition.PAUSED
        return Condition.SCANNING if scanner.scanning else Condition.IDLE

    def _lives(self, adapter: Adapter, now_s: float) -> bool:
        ladder, policy = adapter.ladder, self._settings.policy
        heard_at_s = max(ladder.notified_at_s, ladder.advertised_at_s or float("-inf"))
        return now_s < heard_at_s + policy.links_alive_s

    async def _take(self, step: Step, name: str, adapter: Adapter, why: Condition) -> None:
        try:
            await take_step(step, name, adapter.scanner, self._watch, self._settings.commands)
        except RadioCallError as error:
            self._report("step_failed", name, f"{step.name.lower()} on {name} failed: {error}")
        else:
            count = adapter.ladder.counts[step]
            self._report("step", name, f"{WORDS[step]} {name} ({_cause(why)}; {count} times since the start)")
        finally:
            self._step = None
            self._on_change()


def _cause(why: Condition) -> str:
    return "no advertisements" if why is Condition.SCANNING else why.value


def _told(name: str, powered: bool | None) -> tuple[What, str, str]:
    if powered is None:
        return "adapter_missing", name, f"{name} is gone: is it plugged in?"
    if powered:
        return "adapter_on", name, f"{name} is switched on"
    return "adapter_off", name, f"{name} is switched off: see `rfkill list`; it will be switched on"
