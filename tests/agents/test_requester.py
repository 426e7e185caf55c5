"""What the requester gets in the end: the trained state, if it is final and what was claimed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from protocol.agents.requester import NotFinal
from protocol.cli.demo.world import OFFER, World
from protocol.program.validate import InvalidProgram
from protocol.storage import ContentMissing, ContentWrong
from protocol.training import Replay, Task, TensorError
from tests.agents.bad_tasks import dead_node, payload_nan, too_dear
from tests.agents.scenes import LIAR, OFFER_ALL, play_out


def test_requester_fetches_the_trained_state_once_it_is_final(world: World, task: Task) -> None:
    requester = world.requester()
    world.solver()
    task_id = requester.post(task, OFFER)
    with pytest.raises(NotFinal, match="BIDDING, expected FINALISED"):
        requester.result(task, task_id)
    world.play(lambda: bool(world.reader.book.claims))
    with pytest.raises(NotFinal, match="SUBMITTED, expected FINALISED"):
        requester.result(task, task_id)
    play_out(world, task_id)
    expected = Replay(task).state(task.manifest.steps)
    for tensor, honest in zip(requester.result(task, task_id), expected, strict=True):
        np.testing.assert_array_equal(tensor, honest)


@pytest.mark.parametrize("change", [dead_node, payload_nan, too_dear])
def test_requester_posts_and_publishes_no_task_that_is_not_valid(
    change: Callable[[Task], Task], world: World, task: Task
) -> None:
    requester = world.requester()
    with pytest.raises((InvalidProgram, TensorError)):
        requester.post(change(task), OFFER)
    assert not world.ledger.entries
    assert not (world.folder / "store").exists()


def test_requester_of_a_fallen_claim_gets_its_escrow_and_no_result(
    world: World, task: Task
) -> None:
    requester = world.requester()
    world.solver(conduct=LIAR)
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    end = play_out(world, task_id)
    assert end.gains["requester"] > 0
    with pytest.raises(NotFinal, match="REFUNDED"):
        requester.result(task, task_id)


def test_requester_takes_no_result_that_differs_from_the_claim(world: World, task: Task) -> None:
    requester = world.requester()
    world.solver()
    task_id = requester.post(task, OFFER)
    play_out(world, task_id)
    stored = list((world.folder / "store" / "tensor").glob("*/*"))
    originals = [path.read_bytes() for path in stored]
    for path, original in zip(stored, originals, strict=True):
        path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    with pytest.raises(ContentWrong):
        requester.result(task, task_id)
    for path in stored:
        path.unlink()
    with pytest.raises(ContentMissing):
        requester.result(task, task_id)
