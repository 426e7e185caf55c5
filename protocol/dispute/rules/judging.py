"""The last move: open both sides, compare, and it is over; ``contracts/dispute/Judgement.sol``."""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from protocol.dispute.judge import Located
from protocol.dispute.model import Model, Record
from protocol.dispute.moves import AnswerBinding, JudgeArithmetic, JudgeLoad, Proof
from protocol.dispute.refusal import require
from protocol.dispute.rules.checks import (
    check_inclusion,
    check_length,
    chunk_of,
    element_of,
    term_words,
)
from protocol.dispute.state import ARITHMETIC, ZERO_ROOT, ClaimFacts, DisputeState
from protocol.kernels.reference import float32
from protocol.merkle import chunk_count, chunk_length
from protocol.program.isa import DType
from protocol.program.node import OperandKind


def answer_binding(
    model: Model, dispute_id: bytes, move: AnswerBinding, sender: str, now: int
) -> None:
    """The state tensor's root must be its source's."""
    d, facts = model.enter(dispute_id, move, sender, now)
    leaves = facts.node_count + facts.state_count
    index = facts.node_count + d.binding
    check_inclusion(facts.program_root, move.binding, index, leaves, move.program_proof)
    post = model.trace_root(d).after
    check_inclusion(post, move.post_leaf, d.binding, facts.state_count, move.post_proof)
    binding = model.judge.binding(move.binding)
    _check_source(
        model, d, facts, (binding.kind, binding.index), move.source_leaf, move.source_proof
    )
    model.conclude(dispute_id, d, now, solver_won=move.post_leaf == move.source_leaf)


def judge_arithmetic(
    model: Model, dispute_id: bytes, move: JudgeArithmetic, sender: str, now: int
) -> None:
    """The body, run once on the words of the leaf, must give the leaf's accumulator."""
    d, _ = model.enter(dispute_id, move, sender, now)
    require(d.kind == ARITHMETIC, "WrongKind", d.kind, ARITHMETIC)
    _check_descriptor(d, move.node)
    _check_term(model, d, d.term, move.leaf, move.leaf_proof)
    previous = d.shape.init
    if d.term > 0:
        _check_term(model, d, d.term - 1, move.previous_leaf, move.previous_proof)
        previous, _ = term_words(move.previous_leaf)
    else:
        _check_absent(move.previous_leaf, move.previous_proof)
    claimed, words = term_words(move.leaf)
    computed = model.judge.arithmetic(move.node, d.element, d.term, previous, words)
    model.conclude(dispute_id, d, now, solver_won=computed == claimed)


def judge_load(model: Model, dispute_id: bytes, move: JudgeLoad, sender: str, now: int) -> None:
    """The word in the leaf must be the operand's element, or the fill word out of bounds."""
    d, facts = model.enter(dispute_id, move, sender, now)
    require(d.kind != ARITHMETIC, "WrongKind", d.kind, 0)
    _check_descriptor(d, move.node)
    _check_term(model, d, d.term, move.leaf, move.leaf_proof)
    _, words = term_words(move.leaf)
    source = model.judge.locate(move.node, d.element, d.term, d.kind, words)
    stored = source.fill
    if source.in_bounds:
        operand = (source.kind, source.index)
        _check_source(model, d, facts, operand, move.tensor_root, move.tensor_proof)
        stored = _open_word(source, move)
    else:
        require(move.tensor_root == ZERO_ROOT, "WrongSubroot", "", move.tensor_root.hex())
        require(not move.tensor_proof, "WrongLength", 0, len(move.tensor_proof))
        _check_absent(move.chunk, move.chunk_proof)
    model.conclude(dispute_id, d, now, solver_won=stored == words[d.kind])


def _check_source(
    model: Model,
    d: Record,
    facts: ClaimFacts,
    source: tuple[OperandKind, int],
    leaf: bytes,
    proof: Sequence[bytes],
) -> None:
    """``leaf`` is the tensor root of an operand or a binding's source, in the tree of its kind."""
    kind, index = source
    if kind is OperandKind.NODE:
        # A node reads earlier nodes only; a binding may name any.
        earlier = d.state is not DisputeState.JUDGE or index < d.node
        require(earlier, "OperandNotEarlier", d.node, index)
        root, count = model.trace_root(d).root, facts.node_count
    elif kind is OperandKind.STATE:
        root, count = model.trace_root(d).before, facts.state_count
    else:
        root, count = facts.data_root, facts.data_count
    require(index < count, "SourceOutOfRange", kind, index, count)
    check_inclusion(root, leaf, index, count, proof)


def _open_word(source: Located, move: JudgeLoad) -> int:
    width = source.dtype.width
    chunk = chunk_of(source.address, width)
    check_length(chunk_length(source.numel, width, chunk), move.chunk)
    chunks = chunk_count(source.numel, width)
    check_inclusion(move.tensor_root, move.chunk, chunk, chunks, move.chunk_proof)
    word = element_of(move.chunk, source.address, width)
    return float32.canonical(word) if source.dtype is DType.F32 else word


def _check_descriptor(d: Record, node: bytes) -> None:
    got = keccak(node)
    require(got == d.descriptor_hash, "WrongDescriptor", d.descriptor_hash.hex(), got.hex())


def _check_term(model: Model, d: Record, term: int, leaf: bytes, proof: Proof) -> None:
    check_length(4 * (1 + d.shape.loads), leaf)
    check_inclusion(model.fold_root(d).root, leaf, term, d.shape.terms, proof)


def _check_absent(leaf: bytes, proof: Proof) -> None:
    check_length(0, leaf)
    require(not proof, "WrongLength", 0, len(proof))
