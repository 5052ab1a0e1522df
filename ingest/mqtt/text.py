"""Whether the texts of an MQTT 5 packet are well-formed, found out before the packet is decoded.

The `mqtt5` package (0.8.0) panics on ill-formed UTF-8: it raises a `BaseException` and prints a Rust stack trace on the
error output, once for each packet that anybody cares to send. So the texts are walked first. This knows the
layout of the packets that a client sends (MQTT 5, chapter 3) and the types of their properties (2.2.2.2) and nothing
else: where a structure is broken it stops, and leaves the verdict to the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ingest.mqtt.v311 import frame_end

_BYTE, _WORD, _LONG, _VARIABLE, _BLOB, _TEXT, _PAIR = 1, 2, 4, -1, -2, -3, -4
_PROPERTIES, _WILL, _USER, _PASSWORD, _FLAGS = -5, -6, -7, -8, -9
_PROPERTY_TYPES: Final[Mapping[int, int]] = MappingProxyType(
    {
        **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), _BYTE),
        **dict.fromkeys((0x13, 0x21, 0x22, 0x23), _WORD),
        **dict.fromkeys((0x02, 0x11, 0x18, 0x27), _LONG),
        **dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), _TEXT),
        **dict.fromkeys((0x09, 0x16), _BLOB),
        0x0B: _VARIABLE,
        0x26: _PAIR,
    }
)
_ACKNOWLEDGEMENT: Final = (_WORD, _BYTE, _PROPERTIES)
_LAYOUTS: Final[Mapping[int, tuple[int, ...]]] = MappingProxyType(
    {
        1: (_TEXT, _BYTE, _FLAGS, _WORD, _PROPERTIES, _TEXT, _WILL, _USER, _PASSWORD),
        3: (_TEXT, _PROPERTIES),
        **dict.fromkeys((4, 5, 6, 7), _ACKNOWLEDGEMENT),
        8: (_WORD, _PROPERTIES),
        10: (_WORD, _PROPERTIES),
        14: (_BYTE, _PROPERTIES),
        15: (_BYTE, _PROPERTIES),
    }
)
_REPEATED: Final[Mapping[int, tuple[int, ...]]] = MappingProxyType({8: (_TEXT, _BYTE), 10: (_TEXT,)})


def texts_are_well_formed(packet: bytes) -> bool:
    """Whether every text of one whole packet is UTF-8 without U+0000 (1.5.4-1, 1.5.4-2).

    True also for a packet whose structure is broken: the decoder refuses it.
    """
    try:
        start, _ = frame_end(packet, 0)
        _walk(packet, start)
    except UnicodeDecodeError:
        return False
    except (IndexError, KeyError, ValueError):
        return True
    return True


def _walk(packet: bytes, at: int) -> None:
    kind = packet[0] >> 4
    layout = list(_LAYOUTS.get(kind, ()))
    if kind == 3 and packet[0] & 0x06:
        layout.insert(1, _WORD)  # the packet identifier of QoS 1 and 2
    flags = 0
    for field in layout:
        if field == _FLAGS:
            flags = packet[at]
        for part in _expand(field, flags):
            at = _properties(packet, at) if part == _PROPERTIES else _skip(packet, at, part)
    while kind in _REPEATED and at < len(packet):
        for field in _REPEATED[kind]:
            at = _skip(packet, at, field)


def _expand(field: int, flags: int) -> tuple[int, ...]:
    """The fields that a CONNECT's flags announce (3.1.2.3); any other field as it is."""
    if field == _FLAGS:
        return (_BYTE,)
    if field == _WILL:
        return (_PROPERTIES, _TEXT, _BLOB) if flags & 0x04 else ()
    if field == _USER:
        return (_TEXT,) if flags & 0x80 else ()
    if field == _PASSWORD:
        return (_BLOB,) if flags & 0x40 else ()
    return (field,)


def _properties(packet: bytes, at: int) -> int:
    at, end = frame_end(packet, at - 1)  # a variable byte integer and what it measures, like a remaining length
    while at < end:
        at = _skip(packet, at + 1, _PROPERTY_TYPES[packet[at]])
    return at


def _skip(packet: bytes, at: int, field: int) -> int:
    if field > 0:
        return at + field
    if field == _VARIABLE:
        return frame_end(packet, at - 1)[0]
    end = at + 2 + (packet[at] << 8 | packet[at + 1])
    if field == _PAIR:
        _check(packet, at + 2, end)
        return _skip(packet, end, _TEXT)
    if field == _TEXT:
        _check(packet, at + 2, end)
    return end


def _check(packet: bytes, start: int, end: int) -> None:
    if end > len(packet):
        raise IndexError("a text is longer than its packet")
    if "\0" in packet[start:end].decode():
        raise UnicodeDecodeError("utf-8", packet, start, end, "a text contains U+0000")
