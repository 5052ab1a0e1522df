"""The Bluetooth radio as the settings want it."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.ble import OnHeard, Radio
from gateway.config import DeviceConfig, GatewayConfig, RadioConfig
from gateway.devices.registry import DRIVERS, driver_named
from gateway.radio_status import AllowedDevice, RadioEvent, RadioSettings
from gateway.recovery import LADDER, Policy, Rung, Step
from gateway.session_words import Limits
from vitals.errors import ConfigurationError


def radio_of(config: GatewayConfig, on_heard: OnHeard, on_event: Callable[[RadioEvent], None]) -> Radio:
    """The radio; raises `ConfigurationError` for a driver that does not exist."""
    return Radio(
        {device.address.upper(): allowed(device) for device in config.device},
        on_heard=on_heard,
        on_event=on_event,
        monotonic_ns=time.monotonic_ns,
        settings=radio_settings(config.radio),
    )


def allowed(device: DeviceConfig) -> AllowedDevice:
    """A wearable of the settings; raises `ConfigurationError` for a driver that does not exist."""
    driver = None if device.driver == "auto" else driver_named(device.driver)
    if driver is None and device.driver != "auto":
        known = ", ".join(sorted({each.name for each in DRIVERS}))
        raise ConfigurationError(f"device {device.name}: driver {device.driver!r} is none of auto, {known}")
    return AllowedDevice(device.name, driver, device.adapter, device.acquire_notify)


def radio_settings(config: RadioConfig) -> RadioSettings:
    """What is not named in `recovery` is never done; a reboot that is, at most once an hour."""
    wanted = {Step[name.upper()] for name in config.recovery}
    per_hour = {step: max(1, rung.per_hour) if step in wanted else 0 for step, rung in LADDER.items()}
    return RadioSettings(
        adapters=config.adapters,
        slots=config.slots,
        limits=Limits(connect_s=config.connect_timeout_s),
        policy=Policy(
            silence_s=config.scan_quiet_s,
            ladder={step: Rung(rung.settle_s, per_hour[step]) for step, rung in LADDER.items()},
        ),
    )
