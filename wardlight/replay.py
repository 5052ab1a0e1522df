"""`wardlight replay`: real recordings through the real chain, as if worn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.config import UplinkConfig
from gateway.spool import Spool
from gateway.uplink import Uplink
from simulators.recordings import Recording, read_recordings
from simulators.replay import ReplayPlan, plan_replay, replay_batches, replay_ward
from vitals.ward import Ward
from wardlight.layout import now_ns
from wardlight.replay_tiles import tiles_table
from wardlight.simulate import folder_or_temporary

AHEAD: Final = 512  # seconds of recording that may wait in the spool: the bar then shows what has arrived
DRAIN_S: Final = 120.0  # for the rest to be receipted at the end, server restarts included


async def replay(
    recordings: Sequence[Recording],
    uplink: Uplink,
    spool: Spool,
    plan: ReplayPlan,
    *,
    gateway: str,
    waveforms: bool = True,
    progress: Progress | None = None,
) -> bool:
    """Send the recordings by `plan` and wait for the receipts; whether everything was receipted."""
    bar = None if progress is None else progress.add_task("sent", total=plan.seconds)
    started_s = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(uplink.run(), name="uplink")
        for batch, due_s in replay_batches(recordings, gateway, plan, waveforms=waveforms):
            await asyncio.sleep(max(0.0, started_s + due_s - time.monotonic()))
            await asyncio.to_thread(spool.append, batch.devices, clock=batch.clock, now_ns=batch.sent_at_ns)
            while spool.waiting > AHEAD:
                await uplink.drained(1.0)
            if progress is not None and bar is not None:
                progress.update(bar, completed=(batch.sent_at_ns - plan.start_ns) // 1_000_000_000)
        complete = await uplink.drained(DRAIN_S)
        sending.cancel()
    return complete


def ward_file(ward: Ward) -> str:
    """A ward as the text of a `ward.toml`."""
    lines = [f'site = "{ward.site}"', f'time_zone = "{ward.time_zone}"']
    for patient in ward.patients:
        devices = ", ".join(f'"{device}"' for device in patient.devices)
        lines += [
            "",
            "[[patients]]",
            f'patient = "{patient.patient}"',
            f'bed = "{patient.bed}"',
            f"devices = [{devices}]",
        ]
    return "\n".join(lines) + "\n"


def replay_command(
    paths: Annotated[list[Path], typer.Argument(help="Recordings or folders of them: .npz, .csv, .mat.")],
    url: Annotated[str, typer.Option(help="The server: ingest's endpoint or a broker.")] = "mqtt://127.0.0.1:1883",
    site: Annotated[str, typer.Option(help="The site in the topics; the server's ward has the same.")] = "replay",
    gateway: Annotated[str, typer.Option(help="The gateway to replay as.")] = "replay",
    speed: Annotated[float, typer.Option(help="Times faster than worn; above 1 the recording ends now.")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Start again at the end, for ever.")] = False,
    waveforms: Annotated[bool, typer.Option(help="Send pulse waves and acceleration too.")] = True,
    spool: Annotated[Path | None, typer.Option(help="Folder of the spool; a temporary one if absent.")] = None,
    station: Annotated[
        str | None,
        typer.Option(help="The server's station page, such as http://127.0.0.1:8080: show its tiles at the end."),
    ] = None,
    print_ward: Annotated[
        bool, typer.Option("--print-ward", help="Print a ward.toml in which each recording is a patient, and stop.")
    ] = False,
) -> None:
    """Replay recordings as if they were worn: BIDMC .npz, Viatom O2Ring .csv, IEEE SPC .mat.

    [bold]Examples[/]

    wardlight replay data/bidmc --print-ward > ward.toml

    wardlight serve --ward ward.toml --insecure-loopback --port 1883 &   wardlight replay data/bidmc --speed 60

    wardlight replay data/bidmc --speed 60 --station http://127.0.0.1:8080
    """
    recordings = read_recordings(paths)
    if print_ward:
        typer.echo(ward_file(replay_ward(recordings, site)), nl=False)
        return
    plan = plan_replay(recordings, now_ns=now_ns(), speed=speed, loop=loop)
    console = Console(stderr=True)
    console.print(f"{len(recordings)} recordings, {max(r.duration_s for r in recordings) / 60:.0f} min → {url}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("s"),
        TimeRemainingColumn(),
    )
    with folder_or_temporary(spool, "wardlight-replay-") as folder, Spool(folder / "replay.db", gateway) as kept:
        server = UplinkConfig(url=url, site=site, gateway=gateway, oldest_first=True)
        uplink = Uplink(server, kept, now_ns=now_ns, monotonic=time.monotonic)
        with Progress(*columns, console=console) as progress:
            complete = asyncio.run(
                replay(recordings, uplink, kept, plan, gateway=gateway, waveforms=waveforms, progress=progress)
            )
        if not complete:
            console.print(
                f"[red]The server has not confirmed everything:[/] {uplink.stats.last_error or 'no receipt'}. "
                "Is `wardlight serve` running at this address? With --spool the rest is sent next time."
            )
            raise typer.Exit(1)
        console.print("[green]Everything is in the server's journal.[/]")
        if station is not None:
            console.print(tiles_table(station))
