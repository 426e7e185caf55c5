"""Opens what `train diff` compares: run folders and receipts, and the task that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from protocol.program.canonical import MalformedBytes
from protocol.program.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestError
from protocol.program.validate import InvalidProgram
from protocol.training.checkpoints import LOG
from protocol.training.receipt import FILE, Receipt
from protocol.training.recorded import TASK_FOLDER, Record, RecordError, RunFolder
from protocol.training.task import MANIFEST, Task, TaskError
from protocol.training.tensors import TensorError


@dataclass(frozen=True)
class Sides:
    """Two records of one task, and the task if its folder is known."""

    first: Record
    second: Record
    task: Task | None


def open_sides(first: Path, second: Path, task_folder: Path | None = None) -> Sides:
    """Open two run folders or receipts.

    Args:
        first: called A.
        second: called B.
        task_folder: of their task; default: the folder `task` in either of them.

    Raises:
        RecordError: one of them, or the task, cannot be used, or they are of different tasks.
    """
    paths = (first, second)
    require_same_task([m for m in map(_known_manifest, paths) if m is not None])
    own = (path / TASK_FOLDER for path in paths)
    folder = task_folder or next((f for f in own if (f / MANIFEST).is_file()), None)
    task = None if folder is None else load_task(folder)
    records = [open_record(path, task) for path in paths]
    for record in records:
        if len(record.log) == 1:
            raise RecordError(
                f"there is nothing to compare in {record.path}",
                "its log has the initial state only, and no checkpoint",
                "train on to the first checkpoint: `pinpoint train run`",
            )
    manifests = [(str(path), record.manifest) for path, record in zip(paths, records, strict=True)]
    require_same_task([*manifests, *([(str(folder), task.manifest)] if task else [])])
    return Sides(records[0], records[1], task)


def open_record(path: Path, task: Task | None) -> Record:
    """The receipt or the run in a folder. RecordError."""
    if (path / FILE).is_file():
        return Receipt(path)
    if not (path / LOG).is_file():
        raise RecordError(
            f"{path} is neither a run nor a receipt",
            f"a run has a file {LOG}, a receipt {FILE}; it has neither",
            "name a folder that `pinpoint train run` or `pinpoint train receipt` wrote",
        )
    if task is None:
        raise RecordError(
            f"the task of {path} is not known",
            f"a run's log names no task, and there is no folder {path / TASK_FOLDER}",
            "name the task's folder with --task",
        )
    return RunFolder(path, task)


def load_task(folder: Path) -> Task:
    """The task in a folder. RecordError if it is not valid."""
    try:
        return Task.load(folder)
    except (TaskError, TensorError, InvalidProgram, MalformedBytes) as error:
        raise RecordError(
            f"the task in {folder} cannot be used",
            str(error),
            "name another folder with --task, or fetch the task again",
            "docs/PROTOCOL.md, section 6.1",
        ) from error


def keep_task(task: Task, folder: Path) -> None:
    """Put a copy of the task beside its run. RecordError if another task is there."""
    if (folder / MANIFEST).exists():
        require_same_task([(str(folder), _manifest(folder)), ("the task", task.manifest)])
        return
    task.save(folder)


def require_same_task(manifests: Sequence[tuple[str, Manifest]]) -> None:
    """RecordError, with the fields that differ, unless all manifests are equal."""
    for (first, ours), (second, theirs) in pairwise(manifests):
        if ours.root == theirs.root:
            continue
        fields = [f for f in ours.__dataclass_fields__ if getattr(ours, f) != getattr(theirs, f)]
        raise RecordError(
            f"{first} and {second} are of different tasks",
            f"their manifest roots are 0x{ours.root.hex()} and 0x{theirs.root.hex()}; "
            f"the manifests differ in {', '.join(fields)}",
            "compare runs of one task",
        )


def _known_manifest(path: Path) -> tuple[str, Manifest] | None:
    """The manifest of the task that a run folder keeps; None if it keeps none."""
    folder = path / TASK_FOLDER
    if (path / FILE).is_file() or not (folder / MANIFEST).is_file():
        return None
    return str(path), _manifest(folder)


def _manifest(folder: Path) -> Manifest:
    try:
        with (folder / MANIFEST).open("rb") as file:
            return Manifest.from_bytes(file.read(MAX_MANIFEST_BYTES + 1))
    except (OSError, ManifestError) as error:
        raise RecordError(
            f"the task in {folder} cannot be used",
            f"{MANIFEST}: {error}",
            f"copy it again, or remove {folder} and name another with --task",
        ) from error
