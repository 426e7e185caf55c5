"""A replay gives the leaves of every tree, and they hang together as the contracts will check."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from protocol.dispute.execution import Execution
from protocol.kernels import Executor
from protocol.merkle import root_of_leaves, tensor_root
from protocol.program.node import OperandKind
from protocol.training import CheckpointFolder, Hooks, Replay, Task, Trainer
from tests.training.regression import regression_task

TASK = regression_task(steps=11, interval=4, width=300)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    Trainer(TASK, folder, Executor(1)).run()
    with CheckpointFolder(TASK, folder) as checkpoints:
        yield checkpoints


@pytest.fixture(params=["from the initial state", "from checkpoints"])
def replay(request, trained) -> Execution:
    checkpoints = trained if request.param == "from checkpoints" else None
    return Replay(TASK, checkpoints, Executor(1), cached_states=2)


def test_replay_log_and_segments_are_those_of_the_training(replay, trained) -> None:
    log = replay.log_leaves()
    assert log == trained.roots()
    for segment in (3, 1, 2):
        leaves = replay.segment_leaves(segment)
        assert len(leaves) == (4, 4, 3)[segment - 1]
        assert leaves[-1] == log[segment]


def test_replay_trace_binds_the_next_state(replay) -> None:
    for step in (10, 3, 4):
        before, after = replay.state_leaves(step), replay.state_leaves(step + 1)
        trace = replay.trace_leaves(step)
        for binding, root in zip(TASK.program.bindings, after, strict=True):
            source = trace if binding.kind is OperandKind.NODE else before
            assert source[binding.index] == root


def test_replay_tensors_hash_to_their_leaves(replay) -> None:
    trace = replay.trace_leaves(5)
    for node in (7, 0, 6, 3):
        assert tensor_root(replay.node_output(5, node)) == trace[node]
    for index, root in enumerate(replay.state_leaves(5)):
        assert tensor_root(replay.state_tensor(5, index)) == root
    for index, root in enumerate(replay.data_leaves()):
        assert tensor_root(replay.data_tensor(index)) == root
    assert root_of_leaves(replay.program_leaves()) == TASK.manifest.program_root


@pytest.mark.parametrize(("room", "most"), [(1 << 28, 2), (0, len(TASK.program.nodes))])
def test_replay_of_all_outputs_in_order_executes_the_step_a_few_times(
    room: int, most: int, monkeypatch
) -> None:
    nodes = len(TASK.program.nodes)
    assert nodes > 2, "or reading them one by one would be as good"
    alone = [Replay(TASK, None, Executor(1)).node_output(5, node) for node in range(nodes)]
    monkeypatch.setattr("protocol.training.replay.AHEAD_BYTES", room)
    replay = Replay(TASK, None, Executor(1))
    replay.state(5)
    executions, outputs = [], replay._runner.outputs
    monkeypatch.setattr(
        replay._runner, "outputs", lambda *given: executions.append(given[0]) or outputs(*given)
    )
    assert [replay.node_output(5, node) for node in range(nodes)] == alone
    assert len(executions) == most
    assert replay._ahead == {}, "nothing is held afterwards"
    assert replay.node_output(5, nodes - 1) == alone[-1]
    assert replay.node_output(4, 1) != alone[1]


def test_replay_fold_ends_at_the_stored_element(replay) -> None:
    for node, element in ((2, 5), (4, 0), (5, 299), (7, 0), (0, 301)):
        leaves = replay.fold_leaves(6, node, element)
        descriptor = replay.node(node)
        assert len(leaves) == descriptor.terms
        assert {len(leaf) for leaf in leaves} == {4 * (1 + len(descriptor.loads))}
        (accumulator,) = struct.unpack(">I", leaves[-1][:4])
        (stored,) = struct.unpack_from("<I", replay.node_output(6, node), 4 * element)
        assert accumulator == stored


def test_replay_of_a_lie_is_the_lie(tmp_path) -> None:
    class Lie(Hooks):
        def node_output(self, step, node, output):
            if (step, node) != (6, 5):
                return output
            return np.nextafter(output, np.float32(np.inf))

        def fold_rows(self, step, node, element, rows):
            if (step, node, element) == (6, 5, 2):
                rows[-1, 0] += 1
            return rows

    lie = Trainer(TASK, tmp_path, Executor(1), Lie()).run()
    honest, lying = (Replay(TASK, None, Executor(1), hooks) for hooks in (None, Lie()))
    assert lying.log_leaves()[-1] == lie.state_root
    ours, theirs = honest.log_leaves(), lying.log_leaves()
    assert [a == b for a, b in zip(ours, theirs, strict=True)] == [True, True, False, False]
    ours, theirs = honest.segment_leaves(2), lying.segment_leaves(2)
    assert [a == b for a, b in zip(ours, theirs, strict=True)] == [True, True, False, False]
    ours, theirs = honest.trace_leaves(6), lying.trace_leaves(6)
    assert ours[:5] == theirs[:5]
    assert ours[5] != theirs[5]
    assert honest.fold_leaves(6, 5, 2)[:-1] == lying.fold_leaves(6, 5, 2)[:-1]


def test_x07_replay_of_one_step() -> None:
    task: Task = regression_task(steps=1, interval=1, width=3)
    replay = Replay(task, None, Executor(1))
    assert replay.log_leaves()[1:] == replay.segment_leaves(1)
    with pytest.raises(IndexError):
        replay.trace_leaves(1)
    with pytest.raises(IndexError):
        replay.segment_leaves(2)
