"""The committed roots of the demo's run: what every machine has to compute.

They are the answer of the reference order of operations, not of one machine, and change only with
the task. After `pinpoint task build --replace` of its `make_task.py` this writes them anew:

    python -m tests.e2e.roots
"""

from __future__ import annotations

import json
from pathlib import Path

from protocol.kernels import Executor
from protocol.kernels.executor import Compiled
from protocol.merkle import root_of_leaves
from protocol.training.replay import Replay
from protocol.training.task import Task

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "digits"
FILE = ROOT / "tests" / "vectors" / "roots" / "digits.json"


def document(task: Task, log: list[bytes]) -> dict[str, object]:
    """Roots as 0x and hex: of the task, of its checkpoint log, of each state in it."""
    return {
        "task": _hex(task.manifest.root),
        "log_root": _hex(root_of_leaves(log)),
        "state_roots": [_hex(leaf) for leaf in log],
    }


def committed() -> dict[str, object]:
    """The document in the repository."""
    found: dict[str, object] = json.loads(FILE.read_text())
    return found


def _hex(root: bytes) -> str:
    return "0x" + root.hex()


if __name__ == "__main__":
    example = Task.load(EXAMPLE)
    plainly = Executor(1, "baseline", compiled=Compiled.NOTHING)
    found = document(example, Replay(example, executor=plainly).log_leaves())
    FILE.write_text(json.dumps(found, indent=1) + "\n")
