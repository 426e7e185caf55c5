"""The scaling step of exp, tanh and erf: matched in their text alone, with the bits of the text."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from protocol.kernels.executor import Executor
from protocol.kernels.jit.compile import compile_region
from protocol.kernels.jit.function import write_function
from protocol.kernels.jit.machine import MACHINES, assembly, machine_of
from protocol.kernels.jit.scaling import scalings
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.kernels.region import single
from protocol.program import expansions
from protocol.program.body import Body, Section, Value
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Constant, Node
from tests.kernels.jit.calling import COMPILED, Tensor, call
from tests.kernels.jit.regions import pointwise
from tests.kernels.nodes import FLOAT_WORDS, FOREIGN_NANS, words_of
from tests.kernels.shapes import tensor

Function = Callable[..., Value]
EXPANSIONS = [expansions.exp, expansions.tanh, expansions.erf]
CHUNKS = 5  # of a loop's text: four vectors side by side, and one of the rest
FACTOR = [Op.ISHR, Op.ISUB, Op.ISHL, Op.IADD, Op.B2F]


def node_of(function: Function, count: int = 64, operands: int = 1) -> Node:
    return pointwise((count,), function, *(tensor(i, DType.F32, count) for i in range(operands)))


def matched(node: Node) -> list[int]:
    """Numbers of the products that are scaling steps."""
    return sorted(scalings(node, range(len(node.instructions))))


def run_code(node: Node, isa: str, *inputs: Tensor) -> Tensor:
    out = np.full(node.shape, 7.0, np.float32)
    call(compile_region(single(node), isa), [*inputs, out], 0, node.numel)
    return out


def engine() -> Executor:
    """The C++ engine, which knows nothing of scaling."""
    return Executor(threads=2, isa="avx2" if "avx2" in COMPILED else "baseline")


def floats(words: Tensor | list[int]) -> Tensor:
    return np.array(words, np.uint32).view(np.float32)


def gelu_backward(b: Body, g: Value, x: Value) -> Value:
    erf = expansions.erf(b, b.mul(x, b.f32(0.70710678)))
    density = expansions.exp(b, b.mul(b.mul(x, x), b.f32(-0.5)))
    return b.mul(g, b.fma(x, density, b.add(erf, b.f32(1.0))))


# What is matched.


@pytest.mark.parametrize("isa", MACHINES)
@pytest.mark.parametrize(
    ("function", "operands", "steps"),
    [
        *((function, 1, 1) for function in EXPANSIONS),
        (expansions.sigmoid, 1, 1),
        (expansions.expm1, 1, 1),
        (gelu_backward, 2, 2),
        (expansions.log, 1, 0),
        (expansions.sin, 1, 0),
    ],
)
def test_scaling_is_one_instruction_of_avx512_and_of_no_other(
    isa: str, function: Function, operands: int, steps: int
) -> None:
    node, machine = node_of(function, operands=operands), machine_of(isa)
    ir = write_function(single(node), machine.lanes, machine.attributes, scales=machine.scales).ir
    text = assembly(ir, isa)
    assert len(matched(node)) == steps
    assert text.count("vscalefps") == (steps * CHUNKS if isa == "avx512" else 0)
    if steps and isa != "neon":  # the words of the powers of two
        assert ("vpslld" in text) == (isa == "avx2")


def test_scaling_of_the_softmax_exponential_takes_p_and_n_from_the_text() -> None:
    node = node_of(lambda b, x, m: expansions.exp(b, b.sub(x, m)), operands=2)
    (number,) = matched(node)
    scaling = scalings(node, [number])[number]
    p, n = (node.instructions[i - node.first_instruction] for i in (scaling.p, scaling.n))
    assert p.op is Op.FMA
    assert node.constants[p.c - node.first_constant].word == 0x3F800000
    assert n.op is Op.SUB
    assert scalings(node, range(number)) == {}  # only what is live


def cone(node: Node, number: int) -> set[int]:
    """Value indices that an instruction is made of, itself included."""
    wanted = {node.first_instruction + number}
    for i in range(number, -1, -1):
        if node.first_instruction + i in wanted:
            wanted |= set(node.instructions[i].arguments)
    return wanted


def other_constants(node: Node, number: int) -> Iterator[Node]:
    """The node with another word for each constant that the product is made of."""
    used = cone(node, number)
    for i, item in enumerate(node.constants):
        if node.first_constant + i in used:
            for bit in (0, 13, 22, 31):
                changed = [*node.constants]
                changed[i] = Constant(item.type, item.word ^ 1 << bit)
                yield replace(node, constants=tuple(changed))


def other_instructions(node: Node, number: int) -> Iterator[Node]:
    """The node with another operand or operation for each instruction of the product."""
    types, used, first = node.value_types(), cone(node, number), node.first_instruction
    for i, instruction in enumerate(node.instructions[: number + 1]):
        if first + i not in used:
            continue
        changed = [*node.instructions]
        for op in Op:
            if op is not instruction.op and SIGNATURES[op] is SIGNATURES[instruction.op]:
                changed[i] = replace(instruction, op=op)
                yield replace(node, instructions=tuple(changed))
        for name, old in zip("abc", instruction.arguments, strict=False):
            if old == 1 and instruction.op is Op.ABS:
                continue  # x of tanh and erf may be anything
            for value in range(first + i):
                if value != old and types[value] is types[old]:
                    changed[i] = replace(instruction, **{name: value})
                    yield replace(node, instructions=tuple(changed))


@pytest.mark.parametrize("function", EXPANSIONS)
def test_scaling_of_altered_text_is_not_matched(function: Function) -> None:
    node = node_of(lambda b, x, _: function(b, x), operands=2)
    (number,) = matched(node)
    altered = [*other_constants(node, number), *other_instructions(node, number)]
    assert len(altered) > 300
    for other in altered:
        assert matched(other) == [], (other.constants, other.instructions)


def test_scaling_without_its_clamps_is_not_matched() -> None:
    def bare(b: Body, x: Value) -> Value:
        t, p = expansions._exp_core(b, x)
        return b.mul(p, expansions._power_of_two(b, b.bits(t)))

    assert matched(node_of(bare)) == []


def test_scaling_of_a_factor_alone_is_not_matched() -> None:
    node = node_of(expansions.exp)
    (number,) = matched(node)
    products = [i for i, step in enumerate(node.instructions) if step.op is Op.MUL]
    assert len(products) == 2
    assert products[-1] == number


# The bits.

SPECIAL = floats([*FLOAT_WORDS, *FOREIGN_NANS])
LIMITS = [-104.0, 89.0, 88.72283, -87.33654, 9.02, 3.93, 0.625, 0.921875, -103.97208]


def sample() -> Tensor:
    """Words evenly over all of them, special ones, and the neighbours of the limits."""
    near = np.array(LIMITS, np.float32).view(np.uint32)[:, None] + np.arange(-99, 100)
    even = np.arange(0, 1 << 32, 8209, dtype=np.uint64)
    return np.concatenate([SPECIAL, floats(near.ravel() & 0xFFFFFFFF), floats(even)])


def differing(a: Tensor, b: Tensor) -> int:
    return int(np.count_nonzero(a.view(np.uint32) != b.view(np.uint32)))


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("function", [*EXPANSIONS, expansions.sigmoid])
def test_scaling_on_a_sample_of_words_equals_the_engine(isa: str, function: Function) -> None:
    x = sample()
    node = node_of(function, len(x))
    assert differing(run_code(node, isa, x), engine().run(node, [x])) == 0


@pytest.mark.slow
@pytest.mark.parametrize("function", EXPANSIONS)
@pytest.mark.parametrize("isa", [isa for isa in COMPILED if machine_of(isa).scales])
def test_scaling_on_all_words_equals_the_engine(isa: str, function: Function) -> None:
    count = 1 << 22
    node, other = node_of(function, count), engine()
    for start in range(0, 1 << 32, count):
        x = np.arange(start, start + count, dtype=np.uint64).astype(np.uint32).view(np.float32)
        assert differing(run_code(node, isa, x), other.run(node, [x])) == 0, hex(start)


@pytest.mark.parametrize("isa", COMPILED)
def test_scaling_to_subnormal_numbers_equals_the_reference(isa: str) -> None:
    x = np.concatenate([np.linspace(-104.5, -87, 700, dtype=np.float32), SPECIAL])
    node = node_of(expansions.exp, len(x))
    got = run_code(node, isa, x)
    assert words_of(got) == evaluate_node(node, [words_of(x)])
    subnormal = (got > 0) & (got < np.float32(2.0**-126))
    assert int(subnormal.sum()) > 500


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("count", [1, 3, 15, 17, 33, 79])
def test_scaling_of_few_elements_equals_the_reference(isa: str, count: int) -> None:
    g, x = (np.random.default_rng(i).normal(0, 3, count).astype(np.float32) for i in range(2))
    node = node_of(gelu_backward, count, operands=2)
    assert words_of(run_code(node, isa, g, x)) == evaluate_node(node, [words_of(g), words_of(x)])


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("op", FACTOR)
def test_scaling_whose_steps_are_read_too_computes_them(isa: str, op: Op) -> None:
    def both(b: Body, x: Value) -> Value:
        y = expansions.exp(b, x)
        (number, *_) = (i for i, step in enumerate(b.steps) if step.op is op)
        word = Value(Section.INSTRUCTION, number, SIGNATURES[op].result)
        seen = word if op is Op.B2F else b.i2f(b.ishr(word, b.i32(3)))
        return b.select(b.flt(x, b.f32(1.0)), b.add(y, seen), seen)

    x = np.concatenate([np.linspace(-110, 95, 90, dtype=np.float32), SPECIAL])
    node = node_of(both, len(x))
    assert len(matched(node)) == 1
    assert words_of(run_code(node, isa, x)) == evaluate_node(node, [words_of(x)])


def random_body(seed: int) -> Function:
    """Expansions of each other's values and of their steps, with arithmetic between."""

    def body(b: Body, *words: Value) -> Value:
        rng = random.Random(seed)
        values = list(words)
        for _ in range(rng.randint(2, 3)):
            values.append(rng.choice(EXPANSIONS)(b, rng.choice(values)))
            steps = [
                Value(Section.INSTRUCTION, i, Type.F)
                for i, step in enumerate(b.steps)
                if SIGNATURES[step.op].result is Type.F
            ]
            name = rng.choice(("add", "sub", "mul", "min", "max", "div"))
            values.append(getattr(b, name)(values[-1], rng.choice([*values, *steps])))
        return b.select(b.fle(words[0], words[1]), values[-1], b.neg(values[-1]))

    return body


@pytest.mark.parametrize("isa", COMPILED)
def test_scaling_in_random_bodies_equals_the_engine(isa: str) -> None:
    other, found = engine(), 0
    for seed in range(25):
        node = node_of(random_body(seed), 203, operands=2)
        rng = np.random.default_rng(seed)
        inputs = [rng.normal(0, 30, 203).astype(np.float32) for _ in range(2)]
        for x in inputs:
            x[rng.permutation(203)[: len(SPECIAL)]] = SPECIAL[:203]
        found += len(matched(node))
        assert differing(run_code(node, isa, *inputs), other.run(node, inputs)) == 0, seed
    assert found > 40
