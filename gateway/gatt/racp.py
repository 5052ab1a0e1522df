"""The Record Access Control Point 2A52: how the measurements that a device has stored are asked for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from gateway.gatt.frame import FrameError, uuid16
from gateway.gatt.reader import Reader

RECORD_ACCESS: Final = uuid16(0x2A52)


class OpCode(IntEnum):
    REPORT_RECORDS = 1
    DELETE_RECORDS = 2
    ABORT = 3
    REPORT_COUNT = 4
    COUNT_RESPONSE = 5
    RESPONSE = 6


class Operator(IntEnum):
    """Which records; `FIRST` is the oldest."""

    NONE = 0
    ALL = 1
    UP_TO = 2
    FROM = 3
    RANGE = 4
    FIRST = 5
    LAST = 6


class ResponseCode(IntEnum):
    SUCCESS = 1
    OPCODE_UNSUPPORTED = 2
    OPERATOR_INVALID = 3
    OPERATOR_UNSUPPORTED = 4
    OPERAND_INVALID = 5
    NO_RECORDS = 6
    ABORT_UNSUCCESSFUL = 7
    NOT_COMPLETED = 8
    OPERAND_UNSUPPORTED = 9


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended."""

    to: OpCode
    code: ResponseCode


@dataclass(frozen=True, slots=True)
class RecordAccess:
    """A request, or the answer to one.

    `answer` belongs to `RESPONSE`, `count` to `COUNT_RESPONSE`; `operand` is what a request adds to its operator.
    """

    opcode: OpCode
    operator: Operator = Operator.NONE
    operand: bytes = b""
    answer: Answer | None = None
    count: int | None = None

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError`, also for codes that are reserved."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        opcode = reader.code("opcode", OpCode)
        operator = reader.code("operator", Operator)
        if opcode not in {OpCode.RESPONSE, OpCode.COUNT_RESPONSE}:
            return cls(opcode, operator, reader.rest("operand"))
        if operator is not Operator.NONE:
            raise FrameError("value", "operator", f"operator is {operator.value}; an answer has 0")
        if opcode is OpCode.COUNT_RESPONSE:
            answered = cls(opcode, count=reader.unsigned("number of records", 2))
        else:
            answered = cls(opcode, answer=Answer(reader.code("request", OpCode), reader.code("response", ResponseCode)))
        reader.end()
        return answered

    def encode(self) -> bytes:
        """Raises `OverflowError` for a count beyond 65535."""
        fields = bytes([self.opcode, self.operator]) + self.operand
        if self.answer is not None:
            fields += bytes([self.answer.to, self.answer.code])
        if self.count is not None:
            fields += self.count.to_bytes(2, "little")
        return fields


REPORT_ALL: Final = RecordAccess(OpCode.REPORT_RECORDS, Operator.ALL)
ABORT: Final = RecordAccess(OpCode.ABORT)
