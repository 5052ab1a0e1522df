"""`wardlight demo`: a ward of twelve simulated patients on the real chain, on this computer, in one command."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from wardlight import logs
from wardlight.simulate import choose_scenario, folder_or_temporary, until_interrupted

if TYPE_CHECKING:
    from wardlight.demo_report import DemoReport


def demo_command(
    duration: Annotated[float | None, typer.Option(help="Seconds; until Ctrl-C if absent.")] = None,
    report: Annotated[bool, typer.Option("--report", help="No screen; one JSON object at the end.")] = False,
    broker: Annotated[str | None, typer.Option(help="Go through this broker, such as mqtt://127.0.0.1:1883.")] = None,
    scenario: Annotated[str, typer.Option(help="A shipped scenario's name or a .toml file.")] = "demo",
    station_port: Annotated[int, typer.Option(min=0, max=65_535, help="The station page; 0 takes a free one.")] = 8080,
    data: Annotated[Path | None, typer.Option(help="Keep everything here; a temporary folder if absent.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bodies.")] = 1,
) -> None:
    """Twelve simulated patients on the real chain: gateways, spools, ingest, store, alarms, station page.

    With --report the exit code is 0 only if no reading was lost, and every scripted event was alarmed and nothing else.

    [bold]Examples[/]

    wardlight demo

    wardlight demo --duration 40 --report
    """
    logs.configure(level=logging.ERROR)  # the screen shows what happens; the report says what was wrong
    from wardlight.demo_run import DemoOptions, run_demo

    with folder_or_temporary(data, "wardlight-demo-") as folder:
        options = DemoOptions(
            scenario=choose_scenario(scenario),
            folder=folder,
            duration_s=duration,
            broker=broker,
            station_port=0 if report else station_port,
            seed=seed,
            headless=report,
        )
        found: list[DemoReport] = []

        async def work(stop: asyncio.Event) -> None:
            found.append(await run_demo(options, stop))

        asyncio.run(until_interrupted(work))
    result = found[0]
    if report:
        typer.echo(msgspec.json.format(msgspec.json.encode(result)).decode())
        raise typer.Exit(0 if result.ok else 1)
    readings = result.readings
    Console(stderr=True).print(
        f"{readings.produced:,} readings produced, {readings.stored:,} stored, {readings.lost} lost, "
        f"{readings.doubled} doubled"
    )
