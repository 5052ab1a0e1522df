"""`wardlight simulate ble`: Bluetooth wearables without a radio, for a real gateway to connect to."""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from vitals.errors import ConfigurationError
from wardlight.simulate import choose_scenario, simulate_command, until_interrupted

if TYPE_CHECKING:
    from simulators.bluez import PeripheralSpec, SimulatedBluez
    from simulators.bluez.control import Status

SLOTS: Final = 7  # connections of each simulated adapter, as a Raspberry Pi's own
_REFRESH_S: Final = 1.0
_SITE: Final = "demo"


def simulate_ble_command(
    wearables: Annotated[int, typer.Option(min=1, max=140, help="How many, of all kinds.")] = 20,
    scenario: Annotated[str, typer.Option(help="Instead: the wearables of a scenario, by its name or a .toml.")] = "",
    url: Annotated[str, typer.Option(help="The server that the gateway's settings name.")] = "mqtt://127.0.0.1:1883",
    seed: Annotated[int, typer.Option(help="Same seed, same bodies.")] = 1,
    table: Annotated[bool, typer.Option(help="Show a live table of the wearables.")] = True,
) -> None:
    """Run Bluetooth wearables on a simulated radio until Ctrl-C, for the real gateway to try itself on.

    A private D-Bus with a simulated BlueZ; this computer's own Bluetooth is left alone. Each adapter holds seven
    connections, and there are as many adapters as that takes. Settings for a gateway that allows all of the wearables
    are written beside it.

    [bold]Examples[/]

    wardlight simulate ble --wearables 20

    wardlight simulate ble --scenario demo --no-table
    """
    from simulators.bluez import ward

    specs = ward.of_scenario(choose_scenario(scenario), seed) if scenario else ward.mixed(wearables, seed)
    with tempfile.TemporaryDirectory(prefix="bluez-") as folder:

        async def run(stop: asyncio.Event) -> None:
            await _run(specs, Path(folder), url, stop, table=table)

        asyncio.run(until_interrupted(run))


async def _run(specs: tuple[PeripheralSpec, ...], folder: Path, url: str, stop: asyncio.Event, *, table: bool) -> None:
    from simulators.bluez import REAL, AdapterFaults, simulated_bluez, ward

    own = folder / "gateway"
    own.mkdir()
    settings = folder / "gateway.toml"
    adapters = -(-len(specs) // SLOTS)
    names = tuple(f"hci{number}" for number in range(adapters))
    text = ward.gateway_settings(specs, url=url, site=_SITE, folder=str(own), adapters=names)
    settings.write_text(text, encoding="utf-8")
    limited = AdapterFaults(connection_slots=SLOTS)
    async with simulated_bluez(specs, adapters=adapters, adapter_faults=limited, timing=REAL, folder=folder) as bluez:
        typer.echo(_instructions(len(specs), adapters, bluez.address, settings))
        await (_watch(bluez, stop) if table else stop.wait())


def _instructions(wearables: int, adapters: int, address: str, settings: Path) -> str:
    """What to type elsewhere."""
    return "\n".join(
        (
            f"{wearables} wearables within reach of {adapters} adapters.   (Ctrl-C stops)",
            "In another terminal:",
            "",
            f"  export DBUS_SYSTEM_BUS_ADDRESS={shlex.quote(address)}",
            f"  wardlight gateway scan --config {shlex.quote(str(settings))}",
            f"  wardlight gateway run --config {shlex.quote(str(settings))}",
            "",
        )
    )


async def _watch(bluez: SimulatedBluez, stop: asyncio.Event) -> None:
    """The live table until `stop`."""
    with Live(console=Console(), refresh_per_second=2, transient=True) as live:
        while not stop.is_set():
            try:
                live.update(_table(await bluez.status()))
            except OSError:
                raise ConfigurationError("the simulated bluetoothd has ended: start the simulation again") from None
            try:
                await asyncio.wait_for(stop.wait(), _REFRESH_S)
            except TimeoutError:
                continue


def _table(status: Status) -> Table:
    scanning = [a.name for a in status.adapters if a.discovering]
    links = sum(a.links for a in status.adapters)
    caption = f"{links} connected · scanning: {', '.join(scanning) or 'nobody'}"
    shown = Table(caption=caption, caption_justify="left")
    for column in ("address", "wearable", "calls itself", "connected", "subscribed", "delivered"):
        shown.add_column(column, justify="right" if column == "delivered" else "left")
    for p in status.peripherals:
        connected = "yes" if p.connected else ""
        subscribed = str(len(p.listening)) if p.listening else ""
        shown.add_row(p.address, p.kind, p.name, connected, subscribed, f"{p.delivered:,}")
    return shown


app = typer.Typer()
app.callback(invoke_without_command=True)(simulate_command)
app.command("ble")(simulate_ble_command)
