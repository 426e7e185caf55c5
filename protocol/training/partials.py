"""The state of a run that was stopped between two checkpoints: `partial-<steps done>.safetensors`.

Nothing is committed to it. It saves the steps since the last checkpoint, and counts only if it is
whole, of this task, and goes on from the very log beside it; otherwise those steps are done again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from protocol.merkle import root_of_leaves
from protocol.training.task import Task
from protocol.training.tensors import (
    Tensor,
    TensorError,
    read_metadata,
    read_tensors,
    roots_of,
    write_tensors,
)

_NAME: Final = re.compile(r"partial-(\d{12,19})\.safetensors")


class Partials:
    """The partial states of a run of ``task`` in ``folder``; there is one, or none."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._task = task
        self._folder = folder

    def write(self, step: int, state: Sequence[Tensor], log_root: bytes) -> None:
        """Put the state after ``step`` steps on disk, whole or not at all; older ones go.

        Args:
            step: steps done.
            state: the tensors.
            log_root: of the log whose last checkpoint the steps went on from.
        """
        path = self._folder / f"partial-{step:012d}.safetensors"
        root = root_of_leaves(roots_of(state))
        write_tensors(path, "state", state, self._bound_to(step, root, log_root))
        self.remove(keep=path)

    def latest(self, steps: range, log_root: bytes) -> tuple[int, Sequence[Tensor]] | None:
        """The furthest state after a number of steps in ``steps`` that counts: (steps, state)."""
        for step in sorted(self._files(), reverse=True):
            if step in steps:
                state = self._read(step, log_root)
                if state is not None:
                    return step, state
        return None

    def remove(self, keep: Path | None = None) -> None:
        """Delete all of them but ``keep``: a checkpoint was written since."""
        for path in self._files().values():
            if path != keep:
                path.unlink(missing_ok=True)

    def _read(self, step: int, log_root: bytes) -> Sequence[Tensor] | None:
        """The state after ``step`` steps; None if anything is not as it was written."""
        path = self._files()[step]
        try:
            metadata = read_metadata(path)
            state = read_tensors(path, "state", self._task.manifest.state)
        except TensorError:
            return None
        root = root_of_leaves(roots_of(state))
        return state if metadata == self._bound_to(step, root, log_root) else None

    def _bound_to(self, step: int, state_root: bytes, log_root: bytes) -> dict[str, str]:
        return {
            "step": str(step),
            "state_root": state_root.hex(),
            "log_root": log_root.hex(),
            "manifest_root": self._task.manifest.root.hex(),
        }

    def _files(self) -> dict[int, Path]:
        matches = {path: _NAME.fullmatch(path.name) for path in self._folder.glob("partial-*")}
        return {int(match[1]): path for path, match in matches.items() if match}
