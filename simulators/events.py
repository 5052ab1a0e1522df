"""What can happen on a simulated ward, as the tables of a scenario file (`simulators.story`)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Saturation = Annotated[float, Meta(ge=50, le=100)]
HeartRate = Annotated[float, Meta(ge=20, le=250)]
RespRate = Annotated[float, Meta(ge=2, le=60)]
Priority = Literal["low", "medium", "high"]
Condition = Literal[
    "spo2_low",
    "spo2_high",
    "heart_rate_low",
    "heart_rate_high",
    "pulse_rate_low",
    "pulse_rate_high",
    "resp_rate_low",
    "resp_rate_high",
    "probe_off",
    "poor_signal",
    "no_data",
    "battery_low",
    "gateway_down",
    "clock_untrusted",
    "irregular_rhythm",
]


class Expect(Struct, frozen=True, forbid_unknown_fields=True):
    """The alarm that an event must raise, at the latest `within_s` after the event begins."""

    condition: Condition
    priority: Priority
    within_s: Annotated[float, Meta(gt=0, le=86_400)]


class Event(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """Something that begins `at_s` after the start of the story."""

    at_s: Seconds
    expect: Expect | None = None


class Ramp(Event, frozen=True, kw_only=True):
    """A vital that goes somewhere (`over_s`), stays (`hold_s`) and comes back (`recover_s`)."""

    over_s: Seconds = 10.0
    hold_s: Seconds = 30.0
    recover_s: Seconds = 20.0

    @property
    def end_s(self) -> float:
        """When the vital is back at rest."""
        return self.at_s + self.over_s + self.hold_s + self.recover_s


class Desaturation(Ramp, tag="desaturation", frozen=True, kw_only=True):
    """SpO2 falls to `to` percent."""

    to: Saturation


class Tachycardia(Ramp, tag="tachycardia", frozen=True, kw_only=True):
    """The heart rate rises to `to` per minute."""

    to: HeartRate


class Bradycardia(Ramp, tag="bradycardia", frozen=True, kw_only=True):
    """The heart rate falls to `to` per minute."""

    to: HeartRate


class Tachypnoea(Ramp, tag="tachypnoea", frozen=True, kw_only=True):
    """The respiratory rate rises to `to` per minute."""

    to: RespRate


class Bradypnoea(Ramp, tag="bradypnoea", frozen=True, kw_only=True):
    """The respiratory rate falls to `to` per minute."""

    to: RespRate


class Lasting(Event, frozen=True, kw_only=True):
    """A state that lasts `for_s` and then is over at once."""

    for_s: Seconds

    @property
    def end_s(self) -> float:
        """When the state is over."""
        return self.at_s + self.for_s


class Motion(Lasting, tag="motion", frozen=True, kw_only=True):
    """The patient moves; `strength` up to 1."""

    strength: Annotated[float, Meta(gt=0, le=1)] = 0.7


class DeviceEvent(Lasting, frozen=True, kw_only=True):
    """A state of one device; `device` names it when the patient wears several."""

    device: str = ""


class ProbeOff(DeviceEvent, tag="probe_off", frozen=True, kw_only=True):
    """The sensor is not on the body, and the device says so."""


class Searching(DeviceEvent, tag="searching", frozen=True, kw_only=True):
    """The sensor is in place and finds no stable reading."""


class DropOut(DeviceEvent, tag="drop_out", frozen=True, kw_only=True):
    """The radio link is gone: nothing arrives, and what was measured meanwhile is lost."""


class FalsePulse(DeviceEvent, tag="false_pulse", frozen=True, kw_only=True):
    """Movement that an oximeter counts as the pulse: it says `to` per minute, and nothing of a poor signal."""

    to: HeartRate


class BatteryLow(DeviceEvent, tag="battery_low", frozen=True, kw_only=True):
    """The battery is down to `to` percent."""

    to: Annotated[float, Meta(ge=0, le=100)] = 8.0


class GatewayLoss(Lasting, tag="gateway_loss", frozen=True, kw_only=True):
    """The gateway cannot send; it hears on, keeps everything in its spool and sends it later.

    `silent`: packets vanish, as in a dead switch, and the server has to notice by itself; otherwise connections end.
    """

    silent: bool = False


class ClockJump(Lasting, tag="clock_jump", frozen=True, kw_only=True):
    """The gateway's wall clock jumps `by_s` seconds, and back at the end."""

    by_s: Annotated[float, Meta(ge=-1e9, le=1e9)] = 3600.0


VitalEvent: TypeAlias = Desaturation | Tachycardia | Bradycardia | Tachypnoea | Bradypnoea
PatientEvent: TypeAlias = VitalEvent | Motion | ProbeOff | Searching | DropOut | FalsePulse | BatteryLow
GatewayEvent: TypeAlias = GatewayLoss | ClockJump
