"""What each role owes a task now: pure functions of what a reader shows. No I/O.

A duty is the name of a market function; TRAIN leads to ``submit``. ``None`` means: nothing to do
until the chain changes or time passes.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from protocol.chain.market import ClaimPhase, ClaimView, TaskPhase, TaskView

BLOCKHASHES: Final = 256
"""Blocks whose hash a contract can still ask for."""


class Duty(Enum):
    """Something that a role must do for a task."""

    COMMIT_BID = "commitBid"
    REVEAL_BID = "revealBid"
    ASSIGN = "assign"
    VOID = "void"
    TRAIN = "submit"
    EXPIRE = "expire"
    RECLAIM_BID = "reclaim"
    DRAW = "draw"
    CHECK = "attest"
    FINALISE = "finalise"
    COLLECT_FEE = "collectFee"
    REFUND = "refund"


def solver_duty(task: TaskView, me: str, *, committed: bool, revealed: bool) -> Duty | None:
    """What a solver owes a task. ``committed``, ``revealed``: of its own bid in this round."""
    if task.phase is TaskPhase.BIDDING and not committed:
        return Duty.COMMIT_BID
    if task.phase is TaskPhase.REVEALING and committed and not revealed:
        return Duty.REVEAL_BID
    if task.phase is TaskPhase.DECIDABLE and committed and task.reveals > 0:
        return Duty.ASSIGN
    if task.phase is TaskPhase.RUNNING and task.solver == me:
        return Duty.TRAIN
    if task.phase >= TaskPhase.RUNNING and task.solver != me and committed:
        return Duty.RECLAIM_BID
    return None


def claim_duty(claim: ClaimView, block_number: int, *, drawn: bool) -> Duty | None:
    """What anyone may do for a claim, and its solver or requester will.

    ``drawn``: the draw took place or is out of reach.
    """
    if claim.phase is ClaimPhase.WINDOW and not drawn and _is_drawable(claim, block_number):
        return Duty.DRAW
    if claim.phase is ClaimPhase.DECIDED and claim.open_disputes == 0:
        return Duty.FINALISE
    return None


def _is_drawable(claim: ClaimView, block_number: int) -> bool:
    """Whether the hash of the target, or of its one retry, is there now and in the next block."""
    retry = claim.target_block + BLOCKHASHES + 1
    return any(
        target < block_number < target + BLOCKHASHES for target in (claim.target_block, retry)
    )


def requester_duty(task: TaskView) -> Duty | None:
    """What a requester owes its task."""
    if task.phase is TaskPhase.DECIDABLE:
        return Duty.ASSIGN if task.reveals > 0 else Duty.VOID
    if task.phase is TaskPhase.OVERDUE:
        return Duty.EXPIRE
    if task.phase in (TaskPhase.VACANT, TaskPhase.LAPSED):
        return Duty.REFUND
    return None


def verifier_duty(claim: ClaimView, me: str, *, checked: bool, attested: bool) -> Duty | None:
    """What a drawn verifier owes a claim. ``checked``: its verdict is in its journal."""
    if me not in claim.verifiers:
        return None
    if claim.phase is ClaimPhase.WINDOW and not checked:
        return Duty.CHECK
    if claim.phase is ClaimPhase.FINALISED and attested:
        return Duty.COLLECT_FEE
    return None
