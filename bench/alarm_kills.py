"""The alert service killed a hundred times during a scripted ward day: `python bench/alarm_kills.py [KILLS] [SEED]`.

The day and what must hold of it are those of the tests (`tests/alerts/kill_day.py`).
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "alerts"), str(Path(__file__).parents[1])]

from kill_day import SECONDS, check, ward_day  # noqa: E402  the tests are no package


def main() -> None:
    """Print what the journal held after so many kills; fails with the sentence that does not hold."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1_000_000)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        events = asyncio.run(ward_day(Path(folder), kills, random.Random(seed)))
    counts = check(events, kills)
    print(f"seed {seed}: {kills} kills, {kills * SECONDS} s of the ward in {time.monotonic() - began_s:.0f} s")
    print(f"{len(events)} events: {dict(counts)}; none lost, none twice, no quiet state forgotten")


if __name__ == "__main__":
    main()
