"""Fixtures of the tests of the alert service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alert_desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.ingest.close()
    found.alarms.close()
