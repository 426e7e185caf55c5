"""Cuts a program into stages: regions of nodes that one kernel computes, and single nodes.

A greedy pass in program order. Each compiled node joins the groups that made its operands, or that
read the same large tensors in the same way, if what results is still a region:

- some number of units fits every member, and each member reads the others only within its unit;
- there is enough to share out among threads, and what a unit passes on stays in the cache;
- no stage outside lies on a path between two members, so that the stages still have an order;
- operands do not wait for it in memory much longer than they would, measured by what it saves;
- an update of a state tensor stays in a flat region, where it may overwrite that tensor, and where
  the updates of all parameters share one kernel.

Values do not change: each node's fold is computed as it stands, only where its output is kept may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from protocol.kernels.affine import (
    Address,
    UnitMap,
    address_of,
    coordinate_loads,
    is_local,
    reads_own_element,
    unit_counts,
    unit_map,
)
from protocol.kernels.stages import (
    Stage,
    describe,
    execution_order,
    live_peak,
    make_stage,
    stored_outputs,
)
from protocol.program.node import Node, OperandKind, Program

__all__ = ["Stage", "describe", "stages_of"]

MIN_UNITS = 64
"""Units of a region: a machine of up to 16 cores still gets four parts per core to even out."""
TINY_WORK = 1 << 15
"""Instructions and loads of a region that one core computes sooner than others are woken."""
UNIT_BYTES = 256 << 10
"""Bytes that members pass to one another in a unit: a quarter to a half of a core's L2 cache."""
SHARED_BYTES = 16 << 10
"""Least size of a tensor worth reading once for two nodes; smaller ones stay in L1 anyway."""
MAX_MEMBERS = 48
"""Nodes of a region: bounds the code of a kernel and the time it takes to compile."""
REACH = 48
"""How many nodes back a group may lie: far ones would keep their operands or outputs alive."""
MEMORY = 1.1
"""Outputs may take this much of what they take node by node; otherwise groups reach less far."""
HOARD = 1 / 32
"""Part of them that one merger may keep in addition."""
WINDOW = 4096
"""Groups do not cross multiples of it: the analysis stays linear in the length of a program."""

Tensor = tuple[OperandKind, int]


def stages_of(program: Program, is_compiled: Callable[[Node], bool]) -> list[Stage]:
    """The stages of ``program`` in the order in which they run.

    Args:
        program: a validated program.
        is_compiled: whether a node may be part of a region; the others become stages alone.
    """
    alone = [make_stage(program, [k], None, set()) for k in range(len(program.nodes))]
    unfused = live_peak(program, alone)
    reach = REACH
    while True:
        stages = _cut(program, is_compiled, reach, int(HOARD * unfused))
        if reach == 0 or live_peak(program, stages) <= MEMORY * unfused:
            return stages
        reach //= 3


def _cut(
    program: Program, is_compiled: Callable[[Node], bool], reach: int, spare: int
) -> list[Stage]:
    groups = _Fusion(program, is_compiled, reach, spare).groups()
    group_of = [0] * len(program.nodes)
    for number, group in enumerate(groups):
        for member in group.members:
            group_of[member] = number
    stored = stored_outputs(program, group_of)
    return [
        make_stage(
            program,
            groups[number].members,
            max(groups[number].units) if groups[number].is_compiled else None,
            stored,
        )
        for number in execution_order(program, [g.members for g in groups], group_of)
    ]


def work_of(node: Node) -> int:
    """Instructions and loads of all terms of a node."""
    return node.numel * node.terms * (len(node.instructions) + len(node.loads))


@dataclass(slots=True, eq=False)
class _Group:
    """Nodes of one stage to be; sets of nodes are bits, counted from the start of the window."""

    members: list[int]
    units: frozenset[int]
    is_compiled: bool
    mask: int
    is_update: bool = False
    ancestors: int = 0
    work: int = 0
    reads: set[Tensor] = field(default_factory=set)


class _Fusion:
    def __init__(
        self, program: Program, is_compiled: Callable[[Node], bool], reach: int, spare: int
    ) -> None:
        self.program = program
        self.reach = reach
        self.spare = spare
        self.is_compiled = is_compiled
        self.group_of: list[_Group] = []
        self.base = 0
        self.readers: list[list[int]] = [[] for _ in program.nodes]
        for reader, operand in program.consumers():
            if operand.kind is OperandKind.NODE:
                self.readers[operand.index].append(reader)
        self.bytes_before = list(accumulate((n.nbytes for n in program.nodes), initial=0))
        self.last_readers: dict[Tensor, list[int]] = {}
        self._addresses: dict[int, list[Address | None]] = {}
        self._edges: dict[tuple[int, int], frozenset[int]] = {}
        self.bound: dict[int, list[int]] = {}
        for slot, binding in enumerate(program.bindings):
            if binding.kind is OperandKind.NODE:
                self.bound.setdefault(binding.index, []).append(slot)

    def groups(self) -> list[_Group]:
        """The groups in order of their first node."""
        for index, node in enumerate(self.program.nodes):
            if index % WINDOW == 0:
                self.base = index
                self.last_readers.clear()
            self._place(index, node)
        found = {id(group): group for group in self.group_of}
        return list(found.values())

    def _place(self, index: int, node: Node) -> None:
        """Give node ``index`` its group: a merger of earlier ones with it, or itself."""
        own = _Group(
            [index],
            unit_counts(node.shape),
            self.is_compiled(node),
            1 << (index - self.base),
            self._is_update(index),
            work=work_of(node),
            reads={(operand.kind, operand.index) for operand in node.operands},
        )
        self.group_of.append(own)
        for before in self._producers(own):
            own.ancestors |= before.ancestors | before.mask
        if not own.is_compiled:
            return
        untried = self._candidates(index, node)
        is_changed = True
        while untried and is_changed:
            is_changed = False
            for candidate in list(untried):
                merged = self._union([own, candidate])
                if merged is not None:
                    self._replace(merged)
                    own = merged
                    untried = [c for c in untried if not c.mask & own.mask]
                    is_changed = True
        self._remember(index, node)

    def _candidates(self, index: int, node: Node) -> list[_Group]:
        """Groups that made or read what the node reads, most bytes first, then latest."""
        benefit: dict[int, int] = {}
        found: dict[int, _Group] = {}
        for operand in node.operands:
            tensor = (operand.kind, operand.index)
            near = list(self.last_readers.get(tensor, ()))
            bytes_read = _nbytes(operand.shape, operand.dtype.width)
            if operand.kind is OperandKind.NODE and operand.index >= self.base:
                near.append(operand.index)
            for other in near:
                group = self.group_of[other]
                if group.is_compiled and index - group.members[-1] <= self.reach:
                    found[id(group)] = group
                    benefit[id(group)] = benefit.get(id(group), 0) + bytes_read
        return sorted(found.values(), key=lambda g: (-benefit[id(g)], -g.members[-1]))

    def _remember(self, index: int, node: Node) -> None:
        """Note the node as a reader of its large operands, for siblings to come."""
        for operand in node.operands:
            if _nbytes(operand.shape, operand.dtype.width) >= SHARED_BYTES:
                recent = self.last_readers.setdefault((operand.kind, operand.index), [])
                recent.append(index)
                del recent[:-4]

    def _union(self, parts: list[_Group]) -> _Group | None:
        """The group of all parts, or None if it is no region or not worth it."""
        members = sorted(member for part in parts for member in part.members)
        if len(members) > MAX_MEMBERS:
            return None
        work = sum(part.work for part in parts)
        units = frozenset.intersection(*(part.units for part in parts))
        least = 1 if work <= TINY_WORK else MIN_UNITS
        if not units or max(units) < least:
            return None
        mask = 0
        for part in parts:
            mask |= part.mask
        units = self._common_units(members, units, mask)
        units = frozenset(u for u in units if u >= least)
        if not units or not self._fits_cache(members, max(units), mask):
            return None
        if not self._is_connected(parts, max(units)) or self._is_hoard(parts, members, mask):
            return None
        is_update = any(part.is_update for part in parts)
        if is_update and not self._is_flat(members, max(units)):
            return None
        merged = _Group(members, units, True, mask, is_update, work=work)
        merged.reads = set().union(*(part.reads for part in parts))
        for part in parts:
            merged.ancestors |= part.ancestors
        for before in self._producers(merged):
            if not before.mask & mask and before.ancestors & mask:
                return None  # it lies on a path from one member to another
        return merged

    def _common_units(self, members: list[int], units: frozenset[int], mask: int) -> frozenset[int]:
        """Those of ``units`` for which every operand from another part is read within its unit."""
        for member in members:
            own = self.group_of[member]
            for operand in self.program.nodes[member].operands:
                if (
                    operand.kind is OperandKind.NODE
                    and self._is_within(operand.index, mask)
                    and self.group_of[operand.index] is not own
                ):
                    units &= self._edge(operand.index, member)
        return units

    def _edge(self, producer: int, reader: int) -> frozenset[int]:
        """Numbers of units for which ``reader`` reads ``producer`` within its own unit."""
        key = (producer, reader)
        if key in self._edges:
            return self._edges[key]
        node, made = self.program.nodes[reader], self.program.nodes[producer]
        units = unit_counts(node.shape) & unit_counts(made.shape)
        for k, address in self._loads_of(reader, (OperandKind.NODE, producer)):
            if address is None or k in coordinate_loads(node.loads):
                units = frozenset()
                break
            units = frozenset(
                u for u in units if is_local(address, node.shape, node.domain, made.numel // u, u)
            )
        self._edges[key] = units
        return units

    def _fits_cache(self, members: list[int], units: int, mask: int) -> bool:
        passed = 0
        for member in members:
            if any(self._is_within(r, mask) for r in self.readers[member]):
                passed += self.program.nodes[member].nbytes // units
        return passed <= UNIT_BYTES

    def _is_update(self, index: int) -> bool:
        """Whether the node makes a state tensor from the same elements of the one before."""
        node = self.program.nodes[index]
        states = {o.index for o in node.operands if o.kind is OperandKind.STATE}
        return not node.domain and any(
            slot in states and reads_own_element(node, slot) for slot in self.bound.get(index, ())
        )

    def _is_flat(self, members: list[int], units: int) -> bool:
        nodes = [self.program.nodes[member] for member in members]
        return all(not node.domain and node.numel == units for node in nodes)

    def _is_hoard(self, parts: list[_Group], members: list[int], mask: int) -> bool:
        """Whether computing the parts at one time keeps more bytes than it saves.

        They are computed with the last of them, or before the first reader outside. Earlier parts
        keep their operands until then, later ones have their outputs from then on.
        """
        outside = [r for m in members for r in self.readers[m] if not self._is_within(r, mask)]
        time = min([members[-1], *outside])
        excess = 0
        for part in parts:
            first, last = part.members[0], part.members[-1]
            operands = sum(
                self.program.nodes[index].nbytes
                for kind, index in part.reads
                if kind is OperandKind.NODE
                and not self._is_within(index, mask)
                and index not in self.bound
                and self.readers[index][-1] <= last
            )
            outputs = {True: 0, False: 0}
            for m in part.members:
                if m not in self.bound and self.readers[m]:
                    is_passed = all(self._is_within(r, mask) for r in self.readers[m])
                    if not is_passed or self.readers[m][-1] > last:
                        outputs[is_passed] += self.program.nodes[m].nbytes
            excess -= outputs[True]
            if last < time:
                excess += min(operands, self._bytes_between(last, time, members))
            elif time < first:
                late = min(outputs[False], self._bytes_between(time, first, members))
                excess += late - operands
        return excess > self.spare

    def _bytes_between(self, early: int, late: int, members: list[int]) -> int:
        """Bytes of outputs made after node ``early`` and before ``late``, but by ``members``."""
        between = self.bytes_before[late] - self.bytes_before[early + 1]
        return between - sum(self.program.nodes[m].nbytes for m in members if early < m < late)

    def _is_connected(self, parts: list[_Group], units: int) -> bool:
        """Whether each part but the first reads, is read by, or shares with another one."""
        for part in parts[1:]:
            others = [other for other in parts if other is not part]
            if not any(self._touch(part, other, units) for other in others):
                return False
        return True

    def _touch(self, one: _Group, other: _Group, units: int) -> bool:
        for reader, made in ((one, other), (other, one)):
            if any(
                kind is OperandKind.NODE and self._is_within(i, made.mask)
                for kind, i in reader.reads
            ):
                return True
        return any(
            first.meets(second)
            for tensor in one.reads & other.reads
            if tensor in self.last_readers
            for first in self._maps(one, tensor, units)
            for second in self._maps(other, tensor, units)
        )

    def _maps(self, group: _Group, tensor: Tensor, units: int) -> Iterator[UnitMap]:
        for member in group.members:
            node = self.program.nodes[member]
            for _, address in self._loads_of(member, tensor):
                if address is not None:
                    yield unit_map(address, node.shape, node.domain, units)

    def _loads_of(self, index: int, tensor: Tensor) -> Iterator[tuple[int, Address | None]]:
        """Number and address of each load with which a node reads ``tensor``."""
        node = self.program.nodes[index]
        if index not in self._addresses:
            extents = node.shape + node.domain
            self._addresses[index] = [address_of(load, extents) for load in node.loads]
        for k, load in enumerate(node.loads):
            operand = node.operands[load.operand]
            if (operand.kind, operand.index) == tensor:
                yield k, self._addresses[index][k]

    def _replace(self, merged: _Group) -> None:
        """Put ``merged`` in the place of its parts, and tell what comes after it."""
        for member in merged.members:
            self.group_of[member] = merged
        for before in self._producers(merged):
            if before is not merged:
                merged.ancestors |= before.ancestors | before.mask
        pending = [merged]
        while pending:
            group = pending.pop()
            known = group.ancestors | group.mask
            for after in self._consumers(group):
                if known & ~after.ancestors:
                    after.ancestors |= known
                    pending.append(after)

    def _producers(self, group: _Group) -> Iterator[_Group]:
        for kind, index in group.reads:
            if kind is OperandKind.NODE and index >= self.base:
                yield self.group_of[index]

    def _consumers(self, group: _Group) -> Iterable[_Group]:
        for member in group.members:
            for reader in self.readers[member]:
                if reader < len(self.group_of) and reader >= self.base:
                    after = self.group_of[reader]
                    if after is not group:
                        yield after

    def _is_within(self, index: int, mask: int) -> bool:
        return index >= self.base and bool(mask >> (index - self.base) & 1)


def _nbytes(shape: tuple[int, ...], width: int) -> int:
    count = width
    for size in shape:
        count *= size
    return count
