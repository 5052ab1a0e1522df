"""What systemd is told: ready, still alive, stopping (sd_notify(3), by its datagram socket)."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Tell systemd, e.g. `READY=1`; whether there is one that listens. Never raises: nothing depends on it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as to:
            to.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        return False
    return True
