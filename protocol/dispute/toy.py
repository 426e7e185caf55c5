"""A toy run: a counter whose whole training is a few hundred additions, played in milliseconds.

The game does not care what is computed, so this program is small and has every feature that a
rule of the game looks at: f32, i32 and u8 nodes, tensors of one and of several chunks, folds of
one and of several terms, loads from nodes, state and data, out of bounds with and without `skip`,
an indirect load with a guard, and bindings to nodes, to the same and to another state tensor. The
arithmetic is written out by hand here, in Python integers; the node descriptors say the same to
the judge.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from protocol.dispute.trees import root_of, tensor_root_of
from protocol.kernels.reference import float32
from protocol.program.canonical import encode_program
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
    """The full toy: five nodes, six state tensors, two data tensors."""
    n, taps = config.rows, config.taps
    length, draws = 8 * n - 10, taps + 2
    state = (
        TensorSpec("counter", F32, (n,)),
        TensorSpec("step", I32, ()),
        TensorSpec("bytes", U8, (length,)),
        TensorSpec("picked", F32, (BUCKETS,)),
        TensorSpec("frozen", I32, (2,)),
        TensorSpec("previous", F32, (n,)),
    )
    data = (TensorSpec("table", F32, (n, taps)), TensorSpec("index", I32, (draws,)))
    state_operands = [Operand(STATE, q, s.dtype, s.shape) for q, s in enumerate(state)]
    data_operands = [Operand(DATA, d, s.dtype, s.shape) for d, s in enumerate(data)]
    mix_out = Operand(NODE, 1, F32, (n,))

    tick = Node(  # step + 1
        I32,
        (),
        operands=(state_operands[1],),
        loads=(Load(0),),
        constants=(Constant(Type.I, 1),),
        instructions=(Instruction(Op.IADD, 1, 2),),
        result=3,
    )
    mix = Node(  # mix[o] = sum over r of table[o, r] * counter[o + r - 1]
        F32,
        (n,),
        (taps,),
        operands=(data_operands[0], state_operands[0]),
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
        operands=(mix_out, state_operands[0]),
        loads=(Load(0, (_axis(n, Term(0)),)), Load(1, (_axis(n, Term(0)),))),
        constants=(Constant(Type.F, HALF),),
        instructions=(Instruction(Op.FMA, 3, 1, 2),),
        result=5,
    )
    roll = Node(  # bytes[o] + bytes[o + 1] + 2 * (step + 1), the missing last neighbour skipped
        U8,
        (length,),
        (2,),
        operands=(state_operands[2], Operand(NODE, 0, I32, ())),
        loads=(Load(0, (_axis(length, Term(0), Term(1)),), skip=True), Load(1)),
        instructions=(Instruction(Op.IADD, 0, 1), Instruction(Op.IADD, 5, 2)),
        result=6,
    )
    pick = Node(  # picked[o] = sum over r with index[r] == o of mix[index[r]]
        F32,
        (BUCKETS,),
        (draws,),
        operands=(data_operands[1], mix_out),
        loads=(
            Load(0, (_axis(draws, Term(1)),)),
            Load(1, (_axis(n, Term(LOADED_WORD | 0)),), fill=f32(7.5)),
        ),
        guards=(Guard(0, 0),),
        instructions=(Instruction(Op.ADD, 0, 2),),
        result=5,
    )

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

    bindings = (
        Binding(NODE, 2, F32, (n,)),
        Binding(NODE, 0, I32, ()),
        Binding(NODE, 3, U8, (length,)),
        Binding(NODE, 4, F32, (BUCKETS,)),
        Binding(STATE, 4, I32, (2,)),
        Binding(STATE, 0, F32, (n,)),
    )
    initial = (
        [f32(1.0 + (i % 5) / 8) for i in range(n)],
        [0],
        [i * 7 & 0xFF for i in range(length)],
        [0] * BUCKETS,
        [11, float32.word(-3)],
        [0] * n,
    )
    table = (
        [f32((i * 5 % 7 - 2) / 16) for i in range(n * taps)],
        [float32.word(at) for at in (2, 0, -1, 2, n, 3, 1)[:draws]],
    )
    return ToyProgram(
        Program((tick, mix, advance, roll, pick), bindings),
        state,
        data,
        initial,
        table,
        (tick_rule, mix_rule, advance_rule, roll_rule, pick_rule),
    )


def pack(words: Words, dtype: DType) -> bytes:
    """Stored little-endian bytes of a tensor's words."""
    return bytes(words) if dtype is U8 else struct.pack(f"<{len(words)}I", *words)


def unpack(stored: bytes, dtype: DType) -> Words:
    """Words of a tensor's stored bytes."""
    return list(stored) if dtype is U8 else list(struct.unpack(f"<{len(stored) // 4}I", stored))


class ToyExecution:
    """The honest toy run.

    An adversary overrides one method; what follows from its lie is recomputed.
    """

    def __init__(self, config: ToyConfig = SMALL) -> None:
        self.config = config
        self.toy = single_program() if config.single else counter_program(config)
        self.program = self.toy.program
        self._readers: dict[int, Read] = {}
        self._unpacked: dict[tuple[int, OperandKind, int], Words] = {}
        self._outputs: dict[tuple[int, int], bytes] = {}
        self._states: dict[tuple[int, int], bytes] = {}
        self._state_leaves: dict[int, list[bytes]] = {}
        self._trace_leaves: dict[int, list[bytes]] = {}

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return self.config.steps

    @property
    def interval(self) -> int:
        """Steps per checkpoint C."""
        return self.config.interval

    # What an adversary overrides: one term, one stored output, one state tensor.

    def term(
        self, step: int, node: int, element: int, term: int, previous: int
    ) -> tuple[int, Words]:
        """Accumulator after one term, and the words of its loads."""
        return self.toy.rules[node](element, term, previous, self._reader(step))

    def compute_output(self, step: int, node: int) -> bytes:
        """Stored bytes of a node's output, from its folds."""
        descriptor = self.program.nodes[node]
        mask = 0xFF if descriptor.dtype is U8 else 0xFFFFFFFF
        folds = (self._fold(step, node, e)[-1][0] for e in range(descriptor.numel))
        return pack([accumulator & mask for accumulator in folds], descriptor.dtype)

    def compute_state(self, step: int, index: int) -> bytes:
        """Stored bytes of a state tensor after ``step`` steps, from its binding."""
        if step == 0:
            return pack(self.toy.initial[index], self.toy.state[index].dtype)
        binding = self.program.bindings[index]
        if binding.kind is STATE:
            return self.state_tensor(step - 1, binding.index)
        return self.node_output(step - 1, binding.index)

    # Execution

    def log_leaves(self) -> list[bytes]:
        """State roots at the checkpoints."""
        marks = [*range(0, self.steps, self.interval), self.steps]
        return [self.state_root(step) for step in marks]

    def segment_leaves(self, segment: int) -> list[bytes]:
        """State roots after each step of a segment."""
        first = (segment - 1) * self.interval
        last = min(first + self.interval, self.steps)
        return [self.state_root(step) for step in range(first + 1, last + 1)]

    def state_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of a state."""
        if step not in self._state_leaves:
            self._state_leaves[step] = [
                tensor_root_of(self.state_tensor(step, q)) for q in range(len(self.toy.state))
            ]
        return list(self._state_leaves[step])

    def trace_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of a step's node outputs."""
        if step not in self._trace_leaves:
            count = len(self.program.nodes)
            self._trace_leaves[step] = [
                tensor_root_of(self.node_output(step, j)) for j in range(count)
            ]
        return list(self._trace_leaves[step])

    def node_output(self, step: int, node: int) -> bytes:
        """Stored bytes of a node's output."""
        key = (step, node)
        if key not in self._outputs:
            self._outputs[key] = self.compute_output(step, node)
        return self._outputs[key]

    def state_tensor(self, step: int, index: int) -> bytes:
        """Stored bytes of a state tensor."""
        key = (step, index)
        if key not in self._states:
            self._states[key] = self.compute_state(step, index)
        return self._states[key]

    def data_tensor(self, index: int) -> bytes:
        """Stored bytes of a data tensor."""
        return pack(self.toy.table[index], self.toy.data[index].dtype)

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        """Leaves of one element's fold."""
        return [
            struct.pack(f">{1 + len(words)}I", accumulator, *words)
            for accumulator, words in self._fold(step, node, element)
        ]

    @cached_property
    def _program_leaves(self) -> list[bytes]:
        return encode_program(self.program)

    def program_leaves(self) -> list[bytes]:
        """Canonical bytes of the nodes, then of the bindings."""
        return self._program_leaves

    def data_leaves(self) -> list[bytes]:
        """Tensor roots of the data."""
        return [tensor_root_of(self.data_tensor(d)) for d in range(len(self.toy.data))]

    def node(self, index: int) -> Node:
        """Descriptor of a node."""
        return self.program.nodes[index]

    def state_root(self, step: int) -> bytes:
        """Root of the state after ``step`` steps."""
        return root_of(self.state_leaves(step))

    def _fold(self, step: int, node: int, element: int) -> list[tuple[int, Words]]:
        descriptor = self.program.nodes[node]
        accumulator, leaves = descriptor.init, []
        for term in range(descriptor.terms):
            accumulator, words = self.term(step, node, element, term, accumulator)
            leaves.append((accumulator, words))
        return leaves

    def _reader(self, step: int) -> Read:
        if step not in self._readers:
            self._readers[step] = lambda kind, index, at: self._words(step, kind, index)[at]
        return self._readers[step]

    def _words(self, step: int, kind: OperandKind, index: int) -> Words:
        """Words of an operand, unpacked once."""
        key = (step, kind, index)
        if key not in self._unpacked:
            if kind is NODE:
                stored, dtype = self.node_output(step, index), self.program.nodes[index].dtype
            elif kind is STATE:
                stored, dtype = self.state_tensor(step, index), self.toy.state[index].dtype
            else:
                stored, dtype = self.data_tensor(index), self.toy.data[index].dtype
            self._unpacked[key] = unpack(stored, dtype)
        return self._unpacked[key]
