"""The solver's play: show what it committed to, at once.

Every position has one right answer, so this is a table. An honest solver that answers before its
deadline cannot lose (I1); a liar's table is the same, and at some point it has nothing to show.
"""

from __future__ import annotations

from protocol.dispute.execution import Withheld
from protocol.dispute.moves import PositionMove, UseRoot
from protocol.dispute.proofs import Prover
from protocol.dispute.situation import Situation
from protocol.dispute.state import ARITHMETIC, ZERO_ROOT, DisputeState, Side


def next_move(situation: Situation, prover: Prover) -> PositionMove | None:
    """The solver's move in a situation; None if it is not its turn or it has nothing."""
    if situation.position.side is not Side.SOLVER:
        return None
    try:
        return _answer(situation, prover)
    except Withheld:
        return None


def _answer(situation: Situation, prover: Prover) -> PositionMove:
    position = situation.position
    match position.state:
        case DisputeState.NEED_SEGMENT:
            if situation.segment.root != ZERO_ROOT:
                return UseRoot(position.hash())
            return prover.post_segment(position)
        case DisputeState.NEED_TRACE:
            if situation.trace.root != ZERO_ROOT:
                return UseRoot(position.hash())
            return prover.post_trace(position)
        case DisputeState.NEED_FOLD:
            if situation.fold.root != ZERO_ROOT:
                return UseRoot(position.hash())
            return prover.post_fold(position)
        case DisputeState.REVEAL:
            return prover.reveal(position)
        case DisputeState.NEED_TENSOR:
            return prover.open_tensor(position)
        case DisputeState.NEED_CHUNK:
            return prover.open_chunk(position)
        case DisputeState.NEED_TERM:
            return prover.open_term(position)
        case DisputeState.ANSWER_BINDING:
            return prover.answer_binding(position, situation.facts.state_count)
        case _:
            assert position.state is DisputeState.JUDGE
            if position.kind == ARITHMETIC:
                return prover.judge_arithmetic(position)
            return prover.judge_load(position)
