"""A run that is executed again where a dispute or a check looks: leaves of every tree, on demand.

Implements `protocol.dispute.execution.Execution`. States are recomputed from the nearest checkpoint
and kept in a small cache; roots are kept for good (32 bytes each).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, Generic, TypeVar

from protocol.kernels.devices import AnyExecutor
from protocol.merkle import root_of_leaves
from protocol.program.node import Node, OperandKind
from protocol.training.checkpoints import CheckpointError, Checkpoints, InitialState
from protocol.training.device_step import runner_for
from protocol.training.hooks import Hooks
from protocol.training.task import Task
from protocol.training.tensors import Tensor, roots_of

AHEAD_BYTES: Final = 1 << 28
"""Outputs held beyond the one asked for, where a step's are read from node to node."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Replay:
    """A re-executed run of ``task``.

    Args:
        task: the validated task.
        checkpoints: states to start from; default: the initial state only.
        executor: computes the nodes.
        hooks: what a dishonest run changed; default: nothing.
        cached_states: how many states, and as many traced steps' operands, stay in memory.
    """

    def __init__(
        self,
        task: Task,
        checkpoints: Checkpoints | None = None,
        executor: AnyExecutor | None = None,
        hooks: Hooks | None = None,
        cached_states: int = 4,
    ) -> None:
        self.task = task
        self._checkpoints = InitialState(task) if checkpoints is None else checkpoints
        self._runner = runner_for(task.program, executor, hooks)
        self._states: _Recent[int, Sequence[Tensor]] = _Recent(cached_states)
        self._outputs: _Recent[tuple[int, int], Tensor] = _Recent(4 * cached_states)
        self._last_read = (-1, -1)
        self._ahead: dict[tuple[int, int], Tensor] = {}
        self._state_leaves: dict[int, list[bytes]] = {}
        self._trace_leaves: dict[int, list[bytes]] = {}

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return self.task.manifest.steps

    @property
    def interval(self) -> int:
        """Steps per checkpoint C."""
        return self.task.manifest.interval

    def log_leaves(self) -> list[bytes]:
        """State roots at steps 0, C, 2C, ... and T; those that are not known are computed."""
        leaves = self._checkpoints.roots()
        for index in range(len(leaves), self.task.manifest.segments + 1):
            leaves.append(root_of_leaves(self.state_leaves(self.task.checkpoint_step(index))))
        return leaves

    def segment_leaves(self, segment: int) -> list[bytes]:
        """State roots after each step of segment ``segment`` (from 1)."""
        steps = self.task.segment_steps(segment)
        return [root_of_leaves(self.state_leaves(step + 1)) for step in steps]

    def state_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of the state after ``step`` steps, in program order."""
        if step not in self._state_leaves:
            state = self.state(step)
            if step not in self._state_leaves:  # it has the roots of what it had to compute
                self._state_leaves[step] = roots_of(state, self._runner.executor.threads)
        return self._state_leaves[step]

    def trace_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of the node outputs of global step ``step``."""
        if step not in self._trace_leaves:
            self._check_step(step)
            roots, after = self._runner.trace(step, self.state(step), self.task.data)
            self._trace_leaves[step] = roots
            self._states.put(step + 1, after)
        return self._trace_leaves[step]

    def node_output(self, step: int, node: int) -> bytes:
        """Stored little-endian bytes of a node's output in global step ``step``.

        Who reads one node after the other, as a trace is published, has the step executed a few
        times for all of them, and not once for each.
        """
        self._check_step(step)
        follows, self._last_read = self._last_read == (step, node - 1), (step, node)
        if follows and (step, node) not in self._ahead:
            self._ahead = {}
            wanted = self._from_node_on(node)
            found = self._runner.outputs(step, self.state(step), self.task.data, wanted)
            self._ahead = {(step, index): output for index, output in found.items()}
        output = self._ahead.get((step, node))
        if node == len(self.task.program.nodes) - 1:
            self._ahead = {}
        return (self._node_outputs(step, [node])[node] if output is None else output).tobytes()

    def state_tensor(self, step: int, index: int) -> bytes:
        """Stored bytes of a state tensor after ``step`` steps."""
        return self.state(step)[index].tobytes()

    def data_tensor(self, index: int) -> bytes:
        """Stored bytes of a data tensor."""
        return self.task.data[index].tobytes()

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        """For each term of the element's fold: accumulator, then load words, big-endian."""
        self._check_step(step)
        descriptor = self.node(node)
        wanted = [o.index for o in descriptor.operands if o.kind is OperandKind.NODE]
        outputs = self._node_outputs(step, wanted)
        operands = self._runner.operands(
            descriptor, step, self.state(step), self.task.data, outputs
        )
        rows = self._runner.executor.fold(descriptor, operands, element)
        rows = self._runner.hooks.fold_rows(step, node, element, rows)
        return [row.astype(">u4").tobytes() for row in rows]

    def program_leaves(self) -> list[bytes]:
        """Canonical bytes of every node, then of every state binding."""
        return self.task.program_leaves

    def data_leaves(self) -> list[bytes]:
        """Tensor roots of the data tensors."""
        return self.task.data_leaves

    def node(self, index: int) -> Node:
        """Descriptor of a node."""
        return self.task.program.nodes[index]

    def state(self, step: int) -> Sequence[Tensor]:
        """The state after ``step`` steps, from the cache or the nearest state before it."""
        if not 0 <= step <= self.steps:
            raise IndexError(f"state after {step} steps of a run of {self.steps}")
        at, state = self._nearest(step)
        while at < step:
            state = self._runner.run(at, state, self.task.data)
            at += 1
            self._states.put(at, state)
            if at not in self._state_leaves:
                # Hashing is cheap beside computing; a later look at the segment needs no new run.
                self._state_leaves[at] = roots_of(state, self._runner.executor.threads)
        return state

    def _nearest(self, step: int) -> tuple[int, Sequence[Tensor]]:
        """The latest state at or before ``step`` that is cached or checkpointed."""
        cached = max((at for at in self._states if at <= step), default=-1)
        index = min(-(-step // self.interval), self.task.manifest.segments)
        while index >= 0 and self.task.checkpoint_step(index) > cached:
            at = self.task.checkpoint_step(index)
            if at <= step:
                try:
                    state = self._checkpoints.state(index)
                except CheckpointError:
                    if index == 0:
                        raise
                else:
                    self._states.put(at, state)
                    return at, state
            index -= 1
        return cached, self._states.get(cached)

    def _node_outputs(self, step: int, wanted: Sequence[int]) -> dict[int, Tensor]:
        missing = [node for node in wanted if (step, node) not in self._outputs]
        if missing:
            found = self._runner.outputs(step, self.state(step), self.task.data, wanted)
            for node, output in found.items():
                self._outputs.put((step, node), output)
            return found
        return {node: self._outputs.get((step, node)) for node in wanted}

    def _from_node_on(self, node: int) -> list[int]:
        """The node and those after it whose outputs have at most `AHEAD_BYTES` in all."""
        wanted, room = [node], AHEAD_BYTES - self.node(node).nbytes
        for index in range(node + 1, len(self.task.program.nodes)):
            room -= self.node(index).nbytes
            if room < 0:
                break
            wanted.append(index)
        return wanted

    def _check_step(self, step: int) -> None:
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a run of {self.steps}: steps count from 0")


class _Recent(Generic[Key, Value]):
    """The values used last, at most ``limit`` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[Key]:
        return iter(self._values)

    def get(self, key: Key) -> Value:
        """The value, which becomes the one used last."""
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        """Keep a value; the one not used for longest goes."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)
