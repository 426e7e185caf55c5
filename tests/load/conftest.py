"""A market on a node, and a task that trains in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.training import Task
from scripts.load.crowd import Crowd, open_crowd
from tests.training.regression import regression_task


@pytest.fixture
def crowd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crowd]:
    """A market on anvil, or on the node that the test names."""
    with open_crowd(getattr(request, "param", "anvil"), tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def task() -> Task:
    """Eleven steps in three segments, eight nodes."""
    return regression_task(steps=11, interval=4, width=40)
