"""A whole training step as one native call: fused kernels over planned memory.

What is computed is the program, node by node; `fusion` says which nodes share a kernel, `memory`
where their outputs are kept, `jit` makes the machine code, and the C++ engine runs the list. Nodes
that have a kernel of their own there (matrix products, guarded folds), and regions that are not
worth compiling or that the compiler declines, run on it one by one. The bits are the same.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from protocol.kernels.compiled import CompiledRegion, compile_or_none, region_work
from protocol.kernels.cpu import _cpu
from protocol.kernels.executor import COMPILED, GENERIC, MOST_TABLE_BYTES, Compiled, Executor
from protocol.kernels.fusion import stages_of
from protocol.kernels.memory import BufferPlan, plan_buffers
from protocol.kernels.pages import page_memory
from protocol.kernels.stages import Stage, make_stage
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind, Program, TensorSpec

Tensor = NDArray[Any]

WORTH_COMPILING: Final = 1 << 14
"""Instructions and loads of a region below which the C++ engine is as fast, whatever it takes."""
MOST_COMPILING: Final = 30.0
"""Seconds of a core for compiling one program, thirty times what a transformer of six layers takes:
a hostile one could take hours. What comes after that runs on the C++ engine."""

_Place = tuple[str, int, int]  # what memory, and which part of it: for finding conflicts


@dataclass(frozen=True, slots=True)
class _Ready:
    """A stage with its kernel: machine code or, for one node, a prepared kernel."""

    stage: Stage
    code: CompiledRegion | None
    kernel: _cpu.Kernel | None


class _Touched:
    """Memory that the stages since a barrier touch: looked up fast, there may be thousands."""

    def __init__(self) -> None:
        self._whole: set[tuple[str, int]] = set()
        self._firsts: list[int] = []  # of stretches of the arena, ascending, that do not meet
        self._lasts: list[int] = []

    def meets(self, places: Iterable[_Place]) -> bool:
        """Whether any of them shares memory with what was added."""
        for memory, first, last in places:
            if memory != "arena":
                if (memory, first) in self._whole:
                    return True
                continue
            before = bisect_left(self._firsts, last)
            if before > 0 and self._lasts[before - 1] > first:
                return True
        return False

    def add(self, places: Iterable[_Place]) -> None:
        """Add memory, which may meet what is there."""
        for memory, first, last in places:
            if memory != "arena":
                self._whole.add((memory, first))
                continue
            low, high = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
            if low < high:
                first = min(first, self._firsts[low])
                last = max(last, self._lasts[high - 1])
            self._firsts[low:high] = [first]
            self._lasts[low:high] = [last]


class Schedule:
    """Runs steps of one program on one executor.

    Not for several threads at once: the buffers between the nodes are the schedule's own.

    Args:
        program: a validated program.
        executor: threads, instruction set, and whether regions are compiled.
    """

    def __init__(self, program: Program, executor: Executor) -> None:
        self.program = program
        self.executor = executor
        self._ready = list(_prepare(program, executor))
        stages = [ready.stage for ready in self._ready]
        self.plan: BufferPlan = plan_buffers(program, stages)
        self._numbers: dict[tuple[OperandKind, int], int] = {}
        self._dtypes: list[DType] = []
        self._places: list[_Place] = []
        sizes = self._number_buffers()
        self._given = {  # the buffers that each run is given
            (kind, index): number
            for (kind, index), number in self._numbers.items()
            if kind is not OperandKind.NODE or index not in self.plan.offsets
        }
        self._native = _cpu.Schedule(sizes)
        self._arena = page_memory(self.plan.arena_bytes)
        self._bound: list[Tensor | None] = [None] * len(sizes)
        for node, offset in self.plan.offsets.items():
            number = self._numbers[OperandKind.NODE, node]
            self._native.bind(number, self._arena[offset : offset + sizes[number]])
        self._add_stages()

    @property
    def stages(self) -> list[Stage]:
        """The stages in order."""
        return [ready.stage for ready in self._ready]

    def run(
        self, state: Sequence[Tensor], data: Sequence[Tensor], outputs: dict[int, Tensor]
    ) -> None:
        """Run the step.

        Args:
            state: the tensors before the step.
            data: the data tensors.
            outputs: memory for each node that a state tensor is bound to, C-contiguous; the memory
                of the state tensor that `BufferPlan.in_place` names may be given, if nobody else
                needs it.

        Raises:
            ValueError: an array does not fit its tensor, or one is missing. Nothing was written.
        """
        for (kind, index), number in self._given.items():
            tensor = _find(kind, index, state, data, outputs)
            if self._bound[number] is not tensor:
                self._bind(kind, index, number, tensor)
        self._native.run(self.executor.threads)

    def _bind(self, kind: OperandKind, index: int, number: int, tensor: Tensor) -> None:
        dtype = self._dtypes[number].numpy
        if tensor.dtype != dtype:
            what = f"{kind.name.lower()} tensor {index}"
            raise ValueError(f"{what} is of type {tensor.dtype}, the program has {dtype}")
        if not tensor.flags.c_contiguous:
            if kind is OperandKind.NODE:
                raise ValueError(f"memory for the output of node {index} is not contiguous")
            tensor = tensor.copy(order="C")  # not to be bound again as the array that it was
        self._native.bind(number, tensor)
        self._bound[number] = tensor

    def _number_buffers(self) -> list[int]:
        """Number every tensor that a stage reads or writes; their sizes in bytes."""
        sizes: list[int] = []

        def add(kind: OperandKind, index: int, dtype: DType, nbytes: int) -> None:
            if (kind, index) not in self._numbers:
                self._numbers[kind, index] = len(sizes)
                self._dtypes.append(dtype)
                sizes.append(nbytes)
                self._places.append(self._place(kind, index, nbytes))

        for ready in self._ready:
            for operand in ready.stage.reads:
                add(operand.kind, operand.index, operand.dtype, _nbytes(operand))
            for index in ready.stage.writes:
                node = self.program.nodes[index]
                add(OperandKind.NODE, index, node.dtype, node.nbytes)
        return sizes

    def _place(self, kind: OperandKind, index: int, nbytes: int) -> _Place:
        if kind is OperandKind.STATE:
            return "state", index, index + 1
        if kind is OperandKind.DATA:
            return "data", index, index + 1
        if index in self.plan.offsets:
            offset = self.plan.offsets[index]
            return "arena", offset, offset + nbytes
        if index in self.plan.in_place:
            return "state", self.plan.in_place[index], self.plan.in_place[index] + 1
        return "output", index, index + 1

    def _add_stages(self) -> None:
        """Hand over the stages, with a barrier before each that touches what is being worked on."""
        read, written = _Touched(), _Touched()
        for ready in self._ready:
            reads = [self._numbers[operand.kind, operand.index] for operand in ready.stage.reads]
            writes = [self._numbers[OperandKind.NODE, node] for node in ready.stage.writes]
            reading, writing = ([self._places[n] for n in numbers] for numbers in (reads, writes))
            if written.meets(reading) or read.meets(writing) or written.meets(writing):
                self._native.add_barrier()
                read, written = _Touched(), _Touched()
            read.add(reading)
            written.add(writing)
            if ready.kernel is not None:
                slots = [self._numbers[o.kind, o.index] for o in ready.stage.reads]
                self._native.add_kernel(ready.kernel, slots, writes[0])
            elif ready.code is not None:
                self._native.add_code(ready.code.work, reads + writes)


def _prepare(program: Program, executor: Executor) -> Iterator[_Ready]:
    """The stages with their kernels. A region that is not compiled becomes its nodes."""
    kernels: dict[int, _cpu.Kernel] = {}
    spare = MOST_TABLE_BYTES
    for node in program.nodes:
        kernels[id(node)] = executor.kernel(node, most_table_bytes=spare)
        spare -= kernels[id(node)].table_bytes
    compilable = (*GENERIC, COMPILED)

    def is_compiled(node: Node) -> bool:
        return executor.compiled is not Compiled.NOTHING and kernels[id(node)].name in compilable

    spent = 0.0
    for stage in stages_of(program, is_compiled):
        start = time.thread_time()
        ready = _compile(stage, executor) if spent < MOST_COMPILING else None
        spent += time.thread_time() - start
        if ready is not None:
            yield ready
            continue
        for index in stage.nodes:
            alone = make_stage(program, [index], None, set())
            yield _Ready(alone, None, kernels[id(program.nodes[index])])


def _compile(stage: Stage, executor: Executor) -> _Ready | None:
    """The stage as machine code; None if that is not worth it or not possible."""
    if stage.region is None:
        return None
    if not stage.is_flat and region_work(stage.region) < WORTH_COMPILING:
        return None
    code = compile_or_none(stage.region, executor.isa)
    return None if code is None else _Ready(stage, code, None)


def _find(
    kind: OperandKind,
    index: int,
    state: Sequence[Tensor],
    data: Sequence[Tensor],
    outputs: dict[int, Tensor],
) -> Tensor:
    """The array of a tensor, if it was given."""
    try:
        if kind is OperandKind.NODE:
            return outputs[index]
        return state[index] if kind is OperandKind.STATE else data[index]
    except LookupError:
        raise ValueError(f"there is no array for {kind.name.lower()} tensor {index}") from None


def _nbytes(operand: Operand) -> int:
    return TensorSpec("", operand.dtype, operand.shape).nbytes
