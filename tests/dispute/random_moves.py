"""Random moves: any pointer in a state, and a move with one argument changed."""

from __future__ import annotations

from dataclasses import fields, replace
from random import Random
from typing import Any

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
from protocol.dispute.state import ARITHMETIC, DisputeState, Level

S = DisputeState
VARIABLE = {"signature", "chunk", "last_leaf", "node", "binding", "leaf", "previous_leaf"}


def random_pointer(rng: Random, situation: Situation, prover: Prover) -> PositionMove | None:
    """Any move of the opener in its state, in range or just out of it."""
    p, shape = situation.position, situation.shape
    expected = p.hash()
    if rng.random() < 0.15:
        return Bisect(expected, rng.choice(list(Level)))
    match p.state:
        case S.POINT_STEP:
            return PointStep(expected, rng.randint(0, prover.execution.interval))
        case S.BRANCH:
            states = len(prover.execution.state_leaves(0))
            nodes = prover.program().size - states
            node = rng.randrange(nodes)
            element = rng.choice((0, 1, 7, 1030, rng.randrange(2100)))
            return rng.choice(
                (
                    PointBinding(expected, rng.randint(0, states)),
                    PointBinding(expected, rng.randrange(states)),
                    prover.point_element(p, node, element % prover.node(node).numel),
                    prover.point_element(p, node, element),
                    prover.point_node(p, node),
                    prover.point_node(p, nodes),  # the first binding
                    Bisect(expected, Level.TRACE),
                    Bisect(expected, Level.POST_STATE),
                )
            )
        case S.POINT_NODE:
            return prover.point_node(p, p.node if rng.random() < 0.9 else 0)
        case S.POINT_CHUNK | S.POINT_ELEMENT:
            if p.state is S.POINT_CHUNK and rng.random() < 0.6:
                return Bisect(expected, Level.TENSOR)
            return PointBoundElement(expected, rng.randint(0, shape.numel))
        case S.POINT_TERM | S.POINT_KIND:
            kind = rng.choice((ARITHMETIC, rng.randint(0, shape.loads)))
            if p.state is S.POINT_KIND:
                return PointKind(expected, kind)
            if rng.random() < 0.4:
                return Bisect(expected, Level.FOLD)
            return PointTerm(expected, rng.randint(0, shape.terms), kind)
        case S.PICK:
            children = situation.opened.children
            return Pick(expected, rng.randint(0, len(children)), children)
        case _:
            return None


def mutated(rng: Random, move: PositionMove) -> PositionMove:
    """The move with one field changed to something that the ABI still takes."""
    name = rng.choice([field.name for field in fields(move)])
    value = _other(rng, name, getattr(move, name))
    return replace(move, **{name: value})


def _other(rng: Random, name: str, value: Any) -> Any:
    if isinstance(value, Level):
        return rng.choice(list(Level))
    if isinstance(value, int):
        limit = 255 if name in ("kind", "child") else 2**32 - 1
        return min(limit, max(0, rng.choice((value + 1, value - 1, 0, limit, value + 32))))
    if isinstance(value, tuple):
        return _other_proof(rng, value)
    fixed = len(value) == 32 and name not in VARIABLE
    options = [bytes(len(value)), rng.randbytes(len(value))]
    if value:
        at = rng.randrange(len(value))
        options.append(value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :])
    if not fixed:
        options += [value[:-1], value + b"\0", b""]
    return rng.choice(options)


def _other_proof(rng: Random, proof: tuple[bytes, ...]) -> tuple[bytes, ...]:
    extra = rng.randbytes(32)
    if not proof:
        return (extra,)
    at = rng.randrange(len(proof))
    return rng.choice(
        (
            proof[:-1],
            (*proof, extra),
            (*proof[:at], extra, *proof[at + 1 :]),
            tuple(reversed(proof)),
            (),
        )
    )
