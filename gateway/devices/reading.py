"""What all drivers say in the same words: a reading, and a frame that cannot be used. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.devices.driver import Heard, HeardSample
from gateway.gatt.frame import FrameError
from vitals.model import VITALS, Quality, Reason, Vital


def reading(
    vital: Vital,
    at_monotonic_ns: int,
    value: float | None,
    reason: Reason = Reason.PRESENT,
    quality: Quality = Quality.UNKNOWN,
    *,
    sequence: int = 0,
    stored: bool = False,
) -> HeardSample:
    """A sample.

    A number that no body can show is passed on as it came, `DOUBTFUL` at best, never clipped; what is missing is
    `UNUSABLE`. `TEST` stays.
    """
    if value is None:
        quality = Quality.TEST if quality is Quality.TEST else Quality.UNUSABLE
    elif quality in {Quality.UNKNOWN, Quality.USABLE} and not VITALS[vital].low <= value <= VITALS[vital].high:
        quality = Quality.DOUBTFUL
    return HeardSample(vital, at_monotonic_ns, value, reason, quality, sequence, stored)


def unusable(uuid: str, data: bytes, error: FrameError) -> Heard:
    """What is heard of a frame that cannot be used: which, why, and its first bytes for who looks into it."""
    return Heard(malformed=(f"{error.reason} in {uuid}: {error} ({data[:20].hex()})",))


def joined(parts: Iterable[Heard]) -> Heard:
    """What several frames of one notification told, in their order."""
    heard = list(parts)
    return Heard(
        tuple(sample for part in heard for sample in part.samples),
        tuple(wave for part in heard for wave in part.waves),
        tuple(action for part in heard for action in part.actions),
        {name: note for part in heard for name, note in part.notes.items()},
        tuple(complaint for part in heard for complaint in part.malformed),
    )


def surplus(uuid: str, data: bytes) -> tuple[str, ...]:
    """The entry in `Heard.malformed` for bytes after the last field; the fields before them were used."""
    return (f"surplus in {uuid}: {len(data)} bytes after the last field ({data[:20].hex()})",) if data else ()
