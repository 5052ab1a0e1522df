"""Simulated wearables, one file per protocol: what a device advertises, notifies and answers. Pure.

Frames are made by the codecs that the gateway decodes them with; a table of kinds builds them from a `PeripheralSpec`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from simulators.bluez.peripheral import PeripheralSpec, Wearable
from simulators.bluez.wearables.berrymed import BerryMed
from simulators.bluez.wearables.creative import Creative
from simulators.bluez.wearables.jumper import Jumper
from simulators.bluez.wearables.nonin import Nonin
from simulators.bluez.wearables.plx_oximeter import PlxOximeter
from simulators.bluez.wearables.polar import Polar
from simulators.bluez.wearables.strap import Strap
from simulators.bluez.wearables.thermometer import Thermometer
from simulators.bluez.wearables.viatom import Viatom
from vitals.errors import ConfigurationError

KINDS: Final[Mapping[str, Callable[..., Wearable]]] = MappingProxyType(
    {
        "strap": Strap,
        "plx": PlxOximeter,
        "polar-h10": Polar,
        "polar-sense": partial(Polar, model="Sense"),
        "viatom": Viatom,
        "nonin-3230": Nonin,
        "nonin-3150": partial(Nonin, model="3150"),
        "berrymed": BerryMed,
        "jumper": Jumper,
        "creative": Creative,
        "thermometer": Thermometer,
    }
)


def make(spec: PeripheralSpec) -> Wearable:
    """The wearable of a specification; raises `ConfigurationError` for a kind or option that does not exist."""
    if spec.kind not in KINDS:
        raise ConfigurationError(f"kind {spec.kind!r}: write one of {', '.join(KINDS)}")
    options: dict[str, Any] = dict(spec.options) | ({"name": spec.name} if spec.name else {})
    try:
        return KINDS[spec.kind](**options)
    except TypeError as error:
        raise ConfigurationError(f"options of kind {spec.kind!r}: {error}") from error
