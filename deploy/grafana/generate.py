"""Write the boards as Grafana imports them: `make boards`.

python deploy/grafana/generate.py            write boards/influxql/*.json and boards/metricsql/*.json
python deploy/grafana/generate.py --check    say which of them are stale; exit code 1 if any is
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

import alarm_quality
import gateways
import night_review
import patient
import ward_overview
from languages import Language

FOLDER = Path(__file__).resolve().parent / "boards"
OF_INTERVALS = ("auto", "auto_count", "auto_min")  # the SDK writes them for every kind of variable
BOARDS = (ward_overview, patient, alarm_quality, gateways, night_review)


def boards() -> dict[Path, str]:
    """Every board: its file and its text."""
    found = {}
    for language in Language:
        for module in BOARDS:
            board = module.build(language)
            plain = json.loads(json.dumps(board, cls=JSONEncoder))
            for variable in plain["templating"]["list"]:
                for key in OF_INTERVALS:
                    variable.pop(key, None)
            text = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False)
            found[FOLDER / language.value / f"{board['uid']}.json"] = text + "\n"
    return found


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    check = parser.parse_args().check
    made = boards()
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    spare = [path for path in FOLDER.rglob("*.json") if path not in made]
    for path in stale + spare:
        sys.stdout.write(
            f"{'stale' if check else 'written' if path in made else 'removed'}: {path.relative_to(FOLDER)}\n"
        )
        if not check and path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path])
        elif not check:
            path.unlink()
    return 1 if check and stale + spare else 0


if __name__ == "__main__":
    sys.exit(main())
