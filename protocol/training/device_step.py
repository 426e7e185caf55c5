"""Training steps on a GPU: the state stays there, and is copied only where somebody looks.

The interface is that of `StepRunner`. Hooks see and change copies on the host, so that a dishonest
run is slow but lies as it would on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, overload

from protocol.kernels.cuda.executor import CudaExecutor, to_device, to_host
from protocol.kernels.cuda.hashing import TensorHasher, fetch_roots
from protocol.kernels.devices import AnyExecutor
from protocol.program.node import Node, OperandKind, Program
from protocol.training.hooks import Hooks
from protocol.training.step import StepRunner
from protocol.training.tensors import Tensor

if TYPE_CHECKING:
    import torch


class DeviceState(Sequence[Tensor]):
    """A state on a device: each tensor becomes a read-only array when it is first looked at.

    Attributes:
        tensors: on the device; nobody writes to them.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], hasher: TensorHasher) -> None:
        self.tensors = tuple(tensors)
        self._hasher = hasher
        self._host: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.tensors)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        if at not in self._host:
            self._host[at] = _frozen(to_host(self.tensors[at]))
        return self._host[at]

    def roots(self) -> list[bytes]:
        """Tensor root of each tensor, hashed on the device."""
        return self._hasher.roots(self.tensors)


class CudaStepRunner(StepRunner):
    """Runs steps of one program on a GPU.

    Args:
        program: a validated program.
        executor: computes the nodes.
        hooks: what a dishonest run changes; default: nothing.
    """

    def __init__(
        self, program: Program, executor: CudaExecutor, hooks: Hooks | None = None
    ) -> None:
        super().__init__(program, executor.host, hooks)
        self._cuda = executor
        self._hasher: TensorHasher | None = None
        self._data: dict[int, tuple[Tensor, torch.Tensor]] = {}  # by the identity of the array

    def adopt(self, state: Sequence[Tensor]) -> Sequence[Tensor]:
        """The state as it is: the first step copies it to the device."""
        return state

    def run(
        self,
        step: int,
        state: Sequence[Tensor],
        data: Sequence[Tensor],
        observe: Callable[[int, Tensor], None] | None = None,
        *,
        consume: bool = False,
    ) -> Sequence[Tensor]:
        """As `StepRunner.run`; the result is a `DeviceState`, which the next step takes as it is.

        ``observe`` gets copies on the host. Memory is torch's to use again, so ``consume`` is met
        by dropping the old state.
        """
        del consume

        def look(index: int, output: torch.Tensor) -> None:
            if observe is not None:
                observe(index, to_host(output))

        return self._run(step, state, data, look)

    def trace(
        self, step: int, state: Sequence[Tensor], data: Sequence[Tensor]
    ) -> tuple[list[bytes], Sequence[Tensor]]:
        """As `StepRunner.trace`; outputs are hashed on the device."""
        queued: list[torch.Tensor] = []
        hasher = self._hashing()
        after = self._run(step, state, data, lambda _, o: queued.append(hasher.queue_root(o)))
        return fetch_roots(queued), after

    def outputs(
        self, step: int, state: Sequence[Tensor], data: Sequence[Tensor], wanted: Collection[int]
    ) -> dict[int, Tensor]:
        """As `StepRunner.outputs`: arrays on the host."""
        found: dict[int, Tensor] = {}

        def look(index: int, output: torch.Tensor) -> None:
            if index in wanted:
                found[index] = to_host(output)

        self._run_nodes_on_device(
            max(wanted, default=-1) + 1, step, self._uploaded(state), data, look
        )
        return found

    def _run(
        self,
        step: int,
        state: Sequence[Tensor],
        data: Sequence[Tensor],
        look: Callable[[int, torch.Tensor], None],
    ) -> DeviceState:
        before = self._uploaded(state)
        count = len(self.program.nodes)
        outputs = self._run_nodes_on_device(count, step, before, data, look)
        after = []
        for index, binding in enumerate(self.program.bindings):
            is_node = binding.kind is OperandKind.NODE
            tensor = outputs[binding.index] if is_node else before[binding.index]
            after.append(self._changed(tensor, partial(self.hooks.next_state, step, index)))
        return DeviceState(after, self._hashing())

    def _run_nodes_on_device(
        self,
        count: int,
        step: int,
        state: Sequence[torch.Tensor],
        data: Sequence[Tensor],
        look: Callable[[int, torch.Tensor], None],
    ) -> dict[int, torch.Tensor]:
        """Outputs of the first ``count`` nodes that are still needed after them."""
        nodes = self.program.nodes[:count]
        self._cuda.prepare(zip(self._encoded, nodes, strict=False))
        outputs: dict[int, torch.Tensor] = {}
        for index, node in enumerate(nodes):
            operands = self._operands_on_device(node, step, state, data, outputs)
            output = self._cuda.run(node, operands, encoded=self._encoded[index])
            output = self._changed(output, partial(self.hooks.node_output, step, index))
            outputs[index] = output
            look(index, output)
            for dead in self._dead_after[index]:
                del outputs[dead]
        return outputs

    def _operands_on_device(
        self,
        node: Node,
        step: int,
        state: Sequence[torch.Tensor],
        data: Sequence[Tensor],
        outputs: dict[int, torch.Tensor],
    ) -> list[torch.Tensor]:
        found = []
        for operand in node.operands:
            if operand.kind is OperandKind.NODE:
                found.append(outputs[operand.index])
            elif operand.kind is OperandKind.STATE:
                found.append(state[operand.index])
            else:
                array = self.hooks.data_tensor(step, operand.index, data[operand.index])
                found.append(self._data_on_device(array, data[operand.index]))
        return found

    def _data_on_device(self, array: Tensor, own: Tensor) -> torch.Tensor:
        """A data tensor's copy on the device, made once; what a hook puts there is not kept."""
        if array is not own:
            return to_device(array, self._cuda.torch_device)
        if id(own) not in self._data:
            self._data[id(own)] = (own, to_device(own, self._cuda.torch_device))
        return self._data[id(own)][1]

    def _uploaded(self, state: Sequence[Tensor]) -> Sequence[torch.Tensor]:
        if isinstance(state, DeviceState):
            return state.tensors
        return [to_device(tensor, self._cuda.torch_device) for tensor in state]

    def _changed(self, tensor: torch.Tensor, hook: Callable[[Tensor], Tensor]) -> torch.Tensor:
        """What a hook makes of a tensor."""
        if self._is_honest:
            return tensor
        array = _frozen(to_host(tensor))
        changed = hook(array)
        return tensor if changed is array else to_device(changed, self._cuda.torch_device)

    def _hashing(self) -> TensorHasher:
        if self._hasher is None:
            self._hasher = TensorHasher(self._cuda.device)
        return self._hasher


def runner_for(
    program: Program, executor: AnyExecutor | None = None, hooks: Hooks | None = None
) -> StepRunner:
    """The runner of a program's steps on the executor's device; default: all CPUs."""
    if isinstance(executor, CudaExecutor):
        return CudaStepRunner(program, executor, hooks)
    return StepRunner(program, executor, hooks)


def _frozen(array: Tensor) -> Tensor:
    array.flags.writeable = False
    return array
