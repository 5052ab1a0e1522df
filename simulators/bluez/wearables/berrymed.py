"""BerryMed BM1000: its two protocols over one characteristic, and the commands that switch between them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.gatt import bci, berrymed
from gateway.gatt.bci import BciPacket
from gateway.gatt.berrymed import BerryFrame, BerryStatus, BerryVersion, Command
from gateway.gatt.frame import FrameError
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import optics, standard
from simulators.bluez.wearables.optics import Numbers
from simulators.bluez.wearables.standard import Label

_PACKETS: Final = 4  # of BCI in a notification
_RATES_HZ: Final = {
    Command.RATE_1_HZ: 1,
    Command.RATE_50_HZ: 50,
    Command.RATE_100_HZ: 100,
    Command.RATE_200_HZ: 200,
}
_VERSIONS: Final = {
    Command.SOFTWARE_VERSION: BerryVersion("software", "V1.04.00.36"),
    Command.HARDWARE_VERSION: BerryVersion("hardware", "V2.0"),
}
_LABEL: Final = Label("Berrymed", "BM1000C")
_SERVICES: Final = (
    Service(
        berrymed.SERVICE,
        (
            Characteristic(berrymed.NOTIFY, ("notify",)),
            Characteristic(berrymed.WRITE, ("write", "write-without-response")),
        ),
    ),
    _LABEL.service,
)


@dataclass(frozen=True, slots=True)
class BerryState:
    """`berry`: which protocol it speaks; `rate_hz`: of BERRY frames, 0 when stopped. `index`: of the next frame."""

    berry: bool = False
    rate_hz: int = 100
    index: int = 0
    battery_pct: float = 100.0


@dataclass(frozen=True, slots=True)
class BerryMed:
    """Speaks BCI until it is told otherwise."""

    name: str = "BerryMed"

    @property
    def profile(self) -> Profile:
        return Profile(self.name, _SERVICES, advertised=(berrymed.SERVICE,))

    def start(self) -> BerryState:
        return BerryState()

    def connect(self, state: BerryState) -> BerryState:
        """A new connection begins with BCI again."""
        return BerryState(battery_pct=state.battery_pct)

    def live(self, state: BerryState, lived: Lived) -> tuple[BerryState, tuple[Notification, ...]]:
        state = replace(state, battery_pct=lived.condition.battery_pct)
        if not lived.connected or not state.rate_hz:
            return state, ()
        if not state.berry:
            return state, _bci(lived)
        frames = _berry(state, lived)
        said = tuple(Notification(berrymed.NOTIFY, f.encode(), n / len(frames)) for n, f in enumerate(frames))
        return replace(state, index=(state.index + len(frames)) % 256), said

    def read(self, state: BerryState, uuid: str) -> bytes:
        return standard.readable(uuid, _LABEL, state.battery_pct, {})

    def write(self, state: BerryState, uuid: str, data: bytes) -> tuple[BerryState, tuple[Notification, ...]]:
        if uuid != berrymed.WRITE:
            raise AttError(standard.WRITE_NOT_PERMITTED)
        try:
            command = Command.decode(data)
        except FrameError:
            return state, ()  # the device ignores what it does not know
        if command in _VERSIONS:
            return state, (Notification(berrymed.NOTIFY, _VERSIONS[command].encode()),)
        return _commanded(state, command), ()


def _commanded(state: BerryState, command: Command) -> BerryState:
    if command in {Command.BCI, Command.BERRY}:
        return replace(state, berry=command is Command.BERRY, rate_hz=state.rate_hz or 100)
    if command is Command.STOP:
        return replace(state, rate_hz=0)
    return replace(state, rate_hz=_RATES_HZ.get(command, state.rate_hz))


def _bci(lived: Lived) -> tuple[Notification, ...]:
    seen, count = optics.numbers(lived), int(bci.RATE_HZ)
    beats = _beat_samples(lived, count)
    packets = [
        _packet(seen, wave, beat=number in beats).encode()
        for number, wave in enumerate(optics.pleth(lived, count, 1, 100))
    ]
    return tuple(
        Notification(berrymed.NOTIFY, b"".join(packets[at : at + _PACKETS]), at / count)
        for at in range(0, count, _PACKETS)
    )


def _packet(seen: Numbers, wave: int, *, beat: bool) -> BciPacket:
    return BciPacket(
        seen.spo2_pct,
        seen.pulse_rate,
        None if seen.off else wave,
        strength=None if seen.off else (2 if seen.doubtful else 8),
        bar=0 if seen.off else wave * 15 // 100,
        no_signal=seen.off,
        no_finger=seen.off,
        searching=seen.searching,
        beat=beat and not seen.off,
    )


def _berry(state: BerryState, lived: Lived) -> list[BerryFrame]:
    seen, beats = optics.numbers(lived), _beat_samples(lived, state.rate_hz)
    trouble = BerryStatus.NO_FINGER if seen.off else (BerryStatus.NO_PULSE if seen.searching else BerryStatus(0))
    intervals_s = lived.second.rr_intervals_s
    rr_ms = round(float(intervals_s[-1]) * 1000) if intervals_s.size and seen.pulse_rate else None
    permille = min(round(seen.perfusion_pct * 10), 0xFF)
    return [
        BerryFrame(
            index=(state.index + number) % 256,
            status=trouble | (BerryStatus.BEAT if number in beats and not trouble else BerryStatus(0)),
            spo2_pct=seen.spo2_pct,
            spo2_real_pct=seen.spo2_pct,
            pulse_rate=seen.pulse_rate,
            pulse_rate_real=seen.pulse_rate,
            rr_ms=rr_ms,
            perfusion_permille=permille,
            perfusion_real_permille=permille,
            pleth=wave,
            adc=int(lived.light.infrared[number * lived.light.infrared.size // state.rate_hz]),
            battery_pct=round(lived.condition.battery_pct),
            frequency_hz=state.rate_hz,
        )
        for number, wave in enumerate(optics.pleth(lived, state.rate_hz, 0, 100))
    ]


def _beat_samples(lived: Lived, count: int) -> set[int]:
    """The samples of this second that a beat falls on."""
    return {int((float(at_s) - lived.second.started_s) * count) for at_s in lived.second.beat_times_s}
