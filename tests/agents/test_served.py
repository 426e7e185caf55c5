"""What a solver serves: published as far as it exists, believed by nobody, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.agents.served import Publisher, StoreServed
from protocol.chain.market import ClaimPhase
from protocol.cli.demo.lies import OneUlp
from protocol.cli.demo.world import OFFER, World
from protocol.dispute.execution import Opaque, Withheld
from protocol.merkle import root_of_leaves, tensor_root
from protocol.storage import ContentStore
from protocol.training import Replay, Task
from tests.agents.scenes import LIE, OFFER_ALL, play_out


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def test_published_run_is_served_under_its_roots(store: ContentStore, task: Task) -> None:
    run = Replay(task)
    publisher, served = Publisher(store, run), StoreServed(store)
    publisher.publish_log()
    publisher.publish_segment(2)
    publisher.publish_trace(5)
    publisher.publish_fold(5, 4, 0)
    for leaves in (
        run.log_leaves(),
        run.state_leaves(8),
        run.segment_leaves(2),
        run.trace_leaves(5),
        run.state_leaves(6),
        run.fold_leaves(5, 4, 0),
    ):
        assert served.leaves(root_of_leaves(leaves), len(leaves)) == leaves
    for stored in (run.state_tensor(8, 0), run.state_tensor(11, 2), run.node_output(5, 3)):
        assert served.tensor(tensor_root(stored), len(stored)) == stored


def test_leaves_of_another_number_are_not_served(store: ContentStore) -> None:
    leaves = [bytes([i]) * 32 for i in range(3)]
    root = store.put_leaves(leaves)
    served = StoreServed(store)
    assert served.leaves(root, 3) == leaves
    assert served.leaves(root, 4) is None
    assert served.leaves(bytes(32), 3) is None
    assert served.tensor(bytes(32), 4) is None


def test_leaves_that_the_store_changed_are_not_served(store: ContentStore, tmp_path: Path) -> None:
    root, tensor = store.put_leaves([b"leaf"]), store.put_tensor(b"1234")
    for path in (tmp_path / "store").glob("*/*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    served = StoreServed(store)
    assert served.leaves(root, 1) is None
    assert served.tensor(tensor, 4) is None


def test_leaves_that_nobody_has_are_not_published(store: ContentStore, task: Task) -> None:
    class Holes(Replay):
        def trace_leaves(self, step: int) -> list[bytes]:
            return [Opaque(bytes(32)), *super().trace_leaves(step)[1:]]

        def node_output(self, step: int, node: int) -> bytes:
            if node == 0:
                raise Withheld
            return super().node_output(step, node)

    run = Holes(task)
    Publisher(store, run).publish_trace(5)
    served = StoreServed(store)
    assert served.leaves(root_of_leaves(run.trace_leaves(5)), 8) is None
    output = run.node_output(5, 1)
    assert served.tensor(tensor_root(output), len(output)) == output


def test_solver_whose_store_is_full_submits_and_defends_all_the_same(
    world: World, task: Task, caplog
) -> None:
    """Not serving costs its challenger a bisection; not answering would cost the stake."""
    requester = world.requester()
    solver = world.solver()
    world.verifier("accuser", staked=False, checks_all=True, hooks=OneUlp(LIE))
    task_id = requester.post(task, OFFER_ALL)

    class Full(ContentStore):
        def write(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

    solver._store = Full(world.folder / "store")
    end = play_out(world, task_id)
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FINALISED]
    assert end.gains["solver"] > OFFER.max_reward
    moves = [entry.function for entry in world.ledger.mined() if entry.sender == "solver"]
    assert {"reveal", "postTrace", "postFold"} <= set(moves)
    assert "leaves are not served" in caplog.text
