"""From LLVM's text to machine code for a named instruction set, and into this process.

Targets are spelled out, never "this machine": code for `avx512` runs on every CPU with AVX-512 F,
BW, DQ and VL. LLVM contracts and reassociates nothing unless told so, and nothing here tells it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

import llvmlite
from llvmlite import binding as llvm

from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.jit.function import NAME


@dataclass(frozen=True, slots=True)
class Machine:
    """What LLVM is told about an instruction set, and its lanes of 32-bit words."""

    triple: str
    cpu: str
    features: str
    lanes: int
    width_bits: int

    @property
    def attributes(self) -> str:
        """Attributes of a function."""
        bits = f'"prefer-vector-width"="{self.width_bits}" "min-legal-vector-width"="0"'
        return (
            f'nounwind mustprogress "target-cpu"="{self.cpu}" '
            f'"target-features"="{self.features}" {bits if self.width_bits > 128 else ""}'
        )


MACHINES: Final = {
    "avx512": Machine("x86_64-unknown-linux-gnu", "x86-64-v4", "-prefer-256-bit", 16, 512),
    "avx2": Machine("x86_64-unknown-linux-gnu", "x86-64-v3", "", 8, 256),
    "neon": Machine("aarch64-unknown-linux-gnu", "generic", "+neon", 4, 128),
}


def machine_of(isa: str) -> Machine:
    """The machine of an instruction set.

    Raises:
        Unsupported: `baseline`, whose fma is in software, and names that are none of ours.
    """
    if isa not in MACHINES:
        raise Unsupported(f"no machine code for the instruction set {isa!r}")
    return MACHINES[isa]


def version() -> str:
    """What the bytes of compiled code depend on besides the text."""
    return f"llvmlite {llvmlite.__version__}, LLVM {llvm.llvm_version_info}"


@functools.cache
def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def target_machine(isa: str) -> Any:
    """LLVM's target machine."""
    _initialise()
    machine = machine_of(isa)
    target = llvm.Target.from_triple(machine.triple)
    # Position independent: an object may be linked far from anything, and into a test's program.
    return target.create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=3, reloc="pic", codemodel="small"
    )


def compile_text(ir: str, isa: str) -> bytes:
    """The object file of a module's text."""
    return bytes(target_machine(isa).emit_object(_optimised(ir, isa)))


def assembly(ir: str, isa: str) -> str:
    """The assembly text, for people."""
    return str(target_machine(isa).emit_assembly(_optimised(ir, isa)))


def _optimised(ir: str, isa: str) -> Any:
    """The parsed module after the passes: loops are vectorised and unrolled in the text already."""
    target = target_machine(isa)
    module = llvm.parse_assembly(ir, llvm.create_context())
    module.triple = machine_of(isa).triple
    module.data_layout = str(target.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_unrolling = False
    options.loop_interleaving = False
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    return module


class Linked:
    """An object file loaded into this process; the code lives as long as this object."""

    def __init__(self, code: bytes, isa: str) -> None:
        target = target_machine(isa)
        empty = llvm.parse_assembly("", llvm.create_context())
        empty.triple = machine_of(isa).triple
        self._engine = llvm.create_mcjit_compiler(empty, _own_machine(target, isa))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.address = int(self._engine.get_function_address(NAME))


def _own_machine(_: Any, isa: str) -> Any:
    """A target machine that an engine may own."""
    machine = machine_of(isa)
    target = llvm.Target.from_triple(machine.triple)
    return target.create_target_machine(cpu=machine.cpu, features=machine.features, opt=3, jit=True)
