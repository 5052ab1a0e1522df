"""A server that ends a connection while it is being made: the link is lost with a reason, and nothing else happens."""

from __future__ import annotations

import select
import socket
import struct
from typing import Any

import pytest
from paho.mqtt import client as paho

from gateway.config import UplinkConfig
from gateway.link import Link, LinkLostError

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


async def test_a_server_that_resets_while_connecting_is_a_lost_link(monkeypatch: pytest.MonkeyPatch) -> None:
    create = paho.Client._create_socket
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset_before_connect_is_sent(client: paho.Client) -> Any:
            made = create(client)
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            accepted.close()
            select.select([made], [], [], 5.0)  # the reset has come
            return made

        monkeypatch.setattr(paho.Client, "_create_socket", reset_before_connect_is_sent)
        config = UplinkConfig(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}", site="north", gateway="pi-1")
        changes: list[None] = []
        link = Link(config, will=b"", on_receipt=lambda _: None, on_change=lambda: changes.append(None))
        with pytest.raises(LinkLostError, match="ended as soon as it was made"):
            await link.open()
        assert changes == [], "nothing may call back from the thread that connects"
        link.close()
