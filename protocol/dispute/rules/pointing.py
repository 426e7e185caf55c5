"""The opener says where; ``contracts/dispute/Pointing.sol``."""

from __future__ import annotations

from dataclasses import replace

from eth_utils.crypto import keccak

from protocol.dispute.model import Model, Record
from protocol.dispute.moves import (
    PointBinding,
    PointBoundElement,
    PointElement,
    PointKind,
    PointNode,
    PointStep,
    PointTerm,
    Proof,
)
from protocol.dispute.refusal import require
from protocol.dispute.rules.checks import check_inclusion, chunk_of
from protocol.dispute.rules.descent import after_element, after_step
from protocol.dispute.state import ARITHMETIC, ClaimFacts, DisputeState


def point_step(model: Model, dispute_id: bytes, move: PointStep, sender: str, now: int) -> None:
    """Step t of the segment."""
    d, facts = model.enter(dispute_id, move, sender, now)
    length = facts.segment_length(d.segment)
    require(move.t < length, "StepOutOfRange", move.t, length)
    d = replace(d, step=facts.first_step(d.segment) + move.t)
    d, state, extra = after_step(model, d, facts, now)
    model.turn(dispute_id, d, state, extra)


def point_binding(
    model: Model, dispute_id: bytes, move: PointBinding, sender: str, now: int
) -> None:
    """Branch STATE."""
    d, facts = model.enter(dispute_id, move, sender, now)
    require(move.q < facts.state_count, "BindingOutOfRange", move.q, facts.state_count)
    model.turn(dispute_id, replace(d, binding=move.q), DisputeState.ANSWER_BINDING, 0)


def point_element(
    model: Model, dispute_id: bytes, move: PointElement, sender: str, now: int
) -> None:
    """Branch TRACE, node and element at once."""
    d, facts = model.enter(dispute_id, move, sender, now)
    d = _bound(model, d, facts, move.j, move.node, move.program_proof)
    _point_element(model, dispute_id, d, move.e)


def point_node(model: Model, dispute_id: bytes, move: PointNode, sender: str, now: int) -> None:
    """Branch TRACE, the node alone; or the bytes of the bisected node."""
    d, facts = model.enter(dispute_id, move, sender, now)
    free = d.state is DisputeState.BRANCH
    require(free or move.j == d.node, "WrongNode", d.node, move.j)
    d = _bound(model, d, facts, move.j, move.node, move.program_proof)
    model.turn(dispute_id, d, DisputeState.NEED_TENSOR, 0)


def point_bound_element(
    model: Model, dispute_id: bytes, move: PointBoundElement, sender: str, now: int
) -> None:
    """An element of the bound node, inside what was opened of its tensor."""
    d, _ = model.enter(dispute_id, move, sender, now)
    chunk = chunk_of(move.e, d.shape.width)
    require(d.lo <= chunk < d.lo + d.size, "ChunkOutsideRange", chunk, d.lo, d.size)
    _point_element(model, dispute_id, d, move.e)


def point_term(model: Model, dispute_id: bytes, move: PointTerm, sender: str, now: int) -> None:
    """Term r and what is wrong with it."""
    d, _ = model.enter(dispute_id, move, sender, now)
    require(move.r < d.shape.terms, "TermOutOfRange", move.r, d.shape.terms)
    _point_kind(model, dispute_id, replace(d, term=move.r), move.kind)


def point_kind(model: Model, dispute_id: bytes, move: PointKind, sender: str, now: int) -> None:
    """What is wrong with the bisected term."""
    d, _ = model.enter(dispute_id, move, sender, now)
    _point_kind(model, dispute_id, d, move.kind)


def _bound(model: Model, d: Record, facts: ClaimFacts, j: int, node: bytes, proof: Proof) -> Record:
    require(j < facts.node_count, "NodeOutOfRange", j, facts.node_count)
    check_inclusion(facts.program_root, node, j, facts.node_count + facts.state_count, proof)
    return replace(d, node=j, descriptor_hash=keccak(node), shape=model.judge.shape(node))


def _point_element(model: Model, dispute_id: bytes, d: Record, element: int) -> None:
    require(element < d.shape.numel, "ElementOutOfRange", element, d.shape.numel)
    d, state, extra = after_element(model, replace(d, element=element))
    model.turn(dispute_id, d, state, extra)


def _point_kind(model: Model, dispute_id: bytes, d: Record, kind: int) -> None:
    loads = d.shape.loads
    require(kind == ARITHMETIC or kind < loads, "KindOutOfRange", kind, loads)
    model.turn(dispute_id, replace(d, kind=kind), DisputeState.JUDGE, 0)
