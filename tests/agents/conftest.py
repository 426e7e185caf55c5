"""A deployed market for all tests of this folder, and a task that trains in milliseconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.cli.demo.world import Stage, World
from protocol.training import Task
from tests.training.regression import regression_task


@pytest.fixture(scope="session")
def stage() -> Stage:
    """Deployed once; each world starts from it fresh."""
    return Stage()


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> World:
    """A market without people."""
    return World(stage, tmp_path)


@pytest.fixture(scope="session")
def task() -> Task:
    """Eleven steps in three segments, eight nodes."""
    return regression_task(steps=11, interval=4, width=40)
