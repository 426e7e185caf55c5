"""A task without training on the contracts: whoever sells other outputs than the model's falls.

Also what concerns nobody, the padding of the last batch, is judged as it is: who accuses it falsely
loses, and who has it wrong is convicted there first.
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
from tests.adversaries.wrong_kernel import Lie, WrongKernel
from tests.adversaries.wrong_scores import (
    Change,
    OtherWeights,
    Stored,
    copied,
    in_half,
    one_ulp,
    padding,
    skipped,
)
from tests.dispute.games import CHALLENGER, CLAIM, EVERYTHING, NOTHING, Game, facts_of
from tests.dispute.twin import Twin
from tests.training.scores import BATCH, EXAMPLES, STEPS, node_of, scores_task

LAST = STEPS - 1
PADDED = EXAMPLES - LAST * BATCH
"""The row of the last batch that belongs to no example."""
INPUTS, HIDDEN, ROWS = "inputs: batch", "2: aten.mul", "outputs.output: rows"
SEGMENT = {0: 1, 1: 1, 2: 2, 3: 2, LAST: 3}


@cache
def task() -> Task:
    return scores_task()


class AlsoWrong(Hooks):
    """A false padding, and a false score without which nobody would notice."""

    def __init__(self, element: int, load: int | None = None) -> None:
        self._hooks = (
            WrongKernel(Lie(LAST, node_of(task(), INPUTS), element, load)),
            Stored(node_of(task(), ROWS), one_ulp(LAST, EXAMPLES - 1)),
        )

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        for hooks in self._hooks:
            output = hooks.node_output(step, node, output)
        return output

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        for hooks in self._hooks:
            rows = hooks.fold_rows(step, node, element, rows)
        return rows


@cache
def run(name: str | None = None) -> Replay:
    """The task, executed; honestly without a lie's name."""
    hooks = None if name is None else LIES[name][0]
    return Replay(task(), executor=Executor(1), hooks=hooks)


def _stored(origin: str, change: Change) -> Hooks:
    return Stored(node_of(task(), origin), change)


def _weight(name: str) -> int:
    return [spec.name for spec in task().manifest.data].index(f"model.{name}")


# Hooks, the step in which the lie is found, and the node.
LIES: dict[str, tuple[Hooks, int, str]] = {
    "one ulp of one score": (_stored(ROWS, one_ulp(2, 9)), 2, ROWS),
    "a batch is skipped": (_stored(ROWS, skipped(3, slice(12, 16))), 3, ROWS),
    "one example is skipped": (_stored(ROWS, skipped(1, slice(5, 6))), 1, ROWS),
    "another example's row is written": (_stored(ROWS, copied(3, 13, 2)), 3, ROWS),
    "a row of a later example is written": (_stored(ROWS, copied(LAST - 1, 13, 18)), 3, ROWS),
    "a layer in half precision": (_stored(HIDDEN, in_half), 0, HIDDEN),
    "other weights": (OtherWeights(_weight("3.weight")), 0, "3: aten.mm"),
    "padding, and a score": (AlsoWrong(PADDED * 6 + 2), LAST, INPUTS),
}


@pytest.mark.parametrize("serving", [EVERYTHING, NOTHING], ids=["served", "withheld"])
@pytest.mark.parametrize("name", LIES)
def test_solver_that_sells_other_outputs_is_convicted(
    name: str, serving: Collection[Level]
) -> None:
    liar, segment = run(name), SEGMENT[LIES[name][1]]
    twin = Twin({CLAIM: facts_of(liar, len(task().state))})
    game = Game(liar, run(), serving=serving, model=twin).open(segment)
    assert game.play() is DisputeState.CHALLENGER_WON
    assert not game.refusals
    assert game.moves[-1].startswith(("judge", "answer"))
    assert twin.claims.fallen == {CLAIM: CHALLENGER}


@pytest.mark.parametrize("name", LIES)
def test_false_accusation_of_the_same_outputs_fails(name: str) -> None:
    twin = Twin({CLAIM: facts_of(run(), len(task().state))})
    game = Game(run(), run(name), model=twin).open(SEGMENT[LIES[name][1]])
    assert game.play() is DisputeState.SOLVER_WON
    assert not game.refusals
    assert not twin.claims.fallen


@pytest.mark.parametrize("name", LIES)
def test_fault_in_outputs_names_the_step_and_the_node(name: str) -> None:
    _, step, origin = LIES[name]
    fault = find_fault_in_segment(run(), run(name), SEGMENT[step])
    assert fault is not None
    assert (fault.step, fault.node) == (step, node_of(task(), origin))
    if name == "other weights":
        assert fault.kind != ARITHMETIC
    if name.startswith("padding"):
        assert fault.element == PADDED * 6 + 2


def test_padding_alone_reaches_no_output_and_is_nothing_to_dispute() -> None:
    hooks = Stored(node_of(task(), INPUTS), padding(LAST, PADDED))
    padded = Replay(task(), executor=Executor(1), hooks=hooks)
    assert padded.log_leaves() == run().log_leaves()
    assert padded.trace_leaves(LAST) != run().trace_leaves(LAST)
    assert find_fault_in_segment(run(), padded, SEGMENT[LAST]) is None


def test_accuser_of_the_padding_loses_whatever_it_says_is_wrong_there() -> None:
    """Zero is what a load beyond the last example gives: as the load, and as the arithmetic."""
    gather = task().program.nodes[node_of(task(), INPUTS)]
    for load in (None, *range(len(gather.loads))):
        accuser = AlsoWrong(PADDED * 6, load)
        twin = Twin({CLAIM: facts_of(run(), len(task().state))})
        false = Replay(task(), executor=Executor(1), hooks=accuser)
        game = Game(run(), false, model=twin).open(SEGMENT[LAST])
        assert game.play() is DisputeState.SOLVER_WON
        assert game.moves[-1] == ("judgeArithmetic" if load is None else "judgeLoad")
        assert not twin.claims.fallen
