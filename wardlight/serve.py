"""`wardlight serve`: the server of a site, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vitals.errors import ConfigurationError
from wardlight.layout import DEFAULT_DATA, DataFolder, read_ward
from wardlight.simulate import until_interrupted

if TYPE_CHECKING:
    from wardlight.server import ServerConfig


def serve_command(
    ward: Annotated[Path, typer.Option(help="The ward file: patients, beds, devices, limits.")],
    data: Annotated[Path, typer.Option(help="The data folder; made when it is missing.")] = DEFAULT_DATA,
    host: Annotated[str, typer.Option(help="Where gateways connect to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8883,
    tls_cert: Annotated[Path | None, typer.Option(help="The server's certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    client_ca: Annotated[Path | None, typer.Option(help="The authority that signs the gateways' certificates.")] = None,
    insecure_loopback: Annotated[
        bool, typer.Option("--insecure-loopback", help="No TLS, no identity: for trying it out on this computer.")
    ] = False,
    broker: Annotated[
        str | None, typer.Option(help="Read from a broker instead, such as mqtts://broker.example:8883.")
    ] = None,
    broker_user: Annotated[str | None, typer.Option(help="User name at the broker.")] = None,
    broker_password_file: Annotated[Path | None, typer.Option(help="File with the password.")] = None,
    broker_ca: Annotated[Path | None, typer.Option(help="The authority of the broker's certificate.")] = None,
    alerts: Annotated[Path | None, typer.Option(help="alerts.toml: preset and notification channels.")] = None,
    influx: Annotated[Path | None, typer.Option(help="influx.toml: databases that everything is forwarded to.")] = None,
    station_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The station page, on loopback only; 0 takes a free one.")
    ] = 8080,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Every page says that the data are simulated.")
    ] = False,
) -> None:
    """Take in readings, store them, watch the limits, tell people, and show the station page.

    Gateways identify themselves with TLS client certificates; the common name is the gateway's name.

    [bold]Examples[/]

    wardlight serve --ward ward.toml --host 0.0.0.0 --tls-cert server.pem --tls-key server.key --client-ca ca.pem

    wardlight serve --ward ward.toml --insecure-loopback --port 1883
    """
    from alerts.config import AlertConfig, decode_config, open_channels, open_heartbeat, read_duty, read_preset
    from alerts.notify.push_keys import PushFolder
    from ingest.broker import BrokerConfig
    from ingest.endpoint import EndpointConfig
    from wardlight.databases import read_targets
    from wardlight.heartbeat import HeartbeatConfig
    from wardlight.server import ServerConfig

    configuration = decode_config(_read(alerts)) if alerts else AlertConfig()
    folder = alerts.parent if alerts else Path()
    tls = None
    if broker is None and not insecure_loopback:
        tls = server_tls(tls_cert, tls_key, client_ca)
    elif broker is None:
        _require_loopback(host)
    of_ward = read_ward(ward)
    config = ServerConfig(
        data=DataFolder(data),
        ward=of_ward,
        preset=read_preset(configuration, folder),
        endpoint=None if broker else EndpointConfig(host=host, port=port),
        tls=tls,
        broker=None
        if broker is None
        else BrokerConfig(
            url=broker,
            site=of_ward.site,
            client_id=f"wardlight-ingest-{of_ward.site}",
            username=broker_user,
            password_file=str(broker_password_file) if broker_password_file else None,
            ca_file=str(broker_ca) if broker_ca else None,
        ),
        station_port=station_port,
        channels=open_channels(
            configuration, folder, os.environ, site=of_ward.site, push=PushFolder(DataFolder(data).push)
        ),
        receipts_url=configuration.receipts_url,
        duty=read_duty(configuration, of_ward),
        heartbeat=HeartbeatConfig(
            configuration.heartbeat.pace, *open_heartbeat(configuration, folder, os.environ, site=of_ward.site)
        ),
        simulated=simulated,
        influx=read_targets(influx) if influx else (),
        influx_folder=influx.parent if influx else Path(),
    )
    asyncio.run(until_interrupted(lambda stop: _serve(config, stop)))


async def _serve(config: ServerConfig, stop: asyncio.Event) -> None:
    from wardlight.server import serving

    console = Console(stderr=True)
    async with serving(config) as server:
        if config.endpoint is not None and server.endpoint is not None:
            scheme = "mqtts" if config.tls else "mqtt"
            console.print(f"gateways → [bold]{scheme}://{config.endpoint.host}:{server.endpoint.port}[/]")
        if config.broker is not None:
            console.print(f"broker   → [bold]{config.broker.url}[/]")
        console.print(f"station  → [bold]{server.station_url}[/]  (this computer only: it has no accounts yet)")
        await stop.wait()
        console.print("stopping: what was acknowledged is committed")


def server_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer that demands a client certificate; raises `ConfigurationError` for what is missing."""
    if certificate is None or key is None or client_ca is None:
        raise ConfigurationError(
            "gateways connect through TLS with certificates: give --tls-cert, --tls-key and --client-ca "
            "(docs/operator.md shows how to make them), or --insecure-loopback to try it out on this computer"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(client_ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"tls: {certificate}, {key} or {client_ca} cannot be used ({error})") from error
    return context


def _require_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigurationError(f"--insecure-loopback with host {host!r}: without TLS only 127.0.0.1 is served")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): check the path") from error
