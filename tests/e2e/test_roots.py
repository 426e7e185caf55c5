"""The demo's run has one checkpoint log, whatever computes it: the committed one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from protocol.kernels import Executor, instruction_sets, schedule
from protocol.kernels.executor import Compiled
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.merkle import root_of_leaves, tensor_root
from protocol.program.node import OperandKind
from protocol.training.replay import Replay
from protocol.training.task import Task
from protocol.training.trainer import Trainer
from tests.e2e.roots import EXAMPLE, committed, document
from tests.kernels.nodes import words_of


@pytest.fixture(scope="module")
def example() -> Task:
    """The task that the repository has, as anybody would load it."""
    return Task.load(EXAMPLE)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINPOINT_CACHE", str(tmp_path_factory.getbasetemp() / "code of the demo"))


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("worth_compiling", [0, schedule.WORTH_COMPILING], ids=["all", "large"])
def test_demo_has_the_committed_roots_however_it_is_computed(
    example, monkeypatch, isa, worth_compiling
) -> None:
    monkeypatch.setattr(schedule, "WORTH_COMPILING", worth_compiling)
    for compiled, threads in product(Compiled, (1, 2)):
        executor = Executor(threads, isa, grain=0, compiled=compiled)
        log = Replay(example, executor=executor).log_leaves()
        assert document(example, log) == committed(), (compiled, threads)


@pytest.mark.parametrize("isa", instruction_sets())
def test_demo_trained_in_place_has_the_committed_roots(example, tmp_path, isa) -> None:
    """As a solver trains: states overwritten, checkpoints on disk."""
    outcome = Trainer(example, tmp_path, Executor(2, isa)).run()
    assert "0x" + outcome.log_root.hex() == committed()["log_root"]


def test_demo_watched_node_by_node_ends_in_the_committed_state(example) -> None:
    replay = Replay(example, executor=Executor(1))
    last = example.manifest.steps - 1
    replay.trace_leaves(last)
    assert replay.log_leaves()[-1].hex() == str(committed()["state_roots"][-1])[2:]


@pytest.mark.slow
def test_specification_gives_the_committed_root_of_the_first_checkpoint(example) -> None:
    """By the reference evaluator alone, in Python."""
    state = [words_of(tensor) for tensor in example.state]
    data = [words_of(tensor) for tensor in example.data]
    for _ in range(example.manifest.interval):
        outputs: list[list[int]] = []
        sources = {
            OperandKind.NODE: outputs,
            OperandKind.STATE: state,
            OperandKind.DATA: data,
        }
        for node in example.program.nodes:
            outputs.append(evaluate_node(node, [sources[o.kind][o.index] for o in node.operands]))
        state = [sources[b.kind][b.index] for b in example.program.bindings]
    tensors = [
        np.array(words, "<u4" if binding.dtype.width == 4 else "u1").reshape(binding.shape)
        for words, binding in zip(state, example.program.bindings, strict=True)
    ]
    root = root_of_leaves([tensor_root(tensor) for tensor in tensors])
    assert "0x" + root.hex() == committed()["state_roots"][1]


def test_committed_roots_are_those_of_the_task_that_the_demo_plays(digits) -> None:
    """Captured anew: the example in the repository is the demo's task."""
    assert "0x" + digits.manifest.root.hex() == committed()["task"]
