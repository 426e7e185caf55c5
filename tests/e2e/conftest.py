"""One captured task and one deployed market for all end-to-end tests of a process."""

from __future__ import annotations

import pytest

from protocol.capture.examples.digits import make_task
from protocol.cli.demo.world import Stage
from protocol.training.task import Task


@pytest.fixture(scope="session")
def digits() -> Task:
    return Task.create(**make_task().parts())


@pytest.fixture(scope="session")
def stage() -> Stage:
    return Stage()
