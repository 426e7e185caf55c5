"""What this machine can do at best: fused multiply-adds a second, and bytes read a second.

    python -m scripts.bench.roofline [--json]

Every kernel lies below one of these two roofs; docs/KERNELS.md says which. The loops are written
in LLVM's text and run by the same engine as the kernels.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

import numpy as np

from protocol.kernels import instruction_sets
from protocol.kernels.cpu import _cpu
from protocol.kernels.jit.machine import Linked, Machine, compile_text, machine_of

CHAINS = (
    12  # accumulators: enough for two units of five cycles' latency, and 16 registers hold them
)
ROUNDS = 2_000  # of all chains in a unit of work
READ_AT_ONCE = 8  # vectors
SIZES = {"16 KiB": 16 << 10, "512 KiB": 512 << 10, "8 MiB": 8 << 20, "256 MiB": 256 << 20}
SECONDS = 0.3
TRIES = 5


def multiply_add_text(machine: Machine) -> str:
    """Units of `ROUNDS` x `CHAINS` vector multiply-adds on registers."""
    vector = f"<{machine.lanes} x float>"
    name = f"@llvm.fma.v{machine.lanes}f32"
    heads = [f"  %a{i} = phi {vector} [%x, %entry], [%n{i}, %loop]" for i in range(CHAINS)]
    steps = [
        f"  %n{i} = call {vector} {name}({vector} %x, {vector} %y, {vector} %a{i})"
        for i in range(CHAINS)
    ]
    tree = [f"  %s0 = fadd {vector} %n0, %n0"]
    tree += [f"  %s{i} = fadd {vector} %s{i - 1}, %n{i}" for i in range(1, CHAINS)]
    return "\n".join([
        f"declare {vector} {name}({vector}, {vector}, {vector})",
        "define void @fold(ptr %buffers, ptr %scratch, i64 %begin, i64 %end) "
        f"{machine.attributes} {{",
        "entry:",
        "  %in = load ptr, ptr %buffers",
        f"  %x = load {vector}, ptr %in, align 4",
        f"  %y = fadd {vector} %x, %x",
        "  %units = sub i64 %end, %begin",
        f"  %rounds = mul i64 %units, {ROUNDS}",
        "  br label %loop",
        "loop:",
        "  %r = phi i64 [0, %entry], [%r1, %loop]",
        *heads,
        *steps,
        "  %r1 = add i64 %r, 1",
        "  %more = icmp slt i64 %r1, %rounds",
        "  br i1 %more, label %loop, label %done",
        "done:",
        *tree,
        f"  store {vector} %s{CHAINS - 1}, ptr %scratch, align 4",
        "  ret void",
        "}",
    ])  # fmt: skip


def read_text(machine: Machine, size: int) -> str:
    """Units of `READ_AT_ONCE` vectors, read and or-ed, round and round in ``size`` bytes."""
    vector = f"<{machine.lanes} x i32>"
    step = READ_AT_ONCE * machine.lanes
    last = size // (4 * step) - 1  # sizes are powers of two
    heads = [
        f"  %a{i} = phi {vector} [zeroinitializer, %entry], [%n{i}, %loop]"
        for i in range(READ_AT_ONCE)
    ]
    body = []
    for i in range(READ_AT_ONCE):
        body += [
            f"  %p{i} = getelementptr i32, ptr %at, i64 {i * machine.lanes}",
            f"  %w{i} = load {vector}, ptr %p{i}, align 4",
            f"  %n{i} = or {vector} %a{i}, %w{i}",
        ]
    tree = [f"  %s0 = or {vector} %n0, %n0"]
    tree += [f"  %s{i} = or {vector} %s{i - 1}, %n{i}" for i in range(1, READ_AT_ONCE)]
    return "\n".join([
        "define void @fold(ptr %buffers, ptr %scratch, i64 %begin, i64 %end) "
        f"{machine.attributes} {{",
        "entry:",
        "  %in = load ptr, ptr %buffers",
        "  br label %loop",
        "loop:",
        "  %u = phi i64 [%begin, %entry], [%u1, %loop]",
        *heads,
        f"  %v = and i64 %u, {last}",
        f"  %offset = mul i64 %v, {step}",
        "  %at = getelementptr i32, ptr %in, i64 %offset",
        *body,
        "  %u1 = add i64 %u, 1",
        "  %more = icmp slt i64 %u1, %end",
        "  br i1 %more, label %loop, label %done",
        "done:",
        *tree,
        f"  store {vector} %s{READ_AT_ONCE - 1}, ptr %scratch, align 4",
        "  ret void",
        "}",
    ])  # fmt: skip


def timed(text: str, isa: str, memory: np.ndarray, units: int, threads: int) -> float:
    """Seconds of one run over all units, the best of `TRIES` averages."""
    linked = Linked(compile_text(text, isa), isa)
    schedule = _cpu.Schedule([memory.nbytes])
    schedule.add_code(_cpu.Work(linked.address, units, max(1, units // 64), 1, 4096), [0])
    schedule.bind(0, memory)
    schedule.run(threads)
    return min(_average(lambda: schedule.run(threads)) for _ in range(TRIES))


def _average(run: Callable[[], None]) -> float:
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS / TRIES:
        run()
        count += 1
    return (time.perf_counter() - start) / count


def measure(isa: str, threads: int) -> dict[str, float]:
    """Giga multiply-adds (two operations each) and gigabytes a second by size."""
    machine = machine_of(isa)
    units = 64 * threads
    seconds = timed(multiply_add_text(machine), isa, np.full(64, 1e-3, "<f4"), units, threads)
    operations = 2.0 * units * ROUNDS * CHAINS * machine.lanes
    found = {"gflops": operations / seconds / 1e9}
    for label, size in SIZES.items():
        memory = np.ones(size, np.uint8)  # zeros would all be one page
        units = max(size, SIZES["8 MiB"]) // (READ_AT_ONCE * machine.lanes * 4)
        read = units * READ_AT_ONCE * machine.lanes * 4
        found[label] = read / timed(read_text(machine, size), isa, memory, units, threads) / 1e9
    return found


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    compiled = [isa for isa in instruction_sets() if isa != "baseline"]
    counts = sorted({1, len(os.sched_getaffinity(0))})
    rows = {f"{isa}, {n} threads": measure(isa, n) for isa in compiled for n in counts}
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"| | fma GF/s | {' | '.join(f'read {size}, GB/s' for size in SIZES)} |")
    print(f"|---|---|{'---|' * len(SIZES)}")
    for label, row in rows.items():
        print(f"| {label} | {' | '.join(f'{value:.0f}' for value in row.values())} |")


if __name__ == "__main__":
    main()
