"""Reads PTX and refuses what would change bits: the last look at a kernel before it runs.

The check is a list of what is allowed, not of what is forbidden: an instruction on floats that the
generator has no use for is refused, whatever it is.

- Sums, differences and products must say ``.rn``: without a rounding mode the assembler may fuse
  them (PTX ISA, "Floating Point Instructions: add, mul"). With it, it may not.
- A fused multiply-add is allowed only within inline assembly. `op_fma` of ``source/ops.cuh`` writes
  it there and nothing else does, so one outside is the compiler's own contraction. This stays exact
  where loops are unrolled, hoisted or merged, which a count of instructions would not.
- ``div.rn`` and ``sqrt.rn`` are single instructions, correctly rounded.
- ``min`` and ``max`` lose NaNs; no kernel uses them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from protocol.kernels.cuda.errors import CudaUnavailable

ALLOWED: Final = frozenset(
    {
        *(f"{op}.rn.f32" for op in ("add", "sub", "mul", "div", "sqrt")),
        "mov.f32", "selp.f32", "neg.f32", "abs.f32",
        "cvt.rn.f32.s32", "cvt.rn.f32.u32", "cvt.rzi.s32.f32", "cvt.rzi.u32.f32",
    }
)  # fmt: skip
"""Float instructions besides moves to and from memory, and comparisons."""

FUSED: Final = "fma.rn.f32"
MOVES: Final = frozenset({"ld", "st", "setp", "set"})
ATOMICS: Final = frozenset({"atom", "red", "multimem"})
TENSOR: Final = frozenset({"mma", "wmma", "wgmma", "tcgen05"})

_FUNCTION = re.compile(r"\.(?:entry|func)\s+(?:\(.*?\)\s*)?([\w$]+)")
_INSTRUCTION = re.compile(r"^(?:@!?%\w+\s+)?([a-z][\w.:]*)(?:\s|$)")
_FLOAT = re.compile(r"^(?:b?f16|tf32|f32|f64|e[245]m)")


@dataclass(frozen=True, slots=True)
class Sin:
    """An instruction that no kernel may have."""

    function: str
    line: int
    instruction: str
    why: str

    def __str__(self) -> str:
        return f"{self.function}, PTX line {self.line}: `{self.instruction}`: {self.why}"


class UnsafeKernel(CudaUnavailable):
    """The compiler made something that might give other bits; nothing was run.

    Attributes:
        sins: what it made.
    """

    def __init__(self, sins: list[Sin]) -> None:
        super().__init__(
            "a compiled kernel was refused, and not run",
            f"{len(sins)} of its instructions may give other bits: {'; '.join(map(str, sins[:3]))}",
            "install another version of nvidia-cuda-nvrtc, or use --device cpu",
        )
        self.sins = sins


def check_ptx(ptx: str, fused: Collection[str]) -> None:
    """Raise UnsafeKernel unless every instruction is one that a kernel may have.

    Args:
        ptx: of a translation unit.
        fused: names of the functions whose program asks for fused multiply-adds.
    """
    sins = list(find_sins(ptx, fused))
    if sins:
        raise UnsafeKernel(sins)


def find_sins(ptx: str, fused: Collection[str]) -> Iterator[Sin]:
    """Every instruction that no kernel may have; see `check_ptx`."""
    function, inline = "", False
    for number, line in enumerate(ptx.splitlines(), 1):
        text = line.strip()
        if text.startswith("//"):
            inline = (inline or "begin inline asm" in text) and "end inline asm" not in text
            continue
        named = _FUNCTION.search(text)
        if named is not None:
            function = named[1]
        for piece in text.split(";")[:-1]:
            match = _INSTRUCTION.match(piece.strip("{} \t"))
            if match is not None:
                why = _sin(match[1], inline and function in fused, function in fused)
                if why is not None:
                    yield Sin(function, number, piece.strip(), why)


def _sin(opcode: str, asked: bool, has_fma: bool) -> str | None:
    """What is wrong with an instruction, or None.

    Args:
        opcode: with its modifiers.
        asked: it stands where the program asked for a fused multiply-add.
        has_fma: the function's program asks for any.
    """
    name, *modifiers = opcode.split(".")
    types = [m for m in modifiers if _FLOAT.match(m)]
    if name in TENSOR:
        return "matrix units add in an order of their own"
    if not types:
        return None
    if "ftz" in modifiers:
        return "flushes subnormals to zero"
    if "approx" in modifiers or "full" in modifiers:
        return "is not correctly rounded"
    if name in ATOMICS:
        return "adds floats in no fixed order"
    if any(t != "f32" for t in types):
        return "computes in another precision"
    if name in ("fma", "mad"):
        if opcode == FUSED and asked:
            return None
        return "contracts a product and a sum" + ("" if has_fma else " of a program without fma")
    if name in MOVES or opcode in ALLOWED:
        return None
    if name in ("add", "sub", "mul") and "rn" not in modifiers:
        return "has no rounding mode: the assembler may contract it, or it rounds otherwise"
    return "is no instruction that a kernel is made of"
