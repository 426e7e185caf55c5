"""Strict and total validation: what passes here runs everywhere and can be judged on chain.

A refusal names the node and the rule. The rules are those of ``docs/PROTOCOL.md`` section 4; each
exists because a hostile requester could otherwise publish a task that no honest solver can defend
(a judge that reverts, an address that differs between machines, a judgement above the gas cap).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.program import cost
from protocol.program.canonical import encode_node
from protocol.program.isa import (
    CANONICAL_NAN,
    MAX_AXES,
    MAX_CONSTANTS,
    MAX_GUARDS,
    MAX_INSTRUCTIONS,
    MAX_LOADS,
    MAX_NODE_BYTES,
    MAX_OPERANDS,
    MAX_RANK,
    MAX_TERMS_PER_AXIS,
    SIGNATURES,
    WORD_MASK,
    DType,
    Type,
)
from protocol.program.node import (
    LOADED_WORD,
    Axis,
    Load,
    Node,
    Operand,
    OperandKind,
    Program,
    TensorSpec,
    numel,
)

MAX_ELEMENTS = (1 << 31) - 1
MAX_COORDINATE = 1 << 62
MAX_STATE_TENSORS = 65_536
MAX_DATA_TENSORS = 65_536


class InvalidProgram(ValueError):
    """A program that Pinpoint refuses; the message names the node and the rule."""

    def __init__(self, place: str, rule: str, detail: str) -> None:
        super().__init__(f"{place}: {detail} [rule: {rule}]")
        self.place = place
        self.rule = rule


@dataclass(frozen=True)
class Limits:
    """Caps that a deployment or an operator may set lower, never higher than the defaults."""

    nodes: int = 65_536
    terms: int = 1 << 24
    trace_bytes: int = 1 << 38
    judgement_gas: int = 400_000


def validate_program(
    program: Program,
    data: Sequence[TensorSpec],
    origins: Sequence[str] | None = None,
    limits: Limits | None = None,
) -> None:
    """Raise InvalidProgram unless every rule holds.

    ``data`` gives dtype and shape of each data tensor; ``origins`` (one text per node) only makes
    messages better. State tensors' shapes are those of the bindings.
    """
    limits = limits or Limits()
    nodes, bindings = program.nodes, program.bindings
    _require(1 <= len(nodes) <= limits.nodes, "program", "node count", f"{len(nodes)} nodes")
    _require(
        1 <= len(bindings) <= MAX_STATE_TENSORS,
        "program",
        "state count",
        f"{len(bindings)} state tensors",
    )
    _require(len(data) <= MAX_DATA_TENSORS, "program", "data count", f"{len(data)} data tensors")
    trace_bytes = 0
    for index, node in enumerate(nodes):
        origin = f" ({origins[index]})" if origins is not None else ""
        place = f"node {index}{origin}"
        validate_node(node, place, limits)
        for slot, operand in enumerate(node.operands):
            _check_source(program, data, index, operand, f"{place}, operand {slot}")
        gas = cost.judgement_gas(node, cost.TreeSizes.of(program, data))
        _require(
            gas <= limits.judgement_gas,
            place,
            "judgement gas",
            f"a judgement may cost {gas:,} gas, the cap is {limits.judgement_gas:,}; "
            "split the node or give it fewer instructions, loads or axes",
        )
        trace_bytes += node.nbytes
    _require(
        trace_bytes <= limits.trace_bytes,
        "program",
        "trace bytes",
        f"node outputs of one step take {trace_bytes:,} bytes, the cap is {limits.trace_bytes:,}",
    )
    for q, binding in enumerate(bindings):
        _require(
            binding.kind is not OperandKind.DATA,
            f"binding {q}",
            "binding source",
            "a state tensor cannot be bound to a data tensor: bind a node that copies it",
        )
        _check_shape(binding.shape, f"binding {q}", "shape")
        _check_source(
            program,
            data,
            len(nodes),
            Operand(binding.kind, binding.index, binding.dtype, binding.shape),
            f"binding {q}",
        )
    _check_all_used(program)


def validate_node(node: Node, place: str = "node", limits: Limits | None = None) -> None:
    """Check everything that can be said of a node alone."""
    limits = limits or Limits()
    _check_shape(node.shape, place, "output shape")
    _check_shape(node.domain, place, "reduction domain")
    _require(
        node.terms <= limits.terms,
        place,
        "term count",
        f"{node.terms:,} terms per element, the cap is {limits.terms:,}",
    )
    _check_word(node.dtype.type, node.init, place, "init")
    _require(len(node.operands) <= MAX_OPERANDS, place, "operand count", f"{len(node.operands)}")
    _require(len(node.loads) <= MAX_LOADS, place, "load count", f"{len(node.loads)}")
    _require(len(node.guards) <= MAX_GUARDS, place, "guard count", f"{len(node.guards)}")
    _require(
        len(node.constants) <= MAX_CONSTANTS, place, "constant count", f"{len(node.constants)}"
    )
    _require(
        len(node.instructions) <= MAX_INSTRUCTIONS,
        place,
        "instruction count",
        f"{len(node.instructions)} instructions, the most is {MAX_INSTRUCTIONS}",
    )
    for slot, operand in enumerate(node.operands):
        _check_shape(operand.shape, place, f"shape of operand {slot}")
        _require(0 <= operand.index < 1 << 32, place, "operand index", f"{operand.index}")
    _require(
        len(set(node.operands)) == len(node.operands), place, "operands distinct", "one is twice"
    )
    for k, load in enumerate(node.loads):
        _check_load(node, k, load, f"{place}, load {k}")
    for guard in node.guards:
        _require(
            guard.load < len(node.loads) and guard.coordinate < len(node.shape),
            place,
            "guard",
            f"guard on load {guard.load}, coordinate {guard.coordinate} names what is not there",
        )
        _require(
            node.operands[node.loads[guard.load].operand].dtype.type is Type.I,
            place,
            "guard",
            f"load {guard.load} of a guard is not an integer",
        )
    _require(len(set(node.guards)) == len(node.guards), place, "guards distinct", "one is twice")
    for constant in node.constants:
        _check_word(constant.type, constant.word, place, "constant")
    _require(
        len(set(node.constants)) == len(node.constants),
        place,
        "constants distinct",
        "one is twice",
    )
    _check_body(node, place)
    size = len(encode_node(node))
    _require(size <= MAX_NODE_BYTES, place, "node bytes", f"{size} bytes of {MAX_NODE_BYTES}")


def _check_shape(shape: tuple[int, ...], place: str, what: str) -> None:
    _require(len(shape) <= MAX_RANK, place, "rank", f"{what} has {len(shape)} dimensions")
    _require(
        all(1 <= dim <= MAX_ELEMENTS for dim in shape) and numel(shape) <= MAX_ELEMENTS,
        place,
        "elements",
        f"{what} {shape}: every dimension and their product must lie in 1..2^31-1",
    )


def _check_word(kind: Type, word: int, place: str, what: str) -> None:
    _require(0 <= word <= WORD_MASK, place, "word", f"{what} {word} is not a 32-bit word")
    is_nan = (word & 0x7FFFFFFF) > 0x7F800000
    _require(
        kind is Type.I or not is_nan or word == CANONICAL_NAN,
        place,
        "canonical NaN",
        f"{what} is the NaN {word:#010x}, only {CANONICAL_NAN:#010x} is allowed",
    )


def _check_load(node: Node, k: int, load: Load, place: str) -> None:
    _require(
        load.operand < len(node.operands),
        place,
        "operand slot",
        f"slot {load.operand} of {len(node.operands)} operands",
    )
    operand = node.operands[load.operand]
    _check_word(operand.dtype.type, load.fill, place, "fill")
    _require(len(load.axes) <= MAX_AXES, place, "axis count", f"{len(load.axes)} axes")
    for axis in load.axes:
        _check_axis(node, k, axis, place)
    _require(
        0 <= load.offset < 1 << 62 and all(0 <= axis.stride < 1 << 62 for axis in load.axes),
        place,
        "address",
        "offset or stride outside 0..2^62-1",
    )
    last = load.offset + sum(axis.stride * (axis.size - 1) for axis in load.axes)
    _require(
        last < numel(operand.shape),
        place,
        "address",
        f"highest address {last} is outside operand of {numel(operand.shape)} elements",
    )


def _check_axis(node: Node, k: int, axis: Axis, place: str) -> None:
    extents = node.shape + node.domain
    _require(1 <= axis.size <= MAX_ELEMENTS, place, "axis size", f"size {axis.size}")
    _require(1 <= axis.divisor <= MAX_ELEMENTS, place, "divisor", f"divisor {axis.divisor}")
    _require(len(axis.terms) <= MAX_TERMS_PER_AXIS, place, "axis terms", f"{len(axis.terms)}")
    sources = [term.source for term in axis.terms]
    _require(
        all(low < high for low, high in itertools.pairwise(sources)),
        place,
        "axis terms ascending",
        f"sources {sources} must ascend strictly",
    )
    reach = abs(axis.const)
    for term in axis.terms:
        _require(
            term.coef != 0 and -(1 << 31) <= term.coef < 1 << 31,
            place,
            "coefficient",
            f"coefficient {term.coef} must be a nonzero i32",
        )
        if term.source & LOADED_WORD:
            j = term.source & ~LOADED_WORD
            _require(
                j < k and node.operands[node.loads[j].operand].dtype.type is Type.I,
                place,
                "indirect coordinate",
                f"word of load {j} is not an earlier integer load",
            )
            reach += abs(term.coef) << 31
        else:
            _require(
                term.source < len(extents),
                place,
                "coordinate",
                f"coordinate {term.source} of {len(extents)}",
            )
            reach += abs(term.coef) * (extents[term.source] - 1)
    _require(
        reach < MAX_COORDINATE, place, "coordinate bound", f"a coordinate may reach {reach:#x}"
    )


def _check_body(node: Node, place: str) -> None:
    types = node.value_types()
    used = {node.result}
    for position, instruction in enumerate(node.instructions):
        where = f"{place}, instruction {position} ({instruction.op.name.lower()})"
        own = node.first_instruction + position
        signature = SIGNATURES[instruction.op]
        spare = (instruction.a, instruction.b, instruction.c)[len(signature.arguments) :]
        _require(not any(spare), where, "unused bytes", f"unused operand bytes {spare} must be 0")
        for argument, expected in zip(instruction.arguments, signature.arguments, strict=True):
            _require(argument < own, where, "order", f"value {argument} is not defined before")
            _require(
                types[argument] is expected,
                where,
                "typing",
                f"value {argument} is {types[argument].name}, expected {expected.name}",
            )
            used.add(argument)
    _require(node.result < len(types), place, "result", f"value {node.result} of {len(types)}")
    _require(
        types[node.result] is node.dtype.type,
        place,
        "result",
        f"result is {types[node.result].name}, the accumulator {node.dtype.type.name}",
    )
    for position in range(len(node.instructions)):
        value = node.first_instruction + position
        _require(value in used, place, "dead instruction", f"instruction {position} is unused")
    for position in range(len(node.constants)):
        value = node.first_constant + position
        _require(value in used, place, "dead constant", f"constant {position} is unused")
    _check_loads_used(node, place, used)


def _check_loads_used(node: Node, place: str, used_values: set[int]) -> None:
    used = {value - 1 for value in used_values}
    used |= {guard.load for guard in node.guards}
    for load in node.loads:
        for axis in load.axes:
            used |= {t.source & ~LOADED_WORD for t in axis.terms if t.source & LOADED_WORD}
    for k, load in enumerate(node.loads):
        _require(k in used or load.skip, place, "dead load", f"load {k} is unused")
    slots = {load.operand for load in node.loads}
    for slot in range(len(node.operands)):
        _require(slot in slots, place, "dead operand", f"operand {slot} is unused")


def _check_source(
    program: Program, data: Sequence[TensorSpec], before: int, operand: Operand, place: str
) -> None:
    """The tensor that ``operand`` names exists, lies before node ``before`` and is as described."""
    dtype: DType
    shape: tuple[int, ...]
    if operand.kind is OperandKind.NODE:
        _require(
            operand.index < min(before, len(program.nodes)),
            place,
            "topological order",
            f"node {operand.index} is not before node {before}",
        )
        dtype, shape = program.nodes[operand.index].dtype, program.nodes[operand.index].shape
    elif operand.kind is OperandKind.STATE:
        count = len(program.bindings)
        _require(operand.index < count, place, "state index", f"{operand.index} of {count}")
        dtype, shape = program.bindings[operand.index].dtype, program.bindings[operand.index].shape
    else:
        _require(operand.index < len(data), place, "data index", f"{operand.index} of {len(data)}")
        dtype, shape = data[operand.index].dtype, data[operand.index].shape
    _require(
        (dtype, shape) == (operand.dtype, operand.shape),
        place,
        "copies of a shape agree",
        f"describes {operand.dtype.label} {operand.shape}, the tensor is {dtype.label} {shape}",
    )


def _check_all_used(program: Program) -> None:
    """Every node is needed for a state tensor: dead code would cost time and never be checked."""
    alive = [False] * len(program.nodes)
    for binding in program.bindings:
        if binding.kind is OperandKind.NODE:
            alive[binding.index] = True
    for index in range(len(program.nodes) - 1, -1, -1):
        _require(alive[index], f"node {index}", "dead node", "no binding depends on this node")
        for operand in program.nodes[index].operands:
            if operand.kind is OperandKind.NODE:
                alive[operand.index] = True


def _require(condition: bool, place: str, rule: str, detail: str) -> None:
    if not condition:
        raise InvalidProgram(place, rule, detail)
