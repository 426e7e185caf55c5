"""A receipt: a recorded run with deeper trees than a checkpoint log, to be compared elsewhere.

A folder with `receipt.json` (`Contents`, canonical JSON) and content-addressed objects as in
docs/PROTOCOL.md, section 6.3; docs/DIFF.md says which. Nothing in it is code, and everything is
checked when it is read. `recorder` writes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from protocol.dispute.execution import Withheld
from protocol.program.canonical import decode_program
from protocol.program.isa import MAX_NODE_BYTES
from protocol.program.manifest import MAX_MANIFEST_BYTES, Manifest
from protocol.program.node import numel
from protocol.storage import ContentMissing, ContentStore, ContentWrong
from protocol.training.checkpoints import CheckpointError
from protocol.training.contents import MAX_CONTENTS_BYTES, Contents
from protocol.training.recorded import Record, RecordError
from protocol.training.task import check_program, checkpoint_step, segment_steps
from protocol.training.tensors import Tensor, TensorError, check_tensor

FILE = "receipt.json"
MAX_LEAVES_BYTES = 1 << 28
ROOT_BYTES = 32


class Receipt(Record):
    """A receipt in ``path``, validated as a whole; only tensors are read when asked for.

    Raises:
        RecordError: a file is missing, malformed or not what its root says.
    """

    def __init__(self, path: Path) -> None:
        self._store = ContentStore(path)
        try:
            self.contents = Contents.from_bytes(_read(path / FILE))
            manifest = Manifest.from_bytes(
                self._store.get(self.contents.manifest_root, MAX_MANIFEST_BYTES)
            )
            count = manifest.nodes + len(manifest.state)
            leaves = self._leaves(manifest.program_root, count, most=MAX_NODE_BYTES)
            program = decode_program(leaves, manifest.nodes)
            check_program(program, manifest)
            log = self._leaves(self.contents.log_root, self.contents.checkpoints)
            super().__init__(path, manifest, program, log)
            self._segments = {m: self._segment(m, root) for m, root in self.contents.segments}
            self._traces = {s: self._trace(s, root) for s, root in self.contents.steps}
            self._folds = {place: self._fold(*place, root) for place, root in self.contents.folds}
        except RecordError:
            raise
        except (ContentMissing, ValueError) as error:  # each says what and where
            raise RecordError(
                f"the receipt {path} cannot be used",
                str(error),
                "copy its folder again, or have it made again: `pinpoint train receipt`",
            ) from error

    def state(self, index: int) -> Sequence[Tensor]:
        """The state of log entry ``index``. CheckpointError if it is not recorded whole."""
        try:
            step = checkpoint_step(self.manifest, index)
            tensors = [self._tensor(step, q) for q in range(len(self.manifest.state))]
        except (Withheld, IndexError) as error:
            raise CheckpointError(f"{self.path} does not hold checkpoint {index}") from error
        return tensors

    def segment_leaves(self, segment: int) -> list[bytes]:
        """State roots after each step of a recorded segment."""
        return self._segments.get(segment) or super().segment_leaves(segment)

    def state_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of a recorded state."""
        root = self._state_root(step)
        try:
            return self._leaves(root, len(self.manifest.state))
        except ContentMissing as error:
            raise Withheld from error
        except ContentWrong as error:
            raise self._damaged(error) from error

    def state_tensor(self, step: int, index: int) -> bytes:
        """Stored bytes of a tensor of a recorded state."""
        return self._stored(self.state_leaves(step)[index], self.manifest.state[index].nbytes)

    def trace_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of the node outputs of a recorded step."""
        if step not in self._traces:
            raise Withheld
        return self._traces[step]

    def node_output(self, step: int, node: int) -> bytes:
        """Stored bytes of a node's output in a recorded step."""
        descriptor = self.program.nodes[node]
        size = numel(descriptor.shape) * descriptor.dtype.width
        return self._stored(self.trace_leaves(step)[node], size)

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        """Leaves of a recorded fold."""
        if (step, node, element) not in self._folds:
            raise Withheld
        return self._folds[step, node, element]

    # ------------------------------------------------------------------ validation

    def _segment(self, segment: int, root: bytes) -> list[bytes]:
        if segment >= len(self.log):
            raise ValueError(f"segment {segment} is beyond the log of {len(self.log)} entries")
        leaves = self._leaves(root, len(segment_steps(self.manifest, segment)))
        if leaves[-1] != self.log[segment]:
            raise ValueError(
                f"segment {segment} ends in 0x{leaves[-1].hex()}, the log says "
                f"0x{self.log[segment].hex()}"
            )
        return leaves

    def _trace(self, step: int, root: bytes) -> list[bytes]:
        segment = step // self.interval + 1
        if segment not in self._segments or step >= self.steps:
            raise ValueError(f"step {step} is recorded, its segment {segment} is not")
        return self._leaves(root, self.manifest.nodes)

    def _fold(self, step: int, node: int, element: int, root: bytes) -> list[bytes]:
        if step not in self._traces:
            raise ValueError(f"a fold of step {step} is recorded, the step is not")
        if node >= self.manifest.nodes:
            raise ValueError(f"a fold of node {node} of {self.manifest.nodes} is recorded")
        descriptor = self.program.nodes[node]
        if element >= numel(descriptor.shape):
            raise ValueError(f"element {element} of an output of shape {descriptor.shape}")
        size = 4 * (1 + len(descriptor.loads))
        return self._leaves(root, descriptor.terms, size)

    def _leaves(
        self, root: bytes, count: int, size: int = ROOT_BYTES, most: int | None = None
    ) -> list[bytes]:
        """The ``count`` leaves of ``size`` bytes below a root; of up to ``most`` if given."""
        allowed = 4 + count * (4 + (most or size))
        leaves = self._store.get_leaves(root, min(allowed, MAX_LEAVES_BYTES))
        if len(leaves) != count:
            raise ContentWrong(f"{len(leaves)} leaves below 0x{root.hex()}, expected {count}")
        wrong = next((len(leaf) for leaf in leaves if len(leaf) != size), None)
        if most is None and wrong is not None:
            raise ContentWrong(f"a leaf of {wrong} bytes below 0x{root.hex()}, expected {size}")
        return leaves

    def _state_root(self, step: int) -> bytes:
        index = self.checkpoint_at(step)
        if index is not None:
            return self.log[index]
        segment = -(-step // self.interval)
        return self.segment_leaves(segment)[step - 1 - self.interval * (segment - 1)]

    def _tensor(self, step: int, index: int) -> Tensor:
        spec = self.manifest.state[index]
        stored = self.state_tensor(step, index)
        tensor = np.frombuffer(stored, spec.dtype.numpy).reshape(spec.shape)
        try:
            check_tensor(tensor, spec)
        except TensorError as error:
            raise self._damaged(error) from error
        return tensor

    def _stored(self, root: bytes, nbytes: int) -> bytes:
        try:
            return self._store.get_tensor(root, nbytes)
        except ContentMissing as error:
            raise Withheld from error
        except ContentWrong as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> RecordError:
        return RecordError(
            f"the receipt {self.path} is damaged", str(error), "copy its folder again"
        )


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    with path.open("rb") as file:
        data = file.read(MAX_CONTENTS_BYTES + 1)
    if len(data) > MAX_CONTENTS_BYTES:
        raise ValueError(f"{path} is larger than the {MAX_CONTENTS_BYTES} bytes allowed")
    return data
