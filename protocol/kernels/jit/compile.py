"""Regions to machine code, each kind of region once."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.kernels.jit.function import write_function
from protocol.kernels.jit.machine import Linked, compile_text, machine_of
from protocol.kernels.region import Region


@dataclass(frozen=True, slots=True)
class MachineCode:
    """A compiled region: ``void f(void* const* buffers, void* scratch, int64_t begin, end)``.

    It computes the units [begin, end) and may run on several threads at once, each with its own
    ``scratch_bytes`` bytes of scratch, aligned to 64. The code lives as long as this object.
    """

    address: int
    scratch_bytes: int
    isa: str
    linked: Linked


def compile_region(region: Region, isa: str) -> MachineCode:
    """Machine code for a region.

    Raises:
        Unsupported: the C++ engine has to compute it; the message says why.
    """
    machine = machine_of(isa)
    text = write_function(region, machine.lanes, machine.attributes)
    linked = Linked(compile_text(text.ir, isa), isa)
    return MachineCode(linked.address, text.scratch_bytes, isa, linked)
