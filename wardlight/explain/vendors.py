"""The frames of vendors' own protocols. Pure. A new one is one line in `VENDOR_FRAMES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.devices.berrymed import BerryDriver
from gateway.devices.creative import CreativeDriver
from gateway.devices.jumper import JumperDriver
from gateway.devices.nonin import NoninDriver
from gateway.gatt import berrymed, creative, jumper, nonin, polar, viatom
from gateway.gatt.bci import BciPacket
from gateway.gatt.berrymed import BerryFrame, BerryVersion
from gateway.gatt.creative import CreativeBattery, CreativeFrame, CreativePleth, CreativeReading
from gateway.gatt.jumper import JumperReading
from gateway.gatt.nonin import DeviceStatus, Oximetry, Pleth, PulseIntervals
from gateway.gatt.polar import DataFrame
from gateway.gatt.polar_control import ControlRequest, ControlResponse
from gateway.gatt.reader import Reader
from gateway.gatt.viatom import Live, LiveWave, Reply, Request
from gateway.gatt.viatom_file import ViatomInfo
from wardlight.explain.frames import FrameKind

_CONTENTS: Final = {
    creative.READING: CreativeReading.read,
    creative.PLETH: CreativePleth.read,
    creative.BATTERY: CreativeBattery.read,
}


def _opened(reader: Reader, name: str, content: bytes, read: Callable[[Reader], object]) -> None:
    """Put the fields of what a frame carries in the place of the field `name` that holds it."""
    inner = Reader(content)
    try:
        read(inner)
    finally:
        place = next(number for number, field in enumerate(reader.fields) if field.name == name)
        if inner.fields:
            reader.fields[place : place + 1] = inner.fields


def _creative(reader: Reader) -> None:
    frame = CreativeFrame.read(reader)
    if (read := _CONTENTS.get(frame.kind)) is not None:
        _opened(reader, "content", frame.content, read)


def _reply_with(read: Callable[[Reader], object]) -> Callable[[Reader], object]:
    def read_reply(reader: Reader) -> None:
        _opened(reader, "payload", Reply.read(reader).payload, read)

    return read_reply


_NONIN: Final = NoninDriver()

#: BerryMed's and Viatom's drivers make nothing of one frame alone: the former needs some to be sure that it is BCI, the
#: latter must have asked. Nor does Polar's, which must have started a measurement.
VENDOR_FRAMES: Final[tuple[FrameKind, ...]] = (
    FrameKind(("nonin",), "Nonin oximetry", nonin.MEASUREMENT, Oximetry.read, _NONIN),
    FrameKind(("nonin-intervals",), "Nonin pulse intervals, DF20", nonin.PULSE_INTERVALS, PulseIntervals.read, _NONIN),
    FrameKind(("nonin-pleth",), "Nonin pulse wave, DF22", nonin.PLETH, Pleth.read),
    FrameKind(("nonin-status",), "Nonin device status, DF23", nonin.DEVICE_STATUS, DeviceStatus.read, _NONIN),
    FrameKind(("bci",), "BerryMed BCI packet", berrymed.NOTIFY, BciPacket.read),
    FrameKind(("berry",), "BerryMed BERRY frame", berrymed.NOTIFY, BerryFrame.read, BerryDriver()),
    FrameKind(("berry-version",), "BerryMed version", berrymed.NOTIFY, BerryVersion.read, BerryDriver()),
    FrameKind(("viatom-request",), "Viatom request", viatom.WRITE, Request.read),
    FrameKind(("viatom-reply",), "Viatom reply", viatom.NOTIFY, Reply.read),
    FrameKind(("viatom-live",), "Viatom live reading", viatom.NOTIFY, _reply_with(Live.read)),
    FrameKind(("viatom-live-wave",), "Viatom live reading with wave", viatom.NOTIFY, _reply_with(LiveWave.read)),
    FrameKind(("viatom-info",), "Viatom information", viatom.NOTIFY, _reply_with(ViatomInfo.read)),
    FrameKind(("polar",), "Polar measurement data", polar.DATA, DataFrame.read),
    FrameKind(("polar-request",), "Polar control point, request", polar.CONTROL_POINT, ControlRequest.read),
    FrameKind(("polar-response",), "Polar control point, response", polar.CONTROL_POINT, ControlResponse.read),
    FrameKind(("jumper",), "Jumper reading", jumper.NOTIFY, JumperReading.read, JumperDriver()),
    FrameKind(("creative",), "Creative PC-60 frame", creative.NOTIFY, _creative, CreativeDriver()),
)
