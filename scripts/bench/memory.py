"""Peak memory of whole training steps, each side in a fresh process.

    python -m scripts.bench.memory capture ROW FOLDER         writes our tasks, small and whole
    python -m scripts.bench.memory ours FOLDER THREADS        prints bytes
    python -m scripts.bench.memory eager ROW THREADS          prints bytes

What counts is the peak of resident memory above what was resident before the work was made, when
everything was imported and a small step of the same kind had run: libraries' code and their pools
are there by then. Weights, optimiser state, data and all intermediate tensors count.
"""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.bench.stock import EAGER
from scripts.bench.work import Row, Training
from scripts.bench.worker import OURS

ROOT = Path(__file__).resolve().parents[2]
STEPS = 3
MOST = 1.10
"""The bar: our peak over stock eager's."""


def measure_memory(row: Row, threads: int) -> dict[str, Any]:
    """Peak bytes of both sides."""
    with tempfile.TemporaryDirectory() as folder:
        _in_process("capture", row.name, folder)
        own = int(_in_process(OURS, folder, str(threads)))
    theirs = int(_in_process(EAGER, row.name, str(threads)))
    return {"name": row.name, "threads": threads, OURS: own, EAGER: theirs}


def _in_process(*arguments: str) -> str:
    command = [sys.executable, "-m", "scripts.bench.memory", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def _capture(name: str, folder: Path) -> None:
    from protocol.training.task import Task
    from scripts.bench import ours

    for size, tiny in (("small", True), ("whole", False)):
        Task.create(**ours.capture(_work(name, tiny)).parts()).save(folder / size)


def _work(name: str, tiny: bool) -> Training:
    from scripts.bench.training import training_rows

    work = next(row for row in training_rows() if row.name == name).make(tiny)
    assert isinstance(work, Training)
    return work


def _run_ours(folder: Path, threads: int) -> None:
    from protocol.kernels import Executor
    from protocol.training import StepRunner
    from protocol.training.task import Task

    task = Task.load(folder)
    runner, data = StepRunner(task.program, Executor(threads)), task.data
    state = runner.adopt(task.state)
    del task  # the initial state is not needed any more
    for step in range(STEPS):
        state = runner.run(step, state, data, consume=True)


def _run_eager(work: Training, threads: int) -> None:
    from scripts.bench import stock

    session = stock.session(work, EAGER, threads)
    for _ in range(STEPS):
        session.call()


def _resident(field: str) -> int:
    """Bytes that /proc says: VmRSS now, VmHWM the peak."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    assert found is not None
    return 1024 * int(found.group(1))


def _forget_peak() -> int:
    """Let the peak start from now; bytes resident now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def main() -> None:
    """One of the three commands above."""
    what, subject, last = sys.argv[1:]
    if what == "capture":
        _capture(subject, Path(last))
        return
    if what == OURS:
        _run_ours(Path(subject) / "small", int(last))
        before = _forget_peak()
        _run_ours(Path(subject) / "whole", int(last))
    else:
        _run_eager(_work(subject, True), int(last))
        before = _forget_peak()
        _run_eager(_work(subject, False), int(last))
    print(_resident("VmHWM") - before)


if __name__ == "__main__":
    main()
