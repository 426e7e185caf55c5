"""One deployed market for all tests of this folder, as new for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocol.chain.embedded import EmbeddedChain
from tests.contracts.market.world import World


@pytest.fixture(scope="session")
def _deployed_world(compiled) -> World:
    return World(EmbeddedChain(compiled))


@pytest.fixture
def world(_deployed_world: World) -> Iterator[World]:
    start = _deployed_world.chain.snapshot()
    yield _deployed_world
    _deployed_world.chain.revert(start)
