"""A fleet of simulated gateways that publish to an MQTT server as fast as asked, from one process.

Each connection is one gateway: MQTT 5, QoS 1, one message a second, spread over the second. Written on asyncio
protocols and the `mqtt5` codec, because a client library would cost more than the server under test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import mqtt5


@dataclass(slots=True)
class Tally:
    """What was sent and acknowledged, over all connections."""

    published: int = 0
    acknowledged: int = 0
    refused: int = 0
    acknowledge_delays_s: list[float] = field(default_factory=list)


class GatewayConnection(asyncio.Protocol):
    """One gateway's connection; counts acknowledgements and how long they took."""

    def __init__(self, client_id: str, tally: Tally) -> None:
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._client_id = client_id
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._sent_at: dict[int, float] = {}
        self._packet_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(mqtt5.ConnectPacket(self._client_id, clean_start=True, keep_alive=60).write())

    def data_received(self, data: bytes) -> None:
        self._received += data
        taken = 0
        with memoryview(bytes(self._received)) as view:
            while taken < len(view):
                try:
                    packet, size = mqtt5.read(view[taken:])
                except IndexError:
                    break  # the rest of the packet is still on its way
                taken += size
                self._packet(packet)
        del self._received[:taken]

    def _packet(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            now = asyncio.get_running_loop().time()
            self._tally.acknowledged += 1
            self._tally.refused += int(packet.reason_code) >= 0x80
            self._tally.acknowledge_delays_s.append(now - self._sent_at.pop(packet.packet_id))
        elif isinstance(packet, mqtt5.ConnAckPacket):
            self.connected.set_result(None)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send one QoS 1 message."""
        assert self._transport is not None
        self._packet_id = self._packet_id % 65_535 + 1
        packet = mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=self._packet_id)
        self._sent_at[self._packet_id] = asyncio.get_running_loop().time()
        self._tally.published += 1
        self._transport.write(packet.write())

    def close(self) -> None:
        """Leave in an orderly manner."""
        if self._transport is not None:
            self._transport.write(mqtt5.DisconnectPacket().write())
            self._transport.close()


async def connect_fleet(host: str, port: int, gateways: list[str], tally: Tally) -> list[GatewayConnection]:
    """Open one connection per gateway, a hundred at a time."""
    loop = asyncio.get_running_loop()
    connections: list[GatewayConnection] = []
    for start in range(0, len(gateways), 100):
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda name=name: GatewayConnection(name, tally), host, port)
                for name in gateways[start : start + 100]
            )
        )
        connections += [protocol for _, protocol in made]
        await asyncio.gather(*(c.connected for c in connections[start:]))
    return connections


async def run_seconds(
    connections: list[GatewayConnection],
    message: Callable[[int, int], tuple[str, bytes]],
    seconds: int,
) -> None:
    """Publish `message(gateway, second)` once a second per gateway, spread evenly over each second."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    slots = 100  # steps of 10 ms
    for step in range(seconds * slots):
        second, slot = divmod(step, slots)
        for index in range(slot, len(connections), slots):
            connections[index].publish(*message(index, second))
        delay = start + (step + 1) / slots - loop.time()
        if delay > 0:
            await asyncio.sleep(delay)


async def all_acknowledged(tally: Tally, timeout_s: float) -> bool:
    """Wait until the server has acknowledged everything; `False` when it did not in time."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while tally.acknowledged < tally.published:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
