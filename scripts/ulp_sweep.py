"""Measures the error of the expansions over the f32 inputs and writes docs/ulp.md.

The native executor evaluates the very programs that tasks contain; the reference is NumPy's or
SciPy's double. Run `python scripts/ulp_sweep.py --stride 1` for all 2^32 inputs (hours), or with a
stride for every n-th word of both signs and all exponents.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from protocol.kernels.executor import Executor
from protocol.program import expansions
from protocol.program.body import Body, Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind

TABLE = Path(__file__).parent.parent / "docs" / "ulp.md"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Function:
    """An expansion, its double-precision reference and the inputs that count."""

    expand: Callable[[Body, Value], Value]
    reference: Callable[[np.ndarray], np.ndarray]
    inputs: str = "all"
    limit: float = float("inf")  # largest magnitude that counts


FUNCTIONS = {
    "exp": Function(expansions.exp, np.exp),
    "log": Function(expansions.log, np.log),
    "log1p": Function(expansions.log1p, np.log1p),
    "expm1": Function(expansions.expm1, np.expm1),
    "tanh": Function(expansions.tanh, np.tanh),
    "erf": Function(expansions.erf, special.erf),
    "sin": Function(expansions.sin, np.sin, "abs(x) <= 131,072", 131_072.0),
    "cos": Function(expansions.cos, np.cos, "abs(x) <= 131,072", 131_072.0),
    "sin (large)": Function(expansions.sin, np.sin, "abs(x) < 2^22", 4_194_303.75),
    "cos (large)": Function(expansions.cos, np.cos, "abs(x) < 2^22", 4_194_303.75),
    "sigmoid": Function(expansions.sigmoid, special.expit, "abs(x) <= 87", 87.0),
    "rsqrt": Function(expansions.rsqrt, lambda x: 1 / np.sqrt(x)),
}


def node_of(function: Function, length: int = BLOCK) -> Node:
    """A node that applies the expansion to ``length`` elements."""
    b = FoldBuilder(DType.F32, (length,))
    x = b.load(Operand(OperandKind.DATA, 0, DType.F32, (length,)), [b.out(0).axis(length, 1)])
    return b.finish(function.expand(b, x))


def ulp_errors(function: Function, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Error of y in units of the last f32 place of the exact result.

    Infinite where only one of them is finite, 0 where both overflow alike or are NaN.
    """
    with np.errstate(all="ignore"):
        exact = function.reference(x.astype(np.float64))
        rounded = exact.astype(np.float32)
        _, exponent = np.frexp(np.abs(exact))
        place = np.ldexp(1.0, np.maximum(exponent - 24, -149))
        error = np.abs(y.astype(np.float64) - exact) / place
    same = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    finite = np.isfinite(rounded) & np.isfinite(y)
    error = np.where(finite, error, np.where(same, 0.0, np.inf))
    return np.where(np.abs(x) <= function.limit, error, 0.0)


def words(stride: int, offset: int = 0) -> Iterator[np.ndarray]:
    """Every ``stride``-th f32 as blocks; NaN inputs are left out."""
    for start in range(offset, 1 << 32, stride * BLOCK):
        block = start + stride * np.arange(BLOCK, dtype=np.uint64)
        x = np.where(block < 1 << 32, block, 0).astype(np.uint32).view(np.float32)
        yield np.where(np.isnan(x), np.float32(1), x)


def sweep(function: Function, stride: int, executor: Executor) -> tuple[float, float, int]:
    """Largest error in ulp, the input where it is, and how many inputs were tried."""
    node, worst, place, count = node_of(function), 0.0, 0.0, 0
    for x in words(stride):
        errors = ulp_errors(function, x, executor.run(node, [x]))
        at = int(errors.argmax())
        if errors[at] > worst:
            worst, place = float(errors[at]), float(x[at])
        count += len(x)
    return worst, place, count


def _ordinal(number: int) -> str:
    return "one" if number == 1 else f"{number}th"


def main() -> None:
    """Sweep every function and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=97, help="take every n-th input")
    parser.add_argument("--write", action="store_true", help=f"rewrite {TABLE.name}")
    options = parser.parse_args()
    executor = Executor()
    lines = [
        "# Error of the expansions",
        "",
        "Largest error over the f32 inputs, in units of the last place of the exact result",
        "(subnormal results and inputs included; infinities and NaN agree with the double",
        f"reference). Every {_ordinal(options.stride)} of the 2^32 words was evaluated, by the",
        "program text that tasks contain. Rewrite with `python scripts/ulp_sweep.py --write`; a",
        "test holds a sample below these figures.",
        "",
        "| function | inputs | instructions | max ulp | at |",
        "|---|---|---|---|---|",
    ]
    for name, function in FUNCTIONS.items():
        worst, place, _ = sweep(function, options.stride, executor)
        size = len(node_of(function, 1).instructions)
        lines.append(f"| {name} | {function.inputs} | {size} | {worst:.3f} | {place:.9g} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        "`sin` and `cos` are NaN from abs(x) = 2^22 on: three words of pi/2 reduce no further.",
        "`sigmoid` goes to 0 from about -88 on, where exp(-x) overflows; the exact result is a",
        "subnormal number there.",
    ]
    if options.write:
        TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
