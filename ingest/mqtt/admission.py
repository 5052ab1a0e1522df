"""Who may connect: the judgement of a CONNECT packet. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import mqtt5
from mqtt5 import ConnAckReasonCode

from ingest.mqtt.access import route
from ingest.mqtt.codec import Version
from vitals.errors import PermanentError

Authenticate = Callable[[str | None, bytes | None, str | None], str | None]
"""`(username, password, certificate_cn) -> gateway name`, `None` to refuse. Called once a CONNECT; must not block."""

_MAX_CLIENT_ID: Final = 256  # characters; it stands in our tables


class RefusedError(PermanentError):
    """The connection is refused with `code`."""

    def __init__(self, code: ConnAckReasonCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Door:
    """What does not depend on the packet.

    `fallback_client_id`: for a client that names none. `authenticate`: `None` lets everybody in, and the first topic
    used binds the connection to its gateway. `accepting`: `False` answers every CONNECT with "server busy".
    """

    fallback_client_id: str
    authenticate: Authenticate | None = None
    certificate_cn: str | None = None
    accepting: bool = True


@dataclass(frozen=True, slots=True)
class Admitted:
    """`gateway` is `None` until a topic binds the connection; `assigned`: the client id is of our making."""

    client_id: str
    gateway: str | None
    assigned: bool


def admit(door: Door, version: Version, packet: mqtt5.ConnectPacket) -> Admitted:
    """Let the client in; raises `RefusedError`."""
    if packet.authentication_method is not None:
        raise RefusedError(ConnAckReasonCode.BAD_AUTHENTICATION_METHOD, "extended authentication is not offered")
    if not door.accepting:
        raise RefusedError(ConnAckReasonCode.SERVER_BUSY, "too many connections: raise max_connections, or spread")
    if len(packet.client_id) > _MAX_CLIENT_ID or (
        version is Version.MQTT_311 and not packet.client_id and not packet.clean_start
    ):
        raise RefusedError(ConnAckReasonCode.CLIENT_ID_NOT_VALID, f"a client id has 1 to {_MAX_CLIENT_ID} characters")
    gateway = _gateway(door, packet)
    if packet.will is not None:
        gateway = _judge_will(version, packet.will, gateway, bind=door.authenticate is None)
    return Admitted(packet.client_id or door.fallback_client_id, gateway, assigned=not packet.client_id)


def _gateway(door: Door, packet: mqtt5.ConnectPacket) -> str | None:
    if door.authenticate is None:
        return None
    gateway = door.authenticate(packet.username, packet.password, door.certificate_cn)
    if gateway is None:
        raise RefusedError(
            ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD, "unknown user or wrong password: check the gateway's settings"
        )
    return gateway


def _judge_will(version: Version, will: mqtt5.Will, gateway: str | None, *, bind: bool) -> str | None:
    if version is Version.MQTT_5 and will.qos == 2:  # a 3.1.1 client cannot know that QoS 2 is not offered
        raise RefusedError(ConnAckReasonCode.QUALITY_NOT_SUPPORTED, "QoS 2 is not offered: use QoS 1 for the will")
    found = route(will.topic, gateway)
    if found.reason:
        raise RefusedError(ConnAckReasonCode(found.code), found.message)
    return found.gateway if bind else gateway
