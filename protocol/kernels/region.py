"""A region: nodes that one kernel computes together, unit by unit.

The output of every node of a region is ``units`` equal, contiguous, row-major parts. Part u of a
node needs only part u of the region's earlier nodes, so a kernel may go through the units in any
order, on any number of threads, and need not store an output that nobody outside reads. The values
stay those of the specification: a region changes where they are kept, never how they are computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.program.node import Node


@dataclass(frozen=True, slots=True)
class Source:
    """Where a node of a region finds an operand: in a buffer, or in an earlier node's output.

    Exactly one is set. ``member`` is a position in `Region.nodes`; ``buffer`` a buffer number.
    """

    buffer: int | None = None
    member: int | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """Nodes computed together.

    Attributes:
        nodes: the descriptors, in an order in which they can be computed.
        sources: for each node, where each of its operand slots is found.
        outputs: for each node the number of the buffer that receives its whole output, or None if
            nobody outside the region reads it.
        units: number of units; divides each node's number of elements.
        buffers: how many buffers the kernel is given; each is the start of a whole tensor. Two
            buffers may be the same memory only in a flat region (every node pointwise, a unit an
            element), and then only if both are read or written at the unit's own element.
    """

    nodes: tuple[Node, ...]
    sources: tuple[tuple[Source, ...], ...]
    outputs: tuple[int | None, ...]
    units: int
    buffers: int

    @property
    def is_flat(self) -> bool:
        """Whether every node is pointwise and a unit is an element."""
        return all(not node.domain and node.numel == self.units for node in self.nodes)

    def inner(self, member: int) -> int:
        """Elements of a unit of node ``member``."""
        return self.nodes[member].numel // self.units


def single(node: Node) -> Region:
    """The region of one node: its operand slots are buffers 0.., its output the last buffer."""
    slots = len(node.operands)
    return Region(
        nodes=(node,),
        sources=(tuple(Source(buffer=slot) for slot in range(slots)),),
        outputs=(slots,),
        units=_units(node),
        buffers=slots + 1,
    )


def _units(node: Node) -> int:
    """Units of a node alone: elements if it is pointwise, else all dimensions but the last."""
    if not node.domain:
        return node.numel
    return node.numel // node.shape[-1] if node.shape else 1
