"""The other end of a worker: one side's process as an object."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300.0


class SideFailed(RuntimeError):
    """A side could not do what it was asked; the text goes into the table."""


class Side:
    """A process that measures one side with a number of threads."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any]) -> None:
        """Send a request; `answer` waits for what comes of it."""
        if self._process is None:
            command = [sys.executable, "-m", "scripts.bench.worker", self.name, str(self.threads)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `answer` tells that the process has ended
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The answer to the last request; SideFailed if it failed, took too long or died."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        if not ready:
            self.close()
            raise SideFailed(f"no answer within {PATIENCE_S:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise SideFailed(reply["error"])
        return reply

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request."""
        self.ask(request)
        return self.answer()

    def turn(self, seconds: float, *, alone: bool = False) -> float:
        """Seconds of the best call of a turn of about ``seconds``, alone on the cores or not."""
        request = {"do": "turn", "seconds": seconds, "alone": alone}
        return float(self.request(request)["seconds"])

    def close(self) -> None:
        """End the process; a later request starts a new one."""
        if self._process is not None:
            process, self._process = self._process, None
            try:
                process.communicate(timeout=10)  # its input ends: it ends its own children
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def _ended(self) -> SideFailed:
        assert self._process is not None
        self._process.communicate()
        code, self._process = self._process.returncode, None
        return SideFailed(f"its process ended with code {code}")
