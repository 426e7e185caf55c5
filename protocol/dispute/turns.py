"""Which state a move needs, the twin of ``contracts/dispute/libraries/Turns.sol``."""

from __future__ import annotations

from typing import Final

from protocol.dispute import moves
from protocol.dispute.state import DisputeState, Level

REQUIRED: Final[dict[type[moves.PositionMove], tuple[DisputeState, ...]]] = {
    moves.PostSegment: (DisputeState.NEED_SEGMENT,),
    moves.PostTrace: (DisputeState.NEED_TRACE,),
    moves.PostFold: (DisputeState.NEED_FOLD,),
    moves.UseRoot: (
        DisputeState.NEED_SEGMENT,
        DisputeState.NEED_TRACE,
        DisputeState.NEED_FOLD,
    ),
    moves.PointStep: (DisputeState.POINT_STEP,),
    moves.PointBinding: (DisputeState.BRANCH,),
    moves.PointElement: (DisputeState.BRANCH,),
    moves.PointNode: (DisputeState.BRANCH, DisputeState.POINT_NODE),
    moves.PointBoundElement: (DisputeState.POINT_CHUNK, DisputeState.POINT_ELEMENT),
    moves.PointTerm: (DisputeState.POINT_TERM,),
    moves.PointKind: (DisputeState.POINT_KIND,),
    moves.Bisect: (
        DisputeState.POINT_STEP,
        DisputeState.BRANCH,
        DisputeState.POINT_CHUNK,
        DisputeState.POINT_TERM,
    ),
    moves.Reveal: (DisputeState.REVEAL,),
    moves.Pick: (DisputeState.PICK,),
    moves.OpenTensor: (DisputeState.NEED_TENSOR,),
    moves.OpenChunk: (DisputeState.NEED_CHUNK,),
    moves.OpenTerm: (DisputeState.NEED_TERM,),
    moves.AnswerBinding: (DisputeState.ANSWER_BINDING,),
    moves.JudgeArithmetic: (DisputeState.JUDGE,),
    moves.JudgeLoad: (DisputeState.JUDGE,),
}
"""States in which each move may be made; a refusal names the first of them."""

STATE_OF_LEVEL: Final = {
    Level.SEGMENT: DisputeState.POINT_STEP,
    Level.TRACE: DisputeState.BRANCH,
    Level.POST_STATE: DisputeState.BRANCH,
    Level.TENSOR: DisputeState.POINT_CHUNK,
    Level.FOLD: DisputeState.POINT_TERM,
}
"""Where a level may be bisected. The log's bisection starts with the opening only."""
