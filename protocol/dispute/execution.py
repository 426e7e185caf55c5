"""What a party knows about a run: the leaves of every tree, computed on demand.

An honest party re-executes; a liar in the tests is an honest execution plus one lie. Steps are
0-based and global: step s leads from state s to state s+1, and state 0 is the initial state.
Segments are 1-based: segment m holds the states after steps C(m-1) .. min(Cm, T)-1.
"""

from __future__ import annotations

from typing import Protocol

from protocol.program.node import Node


class Withheld(Exception):
    """The party cannot, or will not, produce these bytes."""


class Opaque(bytes):
    """The hash of a leaf whose bytes nobody has.

    A leaf list may hold one in place of a leaf: the tree takes it as the leaf's hash, and no proof
    can open it.
    """

    __slots__ = ()


class Execution(Protocol):
    """A run as one party would commit to it. Any method may raise Withheld."""

    @property
    def steps(self) -> int:
        """Number of steps T."""

    @property
    def interval(self) -> int:
        """Steps per checkpoint C."""

    def log_leaves(self) -> list[bytes]:
        """State roots at steps 0, C, 2C, ... and T."""

    def segment_leaves(self, segment: int) -> list[bytes]:
        """State roots after each step of segment ``segment`` (1-based)."""

    def state_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of the state after ``step`` steps, in program order."""

    def trace_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of the node outputs of global step ``step``."""

    def node_output(self, step: int, node: int) -> bytes:
        """Stored little-endian bytes of a node's output in global step ``step``."""

    def state_tensor(self, step: int, index: int) -> bytes:
        """Stored bytes of a state tensor after ``step`` steps."""

    def data_tensor(self, index: int) -> bytes:
        """Stored bytes of a data tensor."""

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        """For each term of the element's fold: accumulator, then load words, big-endian."""

    def program_leaves(self) -> list[bytes]:
        """Canonical bytes of every node, then of every state binding."""

    def data_leaves(self) -> list[bytes]:
        """Tensor roots of the data tensors."""

    def node(self, index: int) -> Node:
        """Descriptor of a node."""
