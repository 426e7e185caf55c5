"""Tasks and states in a content store, under the roots that the chain knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocol.program.canonical import MalformedBytes, decode_program
from protocol.program.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestError
from protocol.program.node import TensorSpec
from protocol.storage import ContentMissing, ContentStore, ContentWrong
from protocol.training.checkpoints import CheckpointError
from protocol.training.task import Task, TaskError
from protocol.training.tensors import Tensor, check_tensor


def publish_task(store: ContentStore, task: Task) -> bytes:
    """Put all parts of a task into the store; the manifest root, 32 bytes."""
    store.put_leaves(task.program_leaves)
    publish_tensors(store, task.state)
    if task.data:
        publish_tensors(store, task.data)
    return store.put(task.manifest.to_bytes())


def fetch_task(store: ContentStore, manifest_root: bytes) -> Task:
    """The task with this manifest root; everything is checked, as by `Task.load`.

    Raises:
        ContentMissing, ContentWrong: the store does not have it, or has something else.
        TaskError, TensorError, InvalidProgram: the task is refused.
    """
    try:
        manifest = Manifest.from_bytes(store.get(manifest_root, MAX_MANIFEST_BYTES))
        leaves = store.get_leaves(manifest.program_root)
        program = decode_program(leaves, manifest.nodes)
    except (ManifestError, MalformedBytes) as error:
        raise TaskError(f"task 0x{manifest_root.hex()}: {error}") from error
    state = fetch_tensors(store, manifest.state, manifest.initial_state_root)
    data = fetch_tensors(store, manifest.data, manifest.data_root) if manifest.data else []
    task = Task(manifest, program, tuple(state), tuple(data))
    task.check()
    return task


def publish_tensors(store: ContentStore, tensors: Sequence[Tensor]) -> bytes:
    """Put a state (or the data) into the store; its root, 32 bytes."""
    roots = [store.put_tensor(tensor.tobytes()) for tensor in tensors]
    return store.put_leaves(roots)


def fetch_tensors(store: ContentStore, specs: Sequence[TensorSpec], root: bytes) -> list[Tensor]:
    """The state (or data) with this root, read-only.

    Raises:
        ContentMissing, ContentWrong: the store does not have it, or has something else.
        TensorError: a tensor is not as its spec says.
    """
    leaves = store.get_leaves(root)
    if len(leaves) != len(specs):
        raise ContentWrong(
            f"tree 0x{root.hex()} has {len(leaves)} tensors, the manifest says {len(specs)}"
        )
    tensors = []
    for leaf, spec in zip(leaves, specs, strict=True):
        stored = store.get_tensor(leaf, spec.nbytes)
        tensor = np.frombuffer(stored, spec.dtype.numpy).reshape(spec.shape)
        check_tensor(tensor, spec)
        tensors.append(tensor)
    return tensors


class StoredCheckpoints:
    """Another party's checkpoints, as far as a store serves them: the start of a re-execution.

    Args:
        task: the validated task.
        store: where the solver put its states.
        roots: state roots of its log, from entry 0.
        last: entries above this one are not used: whoever checks segment m starts from entry m-1
            and must compute the state at its end, not fetch it.
    """

    def __init__(
        self, task: Task, store: ContentStore, roots: Sequence[bytes], last: int | None = None
    ) -> None:
        self._task = task
        self._store = store
        self._roots = list(roots)
        self._last = len(self._roots) - 1 if last is None else last

    def roots(self) -> list[bytes]:
        """State roots of the log, from entry 0."""
        return list(self._roots)

    def state(self, index: int) -> Sequence[Tensor]:
        """The state of log entry ``index``. CheckpointError if it is not served or not allowed."""
        if not 0 <= index <= self._last or index >= len(self._roots):
            raise CheckpointError(f"checkpoint {index} is not one of 0 to {self._last}")
        if self._roots[index] == self._task.manifest.initial_state_root:
            return self._task.state
        try:
            return fetch_tensors(self._store, self._task.manifest.state, self._roots[index])
        except (ContentMissing, ContentWrong, ValueError) as error:
            raise CheckpointError(f"checkpoint {index} is not served: {error}") from error
