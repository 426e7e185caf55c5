"""One side's process: prepares a row, runs turns of it, and is at rest between them.

    python -m scripts.bench.worker SIDE THREADS

reads a request a line, a JSON object, and answers with one:

    {"do": "prepare", "row": NAME, "tiny": BOOL}    {"nodes": N or null}
    {"do": "turn", "seconds": S}                    {"seconds": S of the best call, "calls": N}
    {"do": "commit"}                                {"seconds": S to hash the state, "bytes": N,
                                                     "file_seconds": S to hash and to write it}
    {"do": "hash"}                                  {"gb_s": RATE, "bytes": N of the tensor}
    {"do": "drop"}                                  {}

With "alone": true a request runs in real-time priority. An answer {"error": TEXT} says why one
could not be fulfilled. A process answers only when its threads sleep: a pool that still spins would
take a core from the side whose turn it is. The best call of a turn counts: what the others take
longer is cold caches' doing, or another program's.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OURS = "ours"
SETTLED_S = 0.002  # CPU time of this process in a pause
PAUSE_S = 0.02
LONGEST_SPIN_S = 5.0
HASHINGS = 5
HASHED_WORDS = 1 << 26
"""Steps between checkpoints: that of the demo's task, `protocol/capture/examples/digits.py`."""
LEAST_CALLS, MOST_CALLS = 2, 500


class Worker:
    """Answers requests about one row at a time."""

    def __init__(self, side: str, threads: int) -> None:
        self._side, self._threads = side, threads
        self._session: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request; what fails is part of the table, so any error is told."""
        try:
            with alone() if request.get("alone") else contextlib.nullcontext():
                reply: dict[str, Any] = getattr(self, f"_{request['do']}")(request)
        except Exception as error:  # noqa: BLE001
            lines = str(error).strip().splitlines() or [""]
            reply = {"error": f"{type(error).__name__}: {lines[0]}"}
        settle()
        return reply

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        from scripts.bench.catalogue import all_rows

        row = next(row for row in all_rows() if row.name == request["row"])
        work = row.make(request["tiny"])
        if self._side == OURS:
            from scripts.bench import ours

            self._session = ours.session(work, self._threads)
            self._session.call()
            return {"nodes": len(self._session.program.nodes)}
        from scripts.bench import stock

        self._session = stock.session(work, self._side, self._threads)
        self._session.call()  # compiles, if this side does
        return {"nodes": None}

    def _turn(self, request: dict[str, Any]) -> dict[str, Any]:
        session, now = self._session, time.perf_counter
        seconds: list[float] = []
        end = now() + request["seconds"]
        while len(seconds) < LEAST_CALLS or (now() < end and len(seconds) < MOST_CALLS):
            session.begin()
            start = now()
            session.call()
            seconds.append(now() - start)
        return {"seconds": min(seconds), "calls": len(seconds)}

    def _commit(self, _: dict[str, Any]) -> dict[str, Any]:
        from protocol.program.estimate import default_interval
        from protocol.training.tensors import state_root, write_tensors

        state = self._session.state
        seconds = min(_timed(lambda: state_root(state, self._threads)) for _ in range(HASHINGS))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "state.safetensors"
            writing = min(_timed(lambda: write_tensors(file, "state", state)) for _ in range(2))
        size = sum(array.nbytes for array in state)
        return {
            "seconds": seconds,
            "bytes": size,
            "interval": default_interval(self._session.program, 1 << 30),
            "file_seconds": seconds + writing,
        }

    def _hash(self, _: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        from protocol.training.tensors import roots_of

        tensor = np.random.default_rng(0).integers(0, 1 << 31, HASHED_WORDS, np.int32)
        seconds = min(_timed(lambda: roots_of([tensor], self._threads)) for _ in range(HASHINGS))
        return {"gb_s": tensor.nbytes / seconds / 1e9, "bytes": tensor.nbytes}

    def _drop(self, _: dict[str, Any]) -> dict[str, Any]:
        self._session = None
        return {}


def _timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """All threads of this process before those of ordinary programs; PermissionError if denied."""
    # Round robin: threads that wait by spinning still let each other run.
    _schedule(os.SCHED_RR, 1)
    try:
        yield
    finally:
        _schedule(os.SCHED_OTHER, 0)


def _schedule(policy: int, priority: int) -> None:
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setscheduler(int(thread.name), policy, os.sched_param(priority))


def settle() -> None:
    """Return when no thread of this process runs any more; RuntimeError if one never stops."""
    end = time.monotonic() + LONGEST_SPIN_S
    while time.monotonic() < end:
        before = time.process_time()
        time.sleep(PAUSE_S)
        if time.process_time() - before < SETTLED_S:
            return
    raise RuntimeError(
        f"threads of this process still run {LONGEST_SPIN_S} s after its turn: the other side's "
        "figures would be wrong; let the thread pool sleep when it has nothing to do"
    )


def main() -> None:
    """Answer until the input ends."""
    side, threads = sys.argv[1], int(sys.argv[2])
    # Compilers print to standard output: only answers may go to the pipe.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker(side, threads)
    for line in sys.stdin:
        answers.write(json.dumps(worker.answer(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
