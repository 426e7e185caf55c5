"""What a node becomes: CUDA source with the launches that run it, and whole translation units."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from protocol.kernels.cuda.emit import POINTEES
from protocol.program.node import Node

THREADS: Final = 256
"""Threads of every block."""

NAME: Final = "@NAME@"
"""Stands for the kernel's name in text that is not finished."""

OUT: Final = "out"
SCRATCH: Final = "scratch"

_FUNCTION: Final = re.compile(r'extern "C" __global__ void(?: __launch_bounds__\(\d+\))?\s+(\w+)\(')

Argument = int | str
"""An operand's slot, `OUT` or `SCRATCH`."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of a kernel function: ``blocks`` blocks of `THREADS` threads."""

    function: str
    blocks: int
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class KernelSource:
    """CUDA source of one node.

    Attributes:
        name: made from the text's hash, so that equal nodes share it.
        text: the node's functions, without what they include.
        includes: names of the files of ``source/`` that come before it.
        launches: to be made in order on one stream.
        scratch_words: 32-bit words of working memory that the launches share.
    """

    name: str
    text: str
    includes: tuple[str, ...]
    launches: tuple[Launch, ...]
    scratch_words: int = 0

    @property
    def fused(self) -> bool:
        """Whether the node's program asks for fused multiply-adds."""
        return "product.cuh" in self.includes or "op_fma(" in self.text


def finish(
    text: str,
    launches: Sequence[Launch],
    includes: Sequence[str] = (),
    scratch_words: int = 0,
) -> KernelSource:
    """The kernel of ``text``, in which `NAME` is replaced by the name that its hash gives."""
    name = f"fold_{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    return KernelSource(
        name,
        text.replace(NAME, name),
        ("ops.cuh", *includes),
        tuple(
            Launch(launch.function.replace(NAME, name), launch.blocks, launch.arguments)
            for launch in launches
        ),
        scratch_words,
    )


def translation_unit(kernels: Iterable[KernelSource]) -> str:
    """Source text with all these kernels, each once."""
    distinct = {kernel.name: kernel for kernel in kernels}
    includes = dict.fromkeys(i for kernel in distinct.values() for i in kernel.includes)
    parts = [read_source(name) for name in includes]
    return "\n".join([*parts, *(kernel.text for kernel in distinct.values())])


@cache
def read_source(name: str) -> str:
    """A file of ``source/``."""
    return (files("protocol.kernels.cuda") / "source" / name).read_text()


def function_names(source: str) -> list[str]:
    """The kernel functions of a source text."""
    return _FUNCTION.findall(source)


def kernel_function(name: str, parameters: Sequence[str], lines: Iterable[str]) -> str:
    """A kernel function of `THREADS` threads a block."""
    head = f'extern "C" __global__ void __launch_bounds__({THREADS})\n{name}('
    return f"{head}{', '.join(parameters)}) {{\n{indented(lines)}\n}}\n"


def operand_parameters(node: Node, loads: Iterable[int]) -> tuple[list[str], list[int]]:
    """Parameters for the operands that these loads read, and their slots."""
    slots = sorted({node.loads[k].operand for k in loads})
    declared = [
        f"const {POINTEES[node.operands[slot].dtype]}* __restrict__ p{slot}" for slot in slots
    ]
    return declared, slots


def blocks_for(threads: int) -> int:
    """Blocks that hold at least so many threads."""
    return -(-threads // THREADS)


def indented(lines: Iterable[str]) -> str:
    """Lines, one level deeper."""
    return "\n".join(f"  {line}" for line in lines)


def loops(dims: Sequence[tuple[str, int]], body: Sequence[str]) -> list[str]:
    """Nested loops over named coordinates; `continue` in ``body`` ends one term."""
    if not dims:
        return ["do {", *(f"  {line}" for line in body), "} while (false);"]
    lines = list(body)
    for name, extent in reversed(dims):
        head = f"for (u32 {name} = 0u; {name} < {extent}u; ++{name}) {{"
        lines = [head, *(f"  {line}" for line in lines), "}"]
    return lines
