"""Which nodes of a region share a loop, and each node's addresses in the variables of that loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.jit.nan import hidden_bits
from protocol.kernels.jit.scaling import Scaling, scalings
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

MOST_INSTRUCTIONS = 400  # of a loop: more would not stay in registers
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
        hidden: numbers of the `f2b` whose NaN nobody sees.
        scalings: what is multiplied by which power of two, by number of the instruction.
    """

    member: int
    node: Node
    accesses: tuple[Access | None, ...]
    registers: tuple[int | None, ...]
    coordinates: dict[int, Linear]
    domain: tuple[int, ...]
    live: tuple[int, ...]
    hidden: frozenset[int]
    scalings: dict[int, Scaling]

    @property
    def masked(self) -> bool:
        """Whether a term may be skipped."""
        return any(access is not None and access.skip for access in self.accesses)


@dataclass(frozen=True, slots=True)
class Group:
    """Pieces whose outputs are numbered alike and computed in one loop.

    The first ``folds`` of them fold over the same domain. ``dims`` are the joined dimensions of
    the numbering.
    """

    pieces: tuple[Piece, ...]
    dims: tuple[int, ...]
    folds: int


def make_groups(region: Region) -> list[Group]:
    """The loops of a region, in an order in which they can run.

    A node joins the last loop that numbers its elements alike and comes after, or yields in
    registers, all that the node reads.

    Raises:
        Unsupported: a guard, or shapes that no common space refines.
    """
    members: list[list[int]] = []
    groups: list[Group] = []
    at: dict[int, int] = {}
    for member, node in enumerate(region.nodes):
        if node.guards:
            raise Unsupported("a guard has a pass of its own in the C++ engine")
        read = [source.member for source in region.sources[member] if source.member is not None]
        least = max((at[source] for source in read), default=0)
        if node.domain and any(at[source] == least for source in read):
            least += 1  # a fold reads other elements than the loop has at hand
        for number in reversed(range(least, len(groups))):
            if _may_join(region, members[number], node):
                joined = _group(region, [*members[number], member])
                if joined is not None:
                    members[number].append(member)
                    groups[number] = joined
                    at[member] = number
                    break
        else:
            group = _group(region, [member])
            if group is None:
                raise Unsupported(
                    f"units of {region.inner(member)} elements cut {node.shape} askew"
                )
            at[member] = len(groups)
            members.append([member])
            groups.append(group)
    return groups


def _may_join(region: Region, members: Sequence[int], node: Node) -> bool:
    """Whether a node may share a loop with others, by size, domain and weight.

    Folds share one if they run over the same domain in order.
    """
    nodes = [region.nodes[member] for member in members]
    if node.numel != nodes[0].numel:
        return False
    if not node.domain and node.numel == region.units:
        return True  # a flat region is one loop or none
    if sum(len(n.instructions) for n in (*nodes, node)) > MOST_INSTRUCTIONS:
        return False
    if not node.domain:
        return True
    if associative(node) is not None:
        return False
    return all(n.domain == node.domain and associative(n) is None for n in nodes)


def associative(node: Node) -> Op | None:
    """The operation, if the body is ``op(acc, x)`` of an exactly associative one, x free of acc."""
    number = node.result - node.first_instruction
    live, _ = _needed(node)
    if number not in live:
        return None
    last = node.instructions[number]
    users = [i for i in live if 0 in node.instructions[i].arguments]
    if last.op not in ASSOCIATIVE or users != [number] or last.arguments.count(0) != 1:
        return None
    return last.op


def _group(region: Region, members: Sequence[int]) -> Group | None:
    """The members in one loop, or None if they do not fit one."""
    nodes = [region.nodes[member] for member in members]
    dims = split([node.shape for node in nodes], [region.inner(members[0]), nodes[0].numel])
    if dims is None:
        return None
    flat = tuple(suffixes(dims))
    pieces = []
    for member, node in zip(members, nodes, strict=True):
        piece = _piece(member, node, dims)
        registers: list[int | None] = []
        for access in piece.accesses:
            source = None if access is None else region.sources[member][access.slot].member
            if source not in members:
                registers.append(None)
            elif region.units < node.numel and (
                access is None or access.checks or not _identity(access.address, flat)
            ):
                return None  # in a flat region a load is of the unit's own element or of nothing
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


def _piece(member: int, node: Node, dims: Sequence[int]) -> Piece:
    live, needed = _needed(node)
    space = Coordinates(node, dims)
    accesses = [
        space.access(node, load) if k in needed else None for k, load in enumerate(node.loads)
    ]
    used = {a for i in live for a in node.instructions[i].arguments} | {node.result}
    first = node.first_coordinate
    coordinates = {first + c: function for c, function in enumerate(space.of) if first + c in used}
    return Piece(
        member,
        node,
        tuple(accesses),
        (),
        coordinates,
        node.domain,
        tuple(live),
        hidden_bits(node, live),
        scalings(node, live),
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
    pieces = sorted(pieces, key=lambda piece: not piece.node.domain)
    folded = [f for piece in pieces if piece.node.domain for f in _functions(piece)]
    joined = []
    for piece in pieces:
        inner = join(piece.node.domain, folded, len(dims)) if piece.node.domain else []
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
    return Group(
        tuple(joined),
        tuple(math.prod(dims[i] for i in group) for group in outer),
        sum(bool(piece.node.domain) for piece in pieces),
    )
