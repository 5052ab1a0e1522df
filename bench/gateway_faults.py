"""The fault matrix of the gateway's radio, measured: how long until every wearable streams again.

    python bench/gateway_faults.py --write          all of it in real time, into docs/gateway-faults.md
    python bench/gateway_faults.py --only drop      one line, as JSON

The table and the checks are those of `tests/gateway/test_fault_matrix.py`, which runs ten times as fast. Here a second
is a second, and the link is broken 300 times instead of 30. Exit code 0: every line was within its time, and exact.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `gateway` before its benchmark
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "gateway"))  # the table and how it is run

import argparse
import asyncio
import json
import os
import platform
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from fault_run import Found, run_fault, run_reconnects
from fault_table import TABLE

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "gateway-faults.md"
BEGIN, END = "<!-- measured by bench/gateway_faults.py -->\n", "<!-- end of what was measured -->"
ALLOWANCE_S: Final = 12.0  # for processes that start, and others who use this computer
RECONNECTS: Final = "reconnects"
DROPS: Final = 300
RECONNECT_SCALE: Final = 0.1  # links are made ten times as fast, and hardly any back-off: 300 in minutes
RECONNECT_WITHIN_S: Final = 60.0


async def one(name: str, scale: float) -> Found:
    """Run a line of the table; raises `TimeoutError` when it does not stream in time."""
    set_bus = partial(os.environ.__setitem__, "DBUS_SYSTEM_BUS_ADDRESS")
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        if name == RECONNECTS:
            return await run_reconnects(
                DROPS, set_bus, Path(folder), scale=RECONNECT_SCALE, allowance_s=RECONNECT_WITHIN_S * RECONNECT_SCALE
            )
        fault = next(fault for fault in TABLE if fault.name == name)
        return await run_fault(fault, set_bus, Path(folder), scale=scale, allowance_s=ALLOWANCE_S)


async def every(scale: float, at_once: int) -> dict[str, dict[str, Any]]:
    """All lines, each in a process of its own; what failed has its last words under `failed`."""
    turn = asyncio.Semaphore(at_once)

    async def of(name: str) -> dict[str, Any]:
        async with turn:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, __file__, "--only", name, "--scale", f"{scale:g}"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
        lines = [line for line in out.decode().splitlines() if line.startswith("{")]
        found: dict[str, Any] = json.loads(lines[-1]) if lines else {"failed": err.decode()[-500:]}
        print(name, found, file=sys.stderr, flush=True)
        return found

    names = [fault.name for fault in TABLE] + [RECONNECTS]
    names.sort(key=lambda name: name not in {RECONNECTS, "scanner-dead"})  # the longest first
    return dict(zip(names, await asyncio.gather(*map(of, names)), strict=True))


def table(found: dict[str, dict[str, Any]]) -> str:
    """The page's table."""
    rows = [(fault.text, fault.straps, fault.within_s, fault.gap.name, found[fault.name]) for fault in TABLE]
    many = f"the link breaks {DROPS} times (ten times as fast, hardly any back-off): the longest"
    rows.append((many, 1, RECONNECT_WITHIN_S, "RADIO_LOST", found[RECONNECTS]))
    lines = [
        "| Fault | wearables | streams again within | measured | gap reason | delivered | missed | twice or lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for text, straps, within_s, gap, said in rows:
        if "failed" in said:
            lines.append(f"| {text} | {straps} | {within_s:g} s | **not** | | | | |")
            continue
        wrong = "none" if not said["wrong"] else f"**{said['wrong']}**"
        figures = f"{said['streams_after_s']:.1f} s | `{gap}` | {said['delivered']} | {said['missed']} | {wrong}"
        lines.append(f"| {text} | {straps} | {within_s:g} s | {figures} |")
    return "\n".join(lines) + "\n"


def write(text: str) -> None:
    """Put it into the page, between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    machine = f"{os.cpu_count()} virtual cores ({platform.machine()}), Python {platform.python_version()}"
    said = f"\n{datetime.now(UTC):%Y-%m-%d}, {machine}, {platform.system()}; a shared machine.\n\n{text}\n"
    PAGE.write_text(before + BEGIN + said + END + after, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="0.1: ten times as fast")
    parser.add_argument("--only", choices=[*(fault.name for fault in TABLE), RECONNECTS])
    parser.add_argument("--at-once", type=int, default=5, help="lines that run at the same time: they mostly wait")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    if options.only:
        found = asyncio.run(one(options.only, options.scale))
        print(json.dumps(asdict(found)))
        return 1 if found.wrong else 0
    measured = asyncio.run(every(options.scale, options.at_once))
    print(table(measured))
    if options.write:
        write(table(measured))
    return 1 if any("failed" in said or said["wrong"] for said in measured.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
