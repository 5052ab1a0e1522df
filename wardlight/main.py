"""The command line. Each command group lives in a file of its own, named in `wardlight.commands`.

Exit codes: 0 done; 1 the command ran and found something wrong (readings lost, an event not alarmed, a check failed);
2 a setting or an argument is wrong; 3 the service stopped on an error; 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from vitals.errors import ConfigurationError, WardlightError
from wardlight import logs
from wardlight.commands import SETTINGS, LazyGroup

app = typer.Typer(
    name="wardlight",
    cls=LazyGroup,
    help="Wearable vitals from the skin to the nurse: collect, store, watch, and wake somebody only when it matters.",
    **SETTINGS,
)


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens in detail.")] = False,
) -> None:
    logs.configure(level=logging.DEBUG if verbose else logging.INFO)


def main() -> None:
    """Run the command line; a known error becomes one sentence and an exit code, never a traceback."""
    try:
        app()
    except (WardlightError, BaseExceptionGroup) as error:
        known = known_error(error)
        if known is None:
            raise
        Console(stderr=True).print(Text("wardlight:", "red"), str(known), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(known, ConfigurationError) else 3)
    except KeyboardInterrupt:
        sys.exit(130)


def known_error(error: BaseException) -> WardlightError | None:
    """The error to tell people; of a group that holds nothing unknown, as task groups raise it, the first one."""
    if isinstance(error, BaseExceptionGroup):
        known = [known_error(each) for each in error.exceptions]
        return None if None in known else known[0]
    return error if isinstance(error, WardlightError) else None
