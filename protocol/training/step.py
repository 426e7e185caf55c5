"""One training step: all nodes, then the bindings.

An honest step that nobody watches runs as one native call over fused kernels; else node by node,
each output freed at its last use. The bits are the same.
"""

from __future__ import annotations

import math
import weakref
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np

from protocol.kernels.executor import Executor
from protocol.kernels.pages import page_memory
from protocol.kernels.schedule import Schedule
from protocol.program.canonical import encode_node
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind, Program
from protocol.training.hooks import Hooks
from protocol.training.tensors import Tensor, roots_of

_WORTH_PAGES: Final = 1 << 16  # bytes: a kernel gains from aligned memory, a page is not wasted


class StepRunner:
    """Runs steps of one program.

    Keeps the buffers of freed outputs for the next nodes and steps: fresh memory costs a page
    fault per 4 KiB, which elementwise nodes would feel.

    Args:
        program: a validated program.
        executor: computes the nodes.
        hooks: what a dishonest run changes; default: nothing.
    """

    def __init__(
        self, program: Program, executor: Executor | None = None, hooks: Hooks | None = None
    ) -> None:
        self.program = program
        self.executor = Executor() if executor is None else executor
        self.hooks = Hooks() if hooks is None else hooks
        self._encoded = [encode_node(node) for node in program.nodes]
        self._dead_after = _dead_after(program)
        self._spare: defaultdict[int, list[Tensor]] = defaultdict(list)
        self._own: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
        self._is_honest = type(self.hooks) is Hooks
        # An executor with a `run` of its own wants every node to pass through it.
        self._is_whole = self._is_honest and type(self.executor).run is Executor.run
        self._bound = sorted({b.index for b in program.bindings if b.kind is OperandKind.NODE})
        self._schedule: Schedule | None = None  # made when a whole step is first run

    def run(
        self,
        step: int,
        state: Sequence[Tensor],
        data: Sequence[Tensor],
        observe: Callable[[int, Tensor], None] | None = None,
        *,
        consume: bool = False,
    ) -> Sequence[Tensor]:
        """The state after global step ``step``, from the state before it.

        Args:
            step: for the hooks only: the program reads the step from its state.
            state: the tensors before the step; they are not changed, and may be returned.
            data: the data tensors.
            observe: called with each node's index and output, which it may read but not keep.
            consume: the caller gives up the tensors of ``state`` that an earlier step made, in
                other states too: their memory is used again.
        """
        if self._is_whole and observe is None:
            outputs = self._run_whole(state, data, consume)
        else:
            outputs = self._run_nodes(step, state, data, observe)
        after = []
        for index, binding in enumerate(self.program.bindings):
            is_node = binding.kind is OperandKind.NODE
            tensor = outputs[binding.index] if is_node else state[binding.index]
            tensor = self.hooks.next_state(step, index, tensor)
            tensor.flags.writeable = False
            after.append(tensor)
        if consume and self._is_honest:  # hooks may have kept a tensor
            kept = {id(tensor.base) for tensor in after}
            for tensor in {id(tensor.base): tensor for tensor in state}.values():
                if id(tensor.base) not in kept:
                    self._recycle(tensor)
        return after

    def adopt(self, state: Sequence[Tensor]) -> Sequence[Tensor]:
        """Copies of ``state`` in this runner's memory: `run` may overwrite them with ``consume``.

        Whoever lets go of the state that it had then holds a single one, also in the first step.
        """
        copies = []
        for tensor, binding in zip(state, self.program.bindings, strict=True):
            copy = self._buffer(binding.dtype, binding.shape)
            np.copyto(copy, tensor)
            copy.flags.writeable = False
            copies.append(copy)
        return copies

    def _run_whole(
        self, state: Sequence[Tensor], data: Sequence[Tensor], consume: bool
    ) -> dict[int, Tensor]:
        """The outputs that state tensors are bound to, by fused kernels."""
        if self._schedule is None:
            self._schedule = Schedule(self.program, self.executor)
        in_place = self._schedule.plan.in_place
        outputs: dict[int, Tensor] = {}
        for index in self._bound:
            node = self.program.nodes[index]
            old = state[in_place[index]] if consume and index in in_place else None
            if old is not None and self._is_own(old):
                outputs[index] = old if old.shape == node.shape else old.reshape(node.shape)
            else:
                outputs[index] = self._buffer(node.dtype, node.shape)
        self._schedule.run(state, data, outputs)
        return outputs

    def _run_nodes(
        self,
        step: int,
        state: Sequence[Tensor],
        data: Sequence[Tensor],
        observe: Callable[[int, Tensor], None] | None,
    ) -> dict[int, Tensor]:
        """The same node by node, so that each output can be seen and changed."""
        outputs: dict[int, Tensor] = {}
        for index in range(len(self.program.nodes)):
            outputs[index] = self._compute(index, step, state, data, outputs)
            if observe is not None:
                observe(index, outputs[index])
            for dead in self._dead_after[index]:
                self._recycle(outputs.pop(dead))
        return outputs

    def trace(
        self, step: int, state: Sequence[Tensor], data: Sequence[Tensor]
    ) -> tuple[list[bytes], Sequence[Tensor]]:
        """Tensor roots of all node outputs of the step, and the state after it."""
        roots: list[bytes] = []
        threads = self.executor.threads
        after = self.run(
            step, state, data, lambda _, output: roots.extend(roots_of([output], threads))
        )
        return roots, after

    def outputs(
        self, step: int, state: Sequence[Tensor], data: Sequence[Tensor], wanted: Collection[int]
    ) -> dict[int, Tensor]:
        """The outputs of the ``wanted`` nodes in the step; nodes after the last one do not run."""
        outputs: dict[int, Tensor] = {}
        for index in range(max(wanted, default=-1) + 1):
            outputs[index] = self._compute(index, step, state, data, outputs)
            for dead in self._dead_after[index]:
                if dead not in wanted:
                    self._recycle(outputs.pop(dead))
        return {index: outputs[index] for index in wanted}

    def operands(
        self,
        node: Node,
        step: int,
        state: Sequence[Tensor],
        data: Sequence[Tensor],
        outputs: dict[int, Tensor],
    ) -> list[Tensor]:
        """The tensors that ``node`` reads in the step, given the outputs of earlier nodes."""

        def find(operand: Operand) -> Tensor:
            if operand.kind is OperandKind.NODE:
                return outputs[operand.index]
            if operand.kind is OperandKind.STATE:
                return state[operand.index]
            return self.hooks.data_tensor(step, operand.index, data[operand.index])

        return [find(operand) for operand in node.operands]

    def _compute(
        self,
        index: int,
        step: int,
        state: Sequence[Tensor],
        data: Sequence[Tensor],
        outputs: dict[int, Tensor],
    ) -> Tensor:
        node = self.program.nodes[index]
        operands = self.operands(node, step, state, data, outputs)
        out = self._buffer(node.dtype, node.shape)
        self.executor.run(node, operands, out, encoded=self._encoded[index])
        return self.hooks.node_output(step, index, out)

    def _buffer(self, dtype: DType, shape: tuple[int, ...]) -> Tensor:
        nbytes = math.prod(shape) * dtype.width
        spare = self._spare[nbytes]
        if spare:
            raw = spare.pop()
        else:
            raw = page_memory(nbytes) if nbytes >= _WORTH_PAGES else np.empty(nbytes, np.uint8)
            self._own[id(raw)] = raw
        return raw.view(dtype.numpy).reshape(shape)

    def _recycle(self, tensor: Tensor) -> None:
        # Only what `_buffer` made: a hook may have put a tensor of its own here.
        raw = tensor.base
        if raw is not None and self._is_own(tensor):
            self._spare[raw.nbytes].append(raw)

    def _is_own(self, tensor: Tensor) -> bool:
        return tensor.base is not None and self._own.get(id(tensor.base)) is tensor.base


def _dead_after(program: Program) -> list[list[int]]:
    """For each node, the outputs that nothing reads after it; bound outputs never die."""
    last: dict[int, int] = {index: index for index in range(len(program.nodes))}
    for index, operand in program.consumers():
        if operand.kind is OperandKind.NODE:
            last[operand.index] = index
    bound = {b.index for b in program.bindings if b.kind is OperandKind.NODE}
    dead: list[list[int]] = [[] for _ in program.nodes]
    for index, at in last.items():
        if index not in bound:
            dead[at].append(index)
    return dead
