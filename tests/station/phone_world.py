"""The pretended ward's station with a channel of phones: for looking at the phone's page, and for its tests.

`python tests/station/phone_world.py` serves it and prints an invitation.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Queue
from threading import Thread

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from gallery import ZONE, PretendedWard
from push_service import PushService, push_service
from starlette.applications import Starlette

from alerts.events import AlarmRecordKind
from alerts.notify.message import Message
from alerts.notify.outbox import Subscription
from alerts.notify.push_keys import INVITATION, PushFolder
from alerts.notify.receipt_desk import ReceiptDesk
from alerts.notify.receipts import Receipt, TicketOffice, decode_receipt
from alerts.notify.webpush import WebPushChannel
from alerts.station.app import create_app, serve_station
from alerts.station.push import PhoneSide
from vitals.journal import Journal

CHANNEL = "night-phone"


class PhoneWorld:
    """A folder with keys and a journal, a channel, and the double of a push service behind it."""

    def __init__(self, folder: Path, service: PushService, journal: Journal, ward: PretendedWard) -> None:
        self.ward = ward
        self.service = service
        self.journal = journal
        self.folder = PushFolder(folder / "push")
        self.office = TicketOffice(self.folder.seal())
        self.channel = WebPushChannel(
            Subscription(CHANNEL),
            self.folder.phones(CHANNEL),
            self.folder.sender(),
            self.office,
            subject="mailto:it@hospital.example",
            services=("127.0.0.1",),
            now_ns=time.time_ns,
        )

    def station(self) -> Starlette:
        desk = ReceiptDesk(self.ward, self.journal, self.office, now_ns=time.time_ns, owners={CHANNEL: "night-nurse"})
        side = PhoneSide({CHANNEL: self.channel}, desk, self.folder.seal(), time.time_ns, simulated=True)
        return create_app(
            self.ward, self.ward, self.ward, ward="North 3", zone=ZONE, simulated=True, phones=side.routes()
        )

    def invitation(self) -> str:
        return "/push#invitation=" + self.folder.seal().close(INVITATION, CHANNEL.encode(), time.time_ns() + 10**12)

    def receipts(self) -> list[Receipt]:
        kind = AlarmRecordKind.RECEIPT
        return [decode_receipt(r.payload) for r in self.journal.read(0) if r.kind == kind]

    def payload(self, alarm_id: str, title: str, text: str) -> str:
        """What a phone would get about an open alarm of the pretended ward."""
        (found,) = [alarm for alarm in self.ward.alarms() if alarm.alarm_id == alarm_id]
        told = Message(title, text, found.priority, (7,), time.time_ns(), ((alarm_id, found.priority),))
        return self.channel._payload(self.channel.phones.all()[0], told).decode()


@contextmanager
def phone_world(folder: Path) -> Iterator[tuple[PhoneWorld, str]]:
    """The station on a real port, in a thread of its own; and its address."""
    opened: Queue[str] = Queue(maxsize=1)
    stop: list[Callable[[], object]] = []
    with ExitStack() as stack:
        service = stack.enter_context(push_service())
        journal = stack.enter_context(Journal(folder / "alarms.db"))
        world = PhoneWorld(folder, service, journal, PretendedWard())

        async def serve() -> None:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None
            stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
            with suppress(asyncio.CancelledError):
                await serve_station(world.station(), port=0, ready=opened.put)

        thread = Thread(target=lambda: asyncio.run(serve()), name="phone-world")
        thread.start()
        try:
            yield world, opened.get(timeout=20).replace("127.0.0.1", "localhost")
        finally:
            stop[0]()
            thread.join(timeout=20)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, phone_world(Path(name)) as (shown, url):
        print(url.rstrip("/") + shown.invitation())  # noqa: T201  it is a program then
        Thread(target=time.sleep, args=(3_600,)).start()
        time.sleep(3_600)
