"""The synthetic patient, whom the server lets alarm every few minutes to prove that alarms get through.

It has one name wherever it goes, and that name belongs to nobody else. What is known of it stands in records of kinds
of their own, in both journals: what shows, counts, stores or forwards the ward does not come across it.
"""

from __future__ import annotations

from typing import Final

SELF_TEST: Final = "self-test"  # as patient, device, gateway and channel
