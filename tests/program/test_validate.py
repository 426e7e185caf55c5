"""Validation: each rule refuses what it forbids, and says which node and which rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.program.isa import DType, Op, Type
from protocol.program.node import (
    Axis,
    Binding,
    Constant,
    Guard,
    Instruction,
    Load,
    Node,
    Operand,
    OperandKind,
    Program,
    Term,
)
from protocol.program.validate import InvalidProgram, Limits, validate_node, validate_program
from tests.program import examples

PRODUCT = examples.matrix_product()
SCATTER = examples.scatter()
COUNTER = examples.counter()


def with_load(node: Node, k: int, **changes: object) -> Node:
    loads = list(node.loads)
    loads[k] = replace(loads[k], **changes)  # type: ignore[arg-type]
    return replace(node, loads=tuple(loads))


def with_axis(node: Node, k: int, a: int, **changes: object) -> Node:
    axes = list(node.loads[k].axes)
    axes[a] = replace(axes[a], **changes)  # type: ignore[arg-type]
    return with_load(node, k, axes=tuple(axes))


NAN = 0x7FC00001
REFUSED: dict[str, tuple[Node, str]] = {
    "rank of nine": (replace(COUNTER, shape=(1,) * 9), "rank"),
    "dimension of zero": (replace(PRODUCT, shape=(0, 5)), "elements"),
    "elements beyond 2^31": (replace(PRODUCT, shape=(1 << 16, 1 << 16)), "elements"),
    "too many terms": (replace(PRODUCT, domain=(1 << 25,)), "term count"),
    "payload NaN as init": (replace(PRODUCT, init=NAN), "canonical NaN"),
    "payload NaN as fill": (with_load(PRODUCT, 0, fill=NAN), "canonical NaN"),
    "payload NaN as constant": (
        replace(SCATTER, constants=(Constant(Type.F, NAN),)),
        "canonical NaN",
    ),
    "init beyond a word": (replace(COUNTER, init=1 << 32), "word"),
    "operand twice": (replace(PRODUCT, operands=PRODUCT.operands[:1] * 2), "operands distinct"),
    "slot without operand": (with_load(PRODUCT, 0, operand=2), "operand slot"),
    "operand without load": (
        replace(COUNTER, operands=(*COUNTER.operands, SCATTER.operands[0])),
        "dead operand",
    ),
    "axis of size zero": (with_axis(PRODUCT, 0, 0, size=0), "axis size"),
    "divisor of zero": (with_axis(PRODUCT, 0, 0, divisor=0), "divisor"),
    "coefficient of zero": (with_axis(PRODUCT, 0, 0, terms=(Term(0, 0),)), "coefficient"),
    "coefficient beyond i32": (with_axis(PRODUCT, 0, 0, terms=(Term(0, 1 << 31),)), "coefficient"),
    "sources descending": (
        with_axis(PRODUCT, 0, 0, terms=(Term(1), Term(0))),
        "axis terms ascending",
    ),
    "coordinate that is not there": (with_axis(PRODUCT, 0, 0, terms=(Term(3),)), "coordinate"),
    "indirect on itself": (with_axis(SCATTER, 0, 0, terms=(Term(0x80),)), "indirect coordinate"),
    "indirect on a later load": (
        with_axis(SCATTER, 1, 0, terms=(Term(0x82),)),
        "indirect coordinate",
    ),
    "indirect on a float": (
        replace(
            PRODUCT,
            loads=(PRODUCT.loads[0], Load(1, (Axis(35, 1, (Term(0x80),)),))),
        ),
        "indirect coordinate",
    ),
    "coordinate beyond 2^62": (
        with_axis(SCATTER, 1, 0, terms=(Term(0x80, -(1 << 31)),), const=-(1 << 62) + 1),
        "coordinate bound",
    ),
    "address outside": (with_axis(PRODUCT, 0, 0, stride=10), "address"),
    "offset outside": (with_load(PRODUCT, 1, offset=1), "address"),
    "negative stride": (with_axis(PRODUCT, 0, 0, stride=-1), "address"),
    "guard on a float": (replace(PRODUCT, guards=(Guard(0, 0),)), "guard"),
    "guard on a missing coordinate": (replace(SCATTER, guards=(Guard(0, 1),)), "guard"),
    "guard twice": (replace(SCATTER, guards=SCATTER.guards * 2), "guards distinct"),
    "constant twice": (
        replace(SCATTER, constants=SCATTER.constants * 2, result=8),
        "constants distinct",
    ),
    "value used before it is defined": (
        replace(PRODUCT, instructions=(Instruction(Op.FMA, 1, 2, 6),)),
        "order",
    ),
    "integer added as float": (
        replace(PRODUCT, instructions=(Instruction(Op.FMA, 1, 3, 0),)),
        "typing",
    ),
    "unused byte set": (
        replace(COUNTER, instructions=(Instruction(Op.IADD, 1, 2, 1),)),
        "unused bytes",
    ),
    "result of another type": (replace(PRODUCT, result=3), "result"),
    "result that is not there": (replace(PRODUCT, result=7), "result"),
    "dead instruction": (
        replace(PRODUCT, instructions=(*PRODUCT.instructions, Instruction(Op.ADD, 0, 1))),
        "dead instruction",
    ),
    "dead constant": (replace(PRODUCT, constants=(Constant(Type.I, 4),), result=7,
                              instructions=PRODUCT.instructions), "dead constant"),
    "dead load": (replace(COUNTER, loads=(*COUNTER.loads, Load(0, fill=1)), result=4,
                          instructions=(Instruction(Op.IADD, 1, 3),)), "dead load"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_node_breaking_one_rule_is_refused_by_that_rule(name: str) -> None:
    node, rule = REFUSED[name]
    with pytest.raises(InvalidProgram) as refusal:
        validate_node(node, "node 7 (layer.0)")
    assert refusal.value.rule == rule
    assert "node 7 (layer.0)" in str(refusal.value)


def test_program_with_every_kind_of_operand_is_accepted() -> None:
    validate_program(examples.program(), examples.DATA)


def refuse(program: Program, rule: str, limits: Limits | None = None) -> None:
    with pytest.raises(InvalidProgram) as refusal:
        validate_program(program, examples.DATA, limits=limits)
    assert refusal.value.rule == rule


def test_program_whose_node_reads_itself_is_refused() -> None:
    program = examples.program()
    loop = replace(PRODUCT, operands=(PRODUCT.operands[0], replace(PRODUCT.operands[1], index=1)))
    refuse(
        replace(program, nodes=(program.nodes[0], loop, *program.nodes[2:])), "topological order"
    )


def test_program_with_disagreeing_shapes_is_refused() -> None:
    program = examples.program()
    bindings = (replace(program.bindings[0], shape=(7, 4)), program.bindings[1])
    refuse(replace(program, bindings=bindings), "copies of a shape agree")


def test_program_with_a_dead_node_is_refused() -> None:
    program = examples.program()
    refuse(replace(program, nodes=(*program.nodes, examples.weights())), "dead node")


def test_program_naming_missing_state_or_data_is_refused() -> None:
    program = examples.program()
    far = replace(COUNTER, operands=(Operand(OperandKind.STATE, 2, DType.I32, ()),))
    refuse(replace(program, nodes=(*program.nodes[:2], far, *program.nodes[3:])), "state index")
    with pytest.raises(InvalidProgram, match="data index"):
        validate_program(program, ())


def test_program_binding_a_data_tensor_is_refused() -> None:
    program = examples.program()
    binding = Binding(OperandKind.DATA, 0, DType.U8, (8,))
    refuse(replace(program, bindings=(*program.bindings, binding)), "binding source")


def test_program_without_nodes_or_bindings_is_refused() -> None:
    refuse(Program((), ()), "node count")
    refuse(replace(examples.program(), bindings=()), "state count")


def test_program_above_the_caps_is_refused() -> None:
    refuse(examples.program(), "judgement gas", Limits(judgement_gas=50_000))
    refuse(examples.program(), "trace bytes", Limits(trace_bytes=100))
    refuse(examples.program(), "node count", Limits(nodes=4))


def test_division_chain_that_bursts_the_gas_cap_is_refused() -> None:
    chain = tuple(Instruction(Op.SQRT, 1 if i == 0 else 4 + i) for i in range(128))
    node = Node(
        DType.F32,
        (4, 7),
        operands=(Operand(OperandKind.STATE, 0, DType.F32, (4, 7)),),
        loads=(Load(0, (Axis(4, 7, (Term(0),)), Axis(7, 1, (Term(1),)))),),
        constants=(),
        instructions=tuple(replace(i, a=max(1, i.a - 1)) if i.a > 1 else i for i in chain),
        result=131,
    )
    validate_node(node)
    program = examples.program()
    wide = Program(
        (*program.nodes, node),
        (*program.bindings, Binding(OperandKind.NODE, 5, DType.F32, (4, 7))),
    )
    refuse(wide, "judgement gas", Limits(judgement_gas=300_000))
