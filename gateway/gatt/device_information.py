"""The Device Information Service: texts 2A24–2A29, System ID 2A23, PnP ID 2A50. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from gateway.gatt.frame import FrameError, uuid16
from gateway.gatt.reader import Reader

SYSTEM_ID: Final = uuid16(0x2A23)
PNP_ID: Final = uuid16(0x2A50)

#: Characteristic → what its text tells.
TEXTS: Final = {
    uuid16(0x2A24): "model",
    uuid16(0x2A25): "serial number",
    uuid16(0x2A26): "firmware",
    uuid16(0x2A27): "hardware",
    uuid16(0x2A28): "software",
    uuid16(0x2A29): "manufacturer",
}


def decode_text(data: bytes) -> str:
    """A text without the zeros and blanks that some devices fill it up with.

    Raises `FrameError` for what is not UTF-8, and for control characters: texts end up in logs and terminals.
    """
    return read_text(Reader(data))


def read_text(reader: Reader) -> str:
    """`decode_text`, field by field."""
    raw = reader.take(reader.left, "text")
    try:
        text = raw.decode().rstrip("\0 ")
    except UnicodeDecodeError as error:
        raise FrameError("value", "text", f"the text is not UTF-8 at byte {error.start}") from None
    if not text.isprintable():
        raise FrameError("value", "text", "the text contains control characters")
    reader.keep("text", raw, text)
    return text


def encode_text(text: str) -> bytes:
    return text.encode()


@dataclass(frozen=True, slots=True)
class SystemId:
    """An EUI-64: who made the device (IEEE organisation, 24 bits) and which one it is (40 bits)."""

    manufacturer: int
    organisation: int

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is eight bytes."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        identifier = cls(reader.unsigned("manufacturer's number", 5), reader.unsigned("organisation", 3))
        reader.end()
        return identifier

    def encode(self) -> bytes:
        return self.manufacturer.to_bytes(5, "little") + self.organisation.to_bytes(3, "little")


@dataclass(frozen=True, slots=True)
class PnpId:
    """`source`: whose number `vendor` is, 1 the Bluetooth SIG's, 2 the USB Implementer's Forum's."""

    source: int
    vendor: int
    product: int
    version: int

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is seven bytes."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        source = reader.unsigned("source of the vendor's number")
        vendor, product, version = (reader.unsigned(name, 2) for name in ("vendor", "product", "version"))
        reader.end()
        return cls(source, vendor, product, version)

    def encode(self) -> bytes:
        numbers = (self.vendor, self.product, self.version)
        return bytes([self.source]) + b"".join(number.to_bytes(2, "little") for number in numbers)
