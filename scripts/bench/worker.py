"""One side's process: prepares a row, runs turns of it, and is at rest between them.

    python -m scripts.bench.worker SIDE THREADS

reads a request a line, a JSON object, and answers with one:

    {"do": "prepare", "row": NAME, "tiny": BOOL}    {"nodes": N or null}
    {"do": "turn", "calls": N, "warm": N}           {"seconds": [of each call]}
    {"do": "commit"}                                {"seconds": [to hash the state], "bytes": N}
    {"do": "drop"}                                  {}

An answer {"error": TEXT} says why a request could not be fulfilled. A process answers only when its
threads sleep: a pool that still spins would take a core from the side whose turn it is.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

OURS = "ours"
SETTLED_S = 0.002  # CPU time of this process in a pause
PAUSE_S = 0.02
LONGEST_SPIN_S = 5.0
HASHINGS = 5


class Worker:
    """Answers requests about one row at a time."""

    def __init__(self, side: str, threads: int) -> None:
        self._side, self._threads = side, threads
        self._session: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request; what fails is part of the table, so any error is told."""
        try:
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
        calls, warm = request["calls"], request["warm"]
        session, now = self._session, time.perf_counter
        session.begin(calls + warm)
        for _ in range(warm):
            session.call()
        seconds = []
        for _ in range(calls):
            start = now()
            session.call()
            seconds.append(now() - start)
        return {"seconds": seconds}

    def _commit(self, _: dict[str, Any]) -> dict[str, Any]:
        from protocol.training.tensors import state_root

        state = self._session.state
        seconds = []
        for _ in range(HASHINGS):
            start = time.perf_counter()
            state_root(state, self._threads)
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds, "bytes": sum(array.nbytes for array in state)}

    def _drop(self, _: dict[str, Any]) -> dict[str, Any]:
        self._session = None
        return {}


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
