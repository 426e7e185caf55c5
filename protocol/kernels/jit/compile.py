"""Regions to machine code, each kind of region once.

Two regions are of one kind if their text is the same: layers of the same shapes share code, and so
do all elementwise updates whatever their sizes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

from protocol.kernels.jit.cache import CodeCache, cache_directory, key_of
from protocol.kernels.jit.function import NAME, Text, write_function
from protocol.kernels.jit.machine import Linked, compile_text, machine_of, version
from protocol.kernels.region import Region
from protocol.program.node import Node, OperandKind

REMEMBERED = 512  # kinds of regions, and pieces of code; about 50 KB each


@dataclass(frozen=True, slots=True)
class MachineCode:
    """A compiled region: ``void f(void* const* buffers, void* scratch, int64_t begin, end)``.

    It computes the units [begin, end) and may run on several threads at once, each with its own
    ``scratch_bytes`` bytes of scratch, aligned to 64. The code lives as long as this object.
    """

    address: int
    scratch_bytes: int
    isa: str
    linked: Linked = field(repr=False)


def compile_region(region: Region, isa: str) -> MachineCode:
    """Machine code for a region, for this process.

    Raises:
        Unsupported: the C++ engine has to compute it; the message says why.
    """
    return _compiled(_kind(region), isa)


def compile_object(region: Region, isa: str, name: str = NAME) -> tuple[bytes, int]:
    """The object file of a region, whose function is called ``name``, and its bytes of scratch.

    Raises:
        Unsupported: as `compile_region`.
    """
    text = _text(_kind(region), isa, name)
    return _code(text.ir, isa), text.scratch_bytes


@functools.lru_cache(REMEMBERED)
def _compiled(region: Region, isa: str) -> MachineCode:
    text = _text(region, isa)
    linked = _linked(text.ir, isa)
    return MachineCode(linked.address, text.scratch_bytes, isa, linked)


@functools.lru_cache(REMEMBERED)
def _linked(ir: str, isa: str) -> Linked:
    return Linked(_code(ir, isa), isa)


def _text(region: Region, isa: str, name: str = NAME) -> Text:
    machine = machine_of(isa)
    return write_function(region, machine.lanes, machine.attributes, name, machine.scales)


def _code(ir: str, isa: str) -> bytes:
    """The object file of a text, from the cache if it is there."""
    cache = CodeCache(cache_directory())
    key = key_of(ir, repr(machine_of(isa)), version())
    code = cache.get(key)
    if code is None:
        code = compile_text(ir, isa)
        cache.put(key, code)
    return code


def _kind(region: Region) -> Region:
    """The region without what its code does not depend on: where its operands come from."""
    return replace(region, nodes=tuple(map(_anonymous, region.nodes)))


def _anonymous(node: Node) -> Node:
    operands = (replace(o, kind=OperandKind.STATE, index=0) for o in node.operands)
    return replace(node, operands=tuple(operands))
