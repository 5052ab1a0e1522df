"""Makes docs/images/replay.png and prints the tables of docs/replay.md: real recordings through the real chain.

    python docs/images/make_replay.py ../shared/data

A server in this process, gateways' spool and uplink as in production, everything as fast as it goes; then what is in
the store is compared with the files, reading by reading, and drawn.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from alerts.config import AlertConfig, read_preset
from alerts.events import AlarmEvent, Transition
from alerts.log import read_events
from gateway.config import UplinkConfig
from gateway.spool import Spool
from gateway.uplink import Uplink
from ingest.endpoint import EndpointConfig
from simulators.recordings import Recording, read_recordings
from simulators.replay import ReplayPlan, expected_readings, plan_replay, replay_ward
from vitals.model import Vital
from wardlight import logs
from wardlight.layout import DataFolder, now_ns
from wardlight.replay import replay
from wardlight.server import Server, ServerConfig, serving
from wardlight.verify import compare_with_store

mpl.use("Agg")
from matplotlib import pyplot as plt

INK, GREEN, BLUE, RED = "#22303c", "#2e7d5b", "#2b6cb0", "#c0392b"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: a recording, what of it is drawn, and which alarm."""

    title: str
    device: str
    vitals: tuple[tuple[Vital, str, str], ...]
    condition: str = ""
    limit: float = 0.0
    limit_text: str = ""


SATURATION = (Vital.SPO2, BLUE, "SpO₂ %")
BIDMC = (
    Panel(
        "BIDMC 49: a low saturation is one alarm, not twenty",
        "bidmc_49",
        (SATURATION,),
        "spo2_low",
        88,
        "limit 88 %, for 15 s",
    ),
    Panel(
        "BIDMC 13: the monitor counts no breaths, three times; where it has no value (red marks), nothing is invented",
        "bidmc_13",
        ((Vital.RESP_RATE, BLUE, "respiratory rate /min"),),
        "resp_rate_low",
        8,
        "limit 8 /min, for 30 s",
    ),
)
NIGHT = (
    Panel(
        "A night with an oximeter ring: 7.5 hours, no alarm",
        "O2Ring_20250307234318",
        (SATURATION, (Vital.PULSE_RATE, GREEN, "pulse rate /min")),
    ),
)


async def main(data: Path) -> None:
    """Replay both families, print what came of it, draw."""
    logs.configure(level=logging.WARNING)
    figure, axes = plt.subplots(3, 1, figsize=(10, 8.6), layout="constrained")
    print("| recordings | readings | stored | without a value | lost | doubled | changed |")  # noqa: T201  a script's output
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    alarms = [*await family(data / "bidmc", BIDMC, axes[:2]), *await family(data / "o2ring", NIGHT, axes[2:])]
    print("\n| recording | patient | after | condition | value |\n|---|---|---|---|---|")  # noqa: T201
    print("\n".join(alarms))  # noqa: T201
    figure.savefig(Path(__file__).with_name("replay.png"), dpi=120)


async def family(source: Path, panels: Sequence[Panel], axes: Sequence[Any]) -> list[str]:
    """One folder of recordings through a fresh server; its alarms as rows of a table."""
    recordings = read_recordings([source])
    plan = plan_replay(recordings, now_ns=now_ns(), speed=1e9)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = ServerConfig(
            data=DataFolder(folder / "data"),
            ward=replay_ward(recordings),
            preset=read_preset(AlertConfig(), Path()),
            endpoint=EndpointConfig(port=0),
        )
        async with serving(config) as server:
            assert server.endpoint is not None
            url = f"mqtt://127.0.0.1:{server.endpoint.port}"
            with Spool(folder / "spool.db", "replay") as spool:
                settings = UplinkConfig(url=url, site="replay", gateway="replay", oldest_first=True)
                uplink = Uplink(settings, spool, now_ns=now_ns, monotonic=time.monotonic)
                assert await replay(recordings, uplink, spool, plan, gateway="replay")
            await server.settled()
            print(verdict(recordings, plan, server))  # noqa: T201
            names = dict(zip((p.patient for p in config.ward.patients), recordings, strict=True))
            end_ns = plan.start_ns + max(r.duration_s for r in recordings) * 10**9
            events = [e for e in read_events(server.alarms) if e.patient in names and e.at_ns < end_ns]
            for panel, axis in zip(panels, axes, strict=True):
                patient = next(patient for patient, r in names.items() if r.device == panel.device)
                mine = [e for e in events if e.patient == patient]
                draw(axis, panel, server, patient=patient, start_ns=plan.start_ns, events=mine)
    opened = sorted((e for e in events if e.transition is Transition.RAISED), key=lambda e: (e.patient, e.at_ns))
    return [
        f"| {names[e.patient].name} | {e.patient} | {(e.at_ns - plan.start_ns) / 1e9:.0f} s | "
        f"{e.condition.replace('_', ' ')} | {e.value:g} |"
        for e in opened
    ]


def verdict(recordings: Sequence[Recording], plan: ReplayPlan, server: Server) -> str:
    """What is stored against what the files say, reading for reading, as a row of a table."""
    found = compare_with_store(expected_readings(recordings, plan.start_ns), server.reader)
    missing = sum(int(np.isnan(n.values).sum()) for r in recordings for n in r.numerics)
    return (
        f"| {len(recordings)} | {found.produced:,} | {found.stored:,} | {missing} | {found.missing} "
        f"| {found.extra} | {found.changed} |"
    )


def draw(axis: Any, panel: Panel, server: Server, *, patient: str, start_ns: int, events: Sequence[AlarmEvent]) -> None:
    """What is in the store: lines for values, bands for alarms, marks where there is no value."""
    axis.set_title(panel.title, loc="left", color=INK, fontsize=11, fontweight="bold")
    extent = server.reader.extent(patient)
    assert extent is not None
    minutes = extent[1] - extent[0] < 3600 * 10**9
    unit, last = (60e9 if minutes else 3600e9), 0.0
    for vital, colour, label in panel.vitals:
        samples = server.reader.samples(patient, vital, *extent)
        at, absent = (samples.sampled_at_ns - start_ns) / unit, np.isnan(samples.raw)
        last = max(last, float(at[-1]))
        axis.plot(at, samples.raw, color=colour, linewidth=1.2, label=label)
        axis.plot(at[absent], np.full(int(absent.sum()), 0.02), "|", color=RED, transform=axis.get_xaxis_transform())
    begun: float | None = None
    for event in (e for e in events if e.condition == panel.condition):
        at_unit = (event.at_ns - start_ns) / unit
        if event.transition is Transition.RAISED:
            begun = at_unit
        elif event.transition is Transition.ENDED and begun is not None:
            axis.axvspan(begun, at_unit, color=RED, alpha=0.13, linewidth=0)
            begun = None
    if begun is not None:
        axis.axvspan(begun, last, color=RED, alpha=0.13, linewidth=0)
    if panel.limit_text:
        axis.axhline(panel.limit, color=RED, linewidth=0.9, linestyle="--", label=panel.limit_text)
    axis.set_xlim(0, last)
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, panel.limit - 2) if panel.limit_text else low, high + (high - low) * 0.1)
    axis.set_xlabel("minutes" if minutes else "hours", color=INK)
    axis.legend(frameon=False, fontsize=9, ncols=3, loc="upper right")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")))
