"""Fixtures: real nodes, each found as it was by every test, and an account's outbox on one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.nodes import GWEI, KINDS, Desk, NodeControl, open_desk, running_node


@pytest.fixture(scope="module", params=KINDS)
def started_node(request, tmp_path_factory) -> Iterator[NodeControl]:
    with running_node(request.param, tmp_path_factory.mktemp("node")) as control:
        yield control


@pytest.fixture
def node(started_node: NodeControl) -> Iterator[NodeControl]:
    """A node that mines each transaction at once."""
    mark = started_node.snapshot()
    started_node.base_fee(GWEI)  # what a test before has set may outlive the revert
    started_node.mine()
    yield started_node
    # What a test left in the pool must not be mined a moment after the revert.
    started_node.automine(False)
    started_node.empty_pool()
    started_node.revert(mark)
    started_node.automine(True)


@pytest.fixture
def desk(node: NodeControl, tmp_path) -> Desk:
    """An account's outbox, with its log on disk."""
    return open_desk(node, 1, tmp_path / "journal.sqlite")
