"""`wardlight push`: invite phones to a channel, list them, remove one. Works while the server runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from vitals.errors import ConfigurationError
from wardlight.layout import DEFAULT_DATA, DataFolder, now_ns

if TYPE_CHECKING:
    from alerts.config import AlertConfig
    from alerts.notify.phones import Phone

MOST_MINUTES: Final = 7 * 24 * 60
_S_NS: Final = 1_000_000_000

app: Final = typer.Typer(no_args_is_help=True, help="Phones that get Web Push: invite, list, remove.")
Data = Annotated[Path, typer.Option(help="The server's data folder.")]
Alerts = Annotated[Path, typer.Option(help="alerts.toml, with a channel of kind webpush.")]


@app.command("invite")
def invite_command(
    channel: Annotated[str, typer.Argument(help="The channel that the phone shall belong to.")],
    alerts: Alerts,
    data: Data = DEFAULT_DATA,
    minutes: Annotated[int, typer.Option(min=1, max=MOST_MINUTES, help="How long the link is good for.")] = 15,
) -> None:
    """Print a link; whoever opens it on a phone in time can subscribe that phone to the channel.

    [bold]Example[/]: wardlight push invite night-phone --alerts alerts.toml
    """
    from alerts.notify.push_keys import INVITATION, PushFolder

    config = _configured(alerts)
    known = [found.name for found in config.channels if found.kind == "webpush"]
    if channel not in known:
        raise ConfigurationError(f"{channel!r} is no channel of kind webpush; there is: {', '.join(known) or 'none'}")
    seal = PushFolder(DataFolder(data).push).seal()
    token = seal.close(INVITATION, channel.encode(), now_ns() + minutes * 60 * _S_NS)
    base = config.receipts_url.rstrip("/") or "http://localhost:8080"
    typer.echo(f"{base}/push#invitation={token}")
    if not config.receipts_url:
        console = Console(stderr=True)
        console.print("alerts.toml has no receipts_url: this link works in a browser on this computer only")


@app.command("phones")
def phones_command(
    data: Data = DEFAULT_DATA,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List the phones of every channel. Their addresses are secrets and are not shown."""
    found = list(_phones(data))
    if as_json:
        for channel, phone in found:
            typer.echo(json.dumps({"channel": channel, "phone": phone.phone_id, "service": phone.service}))
        return
    table = Table(title=f"{len(found)} phones")
    for column in ("channel", "phone", "push service", "since (UTC)"):
        table.add_column(column)
    for channel, phone in found:
        since = datetime.fromtimestamp(phone.since_ns / 1e9, UTC)
        table.add_row(channel, phone.phone_id, phone.service, f"{since:%Y-%m-%d %H:%M}")
    Console().print(table)


@app.command("remove")
def remove_command(
    phone: Annotated[str, typer.Argument(help="The phone, as `wardlight push phones` names it.")],
    data: Data = DEFAULT_DATA,
) -> None:
    """Forget a phone that was lost or changed hands, on every channel, at once."""
    from alerts.notify.push_keys import PushFolder

    channels = [channel for channel, found in _phones(data) if found.phone_id == phone]
    if not channels:
        raise ConfigurationError(f"no phone is called {phone!r}; `wardlight push phones` lists them")
    for channel in channels:
        PushFolder(DataFolder(data).push).phones(channel).remove(phone)
        typer.echo(f"{phone} no longer gets messages of {channel}")


def _phones(data: Path) -> Iterator[tuple[str, Phone]]:
    from alerts.notify.push_keys import PushFolder

    folder = PushFolder(DataFolder(data).push)
    for channel in folder.channels():
        for phone in folder.phones(channel).all():
            yield channel, phone


def _configured(path: Path) -> AlertConfig:
    from alerts.config import decode_config

    try:
        return decode_config(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): check the path") from error
