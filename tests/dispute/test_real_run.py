"""A program that really trains, executed by the fast kernels, disputed on the contracts.

The toy shows that the game is right; this shows that what the kernels commit to is what the judge
on chain computes, for each node of a regression step.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.dispute.fault import find_fault_in_segment
from protocol.dispute.state import ARITHMETIC, DisputeState, Level
from protocol.kernels import Executor
from protocol.training import Task
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.tensors import Tensor
from tests.dispute.games import CHALLENGER, CLAIM, EVERYTHING, NOTHING, Game, facts_of
from tests.dispute.twin import Twin
from tests.training.regression import regression_task

STEP, SEGMENT, STATES = 5, 2, 5
PLACES = {0: 310, 1: 5, 2: 7, 3: 0, 4: 0, 5: 299, 6: 299, 7: 0}
"""The element that each node lies about."""
ONE_ULP = {4, 6, 7}
"""Nodes whose last bit reaches the state; for the others a high bit is flipped."""


class WrongNode(Hooks):
    """One element of one node's output, and the fold that ends at it."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._bit = 1 if node in ONE_ULP else 1 << 22

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        if (step, node) != (STEP, self._node):
            return output
        words = output.copy().reshape(-1).view("<u4")
        words[PLACES[node]] ^= self._bit
        return words.view(output.dtype).reshape(output.shape)

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        if (step, node, element) == (STEP, self._node, PLACES[node]):
            rows = rows.copy()
            rows[-1, 0] ^= self._bit
        return rows


class OtherData(Hooks):
    """Trains on a target that is not in the data set."""

    def data_tensor(self, step: int, index: int, tensor: Tensor) -> Tensor:
        if (step, index) != (STEP, 1):
            return tensor
        return tensor + np.float32(0.5)


class OtherState(Hooks):
    """Keeps another weight than the step computed."""

    def next_state(self, step: int, index: int, tensor: Tensor) -> Tensor:
        if (step, index) != (STEP, 0):
            return tensor
        words = tensor.copy().view("<u4")
        words[0] ^= 1
        return words.view(tensor.dtype)


@cache
def task() -> Task:
    """Eleven steps of a regression."""
    return regression_task()


@cache
def run(hooks: Hooks | None = None) -> Replay:
    """The task, executed; honestly without hooks."""
    return Replay(task(), executor=Executor(1), hooks=hooks)


LIES = {f"node {node}": WrongNode(node) for node in PLACES} | {
    "data": OtherData(),
    "state": OtherState(),
}


@pytest.mark.parametrize("serving", [EVERYTHING, NOTHING], ids=["served", "withheld"])
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_lie_in_a_real_run_is_judged_on_chain(lie: Hooks, serving: Collection[Level]) -> None:
    liar = run(lie)
    twin = Twin({CLAIM: facts_of(liar, STATES)})
    game = Game(liar, run(), serving=serving, model=twin).open(SEGMENT)
    assert game.play() is DisputeState.CHALLENGER_WON
    assert not game.refusals
    assert game.moves[-1].startswith(("judge", "answer"))
    assert twin.claims.fallen == {CLAIM: CHALLENGER}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_same_challenge_of_the_honest_real_run_fails_on_chain(lie: Hooks) -> None:
    twin = Twin({CLAIM: facts_of(run(), STATES)})
    game = Game(run(), run(lie), model=twin).open(SEGMENT)
    assert game.play() is DisputeState.SOLVER_WON
    assert not game.refusals


@pytest.mark.parametrize("node", PLACES)
def test_fault_in_a_real_run_is_named(node: int) -> None:
    fault = find_fault_in_segment(run(), run(LIES[f"node {node}"]), SEGMENT)
    assert fault is not None
    assert (fault.step, fault.node, fault.element) == (STEP, node, PLACES[node])
    assert fault.term == task().program.nodes[node].terms - 1
    assert fault.kind == ARITHMETIC
    if node in ONE_ULP - {7}:
        assert fault.describe().endswith("1 ulp apart")


def test_fault_of_other_data_is_the_load_of_that_data() -> None:
    fault = find_fault_in_segment(run(), run(LIES["data"]), SEGMENT)
    assert fault is not None
    # Node 1 gathers the targets: load 0 the step, load 1 the row, load 2 the target.
    assert (fault.step, fault.node, fault.term, fault.kind) == (STEP, 1, 0, 2)
