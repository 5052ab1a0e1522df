"""Web Push against a double of a push service that checks the sender and decrypts with the phone's own key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from push_service import PushService, push_service

from alerts.config import decode_config, open_channels
from alerts.events import Priority
from alerts.notify.message import Message
from alerts.notify.outbox import Delivered, Permanent, Retry, Subscription
from alerts.notify.phones import MOST_PHONES, Endpoint, Keys, PhoneRefusedError, require_usable
from alerts.notify.push_keys import PushFolder
from alerts.notify.receipts import TicketOffice
from alerts.notify.webpush import MAX_PAYLOAD, WebPushChannel
from vitals.errors import ConfigurationError

NOW_NS = time.time_ns()
TOLD = (("a-1", Priority.HIGH),)
MESSAGE = Message("*** Bed 3-01: SpO₂ low", "79 % (limit 85).", Priority.HIGH, (7,), NOW_NS, TOLD, ("7-0-ab-ward",))


@pytest.fixture
def service() -> Iterator[PushService]:
    with push_service() as found:
        yield found


def channel(folder: Path, timeout_s: float = 5.0) -> WebPushChannel:
    own = PushFolder(folder / "push")
    return WebPushChannel(
        Subscription("ward"),
        own.phones("ward"),
        own.sender(),
        TicketOffice(own.seal()),
        subject="mailto:it@hospital.example",
        services=("127.0.0.1",),
        now_ns=time.time_ns,
        timeout_s=timeout_s,
    )


async def test_every_phone_gets_the_message_and_only_it_can_read_it(tmp_path: Path, service: PushService) -> None:
    phones = [service.phone(), service.phone()]
    opened = channel(tmp_path)
    for phone in phones:
        opened.subscribe(phone.endpoint(service.base))
    assert await opened.send(MESSAGE) == Delivered()
    assert service.complaints == []
    for phone in phones:
        ((headers, told),) = phone.got
        assert (headers["urgency"], headers["ttl"]) == ("high", "600")
        assert (told["id"], told["title"], told["text"]) == ("7-0-ab-ward", MESSAGE.title, MESSAGE.body)
        assert (told["priority"], told["acknowledge"], told["tag"]) == ("high", 1, headers["topic"])
        assert told["receipt"].startswith("/receipts/")
    assert phones[0].got[0][1]["receipt"] != phones[1].got[0][1]["receipt"]  # who reports can be told


@pytest.mark.parametrize(
    ("answer", "retry_after", "outcome"),
    [
        (201, "", Delivered()),
        (202, "", Delivered()),
        (400, "", Permanent("the push service answers 400 to the message")),
        (413, "", Permanent("the push service answers 413 to the message")),
        (429, "7", Retry("the push service answers 429", 7.0)),
        (429, "999999999", Retry("the push service answers 429", 3600.0)),
        (429, "soon", Retry("the push service answers 429", None)),
        (500, "", Retry("the push service answers 500")),
        (301, "", Retry("the push service answers 301")),  # followed, it would come back as 200 and push nothing
        (307, "", Retry("the push service answers 307")),
        ("reset", "", Retry("the push service cannot be reached: ConnectionError")),
    ],
)
async def test_what_the_service_answers_decides(
    tmp_path: Path, service: PushService, answer: int | str, retry_after: str, outcome: object
) -> None:
    opened = channel(tmp_path)
    opened.subscribe(service.phone(answer, retry_after).endpoint(service.base))
    assert await opened.send(MESSAGE) == outcome
    assert len(opened.phones.all()) == 1


async def test_a_date_to_try_again_is_understood(tmp_path: Path, service: PushService) -> None:
    opened = channel(tmp_path)
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    opened.subscribe(service.phone(503, at).endpoint(service.base))
    outcome = await opened.send(MESSAGE)
    assert isinstance(outcome, Retry)
    assert 50 < (outcome.after_s or 0) <= 60


@pytest.mark.parametrize("answer", [404, 410])
async def test_a_phone_that_is_gone_is_removed_and_said(tmp_path: Path, service: PushService, answer: int) -> None:
    opened = channel(tmp_path)
    phone = opened.subscribe(service.phone(answer).endpoint(service.base))
    outcome = await opened.send(MESSAGE)
    assert isinstance(outcome, Permanent)
    assert phone.phone_id in outcome.reason
    assert opened.phones.all() == ()
    assert await opened.send(MESSAGE) == Permanent(
        "no phone is subscribed; make an invitation with `wardlight push invite ward`"
    )


async def test_one_phone_that_takes_it_is_enough(tmp_path: Path, service: PushService) -> None:
    opened = channel(tmp_path)
    for answer in (410, 400, 503, 201):
        opened.subscribe(service.phone(answer).endpoint(service.base))
    assert await opened.send(MESSAGE) == Delivered()
    assert len(opened.phones.all()) == 3
    for phone in service.phones.values():
        phone.answer = {410: 410, 400: 400}.get(phone.answer, 503)  # type: ignore[call-overload]  # numbers all
    assert await opened.send(MESSAGE) == Retry("the push service answers 503")


async def test_a_service_that_hangs_holds_nobody_up(tmp_path: Path, service: PushService) -> None:
    opened = channel(tmp_path, timeout_s=0.3)
    opened.subscribe(service.phone("hang").endpoint(service.base))
    first = await opened.send(MESSAGE)
    assert isinstance(first, Retry)
    opened.subscribe(service.phone().endpoint(service.base))
    assert await opened.send(MESSAGE) == Delivered()


async def test_a_summary_of_a_whole_hospital_still_fits(tmp_path: Path, service: PushService) -> None:
    opened = channel(tmp_path)
    phone = service.phone()
    opened.subscribe(phone.endpoint(service.base))
    listed = tuple((f"19f2a3b4c5-{n:x}", Priority.HIGH) for n in range(12))
    calls = tuple(f"{n + 100_000}-0-19f2a3b4c5-ward" for n in range(3_000))
    body = "\n".join(f"*** Bed {n}: SpO₂ low 79 % (limit 85) since 14:03:10 „ÄÖÜ“" for n in range(200))
    long = replace(MESSAGE, body=body, numbers=tuple(range(3_000)), alarms=listed, calls=calls)
    assert await opened.send(long) == Delivered()
    ((_, told),) = phone.got
    assert body.startswith(told["text"].removesuffix("…"))
    assert len(told["text"]) > 500
    assert MAX_PAYLOAD + 86 + 17 == 4096


async def test_a_newer_message_replaces_an_older_one_of_the_same_alarm_only(
    tmp_path: Path, service: PushService
) -> None:
    opened = channel(tmp_path)
    phone = service.phone()
    opened.subscribe(phone.endpoint(service.base))
    other = replace(MESSAGE, alarms=(("a-2", Priority.HIGH),))
    for message in (MESSAGE, replace(MESSAGE, calls=("9-1-ac-ward",)), other, replace(MESSAGE, alarms=(), calls=())):
        await opened.send(message)
    topics = [headers["topic"] for headers, _ in phone.got]
    assert topics[0] == topics[1]
    assert len(set(topics)) == 3


def test_phones_survive_a_restart_in_files_of_the_server_alone(tmp_path: Path) -> None:
    opened, own = channel(tmp_path), PushFolder(tmp_path / "push")
    service = PushService()
    service.base = "http://127.0.0.1:9"
    phone = opened.subscribe(service.phone().endpoint(service.base))
    again = channel(tmp_path)
    assert again.phones.all() == (phone,)
    assert again.public_key == opened.public_key
    assert own.channels() == ("ward",)
    files = [path for path in (tmp_path / "push").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert (tmp_path / "push").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert service.base not in repr(phone)
    (tmp_path / "push/phones/ward/broken.json").write_text("{")
    assert again.phones.all() == (phone,)
    (tmp_path / "push/vapid.pem").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        channel(tmp_path)


def test_a_channel_has_a_bound_and_the_same_phone_is_one(tmp_path: Path) -> None:
    opened, service = channel(tmp_path), PushService()
    found = [service.phone().endpoint("http://127.0.0.1:9") for _ in range(MOST_PHONES + 1)]
    for endpoint in (*found[:MOST_PHONES], found[0]):
        opened.subscribe(endpoint)
    with pytest.raises(PhoneRefusedError, match="16 phones"):
        opened.subscribe(found[-1])
    assert len(opened.phones.all()) == MOST_PHONES


GOOD = PushService().phone().endpoint("https://updates.push.services.mozilla.com").keys


@pytest.mark.parametrize(
    ("url", "keys", "why"),
    [
        ("https://intranet.example/x", GOOD, "not permitted"),
        ("https://evil-push.apple.com.example/x", GOOD, "not permitted"),
        ("https://notpush.apple.com/x", GOOD, "not permitted"),
        ("http://web.push.apple.com/x", GOOD, "TLS"),
        ("https://web.push.apple.com:8443/x", GOOD, "TLS"),
        ("https://user@web.push.apple.com/x", GOOD, "TLS"),
        ("https://web.push.apple.com/ü", GOOD, "TLS"),
        ("https://[", GOOD, "no web address"),
        ("https://web.push.apple.com/x", Keys("AAAA", GOOD.auth), "keys"),
        ("https://web.push.apple.com/x", Keys(GOOD.p256dh, "AAAA"), "keys"),
        ("https://web.push.apple.com/x", Keys("ü" * 87, GOOD.auth), "keys"),
    ],
)
def test_the_server_posts_to_push_services_and_nowhere_else(url: str, keys: Keys, why: str) -> None:
    from alerts.notify.phones import SERVICES

    with pytest.raises(PhoneRefusedError, match=why):
        require_usable(Endpoint(url, keys), SERVICES)
    require_usable(Endpoint("https://web.push.apple.com/x", GOOD), SERVICES)


async def test_a_key_that_is_no_point_of_the_curve_is_permanent(tmp_path: Path, service: PushService) -> None:
    opened = channel(tmp_path)
    found = service.phone().endpoint(service.base)
    opened.subscribe(Endpoint(found.endpoint, Keys("BAAA" + "A" * 83, found.keys.auth)))
    assert isinstance(await opened.send(MESSAGE), Permanent)


CONFIG = b'[[channels]]\nname = "ward"\nkind = "webpush"\nsubject = "mailto:it@hospital.example"\n'


def test_a_channel_of_phones_is_opened_from_the_settings(tmp_path: Path) -> None:
    (opened,) = open_channels(decode_config(CONFIG), tmp_path, {}, push=PushFolder(tmp_path))
    assert isinstance(opened, WebPushChannel)
    assert opened.subscription.tells_delivery
    assert open_channels(decode_config(CONFIG), tmp_path, {}) == ()  # nothing is made where nothing will be sent
    for wrong, why in (
        (CONFIG.replace(b"subject", b"#"), "subject"),
        (CONFIG.replace(b"mailto:it@", b"it-at-"), "subject"),
        (CONFIG + b'url_file = "x"\n', "remove its address"),
        (b'receipts_url = "ward.example"\n' + CONFIG, "receipts_url"),
        (b'[[channels]]\nname = "s"\ncommand = ["x"]\ntells_delivery = true\n', "tells_delivery"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            decode_config(wrong)
