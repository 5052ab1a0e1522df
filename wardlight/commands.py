"""The table of commands, and a group that imports only the one that is called.

A gateway on a small computer must not load the server's and the simulators' libraries to run, nor a person wait for
them. Help lists all of them and so imports all.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

#: How every command looks and behaves.
SETTINGS: Final[dict[str, Any]] = {
    "add_completion": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "no_args_is_help": True,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich",
}

#: Name of a command → the module in this package, and its function or its `typer.Typer` there. In the order of help.
COMMANDS: Final = {
    "demo": ("demo", "demo_command"),
    "serve": ("serve", "serve_command"),
    "gateway": ("gateway", "app"),
    "simulate": ("simulate_ble", "app"),
    "replay": ("replay", "replay_command"),
    "rehearse": ("rehearse", "rehearse_command"),
    "alarms": ("alarms", "app"),
    "limits": ("limits", "app"),
    "push": ("push", "app"),
    "export": ("export", "export_command"),
    "decode": ("decode", "decode_command"),
    "doctor": ("doctor", "doctor_command"),
    "influx": ("influx", "app"),
    "boards": ("boards", "app"),
    "journal": ("journal", "app"),
    "bench": ("signals_bench", "app"),
}


class LazyGroup(TyperGroup):
    """Commands of `COMMANDS`, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  click's signature
        """The names, as help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  click's signature
        """The command of that name, `None` when there is none."""
        return command_named(cmd_name) if cmd_name in COMMANDS else None


def command_named(name: str) -> Any:
    """The command `name` of `COMMANDS`, for click."""
    module, attribute = COMMANDS[name]
    found = getattr(import_module(f"wardlight.{module}"), attribute)
    around = typer.Typer(**SETTINGS)
    around.callback()(lambda: None)  # so that a single command stays one of a group
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    group: Any = typer.main.get_command(around)
    return group.commands[name]
