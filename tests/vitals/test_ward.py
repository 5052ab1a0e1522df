"""The ward file: what is read, and what an operator is told about a mistake."""

from __future__ import annotations

import pytest

from vitals.errors import ConfigurationError
from vitals.ward import decode_ward

WARD = b"""
site = "north"
time_zone = "Europe/Berlin"

[[patients]]
patient = "P-0001"
bed = "3-01"
devices = ["ox-17", "strap-04"]

[patients.limits.spo2]
low = 86

[[patients]]
patient = "P-0002"
bed = "3-02"
"""


def test_a_ward_says_who_wears_what() -> None:
    ward = decode_ward(WARD)
    assert (ward.site, ward.time_zone) == ("north", "Europe/Berlin")
    assert [(p.patient, p.bed, p.limits) for p in ward.patients] == [
        ("P-0001", "3-01", {"spo2": {"low": 86}}),
        ("P-0002", "3-02", {}),
    ]
    assert ward.patient_of() == {"ox-17": "P-0001", "strap-04": "P-0001"}


def test_a_ward_may_be_empty() -> None:
    assert decode_ward(b'site = "north"').patient_of() == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b'site = "north"', b""), "site"),
        ((b'site = "north"', b'site = "no/rth"'), r"\$\.site"),
        ((b"Europe/Berlin", b"Berlin"), "time_zone 'Berlin' is not known; write one like"),
        ((b"Europe/Berlin", b"../../etc/passwd"), "time_zone"),
        ((b'"P-0002"', b'"P-0001"'), "patient 'P-0001' stands twice"),
        ((b'"3-02"', b'"3-01"'), "bed '3-01' stands twice"),
        ((b'bed = "3-02"', b'bed = "3-02"\ndevices = ["ox-17"]'), "device 'ox-17' stands twice"),
        ((b'"P-0002"', b'"self-test"'), "patient 'self-test' is the synthetic patient's name"),
        ((b"devices =", b"device ="), "device"),
        ((b'"ox-17"', b'"ox 17"'), "devices"),
        ((b"[[patients]]", b"[[patients"), "ward: "),
        ((b"north", b"\xff"), "ward: "),
    ],
)
def test_a_mistake_is_named(change: tuple[bytes, bytes], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        decode_ward(WARD.replace(*change))
