"""Opens hostile task folders, each in a process of its own with limits, watched by an audit hook.

    python -m tests.fuzz.watched FIRST COUNT

prints one JSON object per seed: mutation, door, outcome, CPU seconds, and bytes of files and of
memory. The doors are those through which a folder comes in: `Task.load`, which all commands use,
`pinpoint task check` and `pinpoint requester post`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from protocol.agents.process import runtime
from protocol.cli import requester, task_check
from protocol.cli.errors import Code, explain, render
from protocol.cli.flags import SendFlags
from protocol.kernels import Executor
from protocol.kernels.cpu import _cpu
from protocol.kernels.executor import Compiled
from protocol.program.canonical import MalformedBytes, decode_node
from protocol.program.estimate import estimate_step
from protocol.program.manifest import ManifestError
from protocol.program.validate import InvalidProgram, validate_node
from protocol.training import StepRunner, Task, TaskError, TensorError
from protocol.training.task import PROGRAM
from tests.fuzz.audit import crime
from tests.fuzz.mutations import leaves_of, mutate
from tests.training.regression import regression_task

REFUSALS = (TaskError, TensorError, InvalidProgram, ManifestError, MalformedBytes)
CPU_SECONDS = 5
WAITING_SECONDS = 120
"""For a pipe or a device that never gives anything."""
MEMORY_BYTES = 64 << 20
"""For any folder; and in addition `MEMORY_TIMES` what its files have on disk."""
MEMORY_TIMES = 32
WORK, PEAK = 10_000_000, 16 << 20
"""A valid program within these is run for a step, too."""
OFFER = {
    **dict.fromkeys(("max_reward", "value_at_risk", "verifier_fee"), "10"),
    **dict.fromkeys(("bid_seconds", "reveal_seconds", "run_seconds", "window_seconds"), 100),
    **dict.fromkeys(("segment_seconds", "trace_seconds", "verifiers", "segments_per_verifier"), 1),
}


def main(first: int, count: int) -> None:
    """Try the seeds, and print what came of each."""
    task = regression_task()
    with tempfile.TemporaryDirectory() as name:
        good = Path(name) / "good"
        task.save(good)
        os.chdir(name)
        (Path(name) / "nothing").mkdir()
        for door in DOORS.values():  # whatever is imported late is now
            door(good)
            door(Path(name) / "nothing")
        for seed in range(first, first + count):
            folder = Path(f"case{seed}")
            shutil.copytree(good, folder)
            what = mutate(seed, folder)
            door = list(DOORS)[seed % len(DOORS)]
            case = {"seed": seed, "mutation": what, "door": door, **watch(folder, DOORS[door])}
            sys.stdout.write(json.dumps(case) + "\n")
            shutil.rmtree(folder)


def watch(folder: Path, door: Callable[[Path], str]) -> dict[str, Any]:
    """What a process of its own says of the folder, or how it died."""
    out, into = os.pipe()
    size = sum(p.lstat().st_blocks * 512 for p in folder.iterdir())
    child = os.fork()
    if child == 0:
        os.close(out)
        _limit(size)
        home = folder.resolve()
        sys.addaudithook(lambda event, arguments: _audit(into, home, event, arguments))
        start, before = time.process_time(), _peak()
        try:
            outcome = door(folder)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            outcome = f"CRASH {type(error).__name__}: {error}"[:300]
        spent = {"seconds": round(time.process_time() - start, 3), "memory": _peak() - before}
        _say(into, {"outcome": outcome, **spent, "files": size})
    os.close(into)
    with os.fdopen(out) as lines:
        said = lines.read()
    _, status = os.waitpid(child, 0)
    return json.loads(said) if said else {"outcome": f"DIED of signal {status & 0x7F}"}


def _limit(size: int) -> None:
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    allowed = own + MEMORY_BYTES + MEMORY_TIMES * size
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(WAITING_SECONDS)


def _audit(into: int, folder: Path, event: str, arguments: tuple[Any, ...]) -> None:
    found = crime(event, arguments, folder, may_write=False)
    if found is not None:
        _say(into, {"outcome": f"FORBIDDEN {found}"})


def _say(into: int, what: dict[str, Any]) -> None:
    """Write it and end the process: nothing can catch that."""
    os.write(into, json.dumps(what).encode())
    os._exit(0)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def load(folder: Path) -> str:
    """What a loader makes of the folder; a program that it takes is run."""
    try:
        task = Task.load(folder)
    except REFUSALS as error:
        told = f"{type(error).__name__}: {error}"
        assert len(told) < 4000, f"a refusal of {len(told)} characters"
        _compare_decoders(folder)
        return f"refused {type(error).__name__}"
    estimate = estimate_step(task.program, task.manifest.data)
    if estimate.work <= WORK and estimate.peak_bytes <= PEAK:
        runner = StepRunner(task.program, Executor(1, compiled=Compiled.NOTHING))
        runner.run(1, task.state, task.data)
        return "ran"
    return "valid"


def check(folder: Path) -> str:
    """What `pinpoint task check` makes of the folder."""
    return _said(lambda: task_check.check(folder, as_json=True))


def post(folder: Path) -> str:
    """What `pinpoint requester post` makes of the folder, before it opens key, chain and store."""
    runtime.Runtime = _accepted  # type: ignore[assignment, misc]
    command = requester.post.__wrapped__  # type: ignore[attr-defined]
    return _said(lambda: command(SendFlags(home=folder), folder, **OFFER))


class Accepted(Exception):
    """The task was taken."""


def _accepted(*_: object, **__: object) -> NoReturn:
    raise Accepted


def _said(command: Callable[[], None]) -> str:
    """The kind of error that a person is shown, if it is that of a task."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            command()
    except Accepted:
        return "valid"
    except REFUSALS as error:
        words = explain(error)
        assert words.code == Code.USAGE
        assert words.what == "the task cannot be used"
        assert len(render(words)) < 5000, f"a refusal of {len(render(words))} characters"
        return f"refused {words.kind}"
    return "valid"


DOORS = {"load": load, "check": check, "post": post}


def _compare_decoders(folder: Path) -> None:
    """What Python takes the engine takes, and what the engine takes is a node to Python."""
    if (folder / PROGRAM).is_symlink() or not (folder / PROGRAM).is_file():
        return
    try:
        leaves = leaves_of(folder)
    except Exception:  # noqa: BLE001 - no program at all: it was refused for that
        return
    for leaf in leaves[:8]:
        try:
            node = decode_node(leaf)
        except MalformedBytes:
            node = None
        try:
            _cpu.Kernel(leaf, "", 0, 1 << 20)
            is_taken = True
        except ValueError:
            is_taken = False
        assert node is not None or not is_taken, "the engine takes what is no node"
        if node is not None and not is_taken:
            try:
                validate_node(node)
            except InvalidProgram:
                continue
            raise AssertionError("the engine refuses a valid node")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
