"""Machine code of a region, and how its units may be handed out to threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.kernels.cpu import _cpu
from protocol.kernels.fusion import work_of
from protocol.kernels.jit.compile import MachineCode, compile_region
from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.region import Region

WORTH_A_THREAD: Final = 1 << 17
"""Instructions and loads that take a core longer (10 to 30 microseconds) than waking another."""
FLAT_GRANULE: Final = 64  # elements of at least a cache line, whatever their width
ROW_GRANULE: Final = 16  # rows whose scalars fill a vector
MANY_ROWS: Final = 256  # fewer are handed out one by one, so that all threads get some


@dataclass(frozen=True, slots=True)
class CompiledRegion:
    """A region's machine code, kept alive, and what the engine is told of it."""

    code: MachineCode
    work: _cpu.Work


def region_work(region: Region) -> int:
    """Instructions and loads of all terms of a region's nodes."""
    return sum(work_of(node) for node in region.nodes)


def compile_or_none(region: Region, isa: str) -> CompiledRegion | None:
    """The region compiled for ``isa``, or None if the C++ engine has to compute it."""
    try:
        code = compile_region(region, isa)
    except Unsupported:
        return None
    granule = FLAT_GRANULE if region.is_flat else ROW_GRANULE if region.units >= MANY_ROWS else 1
    per_unit = max(1, region_work(region) // region.units)
    grain = max(1, WORTH_A_THREAD // per_unit)
    work = _cpu.Work(code.address, region.units, grain, granule, code.scratch_bytes)
    return CompiledRegion(code, work)
