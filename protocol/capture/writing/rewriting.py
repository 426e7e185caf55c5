"""A list of nodes that is rewritten in place, with the readers of each known at all times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocol.capture.writing.coordinates import without_ones
from protocol.program.node import Node, Operand, OperandKind


class Rewriting:
    """Nodes at fixed numbers: ``replace`` changes one, operands always show the shape they read.

    ``readers`` holds the nodes that read each node and that ``roots`` need.
    """

    def __init__(self, nodes: Sequence[Node], roots: set[int]) -> None:
        self.nodes = list(nodes)
        self.roots = roots
        self.readers: list[set[int]] = [set() for _ in nodes]
        for index in reversed(range(len(self.nodes))):
            if self.is_needed(index):
                for source in _sources(self.nodes[index]):
                    self.readers[source].add(index)

    def is_needed(self, index: int) -> bool:
        """Does a state tensor depend on the node?"""
        return index in self.roots or bool(self.readers[index])

    def replace(self, index: int, node: Node) -> None:
        """Put ``node`` in the place of a needed one; it may read earlier nodes only."""
        old, self.nodes[index] = self.nodes[index], node
        for source in _sources(node):
            self._read(source, index)
        for source in _sources(old) - _sources(node):
            self._no_longer_read(source, index)
        for reader in self.readers[index]:
            own = self.nodes[reader]
            operands = [
                replace(o, shape=node.shape) if _is_node(o, index) else o for o in own.operands
            ]
            self.nodes[reader] = replace(own, operands=tuple(operands))

    def share(self) -> None:
        """Equal nodes become one. Dimensions of size 1 go first: they would hide equal nodes."""
        known: dict[Node, int] = {}
        number: dict[int, int] = {}
        for index in range(len(self.nodes)):
            if not self.is_needed(index):
                continue
            node = self.nodes[index]
            operands = [
                replace(o, index=number[o.index], shape=self.nodes[number[o.index]].shape)
                if o.kind is OperandKind.NODE
                else o
                for o in node.operands
            ]
            node = with_operands(node, operands)
            node = node if index in self.roots else without_ones(node)
            self.nodes[index] = node
            number[index] = known.setdefault(node, index)

    def _read(self, source: int, reader: int) -> None:
        if not self.is_needed(source):
            for earlier in _sources(self.nodes[source]):
                self._read(earlier, source)
        self.readers[source].add(reader)

    def _no_longer_read(self, source: int, reader: int) -> None:
        self.readers[source].discard(reader)
        if not self.is_needed(source):
            for earlier in _sources(self.nodes[source]):
                self._no_longer_read(earlier, source)


def with_operands(node: Node, operands: Sequence[Operand]) -> Node:
    """The node with these operands in its slots; equal ones come to share a slot."""
    distinct = list(dict.fromkeys(operands))
    loads = tuple(
        replace(load, operand=distinct.index(operands[load.operand])) for load in node.loads
    )
    return replace(node, operands=tuple(distinct), loads=loads)


def _sources(node: Node) -> set[int]:
    return {o.index for o in node.operands if o.kind is OperandKind.NODE}


def _is_node(operand: Operand, index: int) -> bool:
    return operand.kind is OperandKind.NODE and operand.index == index
