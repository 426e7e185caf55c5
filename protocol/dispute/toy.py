"""A toy run: a counter whose whole training is a few thousand additions, played in milliseconds.

The game does not care what is computed, so tests of the game play this one.
"""

from __future__ import annotations

import struct
from functools import cached_property

from protocol.dispute.toy_program import (
    NODE,
    ONE_LEAF,
    SMALL,
    STATE,
    U8,
    Read,
    ToyConfig,
    Words,
    counter_program,
    f32,
    pack,
    single_program,
    unpack,
)
from protocol.dispute.trees import root_of, tensor_root_of
from protocol.program.canonical import encode_program
from protocol.program.node import Node, OperandKind

__all__ = ["ONE_LEAF", "SMALL", "ToyConfig", "ToyExecution", "Words", "f32", "unpack"]


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
