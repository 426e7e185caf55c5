"""Random programs, and their execution stage by stage in a plain model of memory.

The model is suspicious: a member of a region sees of the others only the unit at hand, memory that
nothing owns holds garbage, and every write happens at once, so that whatever still needs what was
there finds something else.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.kernels.memory import BufferPlan
from protocol.kernels.reference.evaluator import evaluate_node, fold_terms, store
from protocol.kernels.stages import Stage
from protocol.program.body import Value
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType, Op, Type
from protocol.program.node import Binding, Node, Operand, OperandKind, Program, numel
from tests.kernels.nodes import float_word

Words = NDArray[Any]
SHAPES = ((4, 4), (2, 6), (6, 2), (3, 5))


def is_compiled(node: Node) -> bool:
    """No for matrix products, convolutions and guarded nodes."""
    first = node.instructions[0] if node.instructions else None
    is_product = (
        bool(node.domain)
        and len(node.instructions) == 1
        and first is not None
        and first.op is Op.FMA
        and {first.a, first.b} == {1, 2}
    )
    return not is_product and not node.guards


def random_program(seed: int) -> Program:
    """About a dozen nodes over matrices of one size, their rows and columns; wild bindings."""
    rng = random.Random(seed)
    rows, columns = rng.choice(SHAPES)
    kinds = [(rows, columns), (rows, columns), (rows * columns,), (columns, rows)]
    kinds += [(rows,), (columns,), (rows, 1), ()]
    states = [
        Operand(OperandKind.STATE, slot, rng.choice((DType.F32,) * 5 + (DType.U8,)), shape)
        for slot, shape in enumerate([kinds[0], kinds[0], *rng.choices(kinds, k=rng.randint(1, 5))])
    ]
    tensors = list(states)
    nodes: list[Node] = []
    for _ in range(rng.randint(4, 14)):
        node = _random_node(rng, rows, columns, kinds, tensors)
        tensors.append(Operand(OperandKind.NODE, len(nodes), node.dtype, node.shape))
        nodes.append(node)
    return Program(tuple(nodes), tuple(_random_binding(rng, state, tensors) for state in states))


def _random_node(
    rng: random.Random,
    rows: int,
    columns: int,
    kinds: Sequence[tuple[int, ...]],
    tensors: Sequence[Operand],
) -> Node:
    shape = rng.choice(kinds)
    if len(shape) < 2 and shape != (rows * columns,):
        domain = rng.choice(((), (columns,), (rows,)))
    else:
        domain = rng.choice(((), (), (), (2,)))
    b = FoldBuilder(rng.choice((DType.F32,) * 6 + (DType.U8,)), shape, domain)
    recent = [*tensors[-4:], *tensors[-2:], *rng.choices(tensors, k=2)]
    values = [_float(b, _random_load(rng, b, tensor)) for tensor in rng.choices(recent, k=2)]
    if rng.random() < 0.3:
        values.append(_float(b, _random_load(rng, b, rng.choice(tensors))))
    value = b.f32(0.5)
    for other in values:
        value = rng.choice((b.add, b.sub, b.mul, b.max))(value, other)
    if b.dtype is DType.U8:
        return b.finish(b.iadd(b.flt(value, b.f32(0.25)), b.acc))
    return b.finish(b.add(value, b.acc) if domain else value)


def _float(b: FoldBuilder, word: Value) -> Value:
    return word if word.type is Type.F else b.i2f(word)


def _random_load(rng: random.Random, b: FoldBuilder, tensor: Operand) -> Value:
    """A load whose flat address is the element's own if that fits, else one of many views."""
    size = numel(tensor.shape)
    extents = b.shape + b.domain
    sources = [*map(b.out, range(len(b.shape))), *map(b.red, range(len(b.domain)))]
    kind = rng.random()
    if kind < 0.08 and tensor.dtype is DType.U8:  # a gather through the tensor's words
        index = b.load(tensor, [Affine().axis(size, 1)])
        return b.load(tensor, [(b.word_of(index) + rng.randint(0, 1)).axis(size, 1)])
    if kind < 0.16:  # a window, out of bounds at an end
        return b.load(tensor, [(_flat(sources, extents) + 1).axis(size, 1)], fill=0x3F800000)
    own = _flat(sources, b.shape)
    if kind < 0.75 and size == numel(b.shape):
        return b.load(tensor, [own.axis(size, 1)])
    if size == numel(extents):
        return b.load(tensor, [_flat(sources, extents).axis(size, 1)])
    at, room = Affine(), size
    for source, extent in rng.sample(list(zip(sources, extents, strict=True)), len(sources)):
        if extent <= room:  # mixed radix: stays inside
            at, room = at * extent + source, room // extent
    return b.load(tensor, [at.axis(size, 1)])


def _flat(sources: Sequence[Affine], extents: Sequence[int]) -> Affine:
    at = Affine()
    for source, extent in zip(sources, extents, strict=False):
        at = at * extent + source
    return at


def _random_binding(rng: random.Random, state: Operand, tensors: Sequence[Operand]) -> Binding:
    fits = [t for t in tensors if t.dtype is state.dtype and t.shape == state.shape]
    made = [t for t in fits if t.kind is OperandKind.NODE]
    chosen = rng.choice(made if made and rng.random() < 0.75 else fits)
    return Binding(chosen.kind, chosen.index, state.dtype, state.shape)


def random_state(program: Program, seed: int) -> list[Words]:
    """Words, or bytes, of each state tensor."""
    rng = random.Random(seed)
    return [
        np.array([rng.randrange(4) for _ in range(numel(b.shape))], np.uint8)
        if b.dtype is DType.U8
        else np.array([float_word(rng) for _ in range(numel(b.shape))], np.uint32)
        for b in program.bindings
    ]


def run_plainly(program: Program, state: Sequence[Words]) -> list[Words]:
    """The state after a step, node by node."""
    outputs: list[list[int]] = []
    for node in program.nodes:
        operands = [
            outputs[o.index] if o.kind is OperandKind.NODE else state[o.index].tolist()
            for o in node.operands
        ]
        outputs.append(evaluate_node(node, operands))
    return [
        np.array(outputs[b.index], state[slot].dtype)
        if b.kind is OperandKind.NODE
        else state[b.index].copy()
        for slot, b in enumerate(program.bindings)
    ]


def run_stages(
    program: Program,
    stages: Sequence[Stage],
    plan: BufferPlan,
    state: Sequence[Words],
    rng: random.Random,
) -> list[Words]:
    """The state after a step, in the memory that the plan gives; overwrites ``state``."""
    arena = np.frombuffer(bytearray(rng.randbytes(plan.arena_bytes)), np.uint8)
    memory: dict[int, Words] = {}
    for stage in stages:
        for index in stage.writes:
            node = program.nodes[index]
            dtype = np.uint8 if node.dtype is DType.U8 else np.uint32
            if index in plan.offsets:
                start = plan.offsets[index]
                memory[index] = arena[start : start + node.nbytes].view(dtype)
            elif index in plan.in_place:
                memory[index] = state[plan.in_place[index]]
            else:
                memory[index] = np.full(node.numel, 0xAB, dtype)
        reads = [
            memory[o.index] if o.kind is OperandKind.NODE else state[o.index] for o in stage.reads
        ]
        writes = [memory[index] for index in stage.writes]
        if stage.region is None:
            node = program.nodes[stage.nodes[0]]
            writes[0][:] = evaluate_node(node, [words.tolist() for words in reads])
        else:
            assert stage.is_flat or _are_apart(reads, writes)
            _run_region(stage, [*reads, *writes], rng)
    return [
        memory[b.index] if b.kind is OperandKind.NODE else state[b.index] for b in program.bindings
    ]


def _are_apart(reads: Sequence[Words], writes: Sequence[Words]) -> bool:
    return not any(
        np.shares_memory(write, other)
        for k, write in enumerate(writes)
        for other in [*reads, *writes[:k]]
    )


def _run_region(stage: Stage, buffers: Sequence[Words], rng: random.Random) -> None:
    """Tiles of units in any order; in a tile one member after the other."""
    region = stage.region
    assert region is not None
    tile = rng.randint(1, region.units)
    starts = list(range(0, region.units, tile))
    rng.shuffle(starts)
    for start in starts:
        scratch: list[dict[int, list[int]]] = []
        for member, node in enumerate(region.nodes):
            inner = region.inner(member)
            done: dict[int, list[int]] = {}
            for unit in range(start, min(start + tile, region.units)):
                operands: list[Any] = []
                for source in region.sources[member]:
                    if source.member is None:
                        assert source.buffer is not None
                        operands.append(buffers[source.buffer].tolist())
                    else:
                        before = region.inner(source.member)
                        seen = [None] * region.nodes[source.member].numel
                        seen[unit * before : (unit + 1) * before] = scratch[source.member][unit]  # type: ignore[assignment]
                        operands.append(seen)
                done[unit] = [
                    store(node, fold_terms(node, operands, element)[-1][0])
                    for element in range(unit * inner, (unit + 1) * inner)
                ]
            scratch.append(done)
            output = region.outputs[member]
            if output is not None:
                for unit, words in done.items():
                    buffers[output][unit * inner : (unit + 1) * inner] = words
