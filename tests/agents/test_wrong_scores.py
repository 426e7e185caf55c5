"""The market with a task of inference: outputs are paid, skipped work and other numbers are not."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.agents.conduct import Conduct
from protocol.capture import outputs_of
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.cli.demo.world import World
from protocol.training import Task
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.trainer import Progress
from tests.adversaries.wrong_scores import OtherWeights, Stored, in_half, one_ulp, skipped
from tests.agents.scenes import OFFER_ALL, play_out
from tests.training.scores import expected, node_of, scores_task


@pytest.fixture(scope="module")
def scores() -> Task:
    return scores_task()


def test_outputs_of_an_honest_solver_are_paid_and_delivered(world: World, scores: Task) -> None:
    requester = world.requester()
    seen: list[Progress] = []
    world.solver(progress=seen.append)
    world.verifier("verifier")
    task_id = requester.post(scores, OFFER_ALL)
    end = play_out(world, task_id)
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FINALISED]
    assert end.gains["solver"] == OFFER_ALL.max_reward
    assert [step.loss for step in seen] == [None] * 5
    names = [spec.name for spec in scores.manifest.state]
    state = requester.result(scores, task_id)
    outputs = outputs_of(zip(names, state, strict=True))
    np.testing.assert_allclose(outputs["output"], expected(), rtol=1e-5)
    honest = Replay(scores).state(scores.manifest.steps)
    assert [tensor.tobytes() for tensor in state] == [tensor.tobytes() for tensor in honest]


LIES = {
    "one ulp of one score": ("rows", one_ulp(2, 9)),
    "the last batch is skipped": ("rows", skipped(4, slice(16, 19))),
    "a layer in half precision": ("2: aten.mul", in_half),
    "other weights": ("3.weight", None),
}


def hooks_of(lie: str, task: Task) -> Hooks:
    where, change = LIES[lie]
    if change is None:
        names = [spec.name for spec in task.manifest.data]
        return OtherWeights(names.index(f"model.{where}"))
    return Stored(node_of(task, where), change)


@pytest.mark.parametrize(
    "lie",
    [
        "one ulp of one score",
        pytest.param("the last batch is skipped", marks=pytest.mark.slow),
        pytest.param("a layer in half precision", marks=pytest.mark.slow),
        "other weights",
    ],
)
def test_solver_of_other_outputs_loses_its_stake_and_the_escrow_comes_back(
    lie: str, world: World, scores: Task
) -> None:
    requester = world.requester()
    world.solver("liar", conduct=Conduct(hooks=hooks_of(lie, scores)))
    world.verifier("verifier")
    task_id = requester.post(scores, OFFER_ALL)
    end = play_out(world, task_id)
    view = world.reader.task(task_id)
    assert view.phase is TaskPhase.REFUNDED
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FALLEN]
    assert end.gains["liar"] == -view.required_stake
    assert end.gains["verifier"] > 0
    assert end.gains["requester"] > 0


def test_false_accuser_of_an_honest_scorer_pays_its_bonds(world: World, scores: Task) -> None:
    requester = world.requester()
    world.solver()
    world.verifier("verifier")
    lie = Stored(node_of(scores, "rows"), one_ulp(2, 9))
    world.verifier("accuser", staked=False, checks_all=True, hooks=lie)
    end = play_out(world, requester.post(scores, OFFER_ALL))
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FINALISED]
    assert end.gains["accuser"] < 0
    assert end.gains["solver"] > OFFER_ALL.max_reward
