"""The challenger's play: at each level, point at the first leaf that differs from one's own.

Everything left of the first difference agrees, so the solver cannot excuse it with an earlier one.
Leaves that the solver serves are compared here, off chain; for the others the solver must reveal
sub-roots on chain, and the first differing one is picked. A solver that committed to a hash out of
thin air is driven to the place where it must show what is under it, and runs out of time there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from protocol.dispute.moves import (
    Bisect,
    Pick,
    PointBinding,
    PointBoundElement,
    PointKind,
    PointStep,
    PointTerm,
    PositionMove,
)
from protocol.dispute.proofs import Prover
from protocol.dispute.situation import Situation
from protocol.dispute.state import ARITHMETIC, ClaimFacts, DisputeState, Level, Side
from protocol.dispute.trees import ChunkTree, Tree
from protocol.merkle import CHUNK_BYTES


class Served(Protocol):
    """What the solver serves off chain; nothing of it is believed, roots are recomputed."""

    def leaves(self, root: bytes, size: int) -> Sequence[bytes] | None:
        """Leaves of the tree with this root; None if they are not served."""

    def tensor(self, root: bytes, nbytes: int) -> bytes | None:
        """Stored bytes of the tensor with this root; None if they are not served."""


class NothingServed:
    """A solver that withholds everything."""

    def leaves(self, _root: bytes, _size: int) -> None:
        """Nothing."""

    def tensor(self, _root: bytes, _nbytes: int) -> None:
        """Nothing."""


def choose_segment(facts: ClaimFacts, own: Prover, served: Served) -> int | None:
    """What to open a dispute with: the first false segment, 0 to bisect a log that is not served.

    None if the challenger agrees with the whole claim.
    """
    if own.log().root == facts.log_root:
        return None
    leaves = _verified(served, facts.log_root, facts.segments + 1)
    return 0 if leaves is None else first_difference(leaves, own.execution.log_leaves())


def next_move(situation: Situation, own: Prover, served: Served) -> PositionMove | None:
    """The opener's move in a situation; None if it is not its turn or it finds nothing wrong."""
    position = situation.position
    if position.side is not Side.OPENER:
        return None
    match position.state:
        case DisputeState.POINT_STEP:
            return _point_step(situation, own, served)
        case DisputeState.BRANCH:
            return _branch(situation, own, served)
        case DisputeState.POINT_NODE:
            return own.point_node(position, position.node)
        case DisputeState.POINT_CHUNK:
            return _point_chunk(situation, own, served)
        case DisputeState.POINT_ELEMENT:
            return _point_opened_element(situation, own)
        case DisputeState.POINT_TERM:
            return _point_term(situation, own, served)
        case DisputeState.POINT_KIND:
            theirs = situation.opened.leaf
            ours = own.fold(position.step, position.node, position.element).leaf(position.term)
            return None if theirs == ours else PointKind(position.hash(), _kind(theirs, ours))
        case _:
            return _pick(situation, own)


def first_difference(theirs: Sequence[bytes], ours: Sequence[bytes]) -> int | None:
    """Index of the first leaf that differs, None if all agree."""
    pairs = zip(theirs, ours, strict=True)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), None)


def first_different_element(theirs: bytes, ours: bytes, width: int) -> int | None:
    """First element, in units of ``width`` bytes, that differs; None if one begins the other."""
    common = min(len(theirs), len(ours))
    for start in range(0, common, CHUNK_BYTES):
        end = min(start + CHUNK_BYTES, common)
        if theirs[start:end] != ours[start:end]:
            return next(i for i in range(start, end) if theirs[i] != ours[i]) // width
    return None


def _point_step(situation: Situation, own: Prover, served: Served) -> PositionMove | None:
    position = situation.position
    tree = own.segment(position.segment)
    if tree.root == position.segment_root:
        return None
    leaves = _verified(served, position.segment_root, tree.size)
    if leaves is None:
        return Bisect(position.hash(), Level.SEGMENT)
    t = first_difference(leaves, own.execution.segment_leaves(position.segment))
    return None if t is None else PointStep(position.hash(), t)


def _branch(situation: Situation, own: Prover, served: Served) -> PositionMove | None:
    position = situation.position
    trace = own.trace(position.step)
    if trace.root == position.trace_root:
        # All nodes agree and the state after the step does not: a binding is broken.
        return _point_binding(situation, own, served)
    leaves = _verified(served, position.trace_root, trace.size)
    if leaves is None:
        return Bisect(position.hash(), Level.TRACE)
    node = first_difference(leaves, own.execution.trace_leaves(position.step))
    if node is None:
        return None
    element = _first_element(leaves[node], position.step, node, own, served)
    if element is None:
        return own.point_node(position, node)
    return own.point_element(position, node, element)


def _point_binding(situation: Situation, own: Prover, served: Served) -> PositionMove | None:
    position = situation.position
    state = own.state(position.step + 1)
    if state.root == situation.trace.after:
        return None
    leaves = _verified(served, situation.trace.after, state.size)
    if leaves is None:
        # With one state tensor there is nothing to ask for.
        if state.size == 1:
            return PointBinding(position.hash(), 0)
        return Bisect(position.hash(), Level.POST_STATE)
    q = first_difference(leaves, own.execution.state_leaves(position.step + 1))
    return None if q is None else PointBinding(position.hash(), q)


def _point_chunk(situation: Situation, own: Prover, served: Served) -> PositionMove | None:
    position = situation.position
    if own.output(position.step, position.node).root == position.subroot:
        return None
    element = _first_element(position.subroot, position.step, position.node, own, served)
    if element is None:
        return Bisect(position.hash(), Level.TENSOR)
    return PointBoundElement(position.hash(), element)


def _point_opened_element(situation: Situation, own: Prover) -> PositionMove | None:
    position, theirs = situation.position, situation.opened.chunk
    ours = own.output(position.step, position.node).leaf(position.lo)
    width = situation.shape.width
    element = first_different_element(theirs, ours, width)
    if element is None:
        return None
    return PointBoundElement(position.hash(), position.lo * CHUNK_BYTES // width + element)


def _point_term(situation: Situation, own: Prover, served: Served) -> PositionMove | None:
    position = situation.position
    fold = own.fold(position.step, position.node, position.element)
    if fold.root == position.fold_root:
        return None
    leaves = _verified(served, position.fold_root, fold.size)
    if leaves is None:
        return Bisect(position.hash(), Level.FOLD)
    ours = own.execution.fold_leaves(position.step, position.node, position.element)
    r = first_difference(leaves, ours)
    return None if r is None else PointTerm(position.hash(), r, _kind(leaves[r], ours[r]))


def _pick(situation: Situation, own: Prover) -> PositionMove | None:
    position, theirs = situation.position, situation.opened.children
    ours = own.bisected(position).reveal(position.lo, position.size)
    child = first_difference(theirs, ours)
    return None if child is None else Pick(position.hash(), child, theirs)


def _first_element(root: bytes, step: int, node: int, own: Prover, served: Served) -> int | None:
    """First wrong element of a node's output; None if the tensor is not served."""
    ours = own.output(step, node).stored
    theirs = served.tensor(root, len(ours))
    if theirs is None or len(theirs) != len(ours) or ChunkTree(theirs).root != root:
        return None
    return first_different_element(theirs, ours, own.node(node).dtype.width)


def _kind(theirs: bytes, ours: bytes) -> int:
    """What is wrong with a fold leaf: its first differing load word, else its arithmetic."""
    if len(theirs) != len(ours):
        return ARITHMETIC  # no such leaf can be opened: the solver is out of answers
    for load in range(len(ours) // 4 - 1):
        word = slice(4 * load + 4, 4 * load + 8)
        if theirs[word] != ours[word]:
            return load
    return ARITHMETIC


def _verified(served: Served, root: bytes, size: int) -> Sequence[bytes] | None:
    """Served leaves that really are the committed ones."""
    leaves = served.leaves(root, size)
    if leaves is None or len(leaves) != size or Tree(leaves).root != root:
        return None
    return leaves
