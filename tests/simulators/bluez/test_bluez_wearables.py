"""Simulated wearables and the gateway's drivers talk without a radio: what the body has, the driver says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from bluez_world import address

from gateway.devices.driver import Action, Heard, Read, Resumes, Seen, Subscribe, Write
from gateway.devices.registry import driver_for
from gateway.gatt import viatom
from gateway.gatt.viatom import Command, Live, LiveWave, Reply, Request
from gateway.gatt.viatom_file import Recording, ViatomInfo, decode_size, encode_name
from simulators.bluez import PeripheralSpec, wearables, wearer
from simulators.bluez.peripheral import AttError, Lived, Notification
from simulators.bluez.wearables import KINDS
from simulators.events import DropOut, ProbeOff
from simulators.story import ScenarioDevice, ScenarioPatient
from vitals.errors import ConfigurationError
from vitals.model import Reason, Vital, Waveform

_NS = 1_000_000_000


def patient(*events: Any) -> ScenarioPatient:
    """Somebody with a fast heart and little oxygen, so that nothing fits by chance."""
    worn = (ScenarioDevice("w"),)
    return ScenarioPatient(
        patient="P-0001", bed="1", gateway="g", devices=worn, heart_rate=93.0, spo2=91.0, events=events
    )


@dataclass
class Conversation:
    """A wearable and the driver that recognises it, connected by hand."""

    kind: str
    patient: ScenarioPatient = field(default_factory=patient)
    options: dict[str, Any] = field(default_factory=dict)
    subscribed: set[str] = field(default_factory=set)
    heard: list[Heard] = field(default_factory=list)
    connected: bool = False
    driver_state: Any = None

    def __post_init__(self) -> None:
        spec = PeripheralSpec(address=address(1), kind=self.kind, patient=self.patient, options=self.options)
        self.wearable = wearables.make(spec)
        self.state = self.wearable.start()
        self.wearer = wearer.start(self.patient, 7)
        profile = self.wearable.profile
        self.seen = Seen(spec.address, profile.name, services=frozenset(profile.advertised))
        self.flags = {c.uuid: c.flags for s in profile.services for c in s.characteristics}

    @property
    def now_ns(self) -> int:
        return self.wearer.at_s * _NS

    def connect(self) -> None:
        found = driver_for(self.seen)
        assert found is not None, f"no driver knows {self.seen}"
        self.driver = found
        self.connected = True
        self.subscribed.clear()
        self.state = self.wearable.connect(self.state)
        before = self.driver_state
        resumes = before is not None and isinstance(found, Resumes)
        self.driver_state, actions = found.resume(before) if resumes else found.begin()
        self.act(actions)

    def disconnect(self) -> None:
        self.connected = False

    def wearer_lives(self, seconds: int) -> list[Lived]:
        """Without a driver."""
        lives = []
        for _ in range(seconds):
            self.wearer, lived = wearer.step(self.wearer, connected=self.connected)
            self.state, _ = self.wearable.live(self.state, lived)
            lives.append(lived)
        return lives

    def live(self, seconds: int) -> list[Lived]:
        lives = []
        for _ in range(seconds):
            self.wearer, lived = wearer.step(self.wearer, connected=self.connected)
            self.state, said = self.wearable.live(self.state, lived)
            if self.connected:
                self.take(said)
                self.driver_state, heard = self.driver.tick(self.driver_state, self.now_ns)
                self.note(heard)
            lives.append(lived)
        return lives

    def act(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            if action.uuid not in self.flags:
                assert action.optional, f"{self.kind} lacks {action}"
                continue
            match action:
                case Subscribe(uuid):
                    assert {"notify", "indicate"} & set(self.flags[uuid])
                    self.subscribed.add(uuid)
                case Read(uuid):
                    self.feed(uuid, self.wearable.read(self.state, uuid), 0.0)
                case Write(uuid, data):
                    self.state, said = self.wearable.write(self.state, uuid, data)
                    self.take(said)

    def take(self, said: tuple[Notification, ...]) -> None:
        for notification in sorted(said, key=lambda n: n.after_s):
            if notification.uuid in self.subscribed:
                self.feed(notification.uuid, notification.value, notification.after_s)

    def feed(self, uuid: str, value: bytes, after_s: float) -> None:
        at_ns = self.now_ns + round(after_s * _NS)
        self.driver_state, heard = self.driver.feed(self.driver_state, uuid, value, at_ns)
        self.note(heard)

    def note(self, heard: Heard) -> None:
        assert heard.malformed == ()
        self.heard.append(heard)
        self.act(heard.actions)

    def values(self, vital: Vital, *, stored: bool = False) -> list[float | None]:
        return [s.value for h in self.heard for s in h.samples if s.vital is vital and s.stored is stored]

    def reasons(self, vital: Vital) -> list[Reason]:
        return [s.reason for h in self.heard for s in h.samples if s.vital is vital]


OXIMETERS = ("plx", "viatom", "nonin-3230", "nonin-3150", "berrymed", "jumper", "creative")
HEARTS = ("strap", "polar-h10")


@pytest.mark.parametrize("kind", OXIMETERS)
def test_an_oximeter_says_what_the_body_has(kind: str) -> None:
    talk = Conversation(kind)
    lived = talk.live(1)
    talk.connect()
    lived += talk.live(20)
    spo2, rate = talk.values(Vital.SPO2), talk.values(Vital.PULSE_RATE)
    assert len(spo2) >= 8
    assert set(spo2) <= {float(round(each.second.spo2_pct)) for each in lived}
    assert set(rate) <= {float(round(each.second.heart_rate_per_min)) for each in lived}


@pytest.mark.parametrize("kind", HEARTS)
def test_a_strap_says_what_the_heart_does(kind: str) -> None:
    talk = Conversation(kind)
    talk.connect()
    lived = talk.live(20)
    assert talk.values(Vital.HEART_RATE) == [float(round(each.second.heart_rate_per_min)) for each in lived]
    intervals = [v for v in talk.values(Vital.RR_INTERVAL) if v is not None]
    true_ms = [float(s) * 1000 for each in lived for s in each.second.rr_intervals_s]
    assert intervals[: len(true_ms)] == pytest.approx(true_ms, abs=0.5)


def test_an_optical_band_says_its_pulse_and_later_its_intervals() -> None:
    talk = Conversation("polar-sense")
    talk.connect()
    lived = talk.live(40)
    assert talk.values(Vital.PULSE_RATE) == [float(round(each.second.heart_rate_per_min)) for each in lived]
    true_ms = {round(float(s) * 1000) for each in lived for s in each.second.rr_intervals_s}
    intervals = talk.values(Vital.RR_INTERVAL)
    assert len(intervals) >= 10
    assert set(intervals) <= true_ms


@pytest.mark.parametrize("kind", [*OXIMETERS, "strap", "polar-h10"])
def test_without_contact_there_is_no_number(kind: str) -> None:
    off = ProbeOff(at_s=5.0, for_s=10.0)
    talk = Conversation(kind, patient(off))
    talk.connect()
    talk.live(5)
    talk.heard.clear()
    talk.live(10)
    vital = Vital.SPO2 if kind in OXIMETERS else Vital.HEART_RATE
    assert talk.values(vital)[2:]
    assert set(talk.values(vital)[2:]) == {None}
    assert Reason.PRESENT not in talk.reasons(vital)[2:]


@pytest.mark.parametrize(
    ("kind", "waveform"),
    [("berrymed", Waveform.PPG_INFRARED), ("creative", Waveform.PPG_INFRARED), ("nonin-3150", Waveform.PPG_INFRARED)],
)
def test_the_pulse_wave_comes_whole(kind: str, waveform: Waveform) -> None:
    talk = Conversation(kind)
    talk.connect()
    talk.live(20)
    waves = [wave for heard in talk.heard for wave in heard.waves if wave.waveform is waveform]
    samples = sum(len(wave.samples) // wave.width_bytes for wave in waves)
    assert samples == pytest.approx(20 * waves[0].sample_rate_hz, rel=0.15)
    assert len({bytes(wave.samples) for wave in waves}) == len(waves)


def test_a_thermometer_measures() -> None:
    talk = Conversation("thermometer")
    talk.connect()
    talk.live(25)
    assert talk.values(Vital.BODY_TEMPERATURE) == pytest.approx([36.8, 36.8, 36.8], abs=0.2)


def test_stored_spot_checks_are_brought_in() -> None:
    talk = Conversation("plx", options={"store_every_s": 5})
    lived = talk.live(30)
    talk.connect()
    talk.live(2)
    assert talk.values(Vital.SPO2, stored=True) == [float(round(lived[n].second.spo2_pct)) for n in range(0, 30, 5)]


def asked(ring: Conversation, request: Request) -> Reply:
    """A ring's answer, put together from its pieces."""
    said: list[bytes] = []
    for piece in request.pieces():
        ring.state, notifications = ring.wearable.write(ring.state, viatom.WRITE, piece)
        said += [n.value for n in sorted(notifications, key=lambda n: n.after_s)]
    assert all(len(piece) <= 20 for piece in said)
    return Reply.decode(b"".join(said))


def test_a_ring_answers_what_it_is_asked() -> None:
    ring = Conversation("viatom")
    ring.connected = True
    ring.state = ring.wearable.connect(ring.state)
    lived = ring.wearer_lives(5)
    live = Live.decode(asked(ring, Request(Command.LIVE)).payload)
    assert (live.spo2_pct, live.worn) == (round(lived[-1].second.spo2_pct), True)
    assert len(LiveWave.decode(asked(ring, Request(Command.LIVE_WAVE)).payload).samples) == 125
    assert ViatomInfo.decode(asked(ring, Request(Command.INFO)).payload).files == ()
    assert asked(ring, Request(Command.OPEN, payload=encode_name("20240101000000"))).status != 0


def test_a_ring_gives_its_recording_block_by_block() -> None:
    ring = Conversation("viatom")
    lived = ring.wearer_lives(1000)
    ring.state = ring.wearable.connect(ring.state)
    (name,) = ViatomInfo.decode(asked(ring, Request(Command.INFO)).payload).files
    size = decode_size(asked(ring, Request(Command.OPEN, payload=encode_name(name))).payload)
    content = b""
    while len(content) < size:
        content += asked(ring, Request(Command.READ, len(content) // 512)).payload
    assert asked(ring, Request(Command.CLOSE)).status == 0
    recording = Recording.decode(content)
    assert [r.spo2_pct for r in recording.records] == [round(each.second.spo2_pct) for each in lived[3::4]]


def test_a_ring_keeps_what_nobody_heard() -> None:
    talk = Conversation("viatom")
    talk.connect()
    talk.live(5)
    talk.disconnect()
    lived = talk.live(60)
    talk.connect()
    talk.live(60)
    stored = talk.values(Vital.SPO2, stored=True)
    assert 13 <= len(stored) <= 16
    assert set(stored) <= {float(round(each.second.spo2_pct)) for each in lived}


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_device_has_is_refused(kind: str) -> None:
    talk = Conversation(kind)
    with pytest.raises(AttError):
        talk.wearable.read(talk.state, "00002a99-0000-1000-8000-00805f9b34fb")
    with pytest.raises(AttError):
        talk.wearable.write(talk.state, "00002a99-0000-1000-8000-00805f9b34fb", b"\x00")


@pytest.mark.parametrize("kind", KINDS)
def test_every_notification_fits_and_belongs_to_a_characteristic_that_notifies(kind: str) -> None:
    talk = Conversation(kind, patient(DropOut(at_s=3.0, for_s=2.0)))
    while talk.wearer.at_s < 15:
        talk.wearer, lived = wearer.step(talk.wearer, connected=True)
        talk.state, said = talk.wearable.live(talk.state, lived)
        for notification in said:
            assert {"notify", "indicate"} & set(talk.flags[notification.uuid])
            assert 0 < len(notification.value) <= 244
            assert 0 <= notification.after_s < 1


def test_the_same_seed_lives_the_same_life() -> None:
    talks = [Conversation("polar-sense"), Conversation("polar-sense")]
    for talk in talks:
        talk.connect()
        talk.live(30)
    assert talks[0].heard == talks[1].heard


def test_a_kind_or_option_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match="write one of strap, plx"):
        wearables.make(PeripheralSpec(address=address(1), kind="sock"))
    with pytest.raises(ConfigurationError, match="numbred"):
        wearables.make(PeripheralSpec(address=address(1), options={"numbred": True}))
    with pytest.raises(ConfigurationError, match="six upper-case bytes"):
        PeripheralSpec(address="c0:ff:ee")
