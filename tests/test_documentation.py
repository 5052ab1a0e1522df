"""What the documentation shows is true: links lead somewhere, examples work, commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from alerts.config import decode_config
from vitals.control import decode_receipt, decode_status
from vitals.model import SERVER_VITALS, VITAL_BY_NAME, VITALS, Vital
from vitals.ward import decode_ward
from vitals.wire import decode
from wardlight.commands import COMMANDS, command_named
from wardlight.main import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])
OPERATOR = (ROOT / "docs" / "operator.md").read_text()
INTEGRATOR = (ROOT / "docs" / "integrator.md").read_text()


def _block(page: str, beginning: str) -> str:
    """The indented block of `page` that begins with the line `beginning`."""
    lines = page[page.index(f"    {beginning}") :].splitlines()
    block = []
    for line in lines:
        if line.strip() and not line.startswith("    "):
            break
        block.append(line.removeprefix("    "))
    return "\n".join(block)


def _id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_files_that_are_named_exist(page: Path) -> None:
    packages = "vitals|gateway|ingest|alerts|simulators|wardlight|bench|deploy|docs|tests"
    named = re.findall(rf"`((?:{packages})/[\w./-]+)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    assert [record.name for record in sorted(folder.glob("0*.md")) if f"({record.name})" not in index] == []


def _commands(text: str) -> list[list[str]]:
    """Every call of `wardlight` that stands in a code block or between backticks, as words."""
    joined = text.replace("\\\n", " ")
    calls = re.findall(r"^    (?:\.venv/bin/)?(wardlight .*)$", joined, re.MULTILINE)
    calls += re.findall(r"`(wardlight [^`]*)`", joined)
    return [shlex.split(call.replace("|", " "), comments=True) for call in calls]


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_commands_and_their_options_exist(page: Path) -> None:
    root = typer.main.get_command(app)
    root.commands = {name: command_named(name) for name in COMMANDS}
    unknown = []
    for words in _commands(page.read_text()):
        command = root
        for word in words[1:]:
            if not hasattr(command, "commands") or word not in command.commands:
                break
            command = command.commands[word]
        options = {option for parameter in command.params for option in parameter.opts}
        unknown += [" ".join(words)] if command is root else []
        unknown += [f"{' '.join(words)}: {word}" for word in words if word.startswith("--") and word not in options]
    assert unknown == []


def test_the_ward_file_of_the_operators_page_is_valid() -> None:
    ward = decode_ward(_block(OPERATOR, 'site = "north"').encode())
    assert [patient.patient for patient in ward.patients] == ["P-0001", "P-0002"]


def test_the_alerts_file_of_the_operators_page_is_valid() -> None:
    config = decode_config(_block(OPERATOR, "preset =").encode())
    assert [channel.name for channel in config.channels] == ["ward-phone", "book"]


def test_the_message_to_paste_is_read_without_a_complaint() -> None:
    message = re.search(r"batch -m '\n(.*?)'\n", INTEGRATOR, re.DOTALL)
    assert message is not None
    decoded = decode(message[1].strip().encode())
    assert decoded.rejected == ()
    assert [sample.value for sample in decoded.batch.devices[0].samples] == [97, 64]


def test_the_small_messages_are_read() -> None:
    receipt = re.search(r"`(\{\"gateway.*?\})`", INTEGRATOR.replace("\n   ", ""))
    assert receipt is not None
    assert decode_receipt(receipt[1].encode()).through == 1200
    assert decode_status(_block(INTEGRATOR, '{"gateway": "pi-1", "presence"').encode()).gateway == "pi-1"


def test_the_table_of_vitals_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)`([^|]*) \| (\d+) \|(?: ([^|]+))? \| (\d+)–(\d+) \|$", INTEGRATOR, re.MULTILINE)
    expected = [(i.name, str(int(v)), i.unit, f"{i.low:g}", f"{i.high:g}") for v, i in VITALS.items()]
    assert [(name, *rest) for name, _, *rest in rows] == expected
    assert {VITAL_BY_NAME[name] for name, remark, *_ in rows if remark == " (server)"} == SERVER_VITALS
    assert len(rows) == len(Vital)
