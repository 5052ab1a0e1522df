"""What tests of several packages share: a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from mosquitto_process import MOSQUITTO, Mosquitto, free_port

settings.register_profile("wardlight", deadline=None, print_blob=True)  # a busy machine is no failure
settings.load_profile("wardlight")


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker; the test may kill and start it again."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: run `make test`, which installs it, or `apt-get install mosquitto`")
    broker = Mosquitto(tmp_path / "mosquitto", free_port())
    broker.start()
    yield broker
    broker.stop()
