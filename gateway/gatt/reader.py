"""Takes the fields of a frame one after the other, and keeps what it took: a decoder explains itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Literal, TypeVar

from gateway.gatt.frame import FrameError

_Flags = TypeVar("_Flags", bound=IntFlag)
_Code = TypeVar("_Code", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class Field:
    """One field as it stood in the frame: its bytes and what they say, for `wardlight decode`.

    `value`: a number, flags, a member of an enumeration, text or a date; `unit`: of a number.
    """

    name: str
    raw: bytes
    value: object
    unit: str = ""


class Reader:
    """Reads `data` from front to back. Every method raises `FrameError` that names the field it could not read."""

    __slots__ = ("_at", "_data", "fields")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.fields: list[Field] = []

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self._data) - self._at

    def unsigned(self, name: str, size: int = 1, unit: str = "", order: Literal["little", "big"] = "little") -> int:
        """An unsigned integer."""
        raw = self.take(size, name)
        number = int.from_bytes(raw, order)
        self.keep(name, raw, number, unit)
        return number

    def flags(self, name: str, kind: type[_Flags], size: int = 1) -> _Flags:
        """A bit field; bits that `kind` does not know are kept."""
        raw = self.take(size, name)
        value = kind(int.from_bytes(raw, "little"))
        self.keep(name, raw, value)
        return value

    def code(self, name: str, kind: type[_Code]) -> _Code:
        """One byte that must be a member of `kind`."""
        member = self.known_code(name, kind)
        if member is None:
            known = ", ".join(str(each.value) for each in kind)
            raise FrameError("value", name, f"{name} is {self.fields[-1].value}; known are {known}")
        return member

    def known_code(self, name: str, kind: type[_Code]) -> _Code | None:
        """One byte; `None` when it is no member of `kind`."""
        raw = self.take(1, name)
        member = next((each for each in kind if each == raw[0]), None)
        self.keep(name, raw, raw[0] if member is None else member)
        return member

    def take(self, size: int, name: str) -> bytes:
        """The next `size` bytes, not kept as a field: `keep` does that."""
        if self.left < size:
            raise FrameError("truncated", name, f"the frame ends in {name}: {size} bytes needed, {self.left} left")
        raw = self._data[self._at : self._at + size]
        self._at += size
        return raw

    def keep(self, name: str, raw: bytes, value: object, unit: str = "") -> None:
        """Keep a field that was read with `take`."""
        self.fields.append(Field(name, raw, value, unit))

    def rest(self, name: str) -> bytes:
        """All bytes that are left; kept as a field unless there are none."""
        raw = self.take(self.left, name)
        if raw:
            self.keep(name, raw, raw)
        return raw

    def end(self) -> None:
        """State that the frame ends here."""
        if self.left:
            raise FrameError("length", "", f"{self.left} bytes more than the layout has")
