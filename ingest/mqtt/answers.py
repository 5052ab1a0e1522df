"""What a connection is told when it begins and when it ends, in the words that its version has. Pure."""

from __future__ import annotations

from typing import Final

import mqtt5
from mqtt5 import ConnAckReasonCode

from ingest.mqtt.admission import Admitted
from ingest.mqtt.codec import UnsupportedVersionError, Version, ViolationError, write
from ingest.mqtt.events import SessionBounds
from ingest.mqtt.v311 import RETURN_CODES

_CONNACK_CODES: Final = (0x81, 0x82, 0x95)  # the violations that an MQTT 5 CONNACK can name: malformed, protocol, size


def welcome(version: Version, bounds: SessionBounds, admitted: Admitted, keep_alive_s: int) -> bytes:
    """CONNACK; what is not offered is said here, once (MQTT 5, 3.2.2.3): sessions, QoS 2, aliases, wildcards."""
    return write(
        version,
        mqtt5.ConnAckPacket(
            session_expiry_interval=0,
            assigned_client_id=admitted.client_id if admitted.assigned else None,
            server_keep_alive=keep_alive_s,
            receive_max=bounds.receive_max,
            max_qos=mqtt5.QoS.AT_LEAST_ONCE,
            max_packet_size=bounds.max_packet_bytes,
            wildcard_subscription_available=False,
            subscription_id_available=False,
            shared_subscription_available=False,
        ),
    )


def refusal(version: Version, code: ConnAckReasonCode, message: str) -> bytes:
    """CONNACK with a reason; nothing where 3.1.1 has no return code for it."""
    if version is Version.MQTT_311 and int(code) not in RETURN_CODES:
        return b""
    return write(version, mqtt5.ConnAckPacket(reason_code=code, reason_str=message))


def goodbye(version: Version, violation: ViolationError, *, connected: bool) -> bytes:
    """The reason for closing, as far as the peer's version has a packet for it: 3.1.1 has none."""
    if isinstance(violation, UnsupportedVersionError):
        return violation.answer
    if version is not Version.MQTT_5:
        return b""
    if connected:
        return mqtt5.DisconnectPacket(reason_code=violation.code, reason_str=str(violation)).write()
    if int(violation.code) in _CONNACK_CODES:
        return refusal(version, ConnAckReasonCode(int(violation.code)), str(violation))
    return b""
