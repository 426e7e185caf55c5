"""Is machine code made at run time, does it compute the right bits, and is it kept between runs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from protocol.cli.checks import Area, Finding, fail, ok, warn

if TYPE_CHECKING:
    from protocol.program.node import Node

NAME: Final = "machine code"
ROWS, TERMS = 19, 37  # whole vectors and a rest, of every width


def machine_code() -> Finding:
    """A fold as machine code of each instruction set against the reference, and the cache."""
    from protocol.kernels.executor import JIT_VARIABLE, Compiled, default_compiled
    from protocol.kernels.isa import choose_instruction_set
    from protocol.kernels.jit.cache import VARIABLE, CacheWarning, cache_directory

    if default_compiled() is Compiled.NOTHING:
        return warn(
            Area.MACHINE,
            NAME,
            f"none is made, since {JIT_VARIABLE} is 0: steps take longer",
            f"unset {JIT_VARIABLE}, unless you want to compare",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)  # told below, in the finding
        made, wrong = _compute()
    if wrong:
        return fail(
            Area.MACHINE,
            NAME,
            f"that for {', '.join(wrong)} computes other bits than the reference",
            f"set {JIT_VARIABLE} to 0, and report it; test memory and processor",
        )
    chosen = choose_instruction_set()
    text = f"made for {chosen}" if chosen in made else f"none is made for {chosen}"
    if made:
        text += f"; that for {', '.join(made)} agrees with the reference"
    trouble = _trouble_of_cache()
    if trouble:
        todo = f"make that folder yours alone, or set {VARIABLE} to another"
        return warn(Area.MACHINE, NAME, f"{text}; it is not kept between runs: {trouble}", todo)
    return ok(Area.MACHINE, NAME, f"{text}; it is kept in {cache_directory()}")


def _compute() -> tuple[list[str], list[str]]:
    """The instruction sets that there is machine code for, and those whose bits are wrong."""
    import numpy as np

    from protocol.kernels import Executor, instruction_sets
    from protocol.kernels.executor import COMPILED, Compiled
    from protocol.kernels.reference.evaluator import evaluate_node

    node = _node()
    random = np.random.default_rng(2)
    scales = np.float32(10) ** random.integers(-20, 19, (ROWS, TERMS))
    numbers = random.standard_normal((ROWS, TERMS), np.float32) * scales.astype(np.float32)
    expected = evaluate_node(node, [numbers.reshape(-1).view(np.uint32).tolist()])
    made, wrong = [], []
    for isa in instruction_sets():
        executor = Executor(1, isa, compiled=Compiled.NODES)
        if executor.kernel(node).name != COMPILED:
            continue
        made.append(isa)
        if executor.run(node, [numbers]).view(np.uint32).tolist() != expected:
            wrong.append(isa)
    return made, wrong


def _node() -> Node:
    """Row sums of x * x + x."""
    from protocol.program.builder import FoldBuilder
    from protocol.program.isa import DType
    from protocol.program.node import Operand, OperandKind

    builder = FoldBuilder(DType.F32, (ROWS,), (TERMS,))
    operand = Operand(OperandKind.STATE, 0, DType.F32, (ROWS, TERMS))
    axes = [builder.out(0).axis(ROWS, TERMS), builder.red(0).axis(TERMS, 1)]
    x = builder.load(operand, axes)
    return builder.finish(builder.add(builder.acc, builder.fma(x, x, x)))


def _trouble_of_cache() -> str:
    """Why compiled code is not kept; empty if it is."""
    from protocol.kernels.jit.cache import CacheWarning, CodeCache, cache_directory, key_of

    folder = cache_directory()
    if folder is None:
        return "this user has no home folder"
    key, probe = key_of("doctor"), b"doctor"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", CacheWarning)
        cache = CodeCache(folder)
        cache.put(key, probe)
        found = cache.get(key)
    if found == probe:
        (folder / key).unlink(missing_ok=True)
        return ""
    return str(told[0].message) if told else f"{folder} does not keep what is written"
