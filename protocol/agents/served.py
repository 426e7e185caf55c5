"""What a solver serves off chain, and how others read it.

The content store is the meeting place: leaves and tensors lie there under their roots. Readers
believe nothing: the store checks every object against its root, and what is missing is simply not
served.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.dispute.execution import Execution, Opaque, Withheld
from protocol.dispute.trees import PartialTensor
from protocol.storage import ContentMissing, ContentWrong, Store


class StoreServed:
    """The ``Served`` of the dispute strategies, read from a content store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def leaves(self, root: bytes, size: int) -> Sequence[bytes] | None:
        """Leaves of the tree with this root; None if they are not served."""
        try:
            return self._store.get_leaves(root, count=size)
        except (ContentMissing, ContentWrong):
            return None

    def tensor(self, root: bytes, nbytes: int) -> bytes | None:
        """Stored bytes of the tensor with this root; None if they are not served."""
        try:
            return self._store.get_tensor(root, nbytes)
        except (ContentMissing, ContentWrong):
            return None


class Publisher:
    """Puts the leaves of a run where others find them, as far as the run's owner has them."""

    def __init__(self, store: Store, execution: Execution) -> None:
        self._store = store
        self._execution = execution

    def publish_log(self) -> None:
        """The checkpoint log, and the state at each checkpoint with its tensors."""
        execution = self._execution
        self._leaves(execution.log_leaves())
        for index in range(len(execution.log_leaves())):
            self.publish_state(min(index * execution.interval, execution.steps), tensors=True)

    def publish_state(self, step: int, *, tensors: bool) -> None:
        """The tensor roots of the state after ``step`` steps, and the tensors if asked for."""
        leaves = self._execution.state_leaves(step)
        self._leaves(leaves)
        if tensors:
            for index in range(len(leaves)):
                self._tensor(self._execution.state_tensor(step, index))

    def publish_segment(self, segment: int) -> None:
        """State roots after each step of a segment."""
        self._leaves(self._execution.segment_leaves(segment))

    def publish_trace(self, step: int) -> None:
        """Tensor roots and tensors of all node outputs of a step, and the state after it."""
        leaves = self._execution.trace_leaves(step)
        self._leaves(leaves)
        for node in range(len(leaves)):
            try:
                self._tensor(self._execution.node_output(step, node))
            except Withheld:
                continue
        self.publish_state(step + 1, tensors=False)

    def publish_fold(self, step: int, node: int, element: int) -> None:
        """Accumulators and load words of every term of one element's fold."""
        self._leaves(self._execution.fold_leaves(step, node, element))

    def _leaves(self, leaves: Sequence[bytes]) -> None:
        if not any(isinstance(leaf, Opaque) for leaf in leaves):
            self._store.put_leaves(leaves)

    def _tensor(self, stored: bytes) -> None:
        if not isinstance(stored, PartialTensor):
            self._store.put_tensor(stored)
