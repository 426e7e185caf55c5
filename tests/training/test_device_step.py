"""Steps of the CUDA runner are those of the CPU's: same states, traces, checkpoints and lies.

The kernels run on the CPU through the shim; `needs_gpu` runs the same on a device.
"""

from __future__ import annotations

import numpy as np
import pytest

from protocol.kernels import Executor
from protocol.kernels.cuda.executor import CudaExecutor
from protocol.merkle import tensor_root
from protocol.training import Hooks, Replay, StepRunner, Trainer, state_root
from protocol.training.device_step import CudaStepRunner, DeviceState, runner_for
from protocol.training.tensors import roots_of
from tests.kernels.cuda.shim.host import HostDevice
from tests.training.regression import regression_task

TASK = regression_task(steps=11, interval=4, width=300)


class Lie(Hooks):
    """Wrong in node 3 of step 1, in a state tensor after step 2, and in what a data tensor says."""

    def node_output(self, step, node, output):
        return output + np.float32(1) if (step, node) == (1, 3) else output

    def next_state(self, step, index, tensor):
        return tensor * np.float32(2) if (step, index) == (2, 4) else tensor

    def data_tensor(self, step, index, tensor):
        return tensor + np.float32(1) if (step, index) == (0, 1) else tensor


@pytest.fixture(scope="module", params=["shim", pytest.param("gpu", marks=pytest.mark.needs_gpu)])
def executor(request) -> CudaExecutor:
    return CudaExecutor(None if request.param == "gpu" else HostDevice(), Executor(1))


def runners(executor: CudaExecutor, hooks: Hooks | None = None) -> list[StepRunner]:
    """The CPU's, and the device's."""
    return [
        StepRunner(TASK.program, Executor(1), hooks),
        CudaStepRunner(TASK.program, executor, hooks),
    ]


@pytest.mark.parametrize("hooks", [None, Lie()], ids=["honest", "lying"])
def test_run_states_of_all_steps_equal_the_cpus(executor, hooks) -> None:
    cpu, device = runners(executor, hooks)
    here, there = TASK.state, TASK.state
    for step in range(4):
        here = cpu.run(step, here, TASK.data)
        there = device.run(step, there, TASK.data, consume=True)
        assert isinstance(there, DeviceState)
        assert [t.tobytes() for t in there] == [t.tobytes() for t in here]
        assert roots_of(there) == roots_of(here)


@pytest.mark.parametrize("hooks", [None, Lie()], ids=["honest", "lying"])
def test_trace_roots_equal_the_cpus(executor, hooks) -> None:
    state = StepRunner(TASK.program, Executor(1), hooks).run(0, TASK.state, TASK.data)
    traces = [runner.trace(1, state, TASK.data) for runner in runners(executor, hooks)]
    assert traces[0][0] == traces[1][0]
    assert state_root(traces[0][1]) == state_root(traces[1][1])


def test_outputs_and_operands_are_arrays_that_equal_the_cpus(executor) -> None:
    cpu, device = runners(executor)
    state = device.run(0, TASK.state, TASK.data)
    wanted = [2, 5]
    node = TASK.program.nodes[6]
    every = range(len(TASK.program.nodes))
    for runner in (cpu, device):
        outputs = runner.outputs(1, state, TASK.data, wanted)
        assert list(map(tensor_root, outputs.values())) == list(
            map(tensor_root, cpu.outputs(1, list(state), TASK.data, wanted).values())
        )
        operands = runner.operands(
            node, 1, state, TASK.data, runner.outputs(1, state, TASK.data, every)
        )
        assert all(isinstance(operand, np.ndarray) for operand in operands)


def test_observe_sees_every_output_in_order(executor) -> None:
    seen: list[list[tuple[int, bytes]]] = []
    for runner in runners(executor):
        seen.append([])
        runner.run(0, TASK.state, TASK.data, lambda j, o: seen[-1].append((j, o.tobytes())))
    assert seen[0] == seen[1]


def test_device_state_is_copied_where_it_is_looked_at_and_read_only(executor) -> None:
    state = CudaStepRunner(TASK.program, executor).run(0, TASK.state, TASK.data)
    assert len(state) == len(TASK.state)
    assert [t.shape for t in state] == [t.shape for t in TASK.state]
    assert state[-1] is state[len(state) - 1]
    assert [t.tobytes() for t in state[1:3]] == [state[1].tobytes(), state[2].tobytes()]
    with pytest.raises(IndexError):
        state[len(state)]
    with pytest.raises(ValueError, match="read-only"):
        state[0][...] = 1


def test_trainer_on_the_device_stops_resumes_and_ends_at_the_same_roots(executor, tmp_path) -> None:
    expected = Trainer(TASK, tmp_path / "cpu", Executor(1)).run()
    assert Trainer(TASK, tmp_path / "device", executor).run(until=8).step == 8
    outcome = Trainer(TASK, tmp_path / "device", executor).run()
    assert outcome == expected
    for path in (tmp_path / "cpu").glob("step-*"):
        assert (tmp_path / "device" / path.name).read_bytes() == path.read_bytes()


def test_replay_on_the_device_has_the_same_leaves(executor) -> None:
    here, there = Replay(TASK, None, Executor(1)), Replay(TASK, None, executor)
    assert there.log_leaves() == here.log_leaves()
    assert there.segment_leaves(2) == here.segment_leaves(2)
    assert there.trace_leaves(5) == here.trace_leaves(5)
    assert there.node_output(5, 3) == here.node_output(5, 3)
    assert there.state_tensor(5, 0) == here.state_tensor(5, 0)
    assert there.fold_leaves(5, 3, 1) == here.fold_leaves(5, 3, 1)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["gpt", "resnet", "digits"])
def test_trace_of_captured_networks_equals_the_cpus(executor, network) -> None:
    from scripts.bench import training
    from scripts.bench.ours import capture

    captured = capture(getattr(training, network)(True))
    state, data = ([array for _, array in part] for part in (captured.state, captured.data))
    cpu = StepRunner(captured.program, Executor(1))
    device = CudaStepRunner(captured.program, executor)
    here = there = state
    for step in range(2):
        expected, here = cpu.trace(step, here, data)
        roots, there = device.trace(step, there, data)
        assert roots == expected
        assert roots_of(there) == roots_of(here)


def test_runner_for_follows_the_executor(executor) -> None:
    assert type(runner_for(TASK.program, executor)) is CudaStepRunner
    assert type(runner_for(TASK.program, Executor(1))) is StepRunner
    assert type(runner_for(TASK.program)) is StepRunner
