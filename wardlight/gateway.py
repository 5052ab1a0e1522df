"""`wardlight gateway`: run a gateway, and look after it. What needs the radio is in `gateway_devices`."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from wardlight.gateway_devices import allow_command, scan_command, try_device_command
from wardlight.gateway_push import sign_command, sign_key_command
from wardlight.gateway_settings import DEFAULT_FILE, load
from wardlight.gateway_status import status_command

app = typer.Typer(
    no_args_is_help=True,
    help="Bring the readings of wearables to the server: run the gateway, allow devices, see how it is.",
)
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The gateway's settings.")]


@app.command("run")
def run_command(config: ConfigOption = DEFAULT_FILE) -> None:
    """Run the gateway until it is stopped. It survives lost radios, networks and time; what it heard is on disk.

    Exit code 2: a setting is wrong; 3: it cannot work at all, such as with an unwritable folder.

    [bold]Examples[/]

    wardlight gateway run

    wardlight gateway run --config gateway.toml
    """
    from gateway.app import run
    from wardlight import logs

    settings = load(config)
    logs.configure(level=logging.getLevelNamesMapping()[settings.log.level.upper()])
    local = msgspec.toml.decode(config.read_bytes())

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await run(settings, local=local, stop=stop)

    asyncio.run(until_stopped())


@app.command("check")
def check_command(config: ConfigOption = DEFAULT_FILE) -> None:
    """Read the settings and say what is wrong with them, if anything. Nothing is started.

    [bold]Examples[/]

    wardlight gateway check && sudo systemctl restart wardlight-gateway
    """
    settings = load(config)
    missing = [
        file
        for file in (settings.uplink.ca_file, settings.uplink.certificate_file, settings.uplink.key_file)
        if file is not None and not Path(file).exists()
    ]
    console = Console(highlight=False)
    console.print(
        f"{config} is valid: gateway {settings.gateway}, {len(settings.device)} wearables over Bluetooth.",
        soft_wrap=True,
    )
    for file in missing:
        console.print(
            f"[yellow]But {file} does not exist: put it there, or the server cannot be reached.[/]", soft_wrap=True
        )
    if missing:
        raise typer.Exit(1)


app.command("scan")(scan_command)
app.command("allow")(allow_command)
app.command("test-device")(try_device_command)
app.command("status")(status_command)
app.command("sign-key")(sign_key_command)
app.command("sign")(sign_command)
