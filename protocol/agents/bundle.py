"""Tasks and states in the content store, each object under the root that the chain names.

A task needs no address of its own: the manifest lies under its hash, the program's leaves, the data
and the initial state under the roots in the task's terms. Whatever a stranger put there is checked
before use.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from protocol.chain.market import Terms
from protocol.program.canonical import decode_program
from protocol.program.estimate import estimate_step
from protocol.program.isa import MAX_NODE_BYTES
from protocol.program.manifest import MAX_MANIFEST_BYTES, Manifest
from protocol.program.node import TensorSpec
from protocol.storage import ContentMissing, ContentWrong, Store
from protocol.storage.objects import MAX_LEAVES_BYTES
from protocol.training.task import MANIFEST, Task
from protocol.training.tensors import Tensor

log = logging.getLogger(__name__)


MAX_TASK_BYTES: Final = 1 << 36
"""Most bytes of state and data that an agent fetches for a stranger, unless it says otherwise."""


Source = Callable[[bytes], Store]
"""Where the files of a task, given by its id, are read: its people may serve them."""


def source_of(store: Store | Source) -> Source:
    """A source that reads everything from one store, if it is not a source already."""
    return store if callable(store) else lambda _task_id: store


class TaskRefused(ValueError):
    """A posted task that an agent will not touch; the message says why."""


class TaskUnreachable(TaskRefused):
    """A task whose files are not to be had now; they may be later."""


def publish_task(store: Store, task: Task) -> None:
    """Put everything that a solver needs into the store; a second time changes nothing."""
    store.put(task.manifest.to_bytes())
    store.put_leaves(task.program_leaves)
    publish_tensors(store, task.state_leaves, task.state)
    if task.data:
        publish_tensors(store, task.data_leaves, task.data)


def publish_tensors(store: Store, leaves: Sequence[bytes], tensors: Sequence[Tensor]) -> None:
    """Put tensors and the leaves of the tree over their roots."""
    for tensor in tensors:
        store.put_tensor(tensor.tobytes())
    store.put_leaves(leaves)


def fetch_task(
    store: Store,
    terms: Terms,
    keep: Path | None = None,
    most_bytes: int = MAX_TASK_BYTES,
) -> Task:
    """The task that ``terms`` name, validated.

    Args:
        store: where the files are.
        terms: as posted.
        keep: a folder for an own copy, which is used from then on: a requester that takes its
            files away again must not be able to stop whoever relied on them.
        most_bytes: refuse a task with more bytes of state and data than this, or than half of this
            machine's memory.

    Raises:
        TaskUnreachable: a file is missing or is not what its name says.
        TaskRefused: the task is invalid, too large, or not that of the terms.
    """
    kept = None if keep is None else _load_kept(keep, terms)
    if kept is not None:
        return kept
    try:
        manifest = Manifest.from_bytes(store.get(terms.manifest_root, MAX_MANIFEST_BYTES))
        _compare(terms, manifest)
        size = sum(spec.nbytes for spec in (*manifest.state, *manifest.data))
        most_bytes = min(most_bytes, machine_memory() // 2)
        if size > most_bytes:
            raise TaskRefused(f"state and data have {size} bytes, at most {most_bytes} are fetched")
        count = manifest.nodes + len(manifest.state)
        most = min(4 + count * (4 + MAX_NODE_BYTES), MAX_LEAVES_BYTES)
        leaves = store.get_leaves(manifest.program_root, most, count=count)
        program = decode_program(leaves, manifest.nodes)
        state = fetch_tensors(store, manifest.initial_state_root, manifest.state)
        data = fetch_tensors(store, manifest.data_root, manifest.data) if manifest.data else []
        task = Task(manifest, program, tuple(state), tuple(data))
        task.check()
        _require_memory(task)
    except TaskRefused:
        raise
    except (ContentMissing, ContentWrong) as error:
        raise TaskUnreachable(f"the task's files are not to be had: {error}") from error
    except ValueError as error:  # of manifest, bytes, tensors or program: each says what and where
        raise TaskRefused(f"the task is not valid: {error}") from error
    if keep is not None:
        task.save(keep)
    return task


def _require_memory(task: Task) -> None:
    """TaskRefused if a step needs more memory than this machine has: it would end the process."""
    needed = estimate_step(task.program, task.manifest.data).peak_bytes
    if needed > machine_memory():
        raise TaskRefused(
            f"a step takes {needed} bytes of memory at its peak, this machine has "
            f"{machine_memory()}; leave the task to a larger one"
        )


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _load_kept(folder: Path, terms: Terms) -> Task | None:
    """The own copy, if it is whole and of these terms."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        task = Task.load(folder)
    except ValueError as error:
        log.warning("the own copy in %s is damaged, fetching the task again: %s", folder, error)
        return None
    if task.manifest.root != terms.manifest_root:
        raise TaskRefused(
            f"{folder} holds the task 0x{task.manifest.root.hex()}, the terms name "
            f"0x{terms.manifest_root.hex()}: choose another folder"
        )
    _compare(terms, task.manifest)
    return task


def fetch_tensors(store: Store, root: bytes, specs: Sequence[TensorSpec]) -> list[Tensor]:
    """The tensors below a state or data root. ContentMissing, ContentWrong."""
    leaves = store.get_leaves(root, count=len(specs))
    tensors = []
    for leaf, spec in zip(leaves, specs, strict=True):
        stored = store.get_tensor(leaf, spec.nbytes)
        tensors.append(np.frombuffer(stored, spec.dtype.numpy).reshape(spec.shape))
    return tensors


def _compare(terms: Terms, manifest: Manifest) -> None:
    """The chain's terms and the manifest must say the same."""
    stated: dict[str, tuple[bytes | int, bytes | int]] = {
        "program root": (terms.program_root, manifest.program_root),
        "data root": (terms.data_root, manifest.data_root),
        "initial state root": (terms.initial_state_root, manifest.initial_state_root),
        "steps": (terms.steps, manifest.steps),
        "interval": (terms.interval, manifest.interval),
        "node count": (terms.node_count, manifest.nodes),
        "state count": (terms.state_count, len(manifest.state)),
        "data count": (terms.data_count, len(manifest.data)),
    }
    for what, (on_chain, in_manifest) in stated.items():
        if on_chain != in_manifest:
            raise TaskRefused(
                f"the {what} is {_show(on_chain)} on chain and {_show(in_manifest)} in the "
                "manifest: the requester posted terms of another task"
            )


def _show(value: bytes | int) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
