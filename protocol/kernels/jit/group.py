"""Which nodes of a region share a loop, and each node's addresses in the variables of that loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.jit.space import (
    Access,
    Coordinates,
    Linear,
    join,
    regroup,
    split,
    suffixes,
)
from protocol.kernels.region import Region
from protocol.program.isa import Op
from protocol.program.node import LOADED_WORD, Node

ASSOCIATIVE = frozenset({Op.MIN, Op.MAX, Op.IADD, Op.IAND, Op.IOR, Op.IXOR, Op.IMIN, Op.IMAX})


@dataclass(frozen=True, slots=True)
class Piece:
    """A node in a loop.

    Attributes:
        member: its position in the region.
        node: the descriptor.
        accesses: its loads; None for one that nothing needs.
        registers: source of each load if it is the value of an earlier piece of the same loop.
        coordinates: the coordinates that the body reads, by value index.
        domain: extents of the joined dimensions of the domain.
        live: numbers of the instructions that the result needs.
        depends: value indices that depend on the accumulator.
    """

    member: int
    node: Node
    accesses: tuple[Access | None, ...]
    registers: tuple[int | None, ...]
    coordinates: dict[int, Linear]
    domain: tuple[int, ...]
    live: tuple[int, ...]
    depends: frozenset[int]

    @property
    def masked(self) -> bool:
        """Whether a term may be skipped."""
        return any(access is not None and access.skip for access in self.accesses)


@dataclass(frozen=True, slots=True)
class Group:
    """Pieces whose outputs are numbered alike and computed in one loop; only the first may fold.

    ``dims`` are the joined dimensions of that numbering.
    """

    pieces: tuple[Piece, ...]
    dims: tuple[int, ...]


def make_groups(region: Region) -> list[Group]:
    """The loops of a region, in order.

    Raises:
        Unsupported: a guard, or shapes that no common space refines.
    """
    groups: list[Group] = []
    members: list[int] = []
    for member, node in enumerate(region.nodes):
        if node.guards:
            raise Unsupported("a guard has a pass of its own in the C++ engine")
        if members and not node.domain and node.numel == region.nodes[members[0]].numel:
            group = _group(region, [*members, member])
            if group is not None:
                members.append(member)
                groups[-1] = group
                continue
        members = [member]
        group = _group(region, members)
        if group is None:
            raise Unsupported(f"units of {region.inner(member)} elements cut {node.shape} askew")
        groups.append(group)
    return groups


def _group(region: Region, members: Sequence[int]) -> Group | None:
    """The members in one loop, or None if they do not fit one."""
    nodes = [region.nodes[member] for member in members]
    dims = split([node.shape for node in nodes], [region.inner(members[0]), nodes[0].numel])
    if dims is None:
        return None
    flat = tuple(suffixes(dims))
    pieces = []
    for member, node in zip(members, nodes, strict=True):
        piece = _piece(region, member, node, dims)
        registers = []
        for access in piece.accesses:
            source = None if access is None else region.sources[member][access.slot].member
            if source not in members:
                registers.append(None)
            elif access is None or access.checks or not _identity(access.address, flat):
                return None
            else:
                registers.append(source)
        pieces.append(replace(piece, registers=tuple(registers)))
    return _joined(pieces, dims)


def _identity(address: Linear, flat: tuple[int, ...]) -> bool:
    steps = address.coefs[: len(flat)]
    return address.const == 0 and steps == flat and not any(address.coefs[len(flat) :])


def is_own(access: Access, group: Group) -> bool:
    """Whether a load reads exactly the element that the loop computes."""
    return not access.checks and _identity(access.address, tuple(suffixes(group.dims)))


def _piece(region: Region, member: int, node: Node, dims: Sequence[int]) -> Piece:
    live, needed = _needed(node)
    space = Coordinates(node, dims)
    accesses = [
        space.access(node, load) if k in needed else None for k, load in enumerate(node.loads)
    ]
    used = {a for i in live for a in node.instructions[i].arguments} | {node.result}
    first = node.first_coordinate
    coordinates = {first + c: function for c, function in enumerate(space.of) if first + c in used}
    depends = {0}
    for i in live:
        if depends & set(node.instructions[i].arguments):
            depends.add(node.first_instruction + i)
    return Piece(
        member,
        node,
        tuple(accesses),
        (),
        coordinates,
        node.domain,
        tuple(live),
        frozenset(depends),
    )


def _needed(node: Node) -> tuple[list[int], set[int]]:
    """Instructions and loads that the result, or the choice of skipped terms, needs."""
    wanted = {node.result}
    live = []
    for i in reversed(range(len(node.instructions))):
        if node.first_instruction + i in wanted:
            live.append(i)
            wanted |= set(node.instructions[i].arguments)
    loads = {k for k, load in enumerate(node.loads) if 1 + k in wanted or load.skip}
    for k in reversed(range(len(node.loads))):
        if k in loads:
            for axis in node.loads[k].axes:
                loads |= {t.source & ~LOADED_WORD for t in axis.terms if t.source & LOADED_WORD}
    return live[::-1], loads


def _functions(piece: Piece) -> list[Linear]:
    found = list(piece.coordinates.values())
    for access in piece.accesses:
        if access is not None:
            found.append(access.address)
            found += [check.value for check in access.checks]
    return found


def _joined(pieces: Sequence[Piece], dims: Sequence[int]) -> Group:
    everything = [f for piece in pieces for f in _functions(piece)]
    outer = join(dims, everything, 0)
    joined = []
    for piece in pieces:
        inner = join(piece.node.domain, _functions(piece), len(dims))
        groups = [*outer, *[[len(dims) + i for i in group] for group in inner]]
        joined.append(
            replace(
                piece,
                accesses=tuple(
                    None
                    if access is None
                    else replace(
                        access,
                        address=regroup(access.address, groups),
                        checks=tuple(
                            replace(check, value=regroup(check.value, groups))
                            for check in access.checks
                        ),
                    )
                    for access in piece.accesses
                ),
                coordinates={c: regroup(f, groups) for c, f in piece.coordinates.items()},
                domain=tuple(math.prod(piece.node.domain[i] for i in group) for group in inner),
            )
        )
    return Group(tuple(joined), tuple(math.prod(dims[i] for i in group) for group in outer))
