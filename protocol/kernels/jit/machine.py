"""From LLVM's text to machine code for a named instruction set, and into this process.

Targets are spelled out, never "this machine": code for `avx512` runs on every CPU with AVX-512 F,
BW, DQ and VL. LLVM contracts and reassociates nothing unless told so, and nothing here tells it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.jit.function import NAME


@dataclass(frozen=True, slots=True)
class Machine:
    """What LLVM is told about an instruction set, and its lanes of 32-bit words.

    ``scales`` tells whether it has `vscalefps`.
    """

    triple: str
    cpu: str
    features: str
    lanes: int
    width_bits: int
    scales: bool = False

    @property
    def attributes(self) -> str:
        """Attributes of a function."""
        bits = f'"prefer-vector-width"="{self.width_bits}" "min-legal-vector-width"="0"'
        return (
            f'nounwind mustprogress "no-builtins" "target-cpu"="{self.cpu}" '
            f'"target-features"="{self.features}" {bits if self.width_bits > 128 else ""}'
        )


_AVX2: Final = "+avx2,+fma"
_AVX512: Final = f"{_AVX2},+avx512f,+avx512dq,+avx512bw,+avx512vl"

MACHINES: Final = {
    # What cpu/isa.cpp looks for, and nothing else.
    "avx512": Machine("x86_64-unknown-linux-gnu", "x86-64", _AVX512, 16, 512, scales=True),
    "avx2": Machine("x86_64-unknown-linux-gnu", "x86-64", _AVX2, 8, 256),
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
    import llvmlite

    llvm = _llvm()
    return f"llvmlite {llvmlite.__version__}, LLVM {llvm.llvm_version_info}"


@functools.cache
def _llvm() -> Any:
    """LLVM, loaded at its first use: that takes a tenth of a second."""
    from llvmlite import binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    return binding


@functools.cache
def target_machine(isa: str) -> Any:
    """LLVM's target machine for an instruction set."""
    return _new_target(isa, jit=False)


def compile_text(ir: str, isa: str) -> bytes:
    """The object file of a module's text."""
    return bytes(target_machine(isa).emit_object(_optimised(ir, isa)))


def assembly(ir: str, isa: str) -> str:
    """The assembly text, for people."""
    return str(target_machine(isa).emit_assembly(_optimised(ir, isa)))


def _optimised(ir: str, isa: str) -> Any:
    """The parsed module after one pass over its instructions.

    What LLVM's usual passes would do (hoist, vectorise, unroll) the text does itself, in a tenth of
    their time; code generation has its own.
    """
    llvm, target = _llvm(), target_machine(isa)
    module = llvm.parse_assembly(ir, llvm.create_context())
    module.triple = machine_of(isa).triple
    module.data_layout = str(target.target_data)
    passes = llvm.create_new_function_pass_manager()
    passes.add_instruction_combine_pass()
    builder = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=2))
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return module


class Linked:
    """An object file loaded into this process; the code lives as long as this object.

    Raises:
        Unsupported: the code is for another kind of CPU than this process runs on.
    """

    def __init__(self, code: bytes, isa: str) -> None:
        llvm, machine = _llvm(), machine_of(isa)
        if machine.triple.split("-")[0] != llvm.get_process_triple().split("-")[0]:
            raise Unsupported(f"code for {isa} cannot run on {llvm.get_process_triple()}")
        empty = llvm.parse_assembly("", llvm.create_context())
        empty.triple = machine.triple
        # LLVM's own memory manager may put code and its constants too far apart for each other.
        self._engine = llvm.create_mcjit_compiler(empty, _new_target(isa, jit=True), use_lmm=True)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.address = int(self._engine.get_function_address(NAME))


def _new_target(isa: str, jit: bool) -> Any:
    machine = machine_of(isa)
    target = _llvm().Target.from_triple(machine.triple)
    # Position independent, because an object may be linked far from anything.
    return target.create_target_machine(
        cpu=machine.cpu,
        features=machine.features,
        opt=3,
        reloc="pic",
        codemodel="jitdefault" if jit else "small",
        jit=jit,
    )
