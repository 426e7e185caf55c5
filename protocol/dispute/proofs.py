"""Builds complete moves out of an execution, so that a sender only submits them.

Building the solver's moves raises ``Withheld`` where the execution cannot show what it committed
to.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from protocol.dispute.execution import Execution
from protocol.dispute.judge import Judge, ReferenceJudge
from protocol.dispute.moves import (
    AnswerBinding,
    JudgeArithmetic,
    JudgeLoad,
    OpenChunk,
    OpenTensor,
    OpenTerm,
    PointElement,
    PointNode,
    PostFold,
    PostSegment,
    PostTrace,
    Proof,
    Reveal,
)
from protocol.dispute.state import Level, Position
from protocol.dispute.trees import ChunkTree, Tree
from protocol.merkle import CHUNK_BYTES
from protocol.program.canonical import decode_binding
from protocol.program.node import Node, OperandKind

T = TypeVar("T", bound=Tree)

CACHED_TREES = 16
CACHED_TENSORS = 3
"""Trees kept at a time: those of one descent. A tensor's bytes may fill much of the memory."""


class Prover:
    """An execution with its trees, and the moves that they back.

    Args:
        execution: the run, honest or not.
        judge: says where a load reads.
    """

    def __init__(self, execution: Execution, judge: Judge | None = None) -> None:
        self.execution = execution
        self._judge: Judge = judge or ReferenceJudge()
        self._trees: OrderedDict[tuple[object, ...], Tree] = OrderedDict()
        self._tensors: OrderedDict[tuple[object, ...], ChunkTree] = OrderedDict()

    # ------------------------------------------------------------------ trees

    def log(self) -> Tree:
        """Checkpoint log."""
        return self._tree(("log",), lambda: Tree(self.execution.log_leaves()))

    def segment(self, segment: int) -> Tree:
        """States after each step of segment 1..M."""
        leaves = self.execution.segment_leaves
        return self._tree(("segment", segment), lambda: Tree(leaves(segment)))

    def state(self, step: int) -> Tree:
        """Tensor roots of the state after ``step`` steps."""
        return self._tree(("state", step), lambda: Tree(self.execution.state_leaves(step)))

    def trace(self, step: int) -> Tree:
        """Tensor roots of the node outputs of a step."""
        return self._tree(("trace", step), lambda: Tree(self.execution.trace_leaves(step)))

    def output(self, step: int, node: int) -> ChunkTree:
        """Chunks of a node's output."""
        output = self.execution.node_output
        return self._tensor(("output", step, node), lambda: ChunkTree(output(step, node)))

    def fold(self, step: int, node: int, element: int) -> Tree:
        """Terms of one element's fold."""
        leaves = self.execution.fold_leaves
        key = ("fold", step, node, element)
        return self._tree(key, lambda: Tree(leaves(step, node, element)))

    def program(self) -> Tree:
        """Nodes, then bindings."""
        return self._tree(("program",), lambda: Tree(self.execution.program_leaves()))

    def operand(self, step: int, kind: OperandKind, index: int) -> tuple[Tree, ChunkTree]:
        """The tree with an operand's root in a step, and the operand's chunks."""
        execution = self.execution
        if kind is OperandKind.NODE:
            return self.trace(step), self.output(step, index)
        if kind is OperandKind.STATE:
            key = ("tensor", step, index)
            tensor = self._tensor(key, lambda: ChunkTree(execution.state_tensor(step, index)))
            return self.state(step), tensor
        data = self._tree(("data",), lambda: Tree(execution.data_leaves()))
        chunks = self._tensor(("data", index), lambda: ChunkTree(execution.data_tensor(index)))
        return data, chunks

    def bisected(self, position: Position) -> Tree:
        """The tree that a position's bisection walks."""
        p = position
        match p.level:
            case Level.LOG:
                return self.log()
            case Level.SEGMENT:
                return self.segment(p.segment)
            case Level.TRACE:
                return self.trace(p.step)
            case Level.POST_STATE:
                return self.state(p.step + 1)
            case Level.TENSOR:
                return self.output(p.step, p.node)
            case Level.FOLD:
                return self.fold(p.step, p.node, p.element)
            case _:
                raise ValueError(f"nothing is bisected in {p.state.name}: the level is NONE")

    # ------------------------------------------------------------------ the opener's moves

    def point_element(self, position: Position, node: int, element: int) -> PointElement:
        """Point at an element, with the node's bytes."""
        tree = self.program()
        return PointElement(
            position.hash(), node, element, tree.leaf(node), tuple(tree.proof(node))
        )

    def point_node(self, position: Position, node: int) -> PointNode:
        """Point at a node, with its bytes."""
        tree = self.program()
        return PointNode(position.hash(), node, tree.leaf(node), tuple(tree.proof(node)))

    # ------------------------------------------------------------------ new roots

    def post_segment(self, position: Position) -> PostSegment:
        """The segment's tree, with the checkpoints at both ends."""
        m, log, tree = position.segment, self.log(), self.segment(position.segment)
        before, proof_before = _open(log, m - 1)
        after, proof_after = _open(log, m)
        return PostSegment(
            position.hash(),
            tree.root,
            before,
            after,
            proof_before,
            proof_after,
            tuple(tree.proof(tree.size - 1)),
        )

    def post_trace(self, position: Position) -> PostTrace:
        """The step's trace, with the states before and after it."""
        t = position.step - self.execution.interval * (position.segment - 1)
        segment = self.segment(position.segment)
        if t > 0:
            pre, proof_pre = _open(segment, t - 1)
        else:
            pre, proof_pre = self.log().leaf(position.segment - 1), ()
        post, proof_post = _open(segment, t)
        root = self.trace(position.step).root
        return PostTrace(position.hash(), root, pre, post, proof_pre, proof_post)

    def post_fold(self, position: Position) -> PostFold:
        """The element's fold, with the chunk that holds the element."""
        p = position
        tensor_root, trace_proof = _open(self.trace(p.step), p.node)
        width = self.execution.node(p.node).dtype.width
        chunk, chunk_proof = _open(self.output(p.step, p.node), p.element * width // CHUNK_BYTES)
        fold = self.fold(p.step, p.node, p.element)
        last, last_proof = _open(fold, fold.size - 1)
        return PostFold(
            p.hash(), fold.root, tensor_root, trace_proof, chunk, chunk_proof, last, last_proof
        )

    # ------------------------------------------------------------------ openings

    def reveal(self, position: Position) -> Reveal:
        """Sub-roots of the bisected range."""
        tree = self.bisected(position)
        return Reveal(position.hash(), tuple(tree.reveal(position.lo, position.size)))

    def open_tensor(self, position: Position) -> OpenTensor:
        """Root of the pointed node's output."""
        root, proof = _open(self.trace(position.step), position.node)
        return OpenTensor(position.hash(), root, proof)

    def open_chunk(self, position: Position) -> OpenChunk:
        """The bisected chunk."""
        tree = self.output(position.step, position.node)
        return OpenChunk(position.hash(), tree.leaf(position.lo))

    def open_term(self, position: Position) -> OpenTerm:
        """The bisected term."""
        tree = self.fold(position.step, position.node, position.element)
        return OpenTerm(position.hash(), tree.leaf(position.term))

    # ------------------------------------------------------------------ judgement

    def answer_binding(self, position: Position, state_count: int) -> AnswerBinding:
        """Both sides of the pointed state tensor's binding."""
        p, program = position, self.program()
        binding, program_proof = _open(program, program.size - state_count + p.binding)
        post_leaf, post_proof = _open(self.state(p.step + 1), p.binding)
        source = decode_binding(binding)
        is_node = source.kind is OperandKind.NODE
        tree = self.trace(p.step) if is_node else self.state(p.step)
        source_leaf, source_proof = _open(tree, source.index)
        return AnswerBinding(
            p.hash(), binding, program_proof, post_leaf, post_proof, source_leaf, source_proof
        )

    def judge_arithmetic(self, position: Position) -> JudgeArithmetic:
        """The pointed term and the one before it."""
        p = position
        fold = self.fold(p.step, p.node, p.element)
        leaf, proof = _open(fold, p.term)
        previous, previous_proof = _open(fold, p.term - 1) if p.term > 0 else (b"", ())
        node = self.program().leaf(p.node)
        return JudgeArithmetic(p.hash(), node, leaf, proof, previous, previous_proof)

    def judge_load(self, position: Position) -> JudgeLoad:
        """The pointed term and the element that its load reads."""
        p = position
        leaf, proof = _open(self.fold(p.step, p.node, p.element), p.term)
        node = self.program().leaf(p.node)
        words = struct.unpack(f">{len(leaf) // 4}I", leaf)[1:]
        source = self._judge.locate(node, p.element, p.term, p.kind, words)
        if not source.in_bounds:
            return JudgeLoad(p.hash(), node, leaf, proof)
        roots, tensor = self.operand(p.step, source.kind, source.index)
        root, root_proof = _open(roots, source.index)
        chunk, chunk_proof = _open(tensor, source.address * source.dtype.width // CHUNK_BYTES)
        return JudgeLoad(p.hash(), node, leaf, proof, root, root_proof, chunk, chunk_proof)

    def node(self, index: int) -> Node:
        """Descriptor of a node."""
        return self.execution.node(index)

    def _tree(self, key: tuple[object, ...], build: Callable[[], Tree]) -> Tree:
        return _cached(self._trees, CACHED_TREES, key, build)

    def _tensor(self, key: tuple[object, ...], build: Callable[[], ChunkTree]) -> ChunkTree:
        return _cached(self._tensors, CACHED_TENSORS, key, build)


def _cached(
    trees: OrderedDict[tuple[object, ...], T],
    limit: int,
    key: tuple[object, ...],
    build: Callable[[], T],
) -> T:
    """The tree of a key, built if it is not among the ``limit`` trees used last."""
    tree = trees.pop(key) if key in trees else build()
    trees[key] = tree
    while len(trees) > limit:
        trees.popitem(last=False)
    return tree


def _open(tree: Tree, index: int) -> tuple[bytes, Proof]:
    """A leaf's value and proof."""
    return tree.leaf(index), tuple(tree.proof(index))
