"""How long a dispute can be, from the sizes of the task alone (I5, I6)."""

from __future__ import annotations

from protocol.dispute.model import Parameters
from protocol.dispute.state import ClaimFacts

FANOUT_BITS = 5
DIRECT_MOVES = 11
"""Moves beside bisections on the longest way: the roots of segment, trace and fold, the node,
its tensor, its chunk, the element, the term's leaf, the kind, the judgement, and one to spare for
a root that another dispute brought."""


def rounds(size: int) -> int:
    """Reveals that lead from the root of a tree of ``size`` leaves to one leaf."""
    return -(-(size - 1).bit_length() // FANOUT_BITS)


def most_moves(facts: ClaimFacts, chunks: int, terms: int) -> int:
    """Moves that any dispute of a claim can take at most, the opening not counted.

    Args:
        facts: the claim.
        chunks: chunks of the largest node output.
        terms: terms of the longest fold.
    """
    sizes = (
        facts.segments + 1,
        min(facts.interval, facts.steps),
        max(facts.node_count, facts.state_count),
        chunks,
        terms,
    )
    # Each level: the move that asks for the bisection, then a reveal and a pick per round.
    return DIRECT_MOVES + sum(1 + 2 * rounds(size) for size in sizes)


def most_seconds(
    facts: ClaimFacts, parameters: Parameters, chunks: int, terms: int, queued_steps: int
) -> int:
    """Seconds from a dispute's start to its end at the latest, timeouts claimed at once.

    Args:
        facts: the claim.
        parameters: the deployment's clocks.
        chunks: chunks of the largest node output.
        terms: terms of the longest fold.
        queued_steps: different steps that disputes of the claim have pointed at; each was paid for
            by a bond.
    """
    queue = facts.segments * facts.segment_seconds + queued_steps * facts.trace_seconds
    grace = most_moves(facts, chunks, terms) * parameters.grace_seconds
    return parameters.solver_seconds + parameters.opener_seconds + grace + queue
