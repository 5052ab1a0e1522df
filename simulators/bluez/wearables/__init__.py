"""Simulated wearables, one file per protocol: what a device advertises, notifies and answers. Pure.

Frames are made by the codecs that the gateway decodes them with; a table of kinds builds them from a `PeripheralSpec`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from simulators.bluez.peripheral import PeripheralSpec, Wearable
from simulators.bluez.wearables.plx_oximeter import PlxOximeter
from simulators.bluez.wearables.strap import Strap
from vitals.errors import ConfigurationError

KINDS: Final[Mapping[str, Callable[..., Wearable]]] = MappingProxyType({"strap": Strap, "plx": PlxOximeter})


def make(spec: PeripheralSpec) -> Wearable:
    """The wearable of a specification; raises `ConfigurationError` for a kind or option that does not exist."""
    if spec.kind not in KINDS:
        raise ConfigurationError(f"kind {spec.kind!r}: write one of {', '.join(KINDS)}")
    options: dict[str, Any] = dict(spec.options) | ({"name": spec.name} if spec.name else {})
    try:
        return KINDS[spec.kind](**options)
    except TypeError as error:
        raise ConfigurationError(f"options of kind {spec.kind!r}: {error}") from error
