"""The rule of each move: f(model, dispute id, move, sender, now) writes or refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol.dispute import moves
from protocol.dispute.rules import bisection, judging, opening, pointing, posting

RULES: Final[dict[type[moves.Move], Callable[..., Any]]] = {
    moves.CommitOpen: opening.commit_open,
    moves.Open: opening.open_dispute,
    moves.Reclaim: opening.reclaim,
    moves.Timeout: opening.timeout,
    moves.Refund: opening.refund,
    moves.PostSegment: posting.post_segment,
    moves.PostTrace: posting.post_trace,
    moves.PostFold: posting.post_fold,
    moves.UseRoot: posting.use_root,
    moves.PointStep: pointing.point_step,
    moves.PointBinding: pointing.point_binding,
    moves.PointElement: pointing.point_element,
    moves.PointNode: pointing.point_node,
    moves.PointBoundElement: pointing.point_bound_element,
    moves.PointTerm: pointing.point_term,
    moves.PointKind: pointing.point_kind,
    moves.Bisect: bisection.bisect,
    moves.Reveal: bisection.reveal,
    moves.Pick: bisection.pick,
    moves.OpenTensor: bisection.open_tensor,
    moves.OpenChunk: bisection.open_chunk,
    moves.OpenTerm: bisection.open_term,
    moves.AnswerBinding: judging.answer_binding,
    moves.JudgeArithmetic: judging.judge_arithmetic,
    moves.JudgeLoad: judging.judge_load,
}
"""Which rule plays each move."""
