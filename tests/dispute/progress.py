"""A measure of how far down a dispute is; every accepted move must raise it (I5)."""

from __future__ import annotations

from protocol.dispute.state import DisputeState, Level, Position

S = DisputeState
DESCENT = {
    state: stage
    for stage, states in enumerate(
        [
            (S.NEED_SEGMENT,),
            (S.POINT_STEP,),
            (S.NEED_TRACE,),
            (S.BRANCH,),
            (S.POINT_NODE,),
            (S.NEED_TENSOR,),
            (S.POINT_CHUNK,),
            (S.NEED_CHUNK,),
            (S.POINT_ELEMENT,),
            (S.NEED_FOLD,),
            (S.POINT_TERM,),
            (S.NEED_TERM,),
            (S.POINT_KIND,),
            (S.JUDGE, S.ANSWER_BINDING),
            (S.SOLVER_WON, S.CHALLENGER_WON, S.REFUNDED),
        ],
        start=1,
    )
    for state in states
}
BISECTED_AFTER = {
    Level.LOG: 0,
    Level.SEGMENT: DESCENT[S.POINT_STEP],
    Level.TRACE: DESCENT[S.BRANCH],
    Level.POST_STATE: DESCENT[S.BRANCH],
    Level.TENSOR: DESCENT[S.POINT_CHUNK],
    Level.FOLD: DESCENT[S.POINT_TERM],
}


def progress(position: Position) -> tuple[float, int, bool]:
    """How far down a dispute is; grows with every move (I5)."""
    if position.state in (S.REVEAL, S.PICK):
        stage = BISECTED_AFTER[position.level] + 0.5
        return stage, -position.size, position.state is S.PICK
    return DESCENT[position.state], 0, False
