"""The program of the toy run: nodes, tensors, and the arithmetic written out by hand.

The game does not care what is computed, so this program is small and has every feature that a
rule of the game looks at: f32, i32 and u8 nodes, tensors of one and of several chunks, folds of
one and of several terms, loads from nodes, state and data, out of bounds with and without `skip`,
an indirect load with a guard, and bindings to nodes, to the same and to another state tensor. The
arithmetic is in Python integers; the node descriptors say the same to the judge.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol.kernels.reference import float32
from protocol.program.isa import DType, Op, Type
from protocol.program.node import (
    LOADED_WORD,
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
    TensorSpec,
    Term,
)

HALF: Final = 0x3F000000
BUCKETS: Final = 4

F32, I32, U8 = DType.F32, DType.I32, DType.U8
NODE, STATE, DATA = OperandKind.NODE, OperandKind.STATE, OperandKind.DATA

Words = list[int]
Read = Callable[[OperandKind, int, int], int]
TermRule = Callable[[int, int, int, Read], tuple[int, Words]]
"""(element, term, accumulator before, read a word) -> (accumulator after, load words)."""


@dataclass(frozen=True)
class ToyConfig:
    """Sizes of a toy run; ``single`` has one node, one state tensor and one term."""

    steps: int = 7
    interval: int = 3
    rows: int = 260  # 1,040 bytes of f32: two chunks, the second one short
    taps: int = 3
    single: bool = False


SMALL: Final = ToyConfig()
ONE_LEAF: Final = ToyConfig(steps=1, interval=1, rows=1, taps=1, single=True)


def f32(value: float) -> int:
    """The word of a float that f32 represents."""
    word: int = struct.unpack("<I", struct.pack("<f", value))[0]
    return word


@dataclass(frozen=True)
class ToyProgram:
    """The program with its tensors, and the hand-written rule of each node."""

    program: Program
    state: tuple[TensorSpec, ...]
    data: tuple[TensorSpec, ...]
    initial: tuple[Words, ...]
    table: tuple[Words, ...]
    rules: tuple[TermRule, ...]


def _axis(size: int, *terms: Term, stride: int = 1, const: int = 0) -> Axis:
    return Axis(size, stride, terms, const)


def single_program() -> ToyProgram:
    """``counter += increment``: every tree below the log has one leaf."""
    counter = TensorSpec("counter", I32, ())
    increment = TensorSpec("increment", I32, ())
    node = Node(
        I32,
        (),
        operands=(Operand(STATE, 0, I32, ()), Operand(DATA, 0, I32, ())),
        loads=(Load(0), Load(1)),
        instructions=(Instruction(Op.IADD, 1, 2),),
        result=3,
    )

    def rule(_o: int, _r: int, _acc: int, read: Read) -> tuple[int, Words]:
        words = [read(STATE, 0, 0), read(DATA, 0, 0)]
        return float32.word(sum(words)), words

    program = Program((node,), (Binding(NODE, 0, I32, ()),))
    return ToyProgram(program, (counter,), (increment,), ([40],), ([2],), (rule,))


def counter_program(config: ToyConfig) -> ToyProgram:
    """The full toy: five nodes (tick, mix, advance, roll, pick), six state and two data tensors."""
    sizes = _Sizes(config.rows, config.taps)
    program = Program(_nodes(sizes), _bindings(sizes))
    initial, table = _initial_values(sizes)
    return ToyProgram(program, sizes.state, sizes.data, initial, table, _rules(sizes))


@dataclass(frozen=True)
class _Sizes:
    """What the toy's tensors look like."""

    rows: int
    taps: int

    @property
    def length(self) -> int:
        """Bytes of the u8 tensor: three chunks by default."""
        return 8 * self.rows - 10

    @property
    def draws(self) -> int:
        """Entries of the index: some name a bucket, some none, one is out of bounds."""
        return self.taps + 2

    @property
    def state(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec("counter", F32, (self.rows,)),
            TensorSpec("step", I32, ()),
            TensorSpec("bytes", U8, (self.length,)),
            TensorSpec("picked", F32, (BUCKETS,)),
            TensorSpec("frozen", I32, (2,)),
            TensorSpec("previous", F32, (self.rows,)),
        )

    @property
    def data(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec("table", F32, (self.rows, self.taps)),
            TensorSpec("index", I32, (self.draws,)),
        )


def _nodes(sizes: _Sizes) -> tuple[Node, ...]:
    n, taps, length, draws = sizes.rows, sizes.taps, sizes.length, sizes.draws
    counter, step, stored = (Operand(STATE, q, s.dtype, s.shape) for q, s in _first(sizes.state, 3))
    table, index = (Operand(DATA, d, s.dtype, s.shape) for d, s in _first(sizes.data, 2))
    tick_out, mix_out = Operand(NODE, 0, I32, ()), Operand(NODE, 1, F32, (n,))
    tick = Node(  # step + 1
        I32,
        (),
        operands=(step,),
        loads=(Load(0),),
        constants=(Constant(Type.I, 1),),
        instructions=(Instruction(Op.IADD, 1, 2),),
        result=3,
    )
    mix = Node(  # mix[o] = sum over r of table[o, r] * counter[o + r - 1]
        F32,
        (n,),
        (taps,),
        operands=(table, counter),
        loads=(
            Load(0, (_axis(n, Term(0), stride=taps), _axis(taps, Term(1)))),
            Load(1, (_axis(n, Term(0), Term(1), const=-1),)),
        ),
        instructions=(Instruction(Op.FMA, 1, 2, 0),),
        result=5,
    )
    advance = Node(  # counter[o] + mix[o] / 2
        F32,
        (n,),
        operands=(mix_out, counter),
        loads=(Load(0, (_axis(n, Term(0)),)), Load(1, (_axis(n, Term(0)),))),
        constants=(Constant(Type.F, HALF),),
        instructions=(Instruction(Op.FMA, 3, 1, 2),),
        result=5,
    )
    roll = Node(  # bytes[o] + bytes[o + 1] + 2 * (step + 1), the missing last neighbour skipped
        U8,
        (length,),
        (2,),
        operands=(stored, tick_out),
        loads=(Load(0, (_axis(length, Term(0), Term(1)),), skip=True), Load(1)),
        instructions=(Instruction(Op.IADD, 0, 1), Instruction(Op.IADD, 5, 2)),
        result=6,
    )
    pick = Node(  # picked[o] = sum over r with index[r] == o of mix[index[r]]
        F32,
        (BUCKETS,),
        (draws,),
        operands=(index, mix_out),
        loads=(
            Load(0, (_axis(draws, Term(1)),)),
            Load(1, (_axis(n, Term(LOADED_WORD | 0)),), fill=f32(7.5)),
        ),
        guards=(Guard(0, 0),),
        instructions=(Instruction(Op.ADD, 0, 2),),
        result=5,
    )
    return tick, mix, advance, roll, pick


def _bindings(sizes: _Sizes) -> tuple[Binding, ...]:
    return (
        Binding(NODE, 2, F32, (sizes.rows,)),
        Binding(NODE, 0, I32, ()),
        Binding(NODE, 3, U8, (sizes.length,)),
        Binding(NODE, 4, F32, (BUCKETS,)),
        Binding(STATE, 4, I32, (2,)),
        Binding(STATE, 0, F32, (sizes.rows,)),
    )


def _initial_values(sizes: _Sizes) -> tuple[tuple[Words, ...], tuple[Words, ...]]:
    n = sizes.rows
    initial = (
        [f32(1.0 + (i % 5) / 8) for i in range(n)],
        [0],
        [i * 7 & 0xFF for i in range(sizes.length)],
        [0] * BUCKETS,
        [11, float32.word(-3)],
        [0] * n,
    )
    table = (
        [f32((i * 5 % 7 - 2) / 16) for i in range(n * sizes.taps)],
        [float32.word(at) for at in (2, 0, -1, 2, n, 3, 1)[: sizes.draws]],
    )
    return initial, table


def _rules(sizes: _Sizes) -> tuple[TermRule, ...]:
    n, taps, length = sizes.rows, sizes.taps, sizes.length

    def tick_rule(_o: int, _r: int, _acc: int, read: Read) -> tuple[int, Words]:
        words = [read(STATE, 1, 0)]
        return float32.word(words[0] + 1), words

    def mix_rule(o: int, r: int, acc: int, read: Read) -> tuple[int, Words]:
        at = o + r - 1
        words = [read(DATA, 0, o * taps + r), read(STATE, 0, at) if 0 <= at < n else 0]
        return float32.fma(words[0], words[1], acc), words

    def advance_rule(o: int, _r: int, _acc: int, read: Read) -> tuple[int, Words]:
        words = [read(NODE, 1, o), read(STATE, 0, o)]
        return float32.fma(HALF, words[0], words[1]), words

    def roll_rule(o: int, r: int, acc: int, read: Read) -> tuple[int, Words]:
        inside = o + r < length
        words = [read(STATE, 2, o + r) if inside else 0, read(NODE, 0, 0)]
        return float32.word(acc + sum(words)) if inside else acc, words

    def pick_rule(o: int, r: int, acc: int, read: Read) -> tuple[int, Words]:
        at = float32.signed(read(DATA, 1, r))
        words = [float32.word(at), read(NODE, 1, at) if 0 <= at < n else f32(7.5)]
        return float32.add(acc, words[1]) if at == o else acc, words

    return tick_rule, mix_rule, advance_rule, roll_rule, pick_rule


def _first(specs: tuple[TensorSpec, ...], count: int) -> list[tuple[int, TensorSpec]]:
    return list(enumerate(specs))[:count]


def pack(words: Words, dtype: DType) -> bytes:
    """Stored little-endian bytes of a tensor's words."""
    return bytes(words) if dtype is U8 else struct.pack(f"<{len(words)}I", *words)


def unpack(stored: bytes, dtype: DType) -> Words:
    """Words of a tensor's stored bytes."""
    return list(stored) if dtype is U8 else list(struct.unpack(f"<{len(stored) // 4}I", stored))
