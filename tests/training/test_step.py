"""A step computes the program; hooks change what they say and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.kernels import Executor, instruction_sets
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.merkle import tensor_root
from protocol.training import Hooks, StepRunner
from tests.kernels.nodes import words_of
from tests.training.regression import regression_task

TASK = regression_task(width=20)


def run_steps(count, runner=None):
    runner = runner or StepRunner(TASK.program, Executor(1))
    state = list(TASK.state)
    for step in range(count):
        state = runner.run(step, state, TASK.data)
    return state


def test_step_learns_and_counts() -> None:
    losses = [float(run_steps(count)[2]) for count in (1, 11)]
    assert losses[1] < 0.9 * losses[0]
    weight, step, _, _, frozen = run_steps(7)
    assert int(step) == 7
    assert frozen.tolist() == [1, 2, 3]
    assert weight.shape == (20,)


def test_x11_state_bound_to_another_state_is_the_old_tensor() -> None:
    assert run_steps(3)[3].tobytes() == run_steps(2)[0].tobytes()


def test_step_equals_the_reference_evaluator() -> None:
    outputs: dict[int, list[int]] = {}
    sources = [outputs, [words_of(t) for t in TASK.state], [words_of(t) for t in TASK.data]]
    for index, node in enumerate(TASK.program.nodes):
        operands = [sources[operand.kind][operand.index] for operand in node.operands]
        outputs[index] = evaluate_node(node, operands)
    seen: dict[int, list[int]] = {}
    runner = StepRunner(TASK.program, Executor(1))
    runner.run(0, TASK.state, TASK.data, lambda j, output: seen.update({j: words_of(output)}))
    assert seen == outputs


@pytest.mark.parametrize("isa", instruction_sets())
def test_step_every_instruction_set_and_thread_count_gives_the_same_state(isa) -> None:
    expected = [tensor.tobytes() for tensor in run_steps(5)]
    for threads in (1, 3):
        state = run_steps(5, StepRunner(TASK.program, Executor(threads, isa, grain=0)))
        assert [tensor.tobytes() for tensor in state] == expected


def test_step_leaves_its_input_state_alone() -> None:
    runner = StepRunner(TASK.program, Executor(1))
    states = [list(TASK.state)]
    copies = []
    for step in range(4):
        copies.append([tensor.tobytes() for tensor in states[-1]])
        states.append(runner.run(step, states[-1], TASK.data))
    for state, copy in zip(states, copies, strict=False):
        assert [tensor.tobytes() for tensor in state] == copy


def test_step_consuming_states_gives_the_same_ones() -> None:
    runner = StepRunner(TASK.program, Executor(1))
    state = list(TASK.state)
    initial = [tensor.tobytes() for tensor in state]
    for step in range(6):
        state = runner.run(step, state, TASK.data, consume=True)
        expected = [tensor.tobytes() for tensor in run_steps(step + 1)]
        assert [tensor.tobytes() for tensor in state] == expected
    assert [tensor.tobytes() for tensor in TASK.state] == initial


def test_trace_gives_the_root_of_every_output_and_the_same_state() -> None:
    runner = StepRunner(TASK.program, Executor(1))
    seen: list[bytes] = []
    state = run_steps(2)
    expected = runner.run(2, state, TASK.data, lambda _, output: seen.append(tensor_root(output)))
    roots, after = runner.trace(2, state, TASK.data)
    assert roots == seen
    assert [t.tobytes() for t in after] == [t.tobytes() for t in expected]


def test_outputs_of_wanted_nodes_are_those_of_the_whole_step() -> None:
    runner = StepRunner(TASK.program, Executor(1))
    whole: dict[int, bytes] = {}
    runner.run(0, TASK.state, TASK.data, lambda j, output: whole.update({j: output.tobytes()}))
    for wanted in ([0], [3, 1], [7], list(range(8)), []):
        found = runner.outputs(0, TASK.state, TASK.data, wanted)
        assert {j: output.tobytes() for j, output in found.items()} == {j: whole[j] for j in wanted}


class OneUlp(Hooks):
    """Adds one ulp to one element of one node of one step."""

    def node_output(self, step, node, output):
        if (step, node) != (1, 5):
            return output
        output = output.copy()
        output.view("<u4")[3] += 1
        return output


class OtherBatch(Hooks):
    """Trains on other rows in one step."""

    def data_tensor(self, step, index, tensor):
        return tensor[::-1].copy() if (step, index) == (1, 0) else tensor


class OtherState(Hooks):
    """Replaces the weight after one step."""

    def next_state(self, step, index, tensor):
        return tensor + np.float32(1) if (step, index) == (1, 0) else tensor


@pytest.mark.parametrize("hooks", [OneUlp(), OtherBatch(), OtherState()])
def test_hooks_change_the_run_at_their_step(hooks) -> None:
    def lying(count):
        return run_steps(count, StepRunner(TASK.program, Executor(1), hooks))[0].tobytes()

    honest = [run_steps(count)[0].tobytes() for count in range(3)]
    assert [lying(count) == honest[count] for count in range(3)] == [True, True, False]
